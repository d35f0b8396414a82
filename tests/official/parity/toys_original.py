"""The toy's original, in PyTorch; see `toys`."""

import torch
from torch import nn

from official.parity.case import Side
from official.parity.recorders.torch_trainer import TorchTrainer
from tests.official.parity.toys import AVERAGE, DECAY, MOMENTUM, RATE, top

DTYPES = {"float64": torch.float64, "float32": torch.float32, "bfloat16": torch.bfloat16}


class Block(nn.Module):
  """gelu(conv(x)) + x."""

  def __init__(self, channels: int) -> None:
    super().__init__()
    self.conv = nn.Conv2d(channels, channels, 3, padding=1)
    self.act = nn.GELU()

  def forward(self, x):
    return self.act(self.conv(x)) + x


class Network(nn.Module):
  """The original."""

  def __init__(self, channels: int = 6, classes: int = 5) -> None:
    super().__init__()
    self.stem = nn.Conv2d(3, channels, 3, 2, 1, bias=False)
    self.norm = nn.BatchNorm2d(channels, eps=1e-5, momentum=0.03)
    self.act = nn.LeakyReLU(0.1)
    self.block = Block(channels)
    self.head = nn.Linear(channels, classes)

  def forward(self, x):
    x = self.block(self.act(self.norm(self.stem(x))))
    return self.head(x.mean((2, 3)))


def original(precision: str, seed: int) -> Side:
  torch.manual_seed(seed)
  network = Network().to(DTYPES[precision])
  with torch.no_grad():
    network.norm.running_var.uniform_(0.5, 2)
    network.norm.running_mean.normal_(0, 0.3)
    network.norm.weight.uniform_(0.5, 1.5)
    network.norm.bias.normal_(0, 0.3)

  def losses(outputs, batch):
    squared = ((outputs - batch["t"]) ** 2).mean()
    absolute = (outputs - batch["t"]).abs().mean()
    return {"squared": squared, "absolute": absolute, "total": squared + 0.5 * absolute}

  forward = lambda batch, training: network(batch["x"])

  def trainer():
    kernels = [p for n, p in network.named_parameters() if p.ndim > 1]
    others = [p for p in network.parameters() if p.ndim == 1]
    optimizer = torch.optim.SGD(
      [{"params": kernels, "weight_decay": DECAY}, {"params": others}], RATE, MOMENTUM
    )
    return TorchTrainer(
      network,
      optimizer,
      losses,
      forward,
      schedule=torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 1 / (1 + step)),
      average=torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(AVERAGE)
      ),
    )

  return Side(
    network,
    forward,
    losses,
    trainer,
    preprocess=lambda image: {"x": (image.transpose(2, 0, 1)[None] / 255.0 - 0.4)},
    postprocess=lambda outputs: top(outputs[""]),
    settings={"epsilon": 1e-5},
  )
