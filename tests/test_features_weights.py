"""Weights come in by their hash or not at all, and a missing file is an answer, not a download."""

from __future__ import annotations

import hashlib

import pytest

from dalle2eval.features import weight_files
from dalle2eval.features.choosing import open_extractors
from dalle2eval.features.weight_files import (
    PUBLISHED,
    MissingWeightsError,
    WeightFile,
    add,
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
    ],
)
def test_a_wrong_name_of_an_extractor_is_answered(name, message):
    with pytest.raises(InputError, match=message):
        open_extractors([name], device="cpu", open_judge=lambda: None)
