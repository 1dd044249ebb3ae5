"""``python:module.Class``: a user's own class, from a package or the working folder.

The class is called without arguments and offers `protocols.TextToImage`: ``name``, ``weights``,
``resolve_settings`` and ``generate``, and, where arms shall share stages, ``plan_stages`` and
``run_stage`` as well. Identity: the bytes of the module's file, the class, its ``weights``, and
``identity`` where it declares one (any text that changes when its pictures do). A suite that names
a class runs that class: read it as you would read a script.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from dalle2eval.models.answers import as_pictures
from dalle2eval.models.borrowed import BorrowedStage
from dalle2eval.models.faults import WrongAnswer, tell_faults
from dalle2eval.models.one_stage import OneStage, Wanted
from dalle2eval.protocols import NoiseKey, Stage, TextToImage
from dalle2eval.records import InputError, fingerprint

OFFERS = ("name", "weights", "resolve_settings", "generate")
STAGES = ("plan_stages", "run_stage")
JUDGED = 64  # pixels; what the judges look at, so that every chain has to pass it


def open_class(place: str) -> OneStage | StagedClass:
    """Return a user's class as a model.

    Args:
        place: ``module.Class``.

    Raises:
        InputError: it cannot be imported or made, or does not offer what a system has to offer.
    """
    module_name, dot, class_name = place.rpartition(".")
    if not dot or not all(part.isidentifier() for part in place.split(".")):
        raise InputError(f'"{place[:80]}" is no class; expected python:module.Class')
    name = f"python:{place}"
    path = _find(module_name, name)
    with _told(name):
        found = getattr(importlib.import_module(module_name), class_name)
        if not isinstance(found, type):  # a function would be run, whatever it does
            raise InputError(f"{name} is no class")
        model = found()
    missing = [offer for offer in OFFERS if not hasattr(model, offer)]
    if missing:
        raise InputError(f"{name} has no {', '.join(missing)}; a system offers {', '.join(OFFERS)}")
    content = hashlib.sha256(path.read_bytes()).hexdigest()
    with _told(name):
        declared = [str(model.weights), str(getattr(model, "identity", ""))]
    weights = fingerprint(["python", content, class_name, declared])
    if all(hasattr(model, offer) for offer in STAGES):
        return StagedClass(model, name, weights)
    return OneStage(_Generating(model, name, weights))


def _find(module: str, name: str) -> Path:
    """Return a module's file; its packages are imported, it is not."""
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)
    with _told(name):
        spec = importlib.util.find_spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).is_file():
        raise InputError(f"{name}: no module {module} in the working folder or among the packages")
    return Path(spec.origin)


@contextmanager
def _told(name: str) -> Iterator[None]:
    """Tell an error of the user's code in one line that names its place."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(frame.filename).name}:{frame.lineno}"
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{name}: {type(error).__name__} at {place}: {reason}") from error


class _Generating:
    """A class that only generates, as a `Drawer`."""

    kind = "python"
    seconds_per_image = 1.0

    def __init__(self, model: TextToImage, name: str, weights: str) -> None:
        self._model, self.name, self.weights = model, name, weights

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied; ValueError names what is allowed."""
        return self._model.resolve_settings(changes)

    def identity(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Return all settings: which of them change no pixel is not known here."""
        return {"settings": dict(settings)}

    def check_samples(self, samples: Sequence[Wanted], settings: Mapping[str, Any]) -> None:
        """Know of nothing before the work."""

    def draw(self, samples: Sequence[Wanted], settings: Mapping[str, Any]) -> Sequence[ArrayLike]:
        """Return what the class generates, all pictures in one call."""
        texts = [sample.text for sample in samples]
        seeds = [sample.number("python", bits=31) for sample in samples]
        with _told(self.name):
            return list(self._model.generate(texts, seeds, size=samples[0].size, **settings))


class StagedClass:
    """A user's class with stages, its answers checked."""

    sizes = (64, 256, 1024)

    def __init__(self, model: TextToImage, name: str, weights: str) -> None:
        self._model, self.name, self.weights = model, name, weights

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied; ValueError names what is allowed."""
        return self._model.resolve_settings(changes)

    def plan_stages(self, settings: Mapping[str, Any], size: int) -> list[BorrowedStage]:
        """Return the class's chain to ``size`` pixels.

        Raises:
            InputError: the chain does not pass 64 px, at which pictures are judged, or ``size``.
        """
        chain = self._model.plan_stages(settings, size)
        drawn = [stage.image_size for stage in chain]
        for needed in (JUDGED, size):
            if needed not in drawn:
                raise InputError(
                    f"{self.name}: plan_stages(.., {size}) has no stage of {needed} px"
                )
        return [
            BorrowedStage(
                own=stage, owner=self.name, bound_to=fingerprint([self.weights, stage.weights])
            )
            for stage in chain
        ]

    def run_stage(
        self,
        stage: Stage,
        prompts: Sequence[str],
        noise_keys: Sequence[NoiseKey],
        previous: NDArray[Any] | None,
    ) -> NDArray[Any]:
        """Run one stage and check what it returns.

        Raises:
            WrongAnswer: it is not one finite row, or one picture of the size, for each prompt.
        """
        if not isinstance(stage, BorrowedStage):
            raise TypeError(f"stage {stage.name} is none of {self.name}")
        with _told(self.name):
            answer = self._model.run_stage(stage.own, prompts, noise_keys, previous)
        if stage.image_size is None:
            return self._vectors(np.asarray(answer), len(prompts), stage.name)
        pictures = as_pictures(list(answer), len(prompts), self.name)
        for height, width, _ in (picture.shape for picture in pictures):
            if (height, width) != (stage.image_size, stage.image_size):
                raise WrongAnswer(
                    f"{self.name}: stage {stage.name} gave {width} x {height} pixels; "
                    f"expected {stage.image_size} x {stage.image_size}"
                )
        images = np.stack(pictures)
        tell_faults(images, prompts, self.name)
        return images

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, size: int = 64, **settings: Any
    ) -> NDArray[np.uint8]:
        """Return the class's own pictures, uint8 [n, size, size, 3]."""
        with _told(self.name):
            answer = self._model.generate(prompts, seeds, size=size, **settings)
        return np.stack(as_pictures(list(answer), len(prompts), self.name))

    @property
    def sees_pictures(self) -> bool:
        """Say whether the class offers an image encoder (`protocols.SeesPictures`)."""
        return bool(getattr(self._model, "sees_pictures", False))

    def encode_images(self, images: NDArray[np.uint8]) -> NDArray[Any]:
        """Return the class's own z_i [n, d] of pictures uint8 [n, h, w, 3]."""
        model: Any = self._model
        with _told(self.name):
            rows = np.asarray(model.encode_images(images))
        return self._vectors(rows, len(images), "encode_images")

    def encode_texts(self, texts: Sequence[str]) -> NDArray[Any]:
        """Return the class's own z_t [n, d] of texts."""
        model: Any = self._model
        with _told(self.name):
            rows = np.asarray(model.encode_texts(texts))
        return self._vectors(rows, len(texts), "encode_texts")

    def _vectors(self, rows: NDArray[Any], n: int, stage: str) -> NDArray[Any]:
        if rows.ndim != 2 or len(rows) != n:  # noqa: PLR2004
            raise WrongAnswer(f"{self.name}: stage {stage} gave {rows.shape}; expected [{n}, d]")
        if not np.isfinite(rows).all():
            raise WrongAnswer(f"{self.name}: stage {stage} gave NaN or infinity")
        return rows
