"""Records a PyTorch network: every module's outputs, gradients, statistics, as it is."""

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np
import torch
from torch import nn

from official.parity.keys import TOTAL
from official.parity.recorders.recorder import Batch, Forcing, Pass, Recorder
from official.parity.recorders.structures import leaves, map_leaves
from official.parity.recording.header import TapInfo

_CONTAINERS = (nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


class TorchRecorder(Recorder):
  """Records a `torch.nn.Module`; `Side.forward` finds it in the mode of the phase already.

  Taps are forward hooks on every module. Where a module hands on a tensor that is another tap or
  one of its own inputs, the hook hands on a copy, so that each tap has a gradient of its own.
  """

  framework = "torch"

  def parameters(self) -> dict[str, np.ndarray]:
    return {name: to_numpy(p).copy() for name, p in self.network.named_parameters()}

  def buffers(self) -> dict[str, np.ndarray]:
    return {name: to_numpy(buffer).copy() for name, buffer in self._kept_buffers().items()}

  def load(self, parameters: Batch, buffers: Batch) -> None:
    assign(dict(self.network.named_parameters()), parameters)
    assign(self._kept_buffers(), buffers)

  def tensors(self, batch: Batch) -> dict[str, torch.Tensor]:
    return {name: to_tensor(array) for name, array in batch.items()}

  def _kept_buffers(self) -> dict[str, torch.Tensor]:
    kept = self.network.state_dict(keep_vars=True)
    return {name: buffer for name, buffer in self.network.named_buffers() if name in kept}

  def _run(self, batch: Batch, current: Pass, forcing: Forcing | None) -> None:
    if forcing:
      raise ValueError("values are forced on the candidate, not on the original")
    with _prepared(self.network, self.seed, current.training):
      taps = _Taps(self.network, current)
      with taps if current.tapped else contextlib.nullcontext():
        tensors = self.tensors(batch)
        outputs = self.side.forward(tensors, current.training)
        for name, leaf in _tensors(outputs):
          current.result(name, to_numpy(leaf))
        if current.training and self.side.losses:
          self._differentiate(self.side.losses(outputs, tensors), taps, current)
      if current.training:
        for name, buffer in self._kept_buffers().items():
          current.keep("buffer", name, to_numpy(buffer))
      current.close(taps.uncalled())

  def _differentiate(
    self, losses: Mapping[str, torch.Tensor], taps: "_Taps", current: Pass
  ) -> None:
    total = self._total(losses)
    for name, loss in losses.items():
      current.keep("loss", name, to_numpy(loss))
      if current.tapped and name != TOTAL and loss.requires_grad:
        self._differentiate_term(name, loss, taps.own_outputs, current)
    taps.own_outputs = {}
    with _gradients_as_they_come(self.network, current):
      taps.in_backward = True
      total.backward()

  def _differentiate_term(
    self, name: str, loss: torch.Tensor, outputs: dict[str, torch.Tensor], current: Pass
  ) -> None:
    outputs = {tap: output for tap, output in outputs.items() if output.requires_grad}
    gradients = torch.autograd.grad(
      loss, list(outputs.values()), retain_graph=True, allow_unused=True
    )
    for tap, gradient in zip(outputs, gradients, strict=True):
      if gradient is None:
        current.absent("term_gradient", f"{name}|{tap}", "unused")
      else:
        current.keep("term_gradient", f"{name}|{tap}", to_numpy(gradient))


class _Taps:
  """Hooks on every module; a context manager.

  Attributes:
    own_outputs: what calls from outside the network returned, by tap.
    in_backward: set when the gradient of the total is computed; gradients are recorded only then,
      and modules that run again (checkpointing) are not.
  """

  def __init__(self, network: nn.Module, current: Pass) -> None:
    self.own_outputs: dict[str, torch.Tensor] = {}
    self.in_backward = False
    self._network = network
    self._current = current
    self._log = current.log
    self._paths = {module: path for path, module in network.named_modules()}
    self._stack = contextlib.ExitStack()

  def __enter__(self) -> None:
    for module in self._paths:
      before = module.register_forward_pre_hook(self._before, with_kwargs=True)
      after = module.register_forward_hook(self._after, with_kwargs=True)
      self._stack.callback(before.remove)
      self._stack.callback(after.remove)

  def __exit__(self, *exception: Any) -> None:
    self._stack.close()

  def uncalled(self) -> list[str]:
    """Paths of modules that were not called, but for mere containers of others."""
    return [
      path
      for module, path in self._paths.items()
      if not isinstance(module, _CONTAINERS) and not self._log.called(path)
    ]

  def _before(self, module: nn.Module, args: Any, kwargs: Any) -> None:
    if self.in_backward:
      return
    tensors = _tensors((args, kwargs))
    inputs = [(tensor, _version(tensor)) for _, tensor in tensors]
    call = self._log.begin(self._paths[module], module, inputs)
    for (name, tensor), (_, version) in zip(tensors, inputs, strict=True):
      if tensor.is_floating_point() and not self._log.name_of(tensor, version):
        self._current.given(call, name, to_numpy(tensor))

  def _after(self, module: nn.Module, args: Any, kwargs: Any, outputs: Any) -> Any:
    if self.in_backward:
      return None
    call = self._log.end()
    given = {id(tensor): tensor for _, tensor in _tensors((args, kwargs))}

    def tap(leaf: str, output: Any) -> Any:
      if not isinstance(output, torch.Tensor):
        self._current.unknown(call, leaf, output)
        return output
      array = to_numpy(output)
      info = self._log.add(call, leaf, array.shape, array.dtype.name)
      self._current.keep("output", info.name, array)
      if output.requires_grad and (id(output) in given or self._is_shared(output)):
        output = output.clone()
      self._watch(info, output)
      return output

    return map_leaves(tap, outputs)

  def _is_shared(self, output: torch.Tensor) -> bool:
    return output.is_leaf or bool(self._log.name_of(output, _version(output)))

  def _watch(self, tap: TapInfo, output: torch.Tensor) -> None:
    """Records the gradient of `output` when it comes."""
    self._log.hold(tap, output, _version(output))
    if not tap.parent:
      self.own_outputs[tap.name] = output
    if not self._current.training or not output.is_floating_point():
      return
    if not output.requires_grad:
      self._current.expect(tap.name, "constant")
      return
    self._current.expect(tap.name, "unused")
    output.register_hook(self._on_gradient(tap.name))

  def _on_gradient(self, tap: str) -> Callable[[torch.Tensor], None]:
    def record(gradient: torch.Tensor) -> None:
      if self.in_backward:
        self._current.arrive(tap, to_numpy(gradient))

    return record


@contextlib.contextmanager
def _prepared(network: nn.Module, seed: int, training: bool) -> Iterator[None]:
  """Seeds, modes and determinism for one pass; afterwards everything is as it was."""
  buffers = [(buffer, buffer.clone()) for buffer in network.buffers()]
  modes = [(module, module.training) for module in network.modules()]
  algorithms = torch.are_deterministic_algorithms_enabled()
  warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
  fast = torch.backends.mha.get_fastpath_enabled()
  try:
    with torch.random.fork_rng(), torch.set_grad_enabled(training):
      torch.manual_seed(seed)
      torch.use_deterministic_algorithms(True, warn_only=True)
      torch.backends.mha.set_fastpath_enabled(False)  # Hooks switch it off; be so without them too.
      network.train(training)
      yield
  finally:
    torch.backends.mha.set_fastpath_enabled(fast)
    torch.use_deterministic_algorithms(algorithms, warn_only=warn_only)
    for module, mode in modes:
      module.training = mode
    with torch.no_grad():
      for buffer, value in buffers:
        buffer.copy_(value)


@contextlib.contextmanager
def _gradients_as_they_come(network: nn.Module, current: Pass) -> Iterator[None]:
  """Each parameter's gradient is recorded when it is complete, and dropped."""
  parameters = dict(network.named_parameters())
  held = {name: parameter.grad for name, parameter in parameters.items()}
  came = set()

  def recorder(name: str) -> Callable[[torch.Tensor], None]:
    def record(parameter: torch.Tensor) -> None:
      current.keep("gradient", name, to_numpy(parameter.grad))
      came.add(name)
      parameter.grad = None

    return record

  with contextlib.ExitStack() as stack:
    for name, parameter in parameters.items():
      parameter.grad = None
      if parameter.requires_grad:
        hook = parameter.register_post_accumulate_grad_hook(recorder(name))
        stack.callback(hook.remove)
    yield
  for name, parameter in parameters.items():
    parameter.grad = held[name]
    if name not in came:
      current.absent("gradient", name, "unused" if parameter.requires_grad else "frozen")


def to_numpy(tensor: torch.Tensor) -> np.ndarray:
  """The tensor's values, sharing its memory where that is possible; bfloat16 through ml_dtypes."""
  tensor = tensor.detach().cpu().to_dense().resolve_conj().resolve_neg()
  if tensor.dtype == torch.bfloat16:
    return tensor.contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
  return tensor.numpy()


def to_tensor(array: np.ndarray) -> torch.Tensor:
  """A tensor with a copy of the array; bfloat16 through ml_dtypes."""
  array = np.array(array)
  if array.dtype == ml_dtypes.bfloat16:
    return torch.from_numpy(array.view(np.int16)).view(torch.bfloat16)
  return torch.from_numpy(array)


def _tensors(structure: Any) -> list[tuple[str, torch.Tensor]]:
  return [(name, leaf) for name, leaf in leaves(structure) if isinstance(leaf, torch.Tensor)]


def _version(tensor: torch.Tensor) -> int:
  """Counts changes in place."""
  return 0 if tensor.is_inference() else tensor._version


def assign(tensors: Mapping[str, torch.Tensor], arrays: Batch) -> None:
  """Sets tensors; raises KeyError or ValueError where names or shapes are not exactly theirs."""
  if differing := sorted(set(tensors) ^ set(arrays)):
    raise KeyError(f"names of only one side: {', '.join(differing[:5])}")
  with torch.no_grad():
    for name, tensor in tensors.items():
      if tuple(tensor.shape) != arrays[name].shape:
        raise ValueError(f"{name} has the shape {tuple(tensor.shape)}, not {arrays[name].shape}")
      tensor.copy_(to_tensor(arrays[name]))
