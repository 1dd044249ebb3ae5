"""The images that changed most: what a person should look at first.

A metric's number says that something moved; the pictures say what. An image's change is the sum
over the gating metrics of how far its score (or its contribution to a metric over the set) moved,
each in standard deviations of the baseline's images, so that a flipped colour and a lost point of
CLIP score can be added. It ranks; it is no test.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from dalle2eval.gate.measured import ArmMeasured, MetricMeasured
from dalle2eval.gate.policy import gates
from dalle2eval.records import SampleKey
from reports.run_record import RunRecord

SHOWN = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class ChangedImage:
    """One image.

    Attributes:
        change: sum over metrics of standard deviations.
        flips: pass/fail metrics that turned, as ``composition.colour: right → wrong``.
        path: of the run's picture, relative to its folder; None where none was kept.
    """

    arm: str
    key: SampleKey
    prompt: str
    change: float
    flips: tuple[str, ...]
    path: str | None


def changed_images(
    run: RunRecord,
    baseline: Mapping[str, ArmMeasured],
    current: Mapping[str, ArmMeasured],
    *,
    shown: int = SHOWN,
) -> tuple[ChangedImage, ...]:
    """Return the images that moved, the most first; none where every image is as it was."""
    paths = {(p.arm, p.key): p.path for p in sorted(run.gallery, key=lambda p: -p.size)}
    found = []
    for name in baseline:
        changes, flips = _changes(baseline[name], current[name])
        found += [
            ChangedImage(
                arm=name,
                key=key,
                prompt=run.prompts[key.prompt_id].text,
                change=change,
                flips=tuple(flips.get(key, ())),
                path=paths.get((name, key)),
            )
            for key, change in changes.items()
        ]
    found.sort(key=lambda image: (-image.change, image.arm, image.key))
    return tuple(found[:shown])


def _changes(
    base: ArmMeasured, current: ArmMeasured
) -> tuple[dict[SampleKey, float], dict[SampleKey, list[str]]]:
    changes: dict[SampleKey, float] = defaultdict(float)
    flips: dict[SampleKey, list[str]] = defaultdict(list)
    for name, metric in base.metrics.items():
        other = current.metrics.get(name)
        if other is None or not gates(metric.info):
            continue
        spread = float(np.std(list(metric.by_image.values()) or [0.0]))
        for key in metric.by_image.keys() & other.by_image.keys():
            moved = other.by_image[key] - metric.by_image[key]
            if abs(moved) <= _rounding(metric.by_image[key]):
                continue
            changes[key] += abs(moved) / spread if spread else 1.0
            if metric.info.estimator == "proportion":
                flips[key].append(_flip(metric, moved))
    return changes, flips


def _rounding(value: float) -> float:
    """Return what the baseline's six digits may hide."""
    return 1e-5 * max(1.0, abs(value))


def _flip(metric: MetricMeasured, moved: float) -> str:
    return f"{metric.name}: " + ("wrong → right" if moved > 0 else "right → wrong")
