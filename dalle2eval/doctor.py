"""What this machine offers: each thing that a run needs, with what was found or what is wrong."""

from __future__ import annotations

import contextlib
import importlib.metadata
import platform
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dalle2eval.records import InputError

MEGABYTE = 2**20


def examine() -> dict[str, dict[str, Any]]:
    """Return, by thing, ``ok`` and what was found; a thing that fails does not hide the others."""
    checks: dict[str, Callable[[], dict[str, Any]]] = {
        "python": lambda: {"version": platform.python_version(), "os": platform.platform()},
        "torch": _torch,
        "ocr": _ocr,
        "fonts": _fonts,
        "weights": _weights,
        "store": _store,
    }
    return {name: _attempt(check) for name, check in checks.items()}


def _attempt(check: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    try:
        return {"ok": True, **check()}
    except Exception as error:
        kind = "" if isinstance(error, InputError) else f"{type(error).__name__}: "
        return {"ok": False, "problem": " ".join(f"{kind}{error}".split())[:300]}


def _torch() -> dict[str, Any]:
    import torch

    gpus = [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
    devices = ["cpu", *(f"cuda:{i} {name}" for i, name in enumerate(gpus))]
    return {"version": torch.__version__, "threads": torch.get_num_threads(), "devices": devices}


def _ocr() -> dict[str, Any]:
    import rapidocr

    from dalle2eval.probes.tesseract import tesseract_version

    folder = Path(rapidocr.__file__).parent
    models = sorted(path.name for path in folder.rglob("*.onnx"))
    if not models:
        raise FileNotFoundError(f"rapidocr has no models in {folder}; reinstall it")
    second = tesseract_version() or "tesseract is not installed"
    version = importlib.metadata.version("rapidocr")
    return {"version": version, "models": models, "second": second}


def _fonts() -> dict[str, Any]:
    from dalle2eval.scenes.grammar import parse
    from dalle2eval.scenes.renderer import draw

    draw(parse('the word "CAT" in red'), 0)
    return {"words": "rendered"}


def _weights() -> dict[str, Any]:
    from ablations.catalogue import examine_weights, expected_weights

    whole, problems = examine_weights(expected_weights())
    found = {name: f"{len(parts)} parts whole" for name, parts in whole.items()}
    return {"ok": not problems, **found, **problems}


def _store() -> dict[str, Any]:
    from dalle2eval.store import check_writable, default_store

    root = default_store()
    check_writable(root, "DALLE2EVAL_STORE or --store")
    return {
        "place": str(root),
        "size_mb": round(_bytes_in(root) / MEGABYTE, 1),
        "free_mb": shutil.disk_usage(root).free // MEGABYTE,
    }


def _bytes_in(root: Path) -> int:
    """Add up what lies in a folder, where a run at work may take files away meanwhile."""
    size = 0
    for path in root.rglob("*"):
        with contextlib.suppress(OSError):
            size += path.stat().st_size if path.is_file() else 0
    return size
