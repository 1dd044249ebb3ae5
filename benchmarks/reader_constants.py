"""Where the scene reader's constants stand: what true pictures show, and what moving each one does.

    uv run python benchmarks/reader_constants.py

Two measurements of `dalle2eval/scenes/{reader,segmentation,shape_classifier,unmixing,word_reader}`.
`seen`: the quantities that the thresholds are held against, on renders that are read right (every
kind of scene, clean, JPEG, noise, blur in turn): true pictures must lie on the right side. `moved`:
each constant, alone, is halved and doubled, and the share of renders read right is counted again,
with the share of pictures that are no scene which are still called unreadable. A constant that
changes nothing is on a plateau; where it matters, the rows say in which direction.
Writes benchmarks/results/reader_constants.json.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from machine import machine_facts
from numpy.typing import NDArray

from dalle2eval.scenes import reader, segmentation, shape_classifier, unmixing, word_reader
from dalle2eval.scenes.disturbances import DISTURBANCES
from dalle2eval.scenes.grammar import Scene
from dalle2eval.scenes.layout import Layout, Placed
from dalle2eval.scenes.renderer import draw, render
from dalle2eval.scenes.selftest import sample_scenes, verdicts
from dalle2eval.scenes.vocabulary import BACKGROUNDS, COLOURS

RESULT = Path(__file__).parent / "results" / "reader_constants.json"
FACTORS = (0.5, 2.0)
OBJECT_KINDS = ("single", "count", "two-object", "relation")
FIRST_SEED = 9_000_000_000  # far from training, self-test and the accuracy benchmark
SIDE = 64
Pixels = NDArray[np.uint8]
Truth = tuple[Scene, Pixels]

# What is tried on pictures of objects and on what is no scene; the rest on words.
OF_OBJECTS: dict[ModuleType, tuple[str, ...]] = {
    reader: (
        "MIN_OVERLAP", "MIN_THIN_OVERLAP", "MIN_THIN_MARGIN", "MIN_MARGIN", "WORD_ASPECT",
        "MIN_WORD_WIDTH", "SOLID",
    ),
    segmentation: ("SOLID", "SPECK_MASS", "SPECK_PIXELS", "MAX_SPECK_MASS", "MAX_PIECES"),
    shape_classifier: ("ROOM", "SOFTNESS"),
    unmixing: (
        "BORDER", "PLAIN_SHARE", "BACKGROUND_TOLERANCE", "FOREGROUND_DISTANCE", "TOLERANCE",
        "PIXELS_PER_COLOUR", "MAX_UNEXPLAINED", "MIN_COLOUR_PIXELS", "COLOUR_MARGIN",
        "LUMA_SMOOTHING", "CHROMA_SMOOTHING", "COST_OF_COLOUR", "COST_OF_MIXING", "_MIXED", "_PURE",
    ),
}  # fmt: skip
OF_WORDS: dict[ModuleType, tuple[str, ...]] = {
    reader: ("WORD_ASPECT", "MIN_WORD_WIDTH", "MIN_EXPLAINED"),
    word_reader: (
        "PHASES", "SLACK", "HEIGHT_STEP", "MAX_STEPS", "SOFTNESS", "GOOD", "TAIL", "TAIL_SHARE",
        "SOLID", "_OVERSAMPLING",
    ),
}  # fmt: skip


def renders(kinds: tuple[str, ...], n: int) -> list[Truth]:
    """Return n scenes of each kind with their pictures, disturbed in turn (words stay clean)."""
    ways = list(DISTURBANCES.values())
    return [
        (scene, ways[0 if kind == "word" else i % len(ways)](draw(scene, FIRST_SEED + i), i))
        for kind in kinds
        for i, scene in enumerate(sample_scenes(kind, n, FIRST_SEED))
    ]


# --- pictures that are no scene ------------------------------------------------------------------


def no_scenes(n: int) -> list[Pixels]:
    """Return n pictures of each sort that the reader should refuse."""
    rng = np.random.default_rng(0)
    return [make(rng) for make in _NO_SCENES for _ in range(n)]


def _circle(rng: np.random.Generator, colour: str | None = None) -> Pixels:
    x, y = rng.uniform(0.35, 0.65, 2)
    chosen = colour or str(rng.choice(list(COLOURS)))
    item = Placed(shape="circle", colour=chosen, x=x, y=y, radius=rng.uniform(0.15, 0.3))
    return render(Layout(background=str(rng.choice(list(BACKGROUNDS))), objects=(item,)))


def _noise(rng: np.random.Generator) -> Pixels:
    return rng.integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def _gradient(rng: np.random.Generator) -> Pixels:
    ends = rng.integers(0, 256, (2, 3))
    shares = np.linspace(0, 1, SIDE)[:, None, None]
    return np.broadcast_to((1 - shares) * ends[0] + shares * ends[1], (SIDE, SIDE, 3)).astype(
        np.uint8
    )


def _speckled(rng: np.random.Generator) -> Pixels:
    image, colour = _circle(rng, "red").copy(), COLOURS["cyan"]
    for row, column in rng.integers(4, SIDE - 6, (14, 2)):
        image[row : row + 3, column : column + 2] = colour
    return image


def _stretched(rng: np.random.Generator) -> Pixels:
    """Return an ellipse of 2.5 to 1, upright."""
    narrow = _circle(rng)[:, ::2]
    side = np.broadcast_to(narrow[:1, :1], (SIDE, SIDE // 4, 3))
    return np.concatenate([side, narrow, side], axis=1)


def _strange_colour(rng: np.random.Generator) -> Pixels:
    """Return a circle in pink, brown or dark green, which are not in the palette."""
    image = _circle(rng, "white")
    tint = np.array([(235, 110, 170), (120, 75, 30), (15, 80, 20)])[rng.integers(3)]
    return (image * (tint / 245.0)).clip(0, 255).astype(np.uint8)


def _shuffled(rng: np.random.Generator) -> Pixels:
    """Return a scene cut into 64 tiles in a random order."""
    tiles = _circle(rng).reshape(8, 8, 8, 8, 3).swapaxes(1, 2).reshape(64, 8, 8, 3)
    mixed = tiles[rng.permutation(64)].reshape(8, 8, 8, 8, 3).swapaxes(1, 2)
    return np.ascontiguousarray(mixed.reshape(SIDE, SIDE, 3))


_NO_SCENES: tuple[Callable[[np.random.Generator], Pixels], ...] = (
    _noise, _gradient, _speckled, _stretched, _strange_colour, _shuffled,
)  # fmt: skip


# --- what true pictures show ---------------------------------------------------------------------


def seen(objects: list[Truth], words: list[Truth]) -> dict[str, dict[str, float]]:
    """Return least, first percentile, median, 99th and largest of each quantity that is judged."""
    found: dict[str, list[float]] = defaultdict(list)
    for pictures, watched in ((objects, _fits_noted), (words, _words_noted)):
        with watched(found):
            for scene, image in pictures:
                if all(verdicts(scene, reader.read(image)).values()):
                    _note_border(image, found)
                else:
                    found["pictures read wrong"].append(1.0)
    ranks = {"least": 0, "1%": 1, "median": 50, "99%": 99, "largest": 100}
    return {
        name: {rank: round(float(np.percentile(values, q)), 3) for rank, q in ranks.items()}
        | {"n": len(values)}
        for name, values in found.items()
    }


@contextmanager
def _fits_noted(found: dict[str, list[float]]) -> Iterator[None]:
    """Note how well each piece fits its shape; those of words fit none and are left out."""
    classify = reader.classify

    def noted(piece: segmentation.Piece) -> shape_classifier.Fit:
        fit = classify(piece)
        kind = "ring" if fit.placed.shape == "ring" else "solid shape"
        found[f"overlap of a {kind}"].append(fit.overlap)
        found[f"margin of a {kind}"].append(fit.overlap - fit.runner_up)
        found["mass of a piece in pixels"].append(piece.mass)
        return fit

    reader.classify = noted
    try:
        yield
    finally:
        reader.classify = classify


@contextmanager
def _words_noted(found: dict[str, list[float]]) -> Iterator[None]:
    """Note how wide and high the ink of each word is, and how much of it is explained."""
    read_word = reader.read_word

    def noted(plane: unmixing.Plane) -> word_reader.WordFit:
        fit = read_word(plane)
        rows, columns = (np.flatnonzero((plane > reader.SOLID).any(axis=a)) for a in (1, 0))
        height, width = rows[-1] + 1 - rows[0], columns[-1] + 1 - columns[0]
        found["ink of a word explained"].append(fit.explained)
        found["width of a word over its height"].append(width / height)
        found["width of a word in sides"].append(width / len(plane))
        found["height of a word in sides"].append(height / len(plane))
        return fit

    reader.read_word = noted
    try:
        yield
    finally:
        reader.read_word = read_word


def _note_border(image: Pixels, found: dict[str, list[float]]) -> None:
    """Note how plain the border is, and how far its colour is from the nearest background."""
    pixels = image.astype(np.float32) @ unmixing._TO_OPPONENT.T.astype(np.float32)
    ring = np.ones((SIDE, SIDE), bool)
    ring[unmixing.BORDER : -unmixing.BORDER, unmixing.BORDER : -unmixing.BORDER] = False
    border = pixels[ring]
    ground = np.median(border, axis=0)
    plain = np.linalg.norm(border - ground, axis=1) < unmixing.BACKGROUND_TOLERANCE
    found["plain share of the border"].append(float(plain.mean()))
    nearest = min(float(np.linalg.norm(ground - g)) for g in unmixing._GROUNDS.values())
    found["distance to the nearest background"].append(nearest)


# --- what moving a constant does -----------------------------------------------------------------


def right(pictures: list[Truth]) -> float:
    """Return the share of scenes of which everything that is asked is right."""
    return sum(all(verdicts(s, reader.read(i)).values()) for s, i in pictures) / len(pictures)


def refused(pictures: list[Pixels]) -> float:
    """Return the share of pictures that the reader calls unreadable."""
    return sum(reader.read(image).unreadable is not None for image in pictures) / len(pictures)


def moved(
    table: dict[ModuleType, tuple[str, ...]], measures: dict[str, Callable[[], float]]
) -> Iterator[dict[str, Any]]:
    """Yield, for each constant and factor, every measure with that constant moved."""
    for module, names in table.items():
        for name in names:
            kept = getattr(module, name)
            for factor in FACTORS:
                value = type(kept)(round(kept * factor, 6))
                if value == kept:
                    continue
                with _set(module, name, value):
                    row = {measure: round(take(), 4) for measure, take in measures.items()}
                place = f"{module.__name__.rpartition('.')[2]}.{name.lstrip('_')}"
                yield {"constant": place, "kept": kept, "value": value, **row}


@contextmanager
def _set(module: ModuleType, name: str, value: float) -> Iterator[None]:
    kept = getattr(module, name)
    setattr(module, name, value)
    for cached in (word_reader._alphabet, word_reader._steps):
        cached.cache_clear()
    try:
        yield
    finally:
        setattr(module, name, kept)
        for cached in (word_reader._alphabet, word_reader._steps):
            cached.cache_clear()


def main() -> None:
    """Measure, write the results with the facts of the machine, and print them."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=8, help="pictures a kind, and 1/3 of no scenes")
    parser.add_argument("--seen", type=int, default=40, help="pictures a kind, for the extremes")
    parser.add_argument("--out", type=Path, default=RESULT)
    chosen = parser.parse_args()
    objects, words = renders(OBJECT_KINDS, chosen.n), renders(("word",), chosen.n)
    others = no_scenes(max(1, chosen.n // 3))
    with_objects = {"objects right": lambda: right(objects), "refused": lambda: refused(others)}
    with_words = {"words right": lambda: right(words)}
    document = {
        "machine": machine_facts(),
        "pictures": {"objects": len(objects), "words": len(words), "no scenes": len(others)},
        "seen": seen(renders(OBJECT_KINDS, chosen.seen), renders(("word",), chosen.seen)),
        "as it is": {name: take() for name, take in {**with_objects, **with_words}.items()},
        "moved": [],
    }
    for table, measures in ((OF_OBJECTS, with_objects), (OF_WORDS, with_words)):
        for row in moved(table, measures):
            document["moved"].append(row)
            sys.stderr.write(f"{row}\n")
            chosen.out.write_text(json.dumps(document, indent=1) + "\n")
    sys.stdout.write(json.dumps({k: document[k] for k in ("seen", "as it is")}, indent=1) + "\n")


if __name__ == "__main__":
    main()
