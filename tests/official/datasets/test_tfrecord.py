import numpy as np
import pytest
import tensorflow as tf

from official.datasets.tfrecord import encode_example, frame


def test_tensorflow_reads_the_example_back():
  features = {
    "bytes": [b"", b"\x00\xff" * 200, "ü".encode()],
    "ints": np.array([0, 1, 127, 128, 300, -1, 2**62, -(2**63)]),
    "floats": np.array([0.1, -1e30, 3.0], np.float64),
    "a name longer than one hundred and twenty-seven characters" * 3: [b"x"],
  }
  example = tf.train.Example.FromString(encode_example(features)).features.feature
  assert set(example) == set(features)
  assert list(example["bytes"].bytes_list.value) == features["bytes"]
  assert list(example["ints"].int64_list.value) == features["ints"].tolist()
  floats = list(example["floats"].float_list.value)
  assert floats == features["floats"].astype(np.float32).tolist()


def test_encoding_equals_protocol_buffers():
  ours = encode_example({"n": np.array([5, 1 << 40]), "x": np.array([0.5, 2.0], np.float32)})
  theirs = tf.train.Example()
  theirs.features.feature["n"].int64_list.value.extend([5, 1 << 40])
  theirs.features.feature["x"].float_list.value.extend([0.5, 2.0])
  assert ours == theirs.SerializeToString(deterministic=True)


@pytest.mark.parametrize("length", [0, 1, 100_000])
def test_framing_equals_tensorflow(tmp_path, length):
  data = np.random.default_rng(length).bytes(length)
  with tf.io.TFRecordWriter(str(tmp_path / "theirs")) as writer:
    writer.write(data)
    writer.write(b"next")
  assert frame(data) + frame(b"next") == (tmp_path / "theirs").read_bytes()
