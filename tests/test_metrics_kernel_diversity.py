"""KID, CMMD, Vendi, diversity within a prompt, CLIP score and the table of metrics."""

import numpy as np
import pytest

from dalle2eval.metrics import (
    METRICS,
    clip_score,
    cmmd,
    frechet_distance,
    get_metric,
    kernel_distance,
    vendi_score,
    within_prompt_distance,
    within_prompt_distances,
)
from dalle2eval.metrics import kernel as kernel_module
from dalle2eval.records import InputError


def naive_mmd2(x, y, kernel):
    """Unbiased MMD² by loops over pairs (Gretton et al. 2012, Eq. 3)."""
    n, m = len(x), len(y)
    xx = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j) / (m * (m - 1))
    return xx + yy - 2 * sum(kernel(a, b) for a in x for b in y) / (n * m)


@pytest.fixture
def pair():
    rng = np.random.default_rng(0)
    return rng.standard_normal((23, 5)), rng.standard_normal((17, 5)) * 1.3 + 0.2


@pytest.mark.parametrize("block", [4, 1024])
def test_kid_in_blocks_equals_the_sum_over_pairs(pair, monkeypatch, block):
    monkeypatch.setattr(kernel_module, "BLOCK", block)
    expected = naive_mmd2(*pair, lambda a, b: (a @ b / 5 + 1) ** 3)
    assert kernel_distance(*pair) == pytest.approx(expected, rel=1e-12)


def test_cmmd_equals_the_sum_over_pairs_of_unit_vectors(pair):
    x, y = (z / np.linalg.norm(z, axis=1, keepdims=True) for z in pair)
    expected = 1000 * naive_mmd2(x, y, lambda a, b: np.exp(-((a - b) ** 2).sum() / 200))
    assert cmmd(*pair) == pytest.approx(expected, rel=1e-9)


def test_kid_is_unbiased_where_fd_is_not():
    """Both sets from one distribution: KID averages to 0, the Fréchet distance does not."""
    rng = np.random.default_rng(1)
    draws = [(rng.standard_normal((30, 8)), rng.standard_normal((30, 8))) for _ in range(400)]
    kids = np.array([kernel_distance(x, y) for x, y in draws])
    fds = np.array([frechet_distance(x, y) for x, y in draws[:50]])
    assert abs(kids.mean()) < 3 * kids.std() / np.sqrt(len(kids))
    assert fds.mean() > 10 * fds.std() / np.sqrt(len(fds))


def test_vendi_counts_equal_clusters():
    """Three orthogonal directions, four images each, of any length."""
    x = np.repeat(np.eye(3, 6), 4, axis=0) * np.arange(1, 13)[:, None]
    assert vendi_score(x) == pytest.approx(3.0)
    assert vendi_score(x[:, :3]) == pytest.approx(3.0)
    assert vendi_score(np.ones((7, 4))) == pytest.approx(1.0)


def test_vendi_is_the_same_by_images_and_by_dimensions():
    x = np.random.default_rng(2).standard_normal((30, 12))
    padded = np.hstack([x, np.zeros((30, 40))])
    assert vendi_score(x) == pytest.approx(vendi_score(padded), rel=1e-12)


def test_diversity_is_measured_inside_prompts_only():
    """Two prompts far apart whose images are identical have no diversity within."""
    x = np.array([[1.0, 0], [2, 0], [0, 1], [0, 5]])
    assert within_prompt_distance(x, ["a", "a", "b", "b"]) == pytest.approx(0.0)
    assert within_prompt_distance(x, ["a", "b", "a", "b"]) == pytest.approx(1.0)


def test_diversity_weighs_prompts_alike_and_leaves_single_images_out():
    x = np.array([[1.0, 0], [1, 0], [1, 0], [1, 0], [0, 1], [1, 1]])
    groups = ["many", "many", "many", "two", "two", "one"]
    distances = within_prompt_distances(x, groups)
    assert distances == {"many": pytest.approx(0.0), "two": pytest.approx(1.0)}
    assert within_prompt_distance(x, groups) == pytest.approx(0.5)


def test_diversity_equals_the_mean_over_pairs():
    x = np.random.default_rng(3).standard_normal((6, 4))
    u = x / np.linalg.norm(x, axis=1, keepdims=True)
    pairs = [1 - u[i] @ u[j] for i in range(6) for j in range(i)]
    assert within_prompt_distance(x, [0] * 6) == pytest.approx(np.mean(pairs))


def test_diversity_without_a_pair_is_refused():
    with pytest.raises(InputError, match="two images"):
        within_prompt_distance(np.eye(3), ["a", "b", "c"])
    with pytest.raises(InputError, match="3 images but 2 prompts"):
        within_prompt_distance(np.eye(3), ["a", "b"])


def test_clip_score_is_uncut_and_per_image():
    images = np.array([[2.0, 0], [0, 3], [1, 1]])
    texts = np.array([[1.0, 0], [0, -1], [1, 0]])
    np.testing.assert_allclose(clip_score(images, texts), [100, -100, 100 / np.sqrt(2)])


def test_a_zero_feature_has_no_direction():
    with pytest.raises(InputError, match="row 1 is all zeros"):
        vendi_score([[1.0, 0], [0, 0]])


def test_the_table_holds_what_the_run_folder_names():
    names = [
        "fd_scenes",
        "kid_scenes",
        "clip_score",
        "vendi_scenes",
        "diversity_within_prompt",
        "composition.object",
        "composition.colour",
        "composition.count",
        "composition.relation",
        "composition.binding",
        "text.exact",
        "text.cer",
        "text.ned",
        "text.reader_exact",
    ]
    assert set(names) <= set(METRICS)
    assert all(name == info.name for name, info in METRICS.items())
    assert get_metric("fd_scenes").higher_is_better is False
    assert get_metric("text.cer").higher_is_better is False


def test_only_inception_is_called_fid():
    assert [name for name in METRICS if "fid" in name] == ["fid", "fid_corrected"]


def test_an_unknown_metric_is_answered_with_the_nearest():
    with pytest.raises(InputError, match="unknown metric 'fd_scene'; did you mean \"fd_scenes\""):
        get_metric("fd_scene")
    with pytest.raises(InputError, match="; allowed: "):
        get_metric("zzzzzz")
