"""What layers with a gradient of their own need to know about eager tapes."""

import tensorflow as tf


def off_tape(x: tf.Tensor) -> tf.Tensor:
  """`x` as the start of a computation whose gradient is given otherwise (`tf.custom_gradient`).

  An eager tape would record that computation all the same, and keep every tensor in it. A graph
  keeps nothing, and is left as it is.
  """
  return tf.stop_gradient(x) if tf.executing_eagerly() else x
