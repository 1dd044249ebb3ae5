"""Extractors without a network, and folders of images for them."""

from __future__ import annotations

import json

import numpy as np
from image_files import write


class Fake:
    """Four features of a picture: its mean colour, and its contrast."""

    preprocessing = "none, 1"

    def __init__(self, family, weights="0" * 64):
        self.family, self.name, self.weights = family, family, weights
        self.embedded = 0

    def prepare(self, image):
        return image

    def embed(self, prepared):
        self.embedded += len(prepared)
        rows = [[*image.mean((0, 1)), image.std()] for image in prepared]
        return np.array(rows, np.float32) / 255

    def embed_texts(self, texts):
        rows = [[*COLOURS[text.split()[1]], 0.05] for text in texts]
        table = np.array(rows, np.float32)
        return table / np.linalg.norm(table, axis=1, keepdims=True)


COLOURS = {"red": (1.0, 0.1, 0.1), "green": (0.1, 1.0, 0.1), "blue": (0.1, 0.1, 1.0)}


def coloured(colour, seed):
    """Return a noisy picture of one colour."""
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, 20, (16, 16, 3)) + rng.normal(0, 15, 3)
    return (np.array(COLOURS[colour]) * 200 + 25 + noise).clip(0, 255).astype(np.uint8)


def write_images(folder, n=24, first_seed=0):
    """Write images whose names say their number, and their prompts; return the manifest."""
    rows = []
    for number in range(n):
        colour = list(COLOURS)[number % 3]
        write(folder / f"{number}.png", coloured(colour, first_seed + number))
        rows.append({"id": f"p{number}", "file": f"{number}.png", "prompt": f"a {colour} thing"})
    manifest = folder.parent / f"{folder.name}.jsonl"
    manifest.write_text("\n".join(json.dumps(row) for row in rows))
    return manifest
