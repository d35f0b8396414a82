"""What an optimizer step did, read off its results: SGD with momentum, Adam, decays and clips.

With G = c·g + w·p (clipped gradient, coupled decay), p the parameter before, per tensor:
- SGD: b' = μ·b + G; u = r·b', or r·(G + μ·b') with Nesterov's momentum;
- Adam (Kingma & Ba 2015): m' = β₁·m + (1 − β₁)·G; v' = β₂·v + (1 − β₂)·G²; u = r·m̂ / (√v̂ + ε);
p' = p − u − d·p (decoupled decay, Loshchilov & Hutter 2019). Everything but β, μ and ε is linear.
"""

import dataclasses
import itertools
from collections.abc import Iterator, Mapping

import numpy as np

Arrays = Mapping[str, np.ndarray]

BETAS1 = (0.9, 0.95, 0.8, 0.85, 0.937, 0.99, 0.5, 0.0)
BETAS2 = (0.999, 0.99, 0.98, 0.95, 0.9, 0.997, 0.9999)
EPSILONS = (1e-8, 1e-7, 1e-6, 1e-5, 1e-4, 1e-3, 1e-10, 1e-12, 1e-16, 0.0)
FORMS = ("outside", "inside", "hat")
_ZERO = 1e-10  # Of the largest gradient.
_SAME = 1e-7  # Fitted numbers that differ by less, relative, are one.


@dataclasses.dataclass(frozen=True)
class Recipe:
  """One step's numbers; mappings are by parameter.

  Attributes:
    kind: "adam" or "sgd".
    clip: factor on the gradient.
    bound: what values of gradients are cut off at; infinite where they are not.
    coupled: w, decay that goes into the gradient.
    decoupled: d, decay that goes to the weight, the rate included.
    rate: r, bias correction left out.
    momentum: μ, or β₁.
    beta2: β₂; 0 for SGD.
    nesterov: for SGD.
    epsilon: for Adam.
    form: for Adam: √v̂ + ε "outside", √(v̂ + ε) "inside", √v + ε before correction "hat".
    misfit: largest relative error with which the recipe gives the results.
  """

  kind: str
  clip: Mapping[str, float]
  bound: float
  coupled: Mapping[str, float]
  decoupled: Mapping[str, float]
  rate: Mapping[str, float]
  momentum: float
  beta2: float = 0.0
  nesterov: bool = False
  epsilon: float = 0.0
  form: str = "outside"
  misfit: float = 0.0


@dataclasses.dataclass(frozen=True)
class Step:
  """One side's step: `slots` by slot, then by parameter; rate as far as it is known."""

  count: int
  gradients: Arrays
  before: Arrays
  after: Arrays
  slots_before: Mapping[str, Arrays]
  slots: Mapping[str, Arrays]
  rate: float | None

  @property
  def names(self) -> list[str]:
    """Parameters whose gradient is known."""
    return [name for name in self.before if name in self.gradients and name in self.after]

  def driven(self, names: list[str]) -> list[str]:
    """Those of `names` whose gradient is more than what rounding leaves of zero."""
    sizes = {name: float(np.abs(self.gradients[name]).max(initial=0.0)) for name in names}
    largest = max(sizes.values(), default=0.0)
    return [name for name in names if sizes[name] > _ZERO * largest]


def read(step: Step) -> Recipe | None:
  """The recipe that gives the step's results; None where none does nearly."""
  if not step.driven(step.names):
    return None
  found = _adam(step) if {"m", "v"} <= step.slots.keys() else _sgd(step)
  usable = [recipe for recipe in found if recipe.misfit < 1e-4]
  return min(usable, key=lambda recipe: round(np.log10(recipe.misfit + 1e-12))) if usable else None


def apply(recipe: Recipe, step: Step) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Parameters after the step, and slots under "<parameter>|<slot>"."""
  parameters, slots = dict(step.after), {}
  for name in step.names:
    g = np.clip(step.gradients[name], -recipe.bound, recipe.bound)
    p = step.before[name]
    full = recipe.clip[name] * g + recipe.coupled[name] * p
    made, way = _ADAPT[recipe.kind](recipe, step, name, full)
    slots |= {f"{name}|{slot}": array for slot, array in made.items()}
    parameters[name] = p - recipe.rate[name] * way - recipe.decoupled[name] * p
  return parameters, slots


def _slot(step: Step, slot: str, name: str) -> np.ndarray:
  found = step.slots_before.get(slot, {}).get(name)
  return np.zeros_like(step.before[name]) if found is None else found


def _adam_way(
  recipe: Recipe, step: Step, name: str, full: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
  m = recipe.momentum * _slot(step, "m", name) + (1 - recipe.momentum) * full
  v = recipe.beta2 * _slot(step, "v", name) + (1 - recipe.beta2) * full**2
  return {"m": m, "v": v}, direction(recipe, step.count + 1, m, v)


def direction(recipe: Recipe, count: int, m: np.ndarray, v: np.ndarray) -> np.ndarray:
  """m̂ / (√v̂ + ε) after `count` steps."""
  one, two = 1 - recipe.momentum**count, 1 - recipe.beta2**count
  if recipe.form == "inside":
    return m / one / _nonzero(np.sqrt(v / two + recipe.epsilon))
  if recipe.form == "hat":
    return m / one * np.sqrt(two) / _nonzero(np.sqrt(v) + recipe.epsilon)
  return m / one / _nonzero(np.sqrt(v / two) + recipe.epsilon)


def _nonzero(x: np.ndarray) -> np.ndarray:
  return np.where(x == 0, 1.0, x)


def _sgd_way(
  recipe: Recipe, step: Step, name: str, full: np.ndarray
) -> tuple[dict[str, np.ndarray], np.ndarray]:
  b = recipe.momentum * _slot(step, "momentum", name) + full
  way = full + recipe.momentum * b if recipe.nesterov else b
  return ({"momentum": b} if "momentum" in step.slots else {}), way


_ADAPT = {"adam": _adam_way, "sgd": _sgd_way}


def _fit(target: np.ndarray, *columns: np.ndarray) -> tuple[list[float], float]:
  """Least-squares factors of the columns, those that are zero or alike left at 0; the misfit."""
  matrix = np.stack([c.ravel() for c in columns], 1)
  norms = np.linalg.norm(matrix, axis=0)
  scaled = matrix / np.where(norms == 0, 1, norms)
  factors = np.linalg.lstsq(scaled, target.ravel(), rcond=1e-10)[0] / np.where(norms == 0, 1, norms)
  left = target.ravel() - matrix @ factors
  return list(factors), float(np.linalg.norm(left) / (np.linalg.norm(target) or 1.0))


def _adam(step: Step) -> Iterator[Recipe]:
  names = [name for name in step.names if name in step.slots["m"] and name in step.slots["v"]]
  for beta1, beta2 in _betas(step, step.driven(names)):
    moments = {n: (step.slots["m"][n] - beta1 * _slot(step, "m", n)) / (1 - beta1) for n in names}
    base = Recipe("adam", {}, np.inf, {}, {}, {}, beta1, beta2)
    for recipe in _inputs(base, step, names, moments):
      if max(recipe.clip.values()) < 1 + 1e-6:
        yield from _rates(recipe, step, names)


def _inputs(base: Recipe, step: Step, names: list[str], full: Arrays) -> Iterator[Recipe]:
  """Clips and coupled decays that make `full`, what goes into the moments, of the gradients."""
  driven = step.driven(names)
  for bound in (np.inf, max(float(np.abs(full[n]).max()) for n in driven) or np.inf):
    g = {n: np.clip(step.gradients[n], -bound, bound) for n in names}
    fits = {n: _fit(full[n], g[n], step.before[n]) for n in driven}
    if max(fit[1] for fit in fits.values()) < 1e-6:
      clip, coupled = ({n: fits[n][0][i] for n in driven} for i in (0, 1))
      for n in set(names) - set(driven):
        clip[n], coupled[n] = _middle(clip), _fit(full[n], step.before[n])[0][0]
      coupled = {n: _decay(value) for n, value in coupled.items()}
      yield dataclasses.replace(base, clip=clip, bound=bound, coupled=coupled)
      return


def _middle(values: Mapping[str, float]) -> float:
  return float(np.median(list(values.values())))


def _decay(value: float) -> float:
  return 0.0 if abs(value) < 1e-10 else value


def _betas(step: Step, names: list[str]) -> Iterator[tuple[float, float]]:
  """Pairs that the second moments bear out: v' − β₂·v = (1 − β₂) / (1 − β₁)² · (m' − β₁·m)²."""
  for beta1, beta2 in itertools.product(BETAS1, BETAS2):
    ratio = (1 - beta2) / (1 - beta1) ** 2
    errors = []
    for name in names:
      m = step.slots["m"][name] - beta1 * _slot(step, "m", name)
      v = step.slots["v"][name] - beta2 * _slot(step, "v", name)
      errors.append(np.abs(v - ratio * m * m).max() / (np.abs(v).max() or 1.0))
    if max(errors, default=1.0) < 1e-6:
      yield beta1, beta2


def _rates(base: Recipe, step: Step, names: list[str]) -> Iterator[Recipe]:
  """Rates and decoupled decays for every epsilon and its place."""
  for epsilon, form in itertools.product(EPSILONS, FORMS):
    recipe = dataclasses.replace(base, epsilon=epsilon, form=form)
    ways = {
      n: direction(recipe, step.count + 1, step.slots["m"][n], step.slots["v"][n]) for n in names
    }
    yield _moves(recipe, step, names, ways)


def _moves(recipe: Recipe, step: Step, names: list[str], ways: Arrays) -> Recipe:
  """The recipe with the rates and decoupled decays that give the parameters."""
  driven = step.driven(names)
  moved = {n: step.before[n] - step.after[n] for n in names}
  fits = {n: _fit(moved[n], ways[n], step.before[n]) for n in driven}
  rate, decoupled = ({n: fits[n][0][i] for n in driven} for i in (0, 1))
  for n in set(names) - set(driven):
    rate[n], decoupled[n] = _middle(rate), _fit(moved[n], step.before[n])[0][0]
  decoupled = {n: 0.0 if abs(value) < 1e-13 else value for n, value in decoupled.items()}
  misfit = max(fit[1] for fit in fits.values())
  return dataclasses.replace(recipe, rate=rate, decoupled=decoupled, misfit=misfit)


def _sgd(step: Step) -> Iterator[Recipe]:
  names, buffers = step.names, step.slots.get("momentum")
  if buffers is None:
    yield _plain(step, names)
    return
  for nesterov, momentum in itertools.product((False, True), _momenta(step, step.driven(names))):
    full = {n: buffers[n] - momentum * _slot(step, "momentum", n) for n in names}
    base = Recipe("sgd", {}, np.inf, {}, {}, {}, momentum, nesterov=nesterov)
    for recipe in _inputs(base, step, names, full):
      yield _with_rates(recipe, step, names)


def _momenta(step: Step, names: list[str]) -> list[float]:
  """Momenta: read off the buffers where they had values, else the usual ones."""
  buffers = step.slots.get("momentum", {})
  for name in names:
    old = _slot(step, "momentum", name)
    if name in buffers and old.any():
      (momentum, *_), misfit = _fit(buffers[name], old, step.gradients[name], step.before[name])
      if misfit < 1e-6:
        return [momentum]
  return [0.9, 0.937, 0.95, 0.99, 0.8, 0.5]


def _with_rates(base: Recipe, step: Step, names: list[str]) -> Recipe:
  full = {
    n: base.clip[n] * np.clip(step.gradients[n], -base.bound, base.bound)
    + base.coupled[n] * step.before[n]
    for n in names
  }
  ways = {n: _sgd_way(base, step, n, full[n])[1] for n in names}
  recipe = _moves(base, step, names, ways)
  off = abs(max(recipe.rate.values()) / step.rate - 1) if step.rate else 0.0
  # Of two readings the one with the rate that is known.
  return dataclasses.replace(recipe, misfit=recipe.misfit + 1e-5 * (off > 1e-6))


def _plain(step: Step, names: list[str]) -> Recipe:
  """Without buffers: rate · (c·g + w·p); the rate is the known one, or the largest factor."""
  moved = {n: step.before[n] - step.after[n] for n in names}
  fits = {n: _fit(moved[n], step.gradients[n], step.before[n]) for n in names}
  rate = step.rate or max((fits[n][0][0] for n in names), default=1.0) or 1.0
  clip = {n: fits[n][0][0] / rate for n in names}
  coupled = {n: _decay(fits[n][0][1] / rate) for n in names}
  misfit = max((fit[1] for fit in fits.values()), default=0.0)
  zeros = dict.fromkeys(names, 0.0)
  return Recipe("sgd", clip, np.inf, coupled, zeros, dict.fromkeys(names, rate), 0.0, misfit=misfit)


def clip_scope(recipe: Recipe, gradients: Arrays) -> str:
  """How gradients were clipped, in words."""
  if np.isfinite(recipe.bound):
    return f"by value at {recipe.bound:.6g}"
  clipped = {n: c for n, c in recipe.clip.items() if c < 1 - 1e-6}
  if not clipped:
    return "not at all"
  norms = {n: c * float(np.linalg.norm(gradients[n])) for n, c in clipped.items()}
  if np.ptp(list(recipe.clip.values())) < 1e-6:
    return f"all together to a norm of {np.sqrt(sum(n * n for n in norms.values())):.6g}"
  if np.ptp(list(norms.values())) < 1e-6 * max(norms.values()):
    return f"each to a norm of {max(norms.values()):.6g}"
  return "some by factors"


def ratio(one: Mapping[str, float], other: Mapping[str, float]) -> float | None:
  """By which single factor `one` is `other`; None where it takes several."""
  both = [name for name in one if other.get(name)]
  factors = [one[name] / other[name] for name in both]
  alike = factors and np.ptp(factors) <= _SAME * max(map(abs, factors))
  return float(np.median(factors)) if alike else None


def same(one: Mapping[str, float], other: Mapping[str, float]) -> bool:
  """Whether two mappings hold the same numbers but for fitting."""
  largest = max((abs(value) for value in [*one.values(), *other.values()]), default=0.0)
  return all(abs(one[n] - other[n]) <= _SAME * largest for n in one if n in other)
