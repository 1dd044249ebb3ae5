"""Edited, missing and damaged manifests are found; one set's damage does not hide the others."""

import hashlib
import json
import shutil

import pytest
from cli_fixtures import call, hollow_model, write_weights

from dalle2eval import doctor
from reference_model import manifest
from reference_model.dalle2 import load
from reference_model.manifest import CheckpointError, available, read_manifest, verify_release

SETS = ("scenes", "scenes-judge", "tiny")


@pytest.fixture(autouse=True)
def users(tmp_path, monkeypatch):
    """The user's folder, with the weights ``hollow``."""
    monkeypatch.setenv("DALLE2EVAL_WEIGHTS", str(tmp_path / "weights"))
    monkeypatch.setenv("DALLE2EVAL_STORE", str(tmp_path / "store"))
    hollow_model(tmp_path / "weights")
    return tmp_path / "weights"


@pytest.fixture
def bundled(tmp_path, monkeypatch):
    """A package whose three bundled sets are hollow, with their committed list."""
    root = tmp_path / "package"
    for name in SETS:
        write_weights(root, name, {"clip": {"embed_dim": 8}})
    digests = {
        name: hashlib.sha256((root / name / "manifest.json").read_bytes()).hexdigest()
        for name in SETS
    }
    rows = [f"{digest}  {name}/manifest.json\n" for name, digest in digests.items()]
    (root / "SHA256SUMS").write_text("".join(rows))
    monkeypatch.setattr(manifest, "BUNDLED", root)
    return root


def edit(folder, part, **changes):
    path = folder / "manifest.json"
    data = json.loads(path.read_text())
    data["parts"][part] |= changes
    path.write_text(json.dumps(data))


@pytest.mark.parametrize(
    "change", [{"config": {"embed_dim": 9}}, {"vocabulary": [1, 2]}, {"sha256": "0" * 64}]
)
def test_an_edited_manifest_does_not_keep_the_addresses_of_the_store(users, change):
    before, part = load("hollow").weights, read_manifest("hollow").part("clip").identity
    edit(users / "hollow", "clip", **change)
    assert read_manifest("hollow").part("clip").identity != part
    assert load("hollow").weights != before


def test_an_edited_config_changes_the_address_of_each_stage_that_reads_it(users):
    def addresses():
        model = load("hollow")
        stages = model.plan_stages(model.resolve_settings({}), 256)
        return {stage.name: stage.weights for stage in stages}

    before = addresses()
    edit(users / "hollow", "decoder", config={"image_size": 64, "z_dim": 8, "extra": 1})
    after = addresses()
    assert [name for name in before if before[name] != after[name]] == ["decoder"]
    edit(users / "hollow", "clip", vocabulary=[7])
    assert addresses()["conditioning"] != after["conditioning"]


def test_how_long_a_part_was_trained_changes_no_address(users):
    before = load("hollow").weights
    edit(users / "hollow", "decoder", training={"steps": 7})
    assert load("hollow").weights == before


def test_an_edited_bundled_manifest_is_found(capsys, bundled):
    assert call(capsys, "weights", "verify").code == 0
    edit(bundled / "scenes", "clip", config={"embed_dim": 9})
    answer = call(capsys, "weights", "verify")
    assert answer.code == 2
    [line] = [row for row in answer.err.splitlines() if row.startswith("error")]
    assert "scenes/manifest.json was edited" in line
    assert "tiny: whole" in answer.err
    with pytest.raises(CheckpointError, match=r"scenes/manifest\.json was edited"):
        load("scenes")  # Python's way in is as careful as the command's


@pytest.mark.parametrize("rest", ["folder", "manifest", "tensors"])
def test_bundled_weights_that_are_gone_are_noticed(capsys, bundled, rest):
    if rest == "folder":
        shutil.rmtree(bundled / "scenes")
    else:
        gone = {"manifest": "manifest.json", "tensors": "clip.safetensors"}[rest]
        (bundled / "scenes" / gone).unlink()
    answer = call(capsys, "weights", "verify")
    assert answer.code == 2
    [line] = [row for row in answer.err.splitlines() if row.startswith("error")]
    assert "scenes/" in line
    assert "is missing" in line
    examined = doctor._attempt(doctor._weights)
    assert not examined["ok"]
    assert "is missing" in examined["scenes"]
    assert examined["tiny"] == "1 parts whole"


def test_a_package_without_its_list_says_so_and_lists_on(capsys, bundled):
    (bundled / "SHA256SUMS").unlink()
    answer = call(capsys, "weights", "verify")
    assert answer.code == 2
    assert "SHA256SUMS is missing or damaged" in answer.err
    assert len(answer.err.splitlines()) == 1
    assert call(capsys, "weights", "list").code == 0


def test_the_committed_list_is_that_of_the_bundled_manifests():
    assert set(manifest.released()) == set(SETS)
    for name in SETS:
        verify_release(name)


@pytest.mark.parametrize(
    "content",
    [b"{", b"\xff", b"[]", b"[" * 100_000, b'{"format": 1, "name": "x", "parts": {"clip": 3}}',
     b'{"format": 1, "name": "x", "parts": {"clip": {"kind": "clip", "file": "a", "sha256": 1,'
     b' "config": {}}}}'],
    ids=["cut", "not-text", "a-list", "nested", "no-part", "no-hash"],
)  # fmt: skip
def test_a_damaged_manifest_of_the_users_hides_no_other_weights(capsys, users, content):
    (users / "broken").mkdir()
    (users / "broken" / "manifest.json").write_bytes(content)
    answer = call(capsys, "weights", "list")
    assert answer.code == 0
    [line] = [row for row in answer.err.splitlines() if row.startswith("broken")]
    assert "damaged" in line
    assert "broken/manifest.json" in line
    assert "hollow" in answer.err
    listed = json.loads(call(capsys, "weights", "list", "--json").out)
    assert listed["broken"]["parts"] == {}
    assert listed["broken"]["damaged"]
    assert "hollow" in json.loads(call(capsys, "list", "models", "--json").out)
    assert call(capsys, "describe", "hollow").code == 0
    with pytest.raises(CheckpointError, match="broken"):
        read_manifest("broken")


def test_verify_names_what_is_damaged_and_checks_the_others(capsys, users):
    (users / "broken").mkdir()
    (users / "broken" / "manifest.json").write_text("{")
    answer = call(capsys, "weights", "verify", "broken", "hollow")
    assert answer.code == 2
    assert answer.out == ""
    assert "error: " in answer.err.splitlines()[0]
    assert "hollow: whole" in answer.err


def test_unknown_weights_get_a_near_match_that_is_called_one():
    assert "tiny" in available()
    with pytest.raises(CheckpointError, match=r'no weights named \'tinny\'; did you mean "tiny"\?'):
        load("tinny")


def test_doctor_finds_a_store_that_cannot_be_written(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("DALLE2EVAL_STORE", str(tmp_path / "file" / "store"))
    examined = doctor._attempt(doctor._store)
    assert not examined["ok"]
    assert f"cannot write {tmp_path / 'file' / 'store'}" in examined["problem"]


def test_doctor_writes_in_the_store_and_leaves_nothing_there(tmp_path, monkeypatch):
    examined = doctor._attempt(doctor._store)
    assert examined["ok"], examined
    assert list((tmp_path / "store").iterdir()) == []
    asked = []
    monkeypatch.setattr("dalle2eval.store.check_writable", lambda *of: asked.append(of))
    doctor._attempt(doctor._store)
    assert asked
