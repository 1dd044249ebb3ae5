"""One pass over a collection: every image is read and decoded once, all extractors see it.

Images are decoded by threads a little ahead of the networks. What is held at any time is one batch
and the images ahead of it, both bounded in pixels, and the features: memory does not grow with the
number of images beyond the features themselves. What the cache knows is not computed.
"""

from __future__ import annotations

import os
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dalle2eval.features.cache import FeatureCache, pixel_hash, text_hash
from dalle2eval.features.extract import checked_table, extractor_label
from dalle2eval.features.extractor import Extractor, Image, TextExtractor
from dalle2eval.images import BadFile, BadImage, Collection, decode
from dalle2eval.images.checking import BadFilesError

BATCH = 32  # images
PIXELS_HELD = 2**26  # in a batch, and again ahead of it: 200 MB of uint8 each
MAX_WORKERS = 16

Tell = Callable[[int, int], None]  # images done, of how many


@dataclass(slots=True, eq=False)
class Measured:
    """What one extractor gave.

    Attributes:
        table: features [n, d] of the good images, in the order of their names.
        num_cached: images whose features were known.
        num_batches: forward passes.
        seconds: in the extractor, its preparation included.
    """

    label: str
    table: NDArray[np.float32] = field(default_factory=lambda: np.empty((0, 0), np.float32))
    num_cached: int = 0
    num_batches: int = 0
    seconds: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """The features of a collection by extractor family, and what could not be decoded."""

    good: tuple[str, ...]
    bad: tuple[BadFile, ...]
    measured: Mapping[str, Measured]


@dataclass(frozen=True, slots=True)
class _Decoded:
    name: str
    key: bytes
    image: Image


def extract(
    collection: Collection,
    names: Sequence[str],
    extractors: Sequence[Extractor],
    *,
    store: Path,
    skip_bad: bool = False,
    tell: Tell = lambda _done, _all: None,
) -> PassResult:
    """Return every extractor's features of the named images.

    Args:
        collection: where the images lie.
        names: of its files, each once.
        extractors: of different families.
        store: folder of the cache.
        skip_bad: leave out images that cannot be decoded, in place of stopping at the first.
        tell: hears how far the pass is.

    Raises:
        BadFilesError: an image cannot be decoded, and ``skip_bad`` is not set.
        InputError: an extractor did not return one finite row an image.
    """
    good: list[str] = []
    bad: list[BadFile] = []
    measured = {e.family: Measured(extractor_label(e.name, e.weights)) for e in extractors}
    caches = {e.family: FeatureCache(store, _identity(e, "image")) for e in extractors}
    with ThreadPoolExecutor(min(os.cpu_count() or 1, MAX_WORKERS)) as pool:
        for batch in _batches(_decoded(collection, names, pool)):
            failed = [one for one in batch if isinstance(one, BadFile)]
            if failed and not skip_bad:
                raise BadFilesError(collection.place, failed, len(names))
            images = [one for one in batch if isinstance(one, _Decoded)]
            for extractor in extractors:
                rows = _embed(images, extractor, caches[extractor.family], pool, measured)
                _keep(measured[extractor.family], rows, at=len(good), total=len(names))
            good += [one.name for one in images]
            bad += failed
            tell(len(good) + len(bad), len(names))
    for cache in caches.values():
        cache.close()
    for each in measured.values():
        each.table = each.table[: len(good)]
    return PassResult(good=tuple(good), bad=tuple(bad), measured=measured)


def embed_prompts(
    extractor: TextExtractor, texts: Sequence[str], store: Path
) -> NDArray[np.float32]:
    """Return unit-length features [n, d] of texts, each different one embedded once.

    Raises:
        InputError: the extractor did not return one finite row a text.
    """
    cache = FeatureCache(store, _identity(extractor, "text"))
    keys = {text: text_hash(text) for text in texts}
    known = cache.load(list(keys.values()))
    missing = [text for text, key in keys.items() if key not in known]
    for k in range(0, len(missing), BATCH):
        part = missing[k : k + BATCH]
        table = checked_table(extractor.embed_texts(part), len(part), extractor.name)
        rows = {keys[text]: row for text, row in zip(part, table, strict=True)}
        cache.save(rows)
        known |= rows
    cache.close()
    return np.stack([known[keys[text]] for text in texts])


def _identity(extractor: Extractor, kind: str) -> dict[str, str]:
    return {
        "extractor": extractor.name,
        "weights": extractor.weights,
        "preprocessing": extractor.preprocessing,
        "kind": kind,
    }


def _decoded(
    collection: Collection, names: Sequence[str], pool: ThreadPoolExecutor
) -> Iterator[_Decoded | BadFile]:
    """Yield the images in order, decoded ahead as far as `PIXELS_HELD` goes."""
    ahead: deque[Future[_Decoded | BadFile]] = deque()
    largest, waiting = 1, iter(names)
    while True:
        room = min(max(PIXELS_HELD // largest, 2), 2 * BATCH) - len(ahead)
        for name in (name for _, name in zip(range(room), waiting, strict=False)):
            ahead.append(pool.submit(_decode, collection, name))
        if not ahead:
            return
        one = ahead.popleft().result()
        if isinstance(one, _Decoded):
            largest = max(largest, one.image.size // 3)
        yield one


def _decode(collection: Collection, name: str) -> _Decoded | BadFile:
    try:
        image = decode(collection.read(name))
    except BadImage as error:
        return BadFile(name=name, reason=str(error))
    return _Decoded(name, pixel_hash(image), image)


def _batches(images: Iterator[_Decoded | BadFile]) -> Iterator[list[_Decoded | BadFile]]:
    batch: list[_Decoded | BadFile] = []
    pixels = 0
    for one in images:
        batch.append(one)
        pixels += one.image.size // 3 if isinstance(one, _Decoded) else 0
        if len(batch) == BATCH or pixels >= PIXELS_HELD:
            yield batch
            batch, pixels = [], 0
    if batch:
        yield batch


def _embed(
    images: Sequence[_Decoded],
    extractor: Extractor,
    cache: FeatureCache,
    pool: ThreadPoolExecutor,
    measured: Mapping[str, Measured],
) -> list[NDArray[np.float32]]:
    """Return the features of a batch, from the cache where it has them."""
    started, account = time.perf_counter(), measured[extractor.family]
    known = cache.load([one.key for one in images])
    account.num_cached += sum(one.key in known for one in images)
    missing = {one.key: one.image for one in images if one.key not in known}
    if missing:
        prepared = list(pool.map(extractor.prepare, missing.values()))
        table = checked_table(extractor.embed(prepared), len(prepared), extractor.name)
        rows = dict(zip(missing, table, strict=True))
        cache.save(rows)
        known |= rows
        account.num_batches += 1
    account.seconds += time.perf_counter() - started
    return [known[one.key] for one in images]


def _keep(account: Measured, rows: Sequence[NDArray[np.float32]], *, at: int, total: int) -> None:
    if not rows:
        return
    if not account.table.size:
        account.table = np.empty((total, len(rows[0])), np.float32)
    account.table[at : at + len(rows)] = rows
