"""Progress away from a terminal, by a clock of our own."""

import types

import pytest

from official.cli import progress as progress_lib
from official.cli.progress import Progress


class Clock:
  now = 100.0

  def monotonic(self):
    return self.now


@pytest.fixture
def clock(monkeypatch):
  made = Clock()
  fake = types.SimpleNamespace(monotonic=made.monotonic)
  monkeypatch.setattr(progress_lib, "time", fake)
  return made


def test_a_line_at_most_every_ten_seconds(clock, capsys):
  with Progress("converting", 100, "images") as progress:
    clock.now += 9
    progress.advance(10)
    assert capsys.readouterr().err == ""
    clock.now += 1
    progress.advance(10)
    assert capsys.readouterr().err == "converting: 20/100 images (20 %), 2 images/s, 40 s left\n"
    clock.now += 9
    progress.advance(10)
    assert capsys.readouterr().err == ""
    clock.now += 1
    progress.advance(69, note="loss 0.5")
    clock.now += 5
    progress.advance(1)
  lines = capsys.readouterr().err.splitlines()
  assert lines == [
    "converting: 99/100 images (99 %), 4.95 images/s, loss 0.5, 0 s left",
    "converting: 100/100 images (100 %), 4 images/s, loss 0.5, 0 s left",
  ]


def test_what_was_done_before_does_not_count_towards_the_rate(clock, capsys):
  with Progress("training", 1000, "steps", start=900) as progress:
    clock.now += 10
    progress.advance(50)
  line = "training: 950/1000 steps (95 %), 5 steps/s, 10 s left\n"
  assert capsys.readouterr().err == line * 2


def test_nothing_is_known_of_the_time_before_a_unit_is_done(clock, capsys):
  with Progress("comparing", 8, "parts") as progress:
    clock.now += 10
    progress.advance(0, note="recording")
    line = "comparing: 0/8 parts (0 %), 0 parts/s, recording, time left unknown\n"
    assert capsys.readouterr().err == line


def test_no_last_line_after_an_error(clock, capsys):
  with pytest.raises(KeyError), Progress("converting", 3, "images"):
    raise KeyError
  assert capsys.readouterr().err == ""


def test_nothing_to_do(clock, capsys):
  with Progress("converting", 0, "images"):
    pass
  assert capsys.readouterr().err == "converting: 0/0 images (0 %), 0 images/s, 0 s left\n"


def test_say(clock, capsys):
  with Progress("converting", 3, "images") as progress:
    progress.say("a.jpg is odd")
    assert capsys.readouterr().err == "a.jpg is odd\n"


def test_a_terminal_gets_a_bar(clock, monkeypatch):
  shown = []

  class Bar:
    console = types.SimpleNamespace(print=lambda text, **_: shown.append(text))

    def start(self):
      shown.append("start")

    def stop(self):
      shown.append("stop")

    def add_task(self, *_, total, completed, status):
      shown.append((completed, total))
      return 7

    def update(self, row, completed, status):
      shown.append((row, completed, status))

  monkeypatch.setattr(progress_lib, "_bar", Bar)
  monkeypatch.setattr(progress_lib.sys.stderr, "isatty", lambda: True, raising=False)
  with Progress("training", 10, "steps", start=4) as progress:
    clock.now += 2
    progress.advance(note="loss 1")
    progress.say("hello")
  assert shown == ["start", (4, 10), (7, 5, "0.5 steps/s, loss 1"), "hello", "stop"]
