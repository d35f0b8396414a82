"""The newest whole checkpoint is found, whatever the record says."""

import pytest
import tensorflow as tf

from official.cli.errors import UserError
from official.training import checkpoints


@pytest.fixture
def folder(tmp_path):
  """Checkpoints of the steps 5, 10 and 100."""
  step = tf.Variable(0)
  manager = tf.train.CheckpointManager(
    tf.train.Checkpoint(step=step, weights=tf.Variable(tf.zeros([1000]))), tmp_path, 5
  )
  for number in (5, 10, 100):
    step.assign(number)
    manager.save(number)
  return tmp_path


def _found(folder):
  prefix = checkpoints.newest_whole(str(folder))
  return checkpoints.step(prefix)


def test_none_in_an_empty_folder(tmp_path):
  assert checkpoints.newest_whole(str(tmp_path)) is None
  assert checkpoints.newest_whole(str(tmp_path / "missing")) is None


def test_newest_by_step(folder):
  (folder / "checkpoint").unlink()
  assert _found(folder) == 100


@pytest.mark.parametrize("suffix", ["index", "data-00000-of-00001"])
@pytest.mark.parametrize("damage", ["truncated", "emptied", "flipped", "lost"])
def test_damage_is_seen(folder, capsys, suffix, damage):
  path = folder / f"ckpt-100.{suffix}"
  content = bytearray(path.read_bytes())
  content[len(content) // 2] ^= 64
  damaged = {"truncated": content[:-9], "emptied": b"", "flipped": content}
  path.unlink()
  if damage != "lost":
    path.write_bytes(damaged[damage])
  assert _found(folder) == 10
  told = capsys.readouterr().err
  if (suffix, damage) == ("index", "lost"):
    assert told == ""  # Without its index, a checkpoint was never finished.
  else:
    assert told.startswith(f"{folder}/ckpt-100 is damaged (")


def test_all_damaged(folder):
  for path in folder.glob("*.data*"):
    path.write_bytes(b"")
  with pytest.raises(UserError, match=r"no checkpoint in .* can be read"):
    checkpoints.newest_whole(str(folder))


def test_record_follows(folder):
  (folder / "checkpoint").write_text("garbage")
  checkpoints.make_newest(str(folder / "ckpt-10"))
  assert tf.train.latest_checkpoint(folder) == str(folder / "ckpt-10")
  step = tf.Variable(11)
  manager = tf.train.CheckpointManager(tf.train.Checkpoint(step=step), folder, 2)
  assert manager.checkpoints == [str(folder / "ckpt-5"), str(folder / "ckpt-10")]
  manager.save(11)
  assert not (folder / "ckpt-5.index").exists()
