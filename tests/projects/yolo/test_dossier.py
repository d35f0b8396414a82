"""The dossier says what the code does."""

import projects.registry  # noqa: F401
from official.evaluation.coco import METRICS
from official.training import settings
from projects.yolo.dossier import DOSSIER
from projects.yolo.modeling.tables.narrow import NARROW
from projects.yolo.modeling.variants import VARIANTS


def test_every_variant_is_there_and_its_experiment_builds_it():
  assert DOSSIER.variants.keys() == VARIANTS.keys()
  for name, variant in DOSSIER.variants.items():
    params = settings.experiment(variant.experiment)
    assert params.task.model.variant == name
    size = params.task.model.input_size
    assert DOSSIER.input_shape(params.task) == (size, size, 3)


def test_every_experiment_is_there():
  registered = [name for name in settings.registered() if name.startswith("yolo_")]
  assert sorted(DOSSIER.experiments) == registered


def test_claims_are_fractions_of_known_metrics_at_the_experiments_size():
  for name, variant in DOSSIER.variants.items():
    assert bool(variant.claims) != (name in NARROW)  # Nobody published those.
    size = settings.experiment(variant.experiment).task.model.input_size
    for claim in variant.claims:
      assert claim.metric in METRICS
      assert 0 < claim.value < 1
      assert claim.input_size == size
      assert claim.source.startswith("https://")
