"""``diffusers:PATH``: a text-to-image pipeline from a local folder (extra ``diffusers``).

Nothing is downloaded, nothing unpickled, no code of the folder run: the folder is looked through
before diffusers is asked to read it. Every picture has its own generator on the CPU, seeded by
(prompt id, seed), so that its noise depends on no neighbour and no device. Identity: the hash of
the folder's files, the settings and the versions of diffusers and transformers.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from numpy.typing import ArrayLike

from dalle2eval.models.knobs import Knob, deciding, resolve
from dalle2eval.models.one_stage import Wanted
from dalle2eval.records import InputError, fingerprint

INDEX = "model_index.json"
CODE = (".py", ".pyc", ".so")
PICKLES = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
LIBRARIES = ("diffusers", "transformers")
DTYPES = ("float32", "float16", "bfloat16")

KNOBS: dict[str, Knob] = {
    "steps": Knob(kind=int, default=None, low=1, high=1000, means="num_inference_steps"),
    "guidance_scale": Knob(kind=float, default=None, low=0, high=100, means="as diffusers has it"),
    "negative_prompt": Knob(kind=str, default=None, means="what to keep away from"),
    "side": Knob(kind=int, default=None, low=8, high=4096, means="height and width in pixels"),
    "dtype": Knob(kind=str, default="float32", allowed=DTYPES, means="of the networks"),
    "batch": Knob(kind=int, default=4, low=1, high=64, means="pictures at once"),
}
# Which argument of a pipeline a setting is.
ARGUMENTS = {
    "steps": "num_inference_steps",
    "guidance_scale": "guidance_scale",
    "negative_prompt": "negative_prompt",
}


class DiffusersPipeline:
    """A pipeline in a local folder; see the top of this module.

    Args:
        place: the folder.
        device: ``auto``, ``cpu`` or ``cuda``.
    """

    kind = "diffusers"
    seconds_per_image = 30.0

    def __init__(self, place: str, *, device: str = "auto") -> None:
        self.name = f"diffusers:{place}"
        self._folder = Path(place)
        self._device = device
        check_folder(self._folder)

    @functools.cached_property
    def weights(self) -> str:
        """SHA-256 over the names and bytes of the folder's files."""
        return fingerprint([[name, _hash(path)] for name, path in _files(self._folder)])

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied; ValueError names what is allowed."""
        return resolve(KNOBS, changes)

    def identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return the settings and the versions of the code that reads the folder."""
        return {**deciding(KNOBS, settings), "code": {name: _version(name) for name in LIBRARIES}}

    def check_samples(self, samples: Sequence[Wanted], settings: Mapping[str, Any]) -> None:
        """Refuse pictures larger than ``side``, where that is set."""
        side = settings["side"]
        for sample in samples:
            if side is not None and sample.size > side:
                raise InputError(
                    f"{self.name}: prompt {sample.key[0]!r} is drawn at {sample.size} px and side "
                    f"is {side}; set side to {sample.size} or more"
                )

    def draw(self, samples: Sequence[Wanted], settings: Mapping[str, Any]) -> list[ArrayLike]:
        """Draw pictures as floats in [0, 1].

        Raises:
            InputError: the pipeline takes no text, or does not know a setting.
        """
        pipeline = self._pipeline(settings["dtype"])
        arguments = self._arguments(pipeline, settings)
        step = settings["batch"]
        parts = [samples[start : start + step] for start in range(0, len(samples), step)]
        return [one for part in parts for one in _call(pipeline, part, arguments)]

    def _arguments(self, pipeline: Any, settings: Mapping[str, Any]) -> dict[str, Any]:
        known = inspect.signature(type(pipeline).__call__).parameters
        wanted: dict[str, Any] = {
            ARGUMENTS[name]: settings[name] for name in ARGUMENTS if settings[name] is not None
        }
        if settings["side"] is not None:
            wanted |= {"height": settings["side"], "width": settings["side"]}
        for name in ("prompt", "generator", "output_type", *wanted):
            if name not in known:
                kind = type(pipeline).__name__
                raise InputError(f"{self.name}: {kind} takes no {name}, so it cannot be asked")
        return wanted

    @functools.cache  # noqa: B019  (an instance lives as long as its run)
    def _pipeline(self, dtype: str) -> Any:
        import torch
        from diffusers import DiffusionPipeline

        # Without a word diffusers reads float32; the argument's name is about to change.
        other = {} if dtype == "float32" else {"torch_dtype": getattr(torch, dtype)}
        try:
            read: Any = DiffusionPipeline.from_pretrained
            pipeline = read(self._folder, use_safetensors=True, local_files_only=True, **other)
        except (OSError, ValueError, ImportError, AttributeError, KeyError, TypeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"{self.name}: diffusers cannot read it: {reason}") from None
        pipeline.set_progress_bar_config(disable=True)
        cuda = torch.cuda.is_available() and self._device != "cpu"
        return pipeline.to("cuda" if cuda else "cpu")


def _call(pipeline: Any, samples: Sequence[Wanted], arguments: Mapping[str, Any]) -> list[Any]:
    import torch

    seeds = [sample.number("diffusers") for sample in samples]
    generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    prompts = [sample.text for sample in samples]
    arguments = dict(arguments)
    if "negative_prompt" in arguments:
        arguments["negative_prompt"] = [arguments["negative_prompt"]] * len(prompts)
    with torch.inference_mode():
        answer = pipeline(prompt=prompts, generator=generators, output_type="np", **arguments)
    return list(answer.images)


def check_folder(folder: Path) -> None:
    """Look through a folder before anything of it is read by others.

    Raises:
        InputError: it is no pipeline, holds code, or weights that would have to be unpickled.
    """
    if importlib.util.find_spec("diffusers") is None:
        raise InputError('diffusers is not installed; pip install "dalle2eval[diffusers]"')
    if not (folder / INDEX).is_file():
        raise InputError(f"{folder}: no pipeline of diffusers (a local folder with {INDEX})")
    _check_index(folder)
    for name, path in _files(folder):
        if path.suffix.lower() in CODE:
            raise InputError(f"{folder}: {name} is code, which is not run; remove it")
        if path.suffix.lower() in PICKLES and not list(path.parent.glob("*.safetensors")):
            raise InputError(f"{folder}: {name} would have to be unpickled; give .safetensors")


def _check_index(folder: Path) -> None:
    """Refuse an index that would have diffusers import something else than its own parts."""
    try:
        index = json.loads((folder / INDEX).read_text(encoding="utf-8"))
        named = {name: part for name, part in index.items() if not name.startswith("_")}
        pipeline = index.get("_class_name")
    except (OSError, ValueError, RecursionError, AttributeError):
        raise InputError(f"{folder / INDEX}: not a JSON object") from None
    if not isinstance(pipeline, str) or not pipeline.isidentifier():
        raise InputError(f"{folder / INDEX}: _class_name is no pipeline of diffusers itself")
    for name, part in named.items():
        if isinstance(part, list) and part and not _is_known(part[0]):
            library = str(part[0])[:80]
            raise InputError(f"{folder / INDEX}: {name} is of {library!r}; allowed: diffusers' own")


def _is_known(library: Any) -> bool:
    """Say whether diffusers would take a part from itself or from transformers."""
    if library is None or library in LIBRARIES:
        return True
    if not isinstance(library, str) or not library.isidentifier():
        return False
    spec = importlib.util.find_spec("diffusers")
    own = Path(spec.origin).parent / "pipelines" if spec and spec.origin else None
    return own is not None and (own / library).is_dir()


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    """Yield a folder's files with their names in it, sorted, hidden ones left out."""
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in name.parts):
            yield name.as_posix(), path


def _hash(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
