"""Tripwires: pictures that are broken in a way that no average should be asked about.

They run before any statistics: a frame of one colour, one that is nearly all black or white, the
same picture for every seed, a picture that is missing or of the wrong size.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from dalle2eval.records import SHOWCASE, SampleKey
from reports.run_record import Picture, RunRecord

Fault = Literal["missing", "size", "constant", "saturated", "identical seeds"]
LOST: tuple[Fault, ...] = ("missing", "size")  # coverage is lost; the others are regressions
SATURATED_SHARE = 0.98  # of values at 0 or 255; a word in white on black reaches 0.93


@dataclass(frozen=True, slots=True, kw_only=True)
class Tripped:
    """One broken picture; ``path`` is relative to the run folder."""

    fault: Fault
    arm: str
    key: SampleKey
    path: str

    @property
    def text(self) -> str:
        """Return it in one line."""
        return f"{self.fault}: {self.arm}, prompt {self.key.prompt_id!r} seed {self.key.seed}"


def tripped(run: RunRecord) -> list[Tripped]:
    """Return every broken picture of a run, in the order of its gallery."""
    found = _not_listed(run)
    seen: dict[tuple[str, str, int], dict[bytes, SampleKey]] = defaultdict(dict)
    for picture in run.gallery:
        pixels = _read(run.folder / picture.path)
        fault = _fault(pixels, picture)
        if fault is None and pixels is not None:
            twins = seen[picture.arm, picture.key.prompt_id, picture.size]
            twin = twins.setdefault(pixels.tobytes(), picture.key)
            fault = "identical seeds" if twin != picture.key else None
        if fault is not None:
            found.append(Tripped(fault=fault, arm=picture.arm, key=picture.key, path=picture.path))
    return found


def _not_listed(run: RunRecord) -> list[Tripped]:
    """Return the pictures that were asked of an arm that draws, and that its gallery lacks."""
    listed = {(picture.arm, picture.key) for picture in run.gallery}
    counts = run.counts
    drawing = [a.name for a in run.arms if a.name in counts and counts[a.name].asked]
    return [
        Tripped(fault="missing", arm=arm, key=key, path="")
        for arm in drawing
        for prompt in run.plan.prompts
        if SHOWCASE not in prompt.tags
        for seed in run.plan.seeds
        if (arm, key := SampleKey(prompt_id=prompt.id, seed=seed)) not in listed
    ]


def _read(path: Path) -> NDArray[np.uint8] | None:
    try:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError):
        return None


def _fault(pixels: NDArray[np.uint8] | None, picture: Picture) -> Fault | None:
    if pixels is None:
        return "missing"
    if pixels.shape[:2] != (picture.size, picture.size):
        return "size"
    if (pixels == pixels[:1, :1]).all():
        return "constant"
    extreme = (pixels == 0) | (pixels == 255)  # noqa: PLR2004
    return "saturated" if extreme.mean() > SATURATED_SHARE else None
