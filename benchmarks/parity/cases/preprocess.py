"""The original's preprocessing: PyTorch's smooth resizing, transformers' rescaling and mean."""

import numpy as np
import tensorflow as tf
import torch
from transformers import image_transforms
from transformers.image_utils import IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD

from benchmarks.parity.blocks.preprocess import preprocess
from official.parity.case import Arrays


def original(image: np.ndarray, size: tuple[int, int]) -> Arrays:
  """[h, w, 3] uint8 → "image" [1, 3, *size] float64."""
  pixels = torch.tensor(image, dtype=torch.float64).permute(2, 0, 1)[None]
  resized = torch.nn.functional.interpolate(pixels, size, mode="bilinear", antialias=True)[0]
  scaled = image_transforms.rescale(resized.numpy(), 1 / 255, dtype=np.float64)
  mean, deviation = IMAGENET_DEFAULT_MEAN, IMAGENET_DEFAULT_STD
  return {"image": image_transforms.normalize(scaled, mean, deviation)[None]}


def ours(image: np.ndarray, size: tuple[int, int]) -> Arrays:
  """[h, w, 3] uint8 → "image" [1, *size, 3] float64."""
  return {"image": preprocess(tf.constant(image), *size, tf.float64).numpy()}
