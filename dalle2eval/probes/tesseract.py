"""A second OCR, of another family than the first: tesseract by its command line, where installed.

It judges nothing by itself: what it read stands beside what the first judge read, so that their
disagreement, which is a floor under the error of either, can be seen and counted. The picture goes
in as PNG on standard input; nothing is written to disk and no word reaches a shell.
"""

from __future__ import annotations

import functools
import shutil
import subprocess

import numpy as np
from numpy.typing import NDArray

from dalle2eval.store import encode_png

PATIENCE_S = 30.0
SPARSE_TEXT = "11"  # page segmentation: find as much text as possible in no order


@functools.cache
def tesseract_version() -> str | None:
    """Return name and version as printed beside its readings; None when it is not installed."""
    told = _run("--version")
    return None if told is None else " ".join(told.split()[:2])


def read_by_tesseract(image: NDArray[np.uint8]) -> str | None:
    """Return the text in a picture uint8 [h, w, 3]; None when tesseract gave no answer."""
    if tesseract_version() is None:
        return None
    told = _run("stdin", "stdout", "--psm", SPARSE_TEXT, picture=encode_png(image))
    return None if told is None else " ".join(told.split())


def _run(*arguments: str, picture: bytes = b"") -> str | None:
    program = shutil.which("tesseract")
    if program is None:
        return None
    try:
        done = subprocess.run(
            [program, *arguments],
            input=picture,
            capture_output=True,
            timeout=PATIENCE_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
