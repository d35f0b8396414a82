"""What the reports say about a check, apart from how they draw it."""

import math
from collections.abc import Callable, Iterator, Sequence

from official.tpu.budget import Budget
from official.tpu.check import Check
from official.tpu.costs import Cost
from official.tpu.findings import Finding
from official.tpu.origins import nearby

Row = tuple[str, ...]

DEAREST = 12  # Instructions that are listed.
COST_HEAD = ("share", "layer", "operation", "shape", "GFLOP", "filled", "HBM", "line")
FINDING_HEAD = ("level", "what", "operation", "layer", "line", "times", "why", "cure")
TABLE_HEAD = ("topology", "batch", "fits", "HBM a core", "of", "bound", "MFU at most", "why not")


def headline(check: Check) -> str:
  """The verdict, in one line."""
  what = f"{check.kind} step, {check.topology.name}, {check.batch} images a replica"
  if check.lint_only:
    count = len(check.errors)
    verdict = "NOTHING FOUND THAT STOPS IT" if check.fits else f"{count} ERRORS"
    return f"{verdict}: {what}; not compiled"
  if check.budget is None:
    reason = check.errors[0].reason if check.errors else "it was not compiled"
    return f"DOES NOT COMPILE: {what}; {reason}"
  memory = check.budget.memory
  share = memory.total / memory.capacity
  word = "FITS" if check.fits else "DOES NOT FIT"
  return (
    f"{word}: {what}; {size(memory.total)} of {size(memory.capacity)} HBM a core ({share:.0%}), "
    f"at least {seconds(check.budget.bound_seconds)} a step, MFU at most "
    f"{check.budget.bound_mfu:.0%}"
  )


def memory_rows(budget: Budget) -> Iterator[Row]:
  """What fills a core's memory."""
  memory = budget.memory
  yield "arguments (variables, batch)", size(memory.arguments)
  yield "outputs that replace none of them", size(memory.outputs - memory.aliased)
  yield "temporaries", size(memory.temporaries)
  yield "code", size(memory.code)
  yield "together", size(memory.total)
  yield "HBM of a core", size(memory.capacity)
  yield "headroom", f"{size(memory.headroom)} ({memory.headroom / memory.capacity:.0%})"


def work_rows(check: Check, budget: Budget) -> Iterator[Row]:
  """What a step computes and moves, and the bounds that follow."""
  chip = check.topology.chip
  waste = budget.bytes.padded / max(budget.bytes.plain, 1) - 1
  yield "FLOPs of products, as written", flops(budget.model_flops)
  yield "… as compiled, each pass counted", flops(budget.flops)
  yield "… of float32, of those written", _share(budget.single_flops, budget.model_flops)
  yield "all FLOPs, as the compiler counts", flops(budget.compiler_flops)
  yield "estimated cycles in products (MXU)", f"{budget.product_share:.0%}"
  yield f"features fill {chip.matrix} × {chip.matrix} matrix units", f"{budget.fill:.0%}"
  yield "from and to HBM", f"{size(budget.bytes.padded)}, {waste:.0%} more than without padding"
  yield "intensity", f"{budget.intensity:.1f} FLOPs a byte"
  yield "summed over replicas", size(budget.collective_bytes)
  yield "products at the peak", seconds(budget.compute_seconds)
  yield "HBM at its bandwidth", seconds(budget.memory_seconds)
  yield "sums at the interconnect's", seconds(budget.collective_seconds)
  yield "bound on a step", f"{seconds(budget.bound_seconds)} ({bottleneck(budget)})"
  yield "one after the other", seconds(budget.serial_seconds)
  yield "bound on MFU", f"{budget.bound_mfu:.0%}"
  if budget.open_loops:
    yield "loops of unknown length, counted once", str(budget.open_loops)


def bottleneck(budget: Budget) -> str:
  """What bounds a step."""
  parts = {
    "matrix units": budget.compute_seconds,
    "memory": budget.memory_seconds,
    "interconnect": budget.collective_seconds,
  }
  return max(parts, key=lambda name: parts[name])


def chip_row(check: Check) -> str:
  """The published figures that the bounds stand on."""
  chip = check.topology.chip
  cores = f", {chip.cores} cores" if chip.cores > 1 else ""
  return (
    f"a {chip.version} chip{cores}: {chip.peak / 1e12:.0f} TFLOP/s in bfloat16, "
    f"{size(chip.memory)} at {chip.bandwidth / 1e9:.0f} GB/s ({chip.source})"
  )


def cost_rows(check: Check) -> Iterator[Row]:
  """The dearest instructions, by layer."""
  budget = check.budget
  costs = budget.costs if budget else ()
  weight = _weight(costs)
  total = sum(map(weight, costs)) or 1
  for cost in sorted(costs, key=weight, reverse=True)[:DEAREST]:
    yield _cost_row(check, cost, weight(cost) / total)


def _weight(costs: Sequence[Cost]) -> Callable[[Cost], float]:
  """By cycles where the compiler estimates them, else by the bound."""
  if any(cost.cycles for cost in costs):
    return lambda cost: cost.cycles
  return lambda cost: cost.seconds


def _cost_row(check: Check, cost: Cost, share: float) -> Row:
  origin = check.origins.get(cost.op_name)
  layer = f"{origin.layer}{' (backward)' if origin.backward else ''}" if origin else "(compiler)"
  return (
    f"{share:.1%}",
    layer or "(no layer)",
    origin.op if origin else cost.opcode,
    cost.shape,
    f"{cost.flops / 1e9:.3g}" if cost.flops else "",
    f"{cost.fill:.0%}" if cost.flops else "",
    size(cost.bytes.padded),
    nearby(origin.line) if origin else "",
  )


def finding_rows(findings: Sequence[Finding]) -> Iterator[Row]:
  """Each finding, the worst first."""
  for each in findings:
    line = nearby(each.line)
    count = f"{each.count:,}"
    yield each.level, each.rule, each.op, each.layer, line, count, each.reason, each.cure


def table_row(check: Check) -> Row:
  """A check among others."""
  name, batch = check.topology.name, str(check.batch)
  budget = check.budget
  if budget is None:
    reason = check.errors[0].reason if check.errors else ""
    return name, batch, "no", "", size(check.topology.memory), "", "", reason
  memory = budget.memory
  why = "" if check.fits else "too little memory"
  bound = f"{seconds(budget.bound_seconds)} ({bottleneck(budget)})"
  figures = size(memory.total), size(memory.capacity), bound, f"{budget.bound_mfu:.0%}"
  return name, batch, "yes" if check.fits else "no", *figures, why


def size(count: float) -> str:
  """Bytes in three digits: "1.25 GiB"."""
  if abs(count) < 1024:
    return f"{count:.0f} B"
  power = min(int(math.log2(abs(count)) // 10), 4)
  return f"{count / 1024**power:.3g} {' KMGT'[power]}iB"


def seconds(time: float) -> str:
  """Three digits: "1.25 ms"."""
  unit, factor = ("s", 1) if time >= 1 else ("ms", 1e3) if time >= 1e-3 else ("µs", 1e6)
  return f"{time * factor:.3g} {unit}"


def flops(count: float) -> str:
  """In units of 10^9: "1.25 G"."""
  return f"{count / 1e9:,.3f} G"


def _share(part: float, whole: float) -> str:
  return f"{part / whole:.0%}" if whole else "none"


def spent(check: Check) -> str:
  """How long the phases took, and what compiling needed."""
  phases = ", ".join(f"{name} {value:.1f} s" for name, value in check.phases.items())
  if not check.compiler_bytes:
    return phases
  remembered = ", remembered" if check.cached else ""
  needed = f"{check.compiler_seconds:.0f} CPU s, {size(check.compiler_bytes)}"
  return f"{phases} (compiler: {needed}{remembered})"
