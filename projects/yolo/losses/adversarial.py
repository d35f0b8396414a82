"""Self-adversarial training (Bochkovskiy et al. 2020, §3.3): objects are hidden from the network.

Source: AlexeyAB's Darknet, `yolo_layer.c` and `network_kernels.cu`, with `adversarial_lr`. Before
some training steps, images are moved so that the network, in inference, sees less of what it sees,
and it is trained on the changed images.
"""

from collections.abc import Callable, Mapping

import tensorflow as tf

from projects.yolo.modeling.decoding import Coordinates, decode_level

_SEEN = 0.25  # The score from which a class counts as seen.

Raw = Mapping[str, tf.Tensor]


def hide(
  images: tf.Tensor, network: Callable[[tf.Tensor], Raw], coordinates: Coordinates, rate: tf.Tensor
) -> tf.Tensor:
  """Images [b, ...] in 0..1, moved by `rate` times what hides objects; in 0..1.

  Args:
    images: floats.
    network: to raw outputs {level: [b, h, w, a, 5 + classes]}, in inference.
    coordinates: of the network.
    rate: scalar.
  """
  with tf.GradientTape() as tape:
    tape.watch(images)
    raw = network(images)
  deltas = {name: deltas_of(output, int(name), coordinates) for name, output in raw.items()}
  moves = tape.gradient(raw, images, output_gradients=deltas)
  return tf.clip_by_value(images + tf.cast(rate, images.dtype) * moves, 0, 1)


def deltas_of(raw: tf.Tensor, level: int, coordinates: Coordinates) -> tf.Tensor:
  """Where outputs [b, h, w, a, 5 + classes] should go, so that less is seen; of the same shape.

  All by the square root of the box's area, in units of the input: objectness goes to 0. Where a
  class is seen, those seen go to 0, the others to 1, and the box's outputs to 0.
  """
  raw = tf.stop_gradient(raw)
  boxes, _ = decode_level(raw, level, coordinates)
  area = tf.reduce_prod(boxes[..., 2:] / _input_size(raw, level), -1)
  scale = tf.reshape(tf.sqrt(area), tf.shape(raw)[:-1])[..., None]
  likely = tf.sigmoid(raw[..., 4:])
  objectness, classes = likely[..., :1], likely[..., 1:]
  seen = objectness * classes > _SEEN
  found = tf.cast(tf.reduce_any(seen, -1, keepdims=True), raw.dtype)
  wanted = tf.cast(~seen, raw.dtype) * found
  reach = coordinates.scale_xy[level]
  centre = tf.sigmoid(raw[..., :2]) * reach - (reach - 1) / 2
  size = raw[..., 2:4] if coordinates.form == "exponential" else tf.sigmoid(raw[..., 2:4])
  parts = [-centre * found, -size * found, -objectness, (wanted - classes) * found]
  deltas = scale * tf.concat(parts, -1)
  if coordinates.form == "exponential":
    return deltas
  # Darknet's outputs are behind the logistic function here, and go back through it.
  logistic = tf.sigmoid(raw)
  return deltas * logistic * (1 - logistic)


def _input_size(raw: tf.Tensor, level: int) -> tf.Tensor:
  """Width and height of the input in pixels."""
  return tf.constant([raw.shape[2] << level, raw.shape[1] << level], raw.dtype)
