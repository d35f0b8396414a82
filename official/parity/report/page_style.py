"""Looks and manners of the page: colours by verdict; a tree that is searched; points that tell
their names."""

STYLE = """
:root { --same: #1a7f4b; --inherited: #a66a00; --different: #c62828; --unpaired: #8e24aa;
  --near: #00799a; --excused: #6b7683; --one: #2563c9; --two: #c2570c; --three: #1a7f4b;
  --four: #8e24aa; --five: #00799a; --six: #a66a00; }
@media (prefers-color-scheme: dark) { :root { --same: #5cc98d; --inherited: #e0a83a;
  --different: #ff7b72; --unpaired: #d694ea; --near: #56c2de; --excused: #94a0ae; --one: #79aefc;
  --two: #f39a58; --three: #5cc98d; --four: #d694ea; --five: #56c2de; --six: #e0a83a; } }
body { max-width: 76rem; }
td { overflow-wrap: anywhere; } details { margin: .5rem 0; } summary { cursor: pointer; }
td.number { overflow-wrap: normal; white-space: nowrap; } th { white-space: nowrap; }
.banner { padding: 1rem 1.2rem; border-left: .6rem solid; background: var(--plate); }
.banner b { font-size: 1.6rem; display: block; }
.banner p { margin: .3rem 0 0; color: var(--ink); font-weight: 400; overflow-wrap: anywhere; }
.same { color: var(--same); } .inherited { color: var(--inherited); }
.different { color: var(--different); font-weight: 600; } .near { color: var(--near); }
.unpaired { color: var(--unpaired); font-weight: 600; } .excused { color: var(--excused); }
.tree { font-size: 14px; overflow-x: auto; } .tree details, .tree .leaf { margin: 0; }
.tree .row { display: grid; grid-template-columns: minmax(16rem, 1fr) repeat(var(--columns), 11rem);
  gap: .6rem; border-bottom: 1px solid var(--line); padding: .12rem 0; }
.tree .row:hover { background: var(--plate); } .tree .in { padding-left: 1.1rem; }
.tree .row > span { text-align: right; font-variant-numeric: tabular-nums; }
.tree .row > b { font-weight: 400; overflow-wrap: anywhere; } .tree i { color: var(--faint); }
.tree summary { list-style: none; } .tree summary b::before { content: "▸ "; }
.tree details[open] > summary b::before { content: "▾ "; } .tree .leaf b::before { content: "· "; }
.tree .head, .tree .head > b { font-weight: 600; }
.search { font: inherit; padding: .3rem .6rem; width: 24rem; max-width: 90%; }
.chart { display: block; margin: 1rem 0; } .chart svg { width: 100%; height: auto; }
.chart output { display: block; min-height: 1.3em; font-size: 13px; overflow-wrap: anywhere; }
.chart .grid { stroke: var(--line); display: inline; } .chart .tick { font-size: 12px;
  fill: var(--faint); }
.chart polyline { fill: none; stroke-width: 1.5; } .chart circle.on { r: 7; }
.chart .key { margin-left: 1rem; } .chart .key::before { content: "● "; }
.chart .end, .chart .original, .chart .s0 { color: var(--one); }
.chart .forced, .chart .candidate, .chart .s1 { color: var(--two); }
.chart .s2 { color: var(--three); } .chart .s3 { color: var(--four); }
.chart .s4 { color: var(--five); } .chart .s5 { color: var(--six); }
.chart .noise { color: var(--faint); } .chart .limit { color: var(--different); }
.chart g { fill: currentColor; fill-opacity: .75; } .chart polyline { stroke: currentColor; }
.chart .noise, .chart .limit, .chart .dashes { stroke-dasharray: 6 4; font-weight: 400; }
.maps .grid { grid-template-columns: repeat(auto-fit, minmax(16rem, 1fr)); }
.maps img { width: 100%; min-height: 1.5rem; image-rendering: pixelated; }
"""

SCRIPT = """
for (const chart of document.querySelectorAll(".chart")) {
  const svg = chart.querySelector("svg"), dots = [...svg.querySelectorAll("circle")];
  const places = dots.map(dot => [+dot.getAttribute("cx"), +dot.getAttribute("cy")]);
  let on = null;
  if (dots.length) svg.addEventListener("mousemove", event => {
    const point = new DOMPoint(event.clientX, event.clientY)
      .matrixTransform(svg.getScreenCTM().inverse());
    const far = places.map(([x, y]) => 9 * (x - point.x) ** 2 + (y - point.y) ** 2);
    const nearest = dots[far.indexOf(Math.min(...far))];
    if (nearest === on) return;
    if (on) on.classList.remove("on");
    on = nearest; on.classList.add("on");
    chart.querySelector("output").textContent = on.textContent;
  });
}
const search = document.querySelector(".search"), tree = document.querySelector(".tree");
if (search) {
  const nodes = [...tree.querySelectorAll("[data-path]")];
  const branches = nodes.filter(node => node.tagName === "DETAILS");
  const first = branches.map(branch => branch.open);
  search.addEventListener("input", () => {
    const words = search.value.toLowerCase();
    if (!words) {
      nodes.forEach(node => { node.hidden = false; });
      branches.forEach((branch, i) => { branch.open = first[i]; });
      return;
    }
    nodes.forEach(node => { node.hidden = true; });
    for (const node of nodes) {
      if (!node.dataset.path.toLowerCase().includes(words)) continue;
      for (let up = node; up && up !== tree; up = up.parentElement) {
        up.hidden = false;
        if (up !== node && up.tagName === "DETAILS") up.open = true;
      }
    }
  });
}
"""
