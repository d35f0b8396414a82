"""Steps with a defect that a TPU does not take, on the line that is marked."""

import inspect

import numpy as np
import tensorflow as tf

X = tf.TensorSpec([4, 8])
IMAGE = tf.TensorSpec([2, 8, 8, 3])
BOXES = tf.TensorSpec([1, 6, 4])
INTS = tf.TensorSpec([6], tf.int32)
RAGGED = tf.TensorSpec([None, 8])

DEFECTS = {}  # By name: the step, the specs of its arguments, the rules that may name it.


def defect(*rules, specs=(X,)):
  """Adds a step to `DEFECTS`."""

  def add(step):
    DEFECTS[step.__name__] = step, specs, rules
    return step

  return add


def line_of(step):
  """ "file:line" of the marked line of a step."""
  lines, first = inspect.getsourcelines(step)
  marked = [number for number, line in enumerate(lines) if "# here" in line]
  return f"{inspect.getsourcefile(step)}:{first + marked[0]}"


@defect("dynamic-shape")
def boolean_mask(x):
  return tf.reduce_sum(tf.boolean_mask(x, x > 0))  # here


@defect("dynamic-shape")
def where_of_one_argument(x):
  return tf.where(x > 0)  # here


@defect("dynamic-shape", specs=(INTS,))
def unique(x):
  return tf.unique(x).y  # here


@defect("dynamic-shape", specs=(INTS,))
def unique_with_counts(x):
  return tf.unique_with_counts(x).count  # here


@defect("dynamic-shape", specs=(INTS,))
def dynamic_partition(x):
  return tf.dynamic_partition(x, tf.cast(x > 0, tf.int32), 2)[0]  # here


@defect("dynamic-shape", specs=(INTS,))
def set_difference(x):
  return tf.sets.difference(x[None], x[None]).values  # here


@defect("dynamic-shape", specs=(tf.TensorSpec([6, 4]), tf.TensorSpec([6])))
def non_max_suppression(boxes, scores):
  return tf.image.non_max_suppression(boxes, scores, 3)  # here


@defect("non-maximum-suppression", specs=(tf.TensorSpec([1, 6, 1, 4]), tf.TensorSpec([1, 6, 1])))
def combined_nms(boxes, scores):
  return tf.image.combined_non_max_suppression(boxes, scores, 3, 3)[0]  # here


@defect("host-callback")
def py_function(x):
  return tf.py_function(lambda a: a, [x], tf.float32)  # here


@defect("host-callback")
def numpy_function(x):
  return tf.numpy_function(lambda a: a, [x], tf.float32)  # here


@defect("host-callback")
def prints(x):
  tf.print(x)  # here
  return x


@defect("string")
def as_string(x):
  return tf.strings.to_number(tf.strings.as_string(x))  # here


@defect("string", specs=(tf.TensorSpec([4], tf.string),))
def string_join(x):
  return tf.strings.join([x, x])  # here


@defect("float64")
def float64_cast(x):
  return tf.reduce_sum(tf.cast(x, tf.float64))  # here


@defect("float64", specs=(INTS,))
def integer_division(x):
  return x / 2  # here


@defect("float64")
def float64_constant(x):
  return x * tf.cast(tf.constant(0.5, tf.float64), tf.float32)  # here


@defect("no-kernel", specs=(IMAGE,))
def bicubic(x):
  return tf.image.resize(x, [4, 4], "bicubic")  # here


@defect("no-kernel", specs=(IMAGE,))
def crop_and_resize(x):
  return tf.image.crop_and_resize(x, [[0.0, 0.0, 1.0, 1.0]], [0], [4, 4])  # here


@defect("no-kernel")
def median(x):
  return tf.raw_ops.NthElement(input=x, n=2)  # here


@defect("no-kernel", specs=(tf.TensorSpec([], tf.string),))
def decode_image(x):
  return tf.io.decode_jpeg(x)  # here


@defect("no-kernel", "dynamic-shape", specs=(INTS,))
def bin_count_of_strings(x):
  return tf.sparse.bincount(x[None]).values  # here


@defect("unknown-dimension", specs=(INTS,))
def range_of_a_value(x):
  return tf.reduce_sum(tf.range(x[0]))  # here


@defect("unknown-dimension", specs=(X, INTS))
def reshape_to_values(x, sizes):
  return tf.reshape(x, sizes[:2])  # here


@defect("unknown-dimension", specs=(X, INTS))
def slice_of_a_value(x, sizes):
  return x[:, : sizes[0]]  # here


@defect("float32-product")
def product_of_float32(x):
  return tf.matmul(x, x, transpose_b=True)  # here


# What cannot even be traced.


@defect("tracing")
def numpy_call(x):
  return np.maximum(x, 0) + np.asarray(x)  # here


@defect("tracing")
def value_of_a_tensor(x):
  return x.numpy()  # here


@defect("tracing")
def python_condition(x):
  if tf.reduce_sum(x) > 0:  # here
    return x
  return -x


@defect("tracing")
def variable_in_the_step(x):
  return x + tf.Variable(tf.zeros([4, 8]))  # here
