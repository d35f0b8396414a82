"""Originals to begin a project from."""

import torch


class Config:
  def __init__(self, width: int = 4) -> None:
    self.width = width


class Configured(torch.nn.Module):
  """Made of a configuration, as networks of transformers are; its forward pass is not needed."""

  config_class = Config

  def __init__(self, config):
    super().__init__()
    self.blocks = torch.nn.ModuleList(torch.nn.Conv2d(3, config.width, 1) for _ in range(3))
    self.norm = torch.nn.BatchNorm2d(config.width)
    self.head = torch.nn.Linear(config.width, 2)
    self.queries = torch.nn.Embedding(5, config.width)


class Failing(torch.nn.Module):
  def __init__(self):
    raise RuntimeError("no\nweights")


def function():
  return torch.nn.Identity()
