"""A suite's model together with those that its arms name in its place, as one model.

An arm says ``model: images:DIR`` as it would say any other setting, so the rest of the house goes
on knowing one model. Settings of an arm with a model of its own hold ``model`` and the hash
``weights`` of what draws; those of all other arms are what they would be without an ensemble.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.models.borrowed import BorrowedStage
from dalle2eval.models.naming import REFERENCE, parse_name
from dalle2eval.models.one_stage import ChecksSamples
from dalle2eval.protocols import NoiseKey, Stage, TextToImage

MODEL, WEIGHTS = "model", "weights"  # what an arm with a model of its own has among its settings


class Ensemble:
    """A model that also answers for others.

    Args:
        main: the suite's model.
        called: how the suite names it.
        open_other: opens a model by name; each is opened once.
    """

    def __init__(
        self, main: TextToImage, called: str, open_other: Callable[[str], TextToImage]
    ) -> None:
        self.main, self._called = main, str(parse_name(called))
        self._open = open_other
        self.others: dict[str, TextToImage] = {}

    @property
    def name(self) -> str:
        """Name of the suite's model."""
        return self.main.name

    @property
    def weights(self) -> str:
        """SHA-256 over the weights of the suite's model."""
        return self.main.weights

    @property
    def sizes(self) -> tuple[int, ...]:
        """Sides in pixels of the pictures that the suite's model makes, smallest first."""
        sizes: tuple[int, ...] = self.main.sizes  # type: ignore[attr-defined]
        return sizes

    def resolve_settings(self, changes: Mapping[str, Any]) -> dict[str, Any]:
        """Return every setting with ``changes`` applied; ``model`` names another model.

        Raises:
            ValueError: there is no such model or setting, or it is out of its range.
        """
        rest = dict(changes)
        named = rest.pop(MODEL, None)
        if named is None or (called := str(parse_name(str(named)))) == self._called:
            return self.main.resolve_settings(rest)
        other = self._other(called)
        return {MODEL: called, WEIGHTS: other.weights, **other.resolve_settings(rest)}

    def plan_stages(self, settings: Mapping[str, Any], size: int) -> list[Stage]:
        """Return the chain of stages that leads to images of ``size`` pixels."""
        if MODEL not in settings:
            return list(self.main.plan_stages(settings, size))
        called = settings[MODEL]
        own = {name: settings[name] for name in settings if name not in (MODEL, WEIGHTS)}
        chain = self._other(called).plan_stages(own, size)
        return [BorrowedStage(own=stage, owner=called) for stage in chain]

    def check_samples(
        self, stage: Stage, prompts: Sequence[str], noise_keys: Sequence[NoiseKey]
    ) -> None:
        """Raise InputError when a stage is known not to be able to make these pictures."""
        model, own = self._whose(stage)
        if isinstance(model, ChecksSamples):
            model.check_samples(own, prompts, noise_keys)

    def run_stage(
        self,
        stage: Stage,
        prompts: Sequence[str],
        noise_keys: Sequence[NoiseKey],
        previous: NDArray[Any] | None,
    ) -> NDArray[Any]:
        """Run a stage by the model that it belongs to."""
        model, own = self._whose(stage)
        return model.run_stage(own, prompts, noise_keys, previous)

    def generate(
        self, prompts: Sequence[str], seeds: Sequence[int], *, size: int = 64, **settings: Any
    ) -> NDArray[np.uint8]:
        """Return images of the suite's model, uint8 [n, size, size, 3]."""
        return self.main.generate(prompts, seeds, size=size, **settings)

    def _whose(self, stage: Stage) -> tuple[TextToImage, Stage]:
        if isinstance(stage, BorrowedStage):
            return self._other(stage.owner), stage.own
        return self.main, stage

    def _other(self, called: str) -> TextToImage:
        if called not in self.others:
            self.others[called] = self._open(called)
        return self.others[called]


def apply_changes(
    settings: Mapping[str, Any], changes: Mapping[str, Any], main: Mapping[str, Any]
) -> dict[str, Any]:
    """Return inherited settings with an arm's changes on top.

    Settings are inherited within one kind of model. An arm that names a model of another kind
    begins with the suite's settings where they are of its kind, and else with the model's defaults.

    Args:
        settings: what the arm inherits; ``model`` among them where its reference arm has its own.
        changes: of the arm.
        main: the suite's model as ``model``, with its settings.

    >>> main = {"model": "scenes", "guidance_scale": 3}
    >>> apply_changes({"guidance_scale": 1}, {"model": "images:samples"}, main)
    {'model': 'images:samples'}
    >>> apply_changes({"guidance_scale": 1}, {"model": "karlo"}, main)
    {'guidance_scale': 1, 'model': 'karlo'}
    >>> apply_changes({"model": "images:samples"}, {"model": "karlo"}, main)
    {'guidance_scale': 3, 'model': 'karlo'}
    """
    kind = _kind(changes, settings, main)
    if kind == _kind(settings, main):
        return {**settings, **changes}
    base = {name: value for name, value in main.items() if name != MODEL}
    return {**(base if kind == _kind(main) else {}), **changes}


def is_ours(name: str) -> bool:
    """Say whether a name is that of a reference model, whose pictures need no checks."""
    return parse_name(name).kind == REFERENCE


def _kind(*layers: Mapping[str, Any]) -> str:
    """Return the kind of the model that the first of the layers which names one names."""
    return parse_name(next(str(layer[MODEL]) for layer in layers if MODEL in layer)).kind
