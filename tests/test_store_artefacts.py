"""An artefact is whole or absent: what a kill, a bad disk and a full one do to the store."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest

from dalle2eval import store as store_module
from dalle2eval.records import InputError, fingerprint
from dalle2eval.store import DiskFullError, Store, check_writable, default_store, write_atomic

ADDRESS = fingerprint("what made it")
VALUES = {
    "array": np.arange(12, dtype=np.float32).reshape(3, 4),
    "images": np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8),
    "json": {"scores": [1, None, "é"], "nested": {"a": 0.1}},
}


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


@pytest.mark.parametrize("kind", VALUES)
def test_a_value_comes_back_exactly(store, kind):
    store.save(ADDRESS, kind, VALUES[kind], made_of={})
    again = store.load(ADDRESS, kind)
    if kind == "json":
        assert again == VALUES[kind]
    else:
        assert again.dtype == VALUES[kind].dtype
        assert np.array_equal(again, VALUES[kind])


@pytest.mark.parametrize("kind", VALUES)
def test_a_flipped_bit_reads_as_absent(store, kind):
    store.save(ADDRESS, kind, VALUES[kind], made_of={})
    path = store.path(ADDRESS, kind)
    content = bytearray(path.read_bytes())
    content[-3] ^= 1
    path.write_bytes(bytes(content))
    assert store.load(ADDRESS, kind) is None
    assert not store.has(ADDRESS, kind)


def test_a_cut_file_and_a_missing_ticket_read_as_absent(store):
    store.save(ADDRESS, "array", VALUES["array"], made_of={})
    path = store.path(ADDRESS, "array")
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert store.load(ADDRESS, "array") is None
    path.write_bytes(whole)
    assert store.has(ADDRESS, "array")
    path.with_suffix(".ticket").unlink()
    assert store.load(ADDRESS, "array") is None


def test_a_kill_between_value_and_ticket_leaves_no_artefact(store, monkeypatch):
    def killed_at_ticket(path: Path, content: bytes) -> None:
        if path.suffix == ".ticket":
            raise KeyboardInterrupt
        write_atomic(path, content)

    monkeypatch.setattr(store_module, "write_atomic", killed_at_ticket)
    with pytest.raises(KeyboardInterrupt):
        store.save(ADDRESS, "json", VALUES["json"], made_of={})
    assert not store.has(ADDRESS, "json")


def test_a_pickle_in_place_of_an_array_is_never_loaded(store):
    with pytest.raises(ValueError, match="pickle"):
        store.save(ADDRESS, "array", np.array([object()]), made_of={})


def test_a_full_disk_says_so_and_leaves_nothing_behind(tmp_path, monkeypatch):
    def full(_handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskFullError, match="disk full"):
        write_atomic(tmp_path / "scores.json", b"x")
    assert list(tmp_path.iterdir()) == []


def test_an_unwritable_place_is_refused_before_work(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InputError, match=r"cannot write .*--out"):
        check_writable(tmp_path / "file" / "run", "--out")


def test_replacing_a_file_never_shows_half_of_it(tmp_path, monkeypatch):
    path = tmp_path / "plan.yaml"
    write_atomic(path, b"old")

    def stopped(_handle: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", stopped)
    with pytest.raises(KeyboardInterrupt):
        write_atomic(path, b"newer and longer")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_the_store_lies_where_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.delenv("DALLE2EVAL_STORE", raising=False)
    assert default_store() == tmp_path / "dalle2eval" / "store"
    monkeypatch.setenv("DALLE2EVAL_STORE", str(tmp_path / "mine"))
    assert default_store() == tmp_path / "mine"
