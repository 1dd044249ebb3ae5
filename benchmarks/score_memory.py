"""Does memory grow with the number of images, beyond their features? One process a size.

    python benchmarks/score_memory.py --out benchmarks/results/score_memory.json

The extractor is a stand-in of 2048 random features, so that the pass itself is measured: reading a
zip, decoding, hashing, keeping the features.
"""

from __future__ import annotations

import argparse
import io
import json
import resource
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from machine import machine_facts
from numpy.typing import NDArray
from PIL import Image

SIZES = (1_000, 10_000, 50_000)
SIDE, WIDTH = 64, 2048  # pixels, features


class StandIn:
    """An extractor without a network."""

    name = family = "standin"
    weights, preprocessing = "0" * 64, "none, 1"

    def prepare(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Return the image."""
        return image

    def embed(self, prepared: Sequence[NDArray[np.uint8]]) -> NDArray[np.float32]:
        """Return random features [n, d]."""
        return np.random.default_rng(len(prepared)).random((len(prepared), WIDTH), np.float32)


def write_zip(path: Path, n: int) -> None:
    """Write n different small pictures."""
    rng = np.random.default_rng(0)
    with zipfile.ZipFile(path, "w") as archive:
        for number in range(n):
            pixels = np.full((SIDE, SIDE, 3), rng.integers(0, 256, 3), np.uint8)
            pixels[0, :4] = np.frombuffer(np.uint64(number).tobytes() + b"abcd", np.uint8).reshape(
                4, 3
            )
            buffer = io.BytesIO()
            Image.fromarray(pixels).save(buffer, "png", compress_level=1)
            archive.writestr(f"{number}.png", buffer.getvalue())


def measure(n: int) -> dict[str, Any]:
    """Score n images in this process and return its peak memory."""
    from dalle2eval.features.one_pass import extract
    from dalle2eval.images import check_files, items_without_prompts, open_collection

    with tempfile.TemporaryDirectory() as place:
        write_zip(Path(place, "images.zip"), n)
        before, started = _peak_mb(), time.perf_counter()
        collection = open_collection(Path(place, "images.zip"))
        names = [item.name for item in items_without_prompts(collection.names)]
        check_files(collection, names)
        found = extract(collection, names, [StandIn()], store=Path(place, "store"))
        assert len(found.good) == n
    features_mb = found.measured["standin"].table.nbytes / 2**20
    grown = _peak_mb() - before
    return {
        "images": n,
        "grown_mb": round(grown, 1),
        "features_mb": round(features_mb, 1),
        "beyond_mb": round(grown - features_mb, 1),
        "seconds": round(time.perf_counter() - started, 1),
    }


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def main() -> None:
    """Measure each size in a process of its own and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--out", type=Path, help="where the table goes; nowhere when not given")
    parser.add_argument("--one", type=int, help="only this many images, in this process")
    chosen = parser.parse_args()
    if chosen.one:
        sys.stdout.write(json.dumps(measure(chosen.one)))
        return
    rows = []
    for n in SIZES:
        command = [sys.executable, __file__, "--one", str(n)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        rows.append(json.loads(done.stdout))
        sys.stderr.write(f"{rows[-1]}\n")
    if chosen.out:
        document = {"machine": machine_facts(), "rows": rows}
        chosen.out.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    main()
