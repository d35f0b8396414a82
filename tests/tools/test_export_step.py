import pytest

from tools import export_step

pytest.importorskip("safetensors")


def test_a_step_is_exported_and_runs(tmp_path, capsys):
  pytest.importorskip("jax")
  from official.tpu.runner import StepRunner

  export_step.main(
    [
      "--experiment=yolo_v4_tiny_shapes",
      "--step=train",
      "--batch=1",
      "--params_override=task.model.input_size=32",
      f"--output={tmp_path}",
    ]
  )
  assert "official.tpu.runner" in capsys.readouterr().out
  runner = StepRunner(tmp_path)
  assert next(shape for _, shape, _ in runner.inputs) == [1, 32, 32, 3]
