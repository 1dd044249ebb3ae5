"""`dalle2eval score`, `weights add` and `list features` as a user meets them."""

from __future__ import annotations

import hashlib
import json

import pytest
from cli_fixtures import call
from image_files import picture, write
from score_fixtures import Fake, write_images

from dalle2eval import scoring
from dalle2eval.features import weight_files
from dalle2eval.features.weight_files import WeightFile


@pytest.fixture(autouse=True)
def _own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("DALLE2EVAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("DALLE2EVAL_STORE", str(tmp_path / "store"))


def test_missing_weights_are_a_two_line_answer_and_no_download(tmp_path, capsys):
    write(tmp_path / "made" / "a.png", picture())
    answer = call(capsys, "score", tmp_path / "made", "--device", "cpu", "--out", tmp_path / "run")
    assert answer.code == 2
    first, second = answer.err.splitlines()
    assert first.startswith("error: inception needs inception-2015-12-05.pt (sha256 f58cb9b6ec32")
    assert "dalle2eval weights add inception FILE" in first
    assert second.startswith("without it: --features ")
    assert not (tmp_path / "run").exists()


@pytest.fixture
def _fake(monkeypatch):
    monkeypatch.setattr(
        scoring, "_open", lambda names, _device: (tuple(Fake(name) for name in names), "cpu")
    )


@pytest.mark.usefixtures("_fake")
def test_json_is_one_document_with_every_estimate(tmp_path, capsys):
    manifest = write_images(tmp_path / "made", n=9)
    arguments = (
        "--prompts",
        manifest,
        "--features",
        "clip, effnet",
        "--metrics",
        "vendi,clip_score",
    )
    answer = call(
        capsys, "score", tmp_path / "made", *arguments, "--out", tmp_path / "run", "--json"
    )
    assert answer.code == 0
    told = json.loads(answer.out)
    assert [e["metric"] for e in told["estimates"]] == [
        "vendi_clip",
        "vendi_effnet",
        "clip_score",
    ]
    assert "images: 9 of 9" in answer.err


@pytest.mark.usefixtures("_fake")
def test_every_bad_file_is_named_on_its_own_line(tmp_path, capsys):
    manifest = write_images(tmp_path / "made", n=9)
    for name in ("3.png", "5.png"):
        (tmp_path / "made" / name).write_bytes(b"")
    arguments = ("--prompts", manifest, "--features", "effnet", "--out", tmp_path / "run")
    answer = call(capsys, "score", tmp_path / "made", *arguments)
    assert answer.code == 2
    lines = answer.err.splitlines()
    assert lines[0].startswith("error: ")
    assert [line.endswith(f"{n}.png: empty") for n, line in zip("35", lines[1:], strict=True)]
    assert call(capsys, "score", tmp_path / "made", *arguments, "--skip-bad").code == 0


def test_weights_are_added_by_their_hash_alone(tmp_path, capsys, monkeypatch):
    content = b"weights"
    sha256 = hashlib.sha256(content).hexdigest()
    file = WeightFile(name="published.pt", sha256=sha256, source="here")
    monkeypatch.setitem(weight_files.PUBLISHED, "inception", (file,))
    (tmp_path / "right").write_bytes(content)
    (tmp_path / "wrong").write_bytes(content + b"!")
    assert call(capsys, "weights", "add", "inception", tmp_path / "wrong").code == 2
    answer = call(capsys, "weights", "add", "inception", tmp_path / "right", "--json")
    assert json.loads(answer.out)["sha256"] == sha256
    assert json.loads(call(capsys, "describe", "inception", "--json").out)["features"]["ready"]


def test_features_are_listed_with_what_is_missing(capsys):
    told = json.loads(call(capsys, "list", "features", "--json").out)
    assert set(told) == {"inception", "dinov2", "effnet", "clip", "scenes"}
    assert "weights not here" in told["dinov2"]
    described = json.loads(call(capsys, "describe", "inception", "--json").out)["features"]
    assert len(described["files"]) == 2
