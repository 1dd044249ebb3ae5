"""Precision and recall the right way round, R-precision, aesthetics, copying, bias correction."""

import numpy as np
import pytest
from safetensors.numpy import save_file

from dalle2eval.metrics import (
    aesthetic_score,
    coverage,
    density,
    flag_level,
    frechet_distance,
    frechet_distance_corrected,
    load_aesthetic_head,
    memorised,
    nearest_neighbours,
    overlap,
    precision,
    r_precision,
    recall,
)
from dalle2eval.metrics import manifold as module
from dalle2eval.records import InputError


def blobs(n, centres, seed):
    rng = np.random.default_rng(seed)
    centres = np.asarray(centres, dtype=float)
    return centres[np.arange(n) % len(centres)] + 0.3 * rng.standard_normal((n, centres.shape[1]))


FOUR = [[0, 0], [10, 0], [0, 10], [10, 10]]


def test_mode_collapse_has_high_precision_and_low_recall_never_the_other_way_round():
    collapsed, real = blobs(200, FOUR[:1], 0), blobs(200, FOUR, 1)
    assert precision(collapsed, real) > 0.9
    assert recall(collapsed, real) < 0.3
    assert density(collapsed, real) > 0.9
    assert coverage(collapsed, real) < 0.3


def test_inventing_has_low_precision_and_high_recall():
    """Half of the images are good, half are far from everything."""
    inventive = np.vstack([blobs(200, FOUR, 2), blobs(200, [[50, 50], [90, -40]], 3)])
    real = blobs(200, FOUR, 4)
    assert precision(inventive, real) == pytest.approx(0.5, abs=0.05)
    assert density(inventive, real) == pytest.approx(0.5, abs=0.1)
    assert recall(inventive, real) > 0.9
    assert coverage(inventive, real) > 0.9


def naive_overlap(x, y, k):
    def radii(a):
        return np.sort(np.linalg.norm(a[:, None] - a, axis=2), axis=1)[:, k]

    distance = np.linalg.norm(x[:, None] - y, axis=2)
    in_real, in_generated = distance <= radii(y), distance <= radii(x)[:, None]
    return (
        in_real.any(1).mean(),
        in_generated.any(0).mean(),
        in_real.sum(1).mean() / k,
        in_real.any(0).mean(),
    )


@pytest.mark.parametrize("block", [7, 1024])
def test_blocks_equal_the_full_table_of_distances(monkeypatch, block):
    monkeypatch.setattr(module, "BLOCK", block)
    x, y = blobs(40, FOUR, 5), blobs(55, FOUR[1:], 6)
    got = overlap(x, y, neighbours=3)
    values = (got.precision, got.recall, got.density, got.coverage)
    assert [value.mean() for value in values] == pytest.approx(naive_overlap(x, y, 3))


def test_a_set_too_small_for_its_neighbours_is_refused():
    with pytest.raises(InputError, match="generated: 5 neighbours need 6 images"):
        precision(np.eye(5), np.eye(5)[[0, 1, 2, 3, 4] * 2])


def test_a_model_that_copies_is_flagged_and_one_that_does_not_is_not():
    rng = np.random.default_rng(7)
    training, held_out, fresh = (rng.standard_normal((n, 6)) for n in (800, 500, 400))
    copies = training[:400] + 0.01 * rng.standard_normal((400, 6))
    assert memorised(copies, training, held_out).mean() > 0.95
    assert memorised(fresh, training, held_out).mean() < 0.03
    some = np.vstack([copies[:40], fresh[:360]])
    assert memorised(some, training, held_out).mean() == pytest.approx(0.1, abs=0.03)


@pytest.mark.parametrize("offset", [0.0, 50.0])
def test_held_out_images_of_the_training_set_hide_no_copy(offset):
    """1% of them made the threshold 0: a model that copies everything was never flagged."""
    rng = np.random.default_rng(9)
    training, held_out = (
        rng.standard_normal((800, 6)) + offset,
        rng.standard_normal((500, 6)) + offset,
    )
    held_out[:5] = training[:5]
    with pytest.raises(InputError, match="held out: 5 of 500 images are in the training set too"):
        memorised(training[:100], training, held_out)
    assert memorised(training[:100], training, held_out[5:]).all()


def test_honest_models_are_flagged_once_in_twenty():
    """Levels of the estimated threshold: 0.01 was exceeded by half of all honest models."""
    rng = np.random.default_rng(10)
    for num in (100, 1024):
        shares = np.quantile(rng.random((4000, num)), 0.01, axis=1)
        assert np.mean(shares > flag_level(num)) == pytest.approx(0.05, abs=0.015)
        assert np.mean(shares > 0.01) > 0.4
    held_out = rng.standard_normal((99, 3))
    with pytest.raises(InputError, match="held out: needs at least 100 images, got 99"):
        memorised(held_out, held_out + 1, held_out)


def test_neighbours_far_from_the_origin_are_as_near():
    """Distances by products of uncentred rows: at 1e6 nothing was left of them."""
    training = np.random.default_rng(11).standard_normal((50, 4)) + 1e7
    found = nearest_neighbours(training + 0.001, training)
    assert found.index.tolist() == list(range(50))
    assert found.distance == pytest.approx(0.002, rel=1e-3)


def test_the_nearest_training_image_is_named():
    training = np.random.default_rng(8).standard_normal((50, 4))
    found = nearest_neighbours(training[[7, 3]] + 0.001, training)
    assert found.index.tolist() == [7, 3]
    assert found.distance == pytest.approx(0.002)


def test_r_precision_wants_the_own_text_first():
    texts = np.eye(5)
    prompts = ["a", "b", "c", "d", "e"]
    assert r_precision(texts, texts, prompts).tolist() == [1, 1, 1, 1, 1]
    assert r_precision(texts[[1, 0, 2, 3, 4]], texts, prompts).tolist() == [0, 0, 1, 1, 1]


def test_r_precision_does_not_count_the_same_text_as_a_rival():
    texts = np.eye(3)[[0, 0, 1]]
    assert r_precision(texts, texts, ["a", "a", "b"]).tolist() == [1, 1, 1]
    with pytest.raises(InputError, match="two different prompts"):
        r_precision(texts, texts, ["a", "a", "a"])


def test_r_precision_of_chance_is_one_in_a_hundred():
    rng = np.random.default_rng(9)
    images, texts = rng.standard_normal((2, 1500, 16))
    prompts = [f"prompt {i}" for i in range(1500)]
    shares = r_precision(images, texts, prompts)
    assert 0.003 < shares.mean() < 0.02
    again = r_precision(images[::-1], texts[::-1], prompts[::-1])
    np.testing.assert_array_equal(shares, again[::-1])  # the rivals do not depend on the order


def test_the_aesthetic_head_reads_unit_features(tmp_path):
    path = tmp_path / "head.safetensors"
    save_file({"weight": np.array([[3.0, 4.0]]), "bias": np.array([1.0])}, path)
    head = load_aesthetic_head(path)
    assert aesthetic_score([[10.0, 0], [0, 2]], head) == pytest.approx([4.0, 5.0])
    with pytest.raises(InputError, match="reads 2 features, the images have 3"):
        aesthetic_score(np.eye(3), head)


def test_a_bad_aesthetic_head_is_named(tmp_path):
    path = tmp_path / "head.safetensors"
    with pytest.raises(InputError, match="safetensors: not a readable"):
        load_aesthetic_head(path)
    path.write_bytes(b"pickle")
    with pytest.raises(InputError, match="safetensors: not a readable"):
        load_aesthetic_head(path)
    save_file({"kernel": np.ones((1, 2))}, path)
    with pytest.raises(InputError, match=r"expected tensors weight .* got kernel \[1, 2\]"):
        load_aesthetic_head(path)
    save_file({"weight": np.ones((3, 2)), "bias": np.ones(1)}, path)
    with pytest.raises(InputError, match=r"weight has shape \[3, 2\]"):
        load_aesthetic_head(path)


def test_the_correction_removes_most_of_the_bias():
    rng = np.random.default_rng(10)
    reference = rng.standard_normal((20_000, 16))
    sets = [rng.standard_normal((160, 16)) * 1.2 for _ in range(30)]
    true = frechet_distance(rng.standard_normal((100_000, 16)) * 1.2, reference)
    plain = np.mean([frechet_distance(x, reference) for x in sets]) - true
    corrected = np.mean([frechet_distance_corrected(x, reference) for x in sets]) - true
    assert plain > 0.5 * true
    assert abs(corrected) < 0.15 * plain


def test_the_correction_refuses_too_few_images():
    x = np.random.default_rng(11).standard_normal((63, 16))
    with pytest.raises(InputError, match="needs 64 images for 16 features, got 63"):
        frechet_distance_corrected(x, x)
