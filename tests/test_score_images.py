"""Anyone's images end in the same run folder, with the same numbers as the metrics by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest
from image_files import picture, png_of_header, write
from score_fixtures import Fake, coloured, write_images

from ablations.score_metrics import Supply, choose
from dalle2eval import scoring
from dalle2eval.comparing import compare
from dalle2eval.images.checking import BadFilesError
from dalle2eval.metrics import frechet_distance, kernel_distance
from dalle2eval.records import InputError
from reports.reading import read_run


@pytest.fixture
def extractors(monkeypatch):
    """Put extractors without a network in the place of the real ones."""
    made = {}

    def opened(names, _device):
        return tuple(made.setdefault(name, Fake(name)) for name in names), "cpu"

    monkeypatch.setattr(scoring, "_open", opened)
    return made


@pytest.fixture
def place(tmp_path):
    """Return a folder with generated images, their prompts, and real images."""
    write_images(tmp_path / "made")
    write_images(tmp_path / "real", n=30, first_seed=1000)
    return tmp_path


def _score(place, **options):
    chosen = {
        "prompts": place / "made.jsonl",
        "reference": place / "real",
        "features": ["clip", "effnet"],
        "out": place / "run",
        "store": place / "store",
        **options,
    }
    return scoring.score(place / "made", **chosen)


def _by_hand(place, folder):
    names = sorted((place / folder).iterdir(), key=lambda path: int(path.stem))
    seed = 1000 if folder == "real" else 0
    colours = ("red", "green", "blue")
    images = [coloured(colours[n % 3], seed + n) for n in range(len(names))]
    return Fake("x").embed(images).astype(np.float64)


def test_the_run_folder_reads_like_any_other_and_renders(place, extractors):
    run = read_run(_score(place))
    assert (place / "run" / "report.html").stat().st_size > 10_000
    assert run.metrics[0] == "fd_clip"
    assert set(run.plan.metrics) == {
        "fd_clip", "fd_effnet", "kid_clip", "kid_effnet", "precision_clip", "precision_effnet",
        "recall_clip", "recall_effnet", "clip_score",
    }  # fmt: skip
    assert {e.n for e in run.estimates.values()} == {24}
    assert len(run.gallery) == 24
    assert run.counts["images"].scored == 24


def test_distances_are_those_of_the_metrics_by_hand(place, extractors):
    run = read_run(_score(place))
    made, real = _by_hand(place, "made"), _by_hand(place, "real")
    fd = run.estimates["images", "fd_effnet", "all"]
    assert fd.value == pytest.approx(frechet_distance(made, real), rel=1e-9)
    assert fd.low < fd.value < fd.high
    kid = run.estimates["images", "kid_clip", "all"]
    assert kid.value == pytest.approx(kernel_distance(made, real), rel=1e-9, abs=1e-12)
    assert fd.extractor == "effnet@000000000000"


def test_two_models_images_of_the_same_prompts_are_compared_by_distance_too(place, extractors):
    write_images(place / "other", first_seed=500)
    runs = [
        _score(place, metrics=["fd", "recall", "clip_score"]),
        scoring.score(
            place / "other",
            prompts=place / "other.jsonl",
            reference=place / "real",
            features=["clip", "effnet"],
            metrics=["fd", "recall", "clip_score"],
            out=place / "second",
            store=place / "store",
        ),
    ]
    values = [read_run(run).estimates["images", "fd_effnet", "all"].value for run in runs]
    folder = compare(*runs, out=place / "compared")
    rows = {row.metric: row for row in read_run(folder).comparisons if row.slice == "all"}
    assert rows["fd_effnet"].difference == pytest.approx(values[1] - values[0])
    assert rows["fd_effnet"].low < rows["fd_effnet"].difference < rows["fd_effnet"].high
    assert rows["clip_score"].n_pairs == 24
    assert "kept no contributions" in rows["recall_effnet"].reason


def test_a_clip_score_is_the_cosine_with_its_own_prompt(place, extractors):
    run = read_run(_score(place, metrics=["clip_score"], reference=None))
    judge = Fake("clip")
    image = judge.embed([coloured("green", 1)])[0]
    text = judge.embed_texts(["a green thing"])[0]
    expected = 100 * float(image @ text / np.linalg.norm(image))
    scores = {key.prompt_id: score for (_, key), (score,) in run.scores.items()}
    assert scores["p1"].value == pytest.approx(expected, rel=1e-5)


def test_shuffled_prompts_lower_the_score(place, extractors):
    right = read_run(_score(place, metrics=["clip_score", "r_precision"]))
    rows = [json.loads(line) for line in (place / "made.jsonl").read_text().splitlines()]
    texts = [row["prompt"] for row in rows]
    for row, text in zip(rows, texts[1:] + texts[:1], strict=True):
        row["prompt"] = text
    (place / "made.jsonl").write_text("\n".join(map(json.dumps, rows)))
    wrong = read_run(_score(place, metrics=["clip_score", "r_precision"], out=place / "wrong"))
    for metric in ("clip_score", "r_precision"):
        values = [run.estimates["images", metric, "all"].value for run in (right, wrong)]
        assert values[0] > values[1]
    assert right.estimates["images", "r_precision", "all"].value == 1.0


def test_a_second_call_computes_nothing_and_changes_no_number(place, extractors):
    _score(place)
    before = (place / "run" / "estimates.parquet").read_bytes()
    embedded = extractors["clip"].embedded
    _score(place)
    assert extractors["clip"].embedded == embedded
    assert (place / "run" / "estimates.parquet").read_bytes() == before


def test_other_pixels_of_the_same_names_are_another_run(place, extractors):
    _score(place)
    write(place / "made" / "3.png", coloured("red", 77))
    with pytest.raises(InputError, match="a run of another plan"):
        _score(place)


def test_bad_files_stop_before_any_work(place, extractors):
    (place / "made" / "5.png").write_bytes(b"<html>")
    (place / "real" / "6.png").write_bytes(b"")
    with pytest.raises(BadFilesError, match=r"1 of 24 files cannot be scored, first 5\.png"):
        _score(place)
    assert not (place / "run").exists()
    assert extractors["clip"].embedded == 0


def test_skipped_files_are_counted_with_their_reason_and_not_scored_as_zero(place, extractors):
    (place / "made" / "5.png").write_bytes(b"<html>")
    (place / "made" / "7.png").write_bytes(png_of_header(4, 4, rows=b"few"))
    run = read_run(_score(place, skip_bad=True))
    for estimate in run.estimates.values():
        assert (estimate.n, estimate.num_unscored) == (22, 2)
    assert run.counts["images"].unscored == 2
    reasons = {key.prompt_id: s[0].reason for (_, key), s in run.scores.items() if s[0].reason}
    assert reasons["p5"] == "not a PNG, JPEG or WebP image"
    assert "damaged or cut" in reasons["p7"]
    assert any("5.png" in note and "7.png" in note for note in run.notes)


def test_nothing_left_is_an_error_even_when_skipping(tmp_path, extractors):
    (tmp_path / "made").mkdir()
    (tmp_path / "made" / "a.png").write_bytes(b"")
    with pytest.raises(BadFilesError):
        scoring.score(tmp_path / "made", features=["effnet"], skip_bad=True, out=tmp_path / "run")


def test_too_few_images_are_unknown_with_a_reason_and_never_a_number(place, extractors):
    run = read_run(_score(place, limit=4, features=["effnet"], metrics=["fd"]))
    estimate = run.estimates["images", "fd_effnet", "all"]
    assert estimate.value is None
    assert "4 images in 4 dimensions" in estimate.reason


def test_few_images_are_called_rank_deficient(place, extractors):
    run = read_run(_score(place, limit=7, features=["effnet"], metrics=["fd"]))
    assert "rank-deficient: N < 2d" in run.estimates["images", "fd_effnet", "all"].note


def test_hostile_names_and_prompts_do_not_leave_the_folder_or_the_page(tmp_path, extractors):
    name = "<script>alert(1)<:script>\n'\"&.png"
    write(tmp_path / "made" / name, picture(1))
    write(tmp_path / "made" / "b.png", picture(2))
    prompts = tmp_path / "p.txt"
    prompts.write_text("a red </script><script>alert(2)</script>\na blue ../../x\n")
    folder = scoring.score(
        tmp_path / "made", prompts=prompts, features=["clip"], out=tmp_path / "run",
        store=tmp_path / "store",
    )  # fmt: skip
    page = (folder / "report.html").read_text()
    assert "<script>alert" not in page
    for path in folder.rglob("*.png"):
        assert path.resolve().is_relative_to(folder.resolve())


def test_without_prompts_or_reference_diversity_is_left(place, extractors):
    run = read_run(_score(place, prompts=None, reference=None, features=["effnet"]))
    assert run.plan.metrics == ("vendi_effnet",)


def _supply(**changes):
    return Supply(**{"families": ("effnet",), "reference": True, "texts": True, **changes})


def test_only_inception_makes_fid():
    names = [q.metric.name for q in choose(["fd"], _supply(families=("inception", "dinov2")))]
    assert names == ["fid", "fd_dinov2"]


@pytest.mark.parametrize(
    ("asked", "changes", "message"),
    [
        ("fid", {}, "fid needs --features inception; given: effnet"),
        ("kidd", {}, 'did you mean "kid"'),
        ("fd", {"reference": False}, "needs real images: --reference"),
        ("clip_score", {}, "needs --features clip"),
        ("clip_score", {"families": ("clip",), "texts": False}, "--prompts FILE"),
        ("cmmd", {}, "needs --features clip"),
        ("aesthetic", {}, 'cannot score "aesthetic"'),
    ],
)
def test_a_metric_that_cannot_be_computed_says_what_it_needs(asked, changes, message):
    with pytest.raises(InputError, match=message):
        choose([asked], _supply(**changes))
