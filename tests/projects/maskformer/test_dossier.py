"""The dossier says what the code does."""

import projects.registry  # noqa: F401
from official.evaluation import semantic
from official.training import settings
from projects.maskformer.dossier import DOSSIER
from projects.maskformer.modeling.variants import VARIANTS


def test_every_experiment_is_there():
  registered = [name for name in settings.registered() if name.startswith("maskformer_")]
  assert sorted(DOSSIER.experiments) == registered


def test_every_variant_is_there_and_its_experiment_builds_it():
  assert DOSSIER.variants.keys() == VARIANTS.keys() - {"tiny_50"}
  for name, variant in DOSSIER.variants.items():
    task = settings.experiment(variant.experiment).task
    assert task.model.variant == name
    assert DOSSIER.input_shape(task) == (*task.train_data.output_size, 3)


def test_claims_are_fractions_of_known_metrics():
  for name, variant in DOSSIER.variants.items():
    assert variant.claims or name == "tiny"
    for claim in variant.claims:
      assert claim.metric in ("PQ", *semantic.METRICS)
      assert 0.1 < claim.value < 0.9
      assert claim.source.startswith("https://")


def test_the_first_claim_is_at_the_size_that_its_experiment_evaluates_at():
  for variant in DOSSIER.variants.values():
    task = settings.experiment(variant.experiment).task
    for claim in variant.claims[:1]:
      assert [claim.input_size] == task.validation_data.min_sizes
