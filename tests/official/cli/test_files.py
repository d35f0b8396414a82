import pytest

from official.cli.errors import UserError
from official.cli.files import atomic_file, write_file


def test_written_whole_and_nothing_else(tmp_path):
  write_file(tmp_path / "a" / "b", b"one")
  write_file(tmp_path / "a" / "b", b"two")
  assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]
  assert (tmp_path / "a" / "b").read_bytes() == b"two"


def break_off(path, error):
  with atomic_file(path) as file:
    file.write(b"new")
    raise error


@pytest.mark.parametrize("error", [KeyboardInterrupt, ValueError])
def test_an_exception_leaves_the_old_file(tmp_path, error):
  path = tmp_path / "x"
  path.write_bytes(b"old")
  with pytest.raises(error):
    break_off(path, error)
  assert [path.name for path in tmp_path.iterdir()] == ["x"]
  assert path.read_bytes() == b"old"


def test_refusals_name_the_file(tmp_path):
  (tmp_path / "x").mkdir()
  with pytest.raises(UserError, match=r"cannot write \S*/x: Is a directory"):
    write_file(tmp_path / "x", b"")
  (tmp_path / "file").touch()
  with pytest.raises(UserError, match="cannot make the directory"):
    write_file(tmp_path / "file" / "x", b"")
  assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "x"]
