"""The metrics inside a training loop: batches, reset, copies, and processes that share."""

import numpy as np
import pytest
import torch

from dalle2eval import metrics, training_metrics
from dalle2eval.records import InputError


@pytest.fixture
def sets():
    generator = torch.Generator().manual_seed(0)
    reference = torch.randn(70, 9, generator=generator) + 50  # far from 0: sums must not cancel
    return torch.randn(64, 9, generator=generator) * 1.2 + 50, reference


PAIRS = [
    (training_metrics.FrechetDistance, metrics.frechet_distance),
    (training_metrics.KernelDistance, metrics.kernel_distance),
    (training_metrics.Cmmd, metrics.cmmd),
    (training_metrics.Precision, metrics.precision),
    (training_metrics.Recall, metrics.recall),
    (training_metrics.Density, metrics.density),
    (training_metrics.Coverage, metrics.coverage),
]


@pytest.mark.parametrize(("shell", "function"), PAIRS)
@pytest.mark.parametrize("batch", [64, 5])
def test_the_batch_size_does_not_change_the_number(sets, shell, function, batch):
    generated, reference = sets
    metric = shell(reference)
    for part in generated.split(batch):
        metric.update(part)
    value = metric.compute()
    assert value.dtype == torch.float64
    assert value.item() == pytest.approx(function(generated, reference), rel=1e-9)


@pytest.mark.parametrize(("shell", "function"), PAIRS)
def test_reset_forgets_the_images_and_keeps_the_reference(sets, shell, function):
    generated, reference = sets
    metric = shell(reference)
    metric.update(generated + 3)
    metric.reset()
    metric.update(generated)
    assert metric.compute().item() == pytest.approx(function(generated, reference), rel=1e-9)


def test_vendi_and_clip_score_equal_their_functions(sets):
    generated, reference = sets
    vendi, clip = training_metrics.VendiScore(), training_metrics.ClipScore()
    for rows in generated.split(10):
        vendi.update(rows)
    clip.update(generated[:30], reference[:30])
    clip.update(generated[30:64], reference[30:64])
    assert vendi.compute().item() == pytest.approx(metrics.vendi_score(generated))
    expected = metrics.clip_score(generated, reference[:64]).mean()
    assert clip.compute().item() == pytest.approx(expected)


def test_processes_add_up_to_one(sets):
    """What a sync does, by the reductions that the states declare."""
    generated, reference = sets
    first, second = (training_metrics.FrechetDistance(reference) for _ in range(2))
    first.update(generated[:20])
    second.update(generated[20:])
    for name, reduce in first._reductions.items():
        stacked = torch.stack([getattr(first, name), getattr(second, name)])
        setattr(first, name, reduce(stacked))
    expected = metrics.frechet_distance(generated, reference)
    assert first.compute().item() == pytest.approx(expected, rel=1e-9)


def test_nothing_seen_is_an_error_not_a_number(sets):
    _, reference = sets
    for metric in (
        training_metrics.FrechetDistance(reference),
        training_metrics.KernelDistance(reference),
        training_metrics.VendiScore(),
        training_metrics.ClipScore(),
    ):
        with (
            pytest.warns(UserWarning, match="before the ``update`` method"),
            pytest.raises(InputError, match="needs at least"),
        ):
            metric.compute()


def test_gradients_do_not_keep_the_graph_alive(sets):
    generated, reference = sets
    metric = training_metrics.KernelDistance(reference)
    metric.update(generated.requires_grad_())
    assert not metric.features[0].requires_grad
    assert np.isfinite(metric.compute().item())


@pytest.mark.parametrize(
    ("value", "told"), [(float("nan"), "row 1 is not finite"), (1e160, "row 1 is too large")]
)
def test_one_bad_row_is_named_not_lost_in_the_sums(value, told):
    """A row of NaN made the distance 0.0."""
    reference = torch.randn(60, 4, generator=torch.Generator().manual_seed(0)).double()
    rows = reference[:20].clone()
    rows[1] = value
    with pytest.raises(InputError, match=f"generated: {told}"):
        training_metrics.FrechetDistance(reference).update(rows)
