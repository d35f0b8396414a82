"""The best checkpoint so far, kept beside a note of its metrics."""

import json
import math
import os
import sys
from collections.abc import Mapping
from typing import Any

import orbit
import tensorflow as tf

from official.cli.errors import UserError, nearest
from official.core import train_utils


class BestCheckpointExporter(train_utils.BestCheckpointExporter):
  """Exports the model whenever an evaluation is better than all before.

  Deviates from TFMG's in that
  - `info.json` is written after the checkpoint and in one piece, and a damaged one is put aside;
  - the export is the model alone, as it was evaluated (averaged weights, if the experiment
    averages): a third of the size, and no doubt about which weights are meant;
  - a metric that is not finite is never the best.
  """

  def maybe_export_checkpoint(
    self,
    checkpoint: tf.train.Checkpoint,
    eval_logs: Mapping[str, Any],
    global_step: int,
    write_logs: bool = True,
  ) -> bool:
    """Exports if `eval_logs` are the best so far, and says whether.

    Raises:
      UserError: the evaluation does not report the metric that decides.
    """
    new = self._metric(eval_logs)
    old = self._metric(self._best_ckpt_logs) if self._best_ckpt_logs else math.nan
    better = new > old if self._metric_comp == "higher" else new < old
    if not math.isfinite(new) or not (better or math.isnan(old)):
      # TFMG's trainer reads the best value back even when there is none yet.
      self._best_ckpt_logs = self._best_ckpt_logs or eval_logs
      return False
    self._best_ckpt_logs = eval_logs
    model = tf.train.Checkpoint(model=checkpoint.model, global_step=checkpoint.global_step)
    self._get_checkpoint_manager(model).save(checkpoint_number=global_step)
    if write_logs:
      self.export_best_eval_metric(eval_logs, global_step)
    return True

  def export_best_eval_metric(self, eval_logs: Mapping[str, Any], global_step: int) -> None:
    """Writes the scalars of `eval_logs` and the step to `info.json`."""
    scalars = {k: orbit.utils.get_value(v) for k, v in eval_logs.items()}
    info = {k: float(v) for k, v in scalars.items() if tf.rank(v) == 0}
    info["best_ckpt_global_step"] = int(global_step)
    temporary = f"{self.best_ckpt_logs_path}.tmp"
    with tf.io.gfile.GFile(temporary, "w") as file:
      file.write(json.dumps(info, indent=2) + "\n")
    tf.io.gfile.rename(temporary, self.best_ckpt_logs_path, overwrite=True)

  def _maybe_load_best_eval_metric(self) -> dict[str, float] | None:
    try:
      logs = super()._maybe_load_best_eval_metric()
      if logs is not None:
        self._metric(logs)
      return logs
    except (ValueError, TypeError, UserError):
      print(f"{self.best_ckpt_logs_path} is unusable; looking for the best anew", file=sys.stderr)
      return None

  def _metric(self, logs: Mapping[str, Any]) -> float:
    name = "|".join(self._metric_name)
    if name not in logs:
      known = sorted(logs)
      raise UserError(
        f"trainer.best_checkpoint_eval_metric: '{name}' is not among the metrics"
        f"{nearest(name, known)} (there are {', '.join(known)})"
      )
    return float(logs[name])


def exporter(params: Any, directory: str) -> BestCheckpointExporter | None:
  """The exporter that `params.trainer` asks for, writing under `directory`; None if none."""
  trainer = params.trainer
  if not (trainer.best_checkpoint_export_subdir and trainer.best_checkpoint_eval_metric):
    return None
  return BestCheckpointExporter(
    os.path.join(directory, trainer.best_checkpoint_export_subdir),
    trainer.best_checkpoint_eval_metric,
    trainer.best_checkpoint_metric_comp,
  )
