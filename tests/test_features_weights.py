"""Weights come in by their hash or not at all, and a missing file is an answer, not a download."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from safetensors.numpy import save_file

from dalle2eval.features import weight_files
from dalle2eval.features.choosing import open_extractors
from dalle2eval.features.facts import extractor_facts
from dalle2eval.features.open_clip_extractor import add_clip
from dalle2eval.features.weight_files import (
    PUBLISHED,
    MissingWeightsError,
    WeightFile,
    add,
    check_kind,
    find,
    require,
)
from dalle2eval.records import InputError


@pytest.fixture(autouse=True)
def _own_cache(tmp_path, monkeypatch):
    monkeypatch.setenv("DALLE2EVAL_WEIGHTS", str(tmp_path / "weights"))


@pytest.fixture
def published(monkeypatch):
    """Return the content of a file that stands for the published Inception."""
    content = b"the published weights"
    file = WeightFile(
        name="inception.pt", sha256=hashlib.sha256(content).hexdigest(), source="here"
    )
    monkeypatch.setitem(weight_files.PUBLISHED, "inception", (file,))
    return content


def test_missing_weights_name_file_hash_place_and_what_works_without(tmp_path):
    with pytest.raises(MissingWeightsError) as caught:
        require("inception")
    told = str(caught.value)
    for part in ("inception-2015-12-05.pt", "f58cb9b6ec32", "weights add inception", str(tmp_path)):
        assert part in told
    assert len(told) < 500
    assert len(caught.value.details) == 1
    assert "scenes" in caught.value.details[0]


def test_a_file_is_kept_under_its_published_name(tmp_path, published):
    (tmp_path / "download").write_bytes(published)
    place = add("inception", tmp_path / "download")
    assert place == tmp_path / "weights" / "inception" / "inception.pt"
    assert require("inception").path == place
    assert [p.name for p in place.parent.iterdir()] == ["inception.pt"]


def test_another_file_is_refused_with_both_hashes(tmp_path, published):
    (tmp_path / "download").write_bytes(published + b"!")
    with pytest.raises(InputError, match="is none of the published files") as caught:
        add("inception", tmp_path / "download")
    assert hashlib.sha256(published + b"!").hexdigest() in str(caught.value)
    assert find("inception") is None


def test_a_file_that_was_altered_later_is_refused_before_it_is_opened(tmp_path, published):
    (tmp_path / "download").write_bytes(published)
    place = add("inception", tmp_path / "download")
    place.write_bytes(b"malice")
    with pytest.raises(InputError, match="cut or altered"):
        require("inception")


@pytest.mark.parametrize("name", ["scenes", "effnet", "nonsense"])
def test_only_what_needs_a_file_takes_one(tmp_path, name):
    with pytest.raises(InputError, match="allowed: inception, dinov2, clip:MODEL/TAG"):
        add(name, tmp_path / "download")


def test_hashes_are_whole_and_the_named_one_begins_as_its_name_says():
    files = [file for files in PUBLISHED.values() for file in files]
    assert all(len(file.sha256) == 64 for file in files)
    for file in files:
        digits = file.name.rpartition("-")[2].partition(".")[0]
        if len(digits) == 8:
            assert file.sha256.startswith(digits)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("incepton", 'did you mean "inception"'),
        ("", "allowed: inception, clip:MODEL/TAG"),
        ("clip:", "expected clip:MODEL/TAG"),
        ("clip:ViT-B-32", "expected clip:MODEL/TAG"),
        ("clip:ViT-B-32=missing.pt", "missing.pt: cannot be read"),
        ("clip", 'no extractor "clip"; a CLIP is named with its weights, such as clip:ViT-B-32'),
        ("clip:/nosuchfolder", '"clip:/nosuchfolder": no such folder'),
        ("clip:./no/such", "no such folder"),
    ],
)
def test_a_wrong_name_of_an_extractor_is_answered(name, message):
    with pytest.raises(InputError, match=message):
        open_extractors([name], device="cpu", open_judge=lambda: None)


def test_a_cut_file_of_the_right_name_is_not_called_here(tmp_path, published):
    """`list features` said "(here)" for five bytes."""
    place = tmp_path / "weights" / "inception" / "inception.pt"
    place.parent.mkdir(parents=True)
    place.write_bytes(b"12345")
    found = extractor_facts()["inception"]
    assert not found["ready"]
    assert "weights not here" in found["summary"]
    place.write_bytes(published)
    assert extractor_facts()["inception"]["ready"]


@pytest.mark.parametrize("name", ["junk.pt", "junk.safetensors", "empty.bin", "cut.pth"])
def test_junk_is_no_weights_of_a_clip(tmp_path, name):
    """It was taken, and `score` noticed after all images had been looked at."""
    pytest.importorskip("open_clip")
    content = {"empty.bin": b"", "cut.pth": b"PK\x03\x04 and no more"}.get(name, b"junk" * 50)
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f"{name}: cut, or no file of weights; allowed: .safeten"):
        add_clip("clip:ViT-B-32/openai", tmp_path / name)
    assert not (tmp_path / "weights" / "clip").exists()
    with pytest.raises(InputError, match="no file of weights"):
        open_extractors([f"clip:ViT-B-32={tmp_path / name}"], device="cpu", open_judge=lambda: None)


def test_files_of_weights_pass_by_their_header(tmp_path):
    torch = pytest.importorskip("torch")
    save_file({"w": np.ones(3)}, tmp_path / "a.safetensors")
    torch.save({"w": torch.ones(3)}, tmp_path / "a.pt")
    torch.save({"w": torch.ones(3)}, tmp_path / "old.bin", _use_new_zipfile_serialization=False)
    for name in ("a.safetensors", "a.pt", "old.bin"):
        check_kind(tmp_path / name)
