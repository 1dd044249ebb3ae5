"""The command line in this process, and weights that are whole but never loaded."""

import hashlib
import json
import sys
from pathlib import Path
from typing import NamedTuple

from dalle2eval.cli import app
from dalle2eval.console import guard


class Answer(NamedTuple):
    """What a command left: exit code, standard output, standard error."""

    code: int
    out: str
    err: str


def call(capsys, *arguments):
    """Run a command line and return its answer."""
    capsys.readouterr()
    code = guard(
        lambda: app([str(a) for a in arguments], standalone_mode=False, prog_name="dalle2eval")
    )
    out, err = capsys.readouterr()
    return Answer(code, out, err)


def write_weights(root: Path, name: str, parts: dict[str, dict]) -> Path:
    """Write a set of weights whose files are whole by hash and hold nothing of use."""
    folder = root / name
    folder.mkdir(parents=True)
    described = {}
    for part, config in parts.items():
        content = f"{name} {part}".encode()
        (folder / f"{part}.safetensors").write_bytes(content)
        described[part] = {
            "kind": part,
            "file": f"{part}.safetensors",
            "sha256": hashlib.sha256(content).hexdigest(),
            "config": config,
        }
    manifest = {"format": 1, "name": name, "parts": described}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def hollow_model(root: Path) -> Path:
    """Write weights ``hollow``, from which a plan can be made, and a judge where there is none."""
    from reference_model.manifest import available

    if "scenes-judge" not in available():
        write_weights(root, "scenes-judge", {"clip": {"embed_dim": 64}})
    parts = {
        "clip": {},
        "prior": {},
        "prior-eps": {},
        "decoder": {"image_size": 64, "z_dim": 8},
        "upsampler-256": {"high_size": 256},
        "upsampler-1024": {"high_size": 1024},
    }
    return write_weights(root, "hollow", parts)


def torch_was_imported() -> bool:
    """Say whether torch is loaded in this process."""
    return "torch" in sys.modules
