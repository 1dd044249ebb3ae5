"""Anyone's captioned pictures as training data: sample k is a pure function of (seed, k).

Pictures stay where they are and are read one by one, by the reader that also reads pictures to
score: hostile and damaged files are named before the training begins. Each epoch is a permutation
of its own, so a resumed training sees the same samples as an uninterrupted one.
"""

from __future__ import annotations

import functools
import hashlib
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dalle2eval.images.archives import Collection, open_collection
from dalle2eval.images.captions import captions_of
from dalle2eval.images.checking import BadFile, check_files
from dalle2eval.images.decoding import BadImage, decode
from dalle2eval.records import InputError, fingerprint

HELD_OUT_SHARE = 0.02  # of the pictures, never trained on: the periodic evaluation compares to them
KEPT_BYTES = 2**29  # of resized pictures that are kept in memory; larger sets are read again
MAX_SHARDS = 100_000
_RANGE = re.compile(r"\{(\d{1,12})\.\.(\d{1,12})\}")


class BadTrainingFilesError(InputError):
    """Pictures that cannot be read; ``details`` names every one of them with its reason."""

    def __init__(self, bad: Sequence[tuple[Path, BadFile]], asked: int) -> None:
        self.details = tuple(f"{place}: {file.name}: {file.reason}" for place, file in bad)
        super().__init__(
            f"{len(bad)} of {asked} training images cannot be read, first {self.details[0]}; "
            "mend them or take them out"
        )


class Captioned(NamedTuple):
    """Captions of a batch, and the images of the rows that were asked for, uint8 [m, h, w, 3]."""

    captions: list[str]
    images: NDArray[np.uint8]


class Pair(NamedTuple):
    """One picture of a collection, with its caption."""

    collection: Collection
    name: str
    caption: str


def expand(place: str) -> list[Path]:
    """Return the places that a text names; ``{000..012}`` counts, with leading zeros.

    >>> [path.name for path in expand("shard-{08..10}.tar")]
    ['shard-08.tar', 'shard-09.tar', 'shard-10.tar']
    """
    found = _RANGE.search(place)
    if found is None:
        return [Path(place)]
    first, last = int(found[1]), int(found[2])
    if not first <= last < first + MAX_SHARDS:
        raise InputError(f"--data {place}: a range goes from a smaller to a larger number")
    numbers = [f"{k:0{len(found[1])}d}" for k in range(first, last + 1)]
    whole = (place[: found.start()] + number + place[found.end() :] for number in numbers)
    return [path for text in whole for path in expand(text)]


def open_pairs(place: str) -> CaptionedPlace:
    """Open captioned pictures and look at every file.

    Args:
        place: a folder, a zip, a tar, or tars as a brace range.

    Raises:
        InputError: there is no such place, or a picture has no caption.
        BadTrainingFilesError: pictures are damaged, hostile or no pictures.
    """
    pairs: list[Pair] = []
    bad: list[tuple[Path, BadFile]] = []
    contents = []
    for path in expand(place):
        collection = open_collection(path)
        captions = captions_of(collection)
        checked = check_files(collection, list(captions))
        bad += [(collection.place, file) for file in checked.bad]
        contents.append(checked.content)
        pairs += [Pair(collection, name, caption) for name, caption in captions.items()]
    if bad:
        raise BadTrainingFilesError(bad, len(pairs))
    content = fingerprint([contents, [pair.caption for pair in pairs]])
    train, held_out = _split(pairs)
    return CaptionedPlace(train=train, held_out=held_out, content=content)


def _split(pairs: Sequence[Pair]) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Return (training, held-out) pairs; a hash of name and caption decides, not the order."""
    ranked = sorted(pairs, key=lambda pair: hashlib.sha256(f"{pair[1:]}".encode()).digest())
    kept_back = math.ceil(HELD_OUT_SHARE * len(ranked)) if len(ranked) > 1 else 0
    held_out = {id(pair) for pair in ranked[:kept_back]}
    return (
        tuple(pair for pair in pairs if id(pair) not in held_out),
        tuple(pair for pair in pairs if id(pair) in held_out),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CaptionedPlace:
    """Captioned pictures, checked.

    Attributes:
        train, held_out: the pairs to train on, and those that no training sees.
        content: SHA-256 over the names, bytes and captions of all.
    """

    train: tuple[Pair, ...]
    held_out: tuple[Pair, ...]
    content: str


@dataclass(eq=False, kw_only=True)
class CaptionedSource:
    """Captioned pictures in a random order for training.

    Attributes:
        pairs: to draw from.
        captions: of all pairs that any part is trained on: the vocabulary.
        stream: names an independent order.
        seed: of the order.
    """

    pairs: tuple[Pair, ...]
    captions: tuple[str, ...] = ()
    stream: int = 0
    seed: int = 0
    _kept: dict[tuple[int, int], NDArray[np.uint8]] = field(default_factory=dict)

    def batch(self, start: int, n: int, size: int, *, rows: range | None = None) -> Captioned:
        """Return samples start ... start + n - 1 at ``size`` pixels, images of ``rows`` only."""
        indices = [self._index(start + k) for k in range(n)]
        rows = range(n) if rows is None else rows
        images = np.empty((len(rows), size, size, 3), np.uint8)
        for place, k in enumerate(rows):
            images[place] = self._image(indices[k], size)
        return Captioned([self.pairs[index].caption for index in indices], images)

    def contrastive_batch(
        self, start: int, n: int, size: int, *, rows: range | None = None
    ) -> Captioned:
        """Like `batch`: of real pictures no near misses are known."""
        return self.batch(start, n, size, rows=rows)

    def all_captions(self) -> Sequence[str]:
        """Return every caption."""
        return self.captions or [pair.caption for pair in self.pairs]

    def classes(self) -> Sequence[str]:
        """Return no class: what real captions call a kind of picture is not known."""
        return ()

    def _index(self, k: int) -> int:
        epoch, place = divmod(k, len(self.pairs))
        return int(_order(len(self.pairs), self.seed, self.stream, epoch)[place])

    def _image(self, index: int, size: int) -> NDArray[np.uint8]:
        kept = self._kept.get((index, size))
        if kept is not None:
            return kept
        pair = self.pairs[index]
        try:
            image = square(decode(pair.collection.read(pair.name)), size)
        except BadImage as error:
            raise InputError(f"{pair.collection.place}: {pair.name}: {error}") from None
        if (len(self._kept) + 1) * image.nbytes <= KEPT_BYTES:
            self._kept[index, size] = image
        return image


@functools.lru_cache(maxsize=8)
def _order(n: int, seed: int, stream: int, epoch: int) -> NDArray[np.int64]:
    return np.random.Generator(np.random.PCG64([seed, stream, epoch])).permutation(n)


def square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Return the middle square of a picture [h, w, 3], antialiased to [size, size, 3]."""
    height, width = image.shape[:2]
    side = min(height, width)
    top, left = (height - side) // 2, (width - side) // 2
    cut = Image.fromarray(image[top : top + side, left : left + side])
    return np.asarray(cut.resize((size, size), Image.Resampling.BICUBIC, reducing_gap=3.0))
