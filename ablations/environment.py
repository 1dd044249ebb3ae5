"""What the numbers were made on, written before the work: code, packages, machine, weights."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

PACKAGES = (
    "dalle2eval",
    "torch",
    "open_clip_torch",
    "numpy",
    "scipy",
    "pandas",
    "pyarrow",
    "pillow",
    "rapidocr",
    "onnxruntime",
)


def describe_environment(weights: Mapping[str, str], device: str) -> dict[str, Any]:
    """Return the content of ``environment.json``; what cannot be known is None.

    Args:
        weights: SHA-256 of each set of weights by name.
        device: where the networks run, ``cpu`` or ``cuda``.
    """
    return {
        "git": _git(),
        "argv": sys.argv,
        "packages": {name: _version(name) for name in PACKAGES},
        "python": platform.python_version(),
        "os": platform.platform(),
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "device": device,
        "gpu": _gpu() if device == "cuda" else None,
        "weights": dict(weights),
    }


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


def _git() -> dict[str, Any] | None:
    root = Path(__file__).resolve().parent.parent
    if not (root / ".git").exists():  # installed from a wheel
        return None
    commit = command_output("git", "-C", str(root), "rev-parse", "HEAD")
    status = command_output("git", "-C", str(root), "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(status)} if commit else None


def command_output(*command: str) -> str | None:
    """Return what a command printed; None where it is not there or failed."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


def _cpu() -> str | None:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or None
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine() or None)


def _gpu() -> dict[str, Any] | None:
    query = ("nvidia-smi", "--query-gpu=name,driver_version", "--format=csv,noheader")
    text = command_output(*query)
    if not text:
        return None
    name, _, driver = text.splitlines()[0].partition(",")
    return {"name": name.strip(), "driver": driver.strip()}
