"""One decode an image, features by content and not by name, damage that never becomes a number."""

from __future__ import annotations

import sqlite3
import threading

import numpy as np
import pytest
from image_files import picture, png_of_header, write

from dalle2eval.features import one_pass
from dalle2eval.features.cache import FeatureCache, pixel_hash
from dalle2eval.features.one_pass import embed_prompts, extract
from dalle2eval.images import open_collection
from dalle2eval.images.checking import BadFilesError
from dalle2eval.records import InputError


class Means:
    """An extractor without a network: the mean of each channel, and the picture's size."""

    family, preprocessing = "means", "none, 1"

    def __init__(self, weights="0" * 64):
        self.name, self.weights, self.seen, self.texts = self.family, weights, [], []
        self.alone = threading.Lock()

    def prepare(self, image):
        with self.alone:
            self.seen.append(pixel_hash(image))
        return image

    def embed(self, prepared):
        return np.array([[*image.mean((0, 1)), *image.shape[:2]] for image in prepared], np.float32)

    def embed_texts(self, texts):
        self.texts += texts
        rows = np.array([[len(text), 1.0] for text in texts], np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class Inverse(Means):
    family = "inverse"

    def embed(self, prepared):
        return 255 - super().embed(prepared)[:, :3]


@pytest.fixture
def folder(tmp_path):
    for seed in range(7):
        write(tmp_path / "images" / f"{seed}.png", picture(seed, 10 + seed, 20))
    return tmp_path / "images"


def _extract(folder, extractors, store, **options):
    collection = open_collection(folder)
    return extract(collection, collection.names, extractors, store=store, **options)


def test_every_image_is_read_and_decoded_once_for_all_extractors(folder, tmp_path, monkeypatch):
    decoded = []
    original = one_pass.decode
    monkeypatch.setattr(one_pass, "decode", lambda c: decoded.append(1) or original(c))
    found = _extract(folder, [Means(), Inverse()], tmp_path / "store")
    assert len(decoded) == 7
    np.testing.assert_allclose(
        found.measured["means"].table[:, :3], 255 - found.measured["inverse"].table
    )


def test_rows_follow_the_names_at_any_batch_size(folder, tmp_path, monkeypatch):
    whole = _extract(folder, [Means()], tmp_path / "a").measured["means"].table
    monkeypatch.setattr(one_pass, "BATCH", 2)
    few = _extract(folder, [Means()], tmp_path / "b").measured["means"].table
    np.testing.assert_array_equal(whole, few)
    assert whole[:, 3].tolist() == [10, 11, 12, 13, 14, 15, 16]


def test_pixels_held_at_once_are_bounded(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(one_pass, "PIXELS_HELD", 500)
    sizes = []

    class Watching(Means):
        def embed(self, prepared):
            sizes.append(sum(image.size // 3 for image in prepared))
            return super().embed(prepared)

    _extract(folder, [Watching()], tmp_path / "store")
    assert len(sizes) > 2
    assert max(sizes) <= 500 + 16 * 20


def test_known_pixels_are_not_embedded_again_under_another_name(folder, tmp_path):
    first = _extract(folder, [Means()], tmp_path / "store")
    (folder / "3.png").rename(folder / "renamed.png")
    write(folder / "new.png", picture(99))
    again = Means()
    second = _extract(folder, [again], tmp_path / "store")
    assert len(again.seen) == 1
    assert second.measured["means"].num_cached == 7
    row = second.good.index("renamed.png")
    np.testing.assert_array_equal(
        second.measured["means"].table[row], first.measured["means"].table[3]
    )


def test_other_weights_or_preprocessing_are_other_features(folder, tmp_path):
    _extract(folder, [Means()], tmp_path / "store")
    other = Means(weights="1" * 64)
    _extract(folder, [other], tmp_path / "store")
    assert len(other.seen) == 7
    changed = Means()
    changed.preprocessing = "none, 2"
    _extract(folder, [changed], tmp_path / "store")
    assert len(changed.seen) == 7


def test_pixels_of_another_shape_are_another_image():
    flat = np.zeros((2, 6, 3), np.uint8)
    assert pixel_hash(flat) != pixel_hash(flat.reshape(6, 2, 3))


def test_equal_images_in_one_batch_are_embedded_once(tmp_path):
    for name in "abc":
        write(tmp_path / "images" / f"{name}.png", picture(1))
    extractor = Means()
    found = _extract(tmp_path / "images", [extractor], tmp_path / "store")
    assert len(extractor.seen) == 1
    assert len(found.measured["means"].table) == 3


def test_damage_that_only_decoding_finds_stops_the_pass_or_is_counted_out(folder, tmp_path):
    (folder / "2a.png").write_bytes(png_of_header(4, 4, rows=b"few"))
    with pytest.raises(BadFilesError, match=r"2a\.png"):
        _extract(folder, [Means()], tmp_path / "store")
    found = _extract(folder, [Means()], tmp_path / "store", skip_bad=True)
    assert [bad.name for bad in found.bad] == ["2a.png"]
    assert len(found.good) == len(found.measured["means"].table) == 7


def test_features_that_are_not_finite_are_refused_and_not_kept(folder, tmp_path):
    class Broken(Means):
        def embed(self, prepared):
            return np.full((len(prepared), 2), np.nan, np.float32)

    with pytest.raises(InputError, match="not finite"):
        _extract(folder, [Broken()], tmp_path / "store")
    whole = Means()
    _extract(folder, [whole], tmp_path / "store")
    assert len(whole.seen) == 7


def test_a_text_is_embedded_once_and_remembered(tmp_path):
    judge = Means()
    table = embed_prompts(judge, ["a", "bb", "a"], tmp_path)
    np.testing.assert_array_equal(table[0], table[2])
    assert judge.texts == ["a", "bb"]
    embed_prompts(judge, ["bb", "ccc"], tmp_path)
    assert judge.texts == ["a", "bb", "ccc"]


def test_a_flipped_bit_in_the_cache_is_not_served(tmp_path):
    cache = FeatureCache(tmp_path, {"extractor": "x"})
    cache.save({b"k" * 32: np.arange(4, dtype=np.float32), b"j" * 32: np.ones(4, np.float32)})
    cache.close()
    with sqlite3.connect(cache.path) as rows:
        (value,) = rows.execute("SELECT value FROM features WHERE key = ?", (b"k" * 32,)).fetchone()
        flipped = value[:-1] + bytes([value[-1] ^ 1])
        rows.execute("UPDATE features SET value = ? WHERE key = ?", (flipped, b"k" * 32))
    again = FeatureCache(tmp_path, {"extractor": "x"})
    assert list(again.load([b"k" * 32, b"j" * 32])) == [b"j" * 32]


def test_a_damaged_cache_is_put_aside_and_made_again(tmp_path):
    cache = FeatureCache(tmp_path, {"extractor": "x"})
    cache.close()
    cache.path.write_bytes(b"no database at all" * 1000)
    again = FeatureCache(tmp_path, {"extractor": "x"})
    again.save({b"k" * 32: np.ones(2, np.float32)})
    assert len(again.load([b"k" * 32])) == 1
    assert cache.path.with_suffix(".damaged").exists()
