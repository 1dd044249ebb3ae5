"""The last unit of an arm: what was measured of it becomes scores, estimates and comparisons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ablations.faulty import faults_by_key, in_common, without
from ablations.score_rows import contribution_row, score_from_row, score_row
from ablations.tasks import source_hash
from ablations.units import Unit, Values
from ablations.workshop import Workshop
from dalle2eval.evaluate import (
    CLIP_SCORE,
    R_PRECISION,
    Evidence,
    Measures,
    clip_scores,
    compare,
    contributions,
    estimate,
    memorised_scores,
    metrics_for,
    r_precision_scores,
    unscored,
)
from dalle2eval.metrics import METRICS
from dalle2eval.records import Prompt, SampleKey, Score, to_json
from dalle2eval.statistics import Arms, Features

ESTIMATE_S = 0.3  # yardstick for one arm

# What a run has no input for, and why.
NOT_IN_A_RUN = {
    "images+head": "no aesthetic head was given; `dalle2eval.metrics.aesthetic_score` takes one",
    "images+backbone": "LPIPS needs AlexNet's weights, which no package carries; see "
    "`dalle2eval.features.lpips`",
}


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Measured:
    """The units that measured one arm, shard by shard, in the order of ``Samples.keys``.

    ``faults`` find pictures that cannot be judged; empty for models of ours.
    """

    features: tuple[Unit, ...]
    aligned: tuple[Unit, ...]
    scores: tuple[Unit, ...]
    faults: tuple[Unit, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Samples:
    """What every arm of a suite has in common.

    Attributes:
        keys: of the scored images, in the order of the shards.
        prompts: that are scored.
        reference_keys: of the real pictures.
        metrics: asked for by name, besides those of the probes.
        extractor: the judge with its weights, as printed beside its numbers.
    """

    keys: tuple[SampleKey, ...]
    prompts: tuple[Prompt, ...]
    reference_keys: tuple[SampleKey, ...]
    metrics: tuple[str, ...]
    extractor: str

    @property
    def texts(self) -> list[str]:
        """Return the prompt of each image."""
        by_id = {prompt.id: prompt.text for prompt in self.prompts}
        return [by_id[key.prompt_id] for key in self.keys]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pair:
    """An arm's name and its reference arm's, if it has one."""

    arm: str
    reference: str | None


def judging_unit(
    pair: Pair,
    samples: Samples,
    *,
    own: Measured,
    other: Measured | None,
    common: Mapping[str, tuple[Unit, ...]],
) -> Unit:
    """Return the unit that makes an arm's numbers.

    Args:
        pair: the names.
        samples: keys, prompts and metrics.
        own: what was measured of the arm.
        other: what was measured of its reference arm, if it has one.
        common: the features of ``texts``, of the ``reference`` pictures, and of the ``training``
            pictures of the model with ``fresh`` ones that it never saw.
    """
    inputs = {**_roles("own", own), **(_roles("other", other) if other else {}), **common}
    return Unit(
        stage="estimates",
        kind="json",
        samples=len(samples.keys),
        seconds=ESTIMATE_S * (1 if other is None else 2),
        identity={
            "code": source_hash(
                "dalle2eval.evaluate", "dalle2eval.metrics", "dalle2eval.statistics"
            ),
            "pair": [pair.arm, pair.reference],
            "samples": to_json(samples),
            **({"faults": source_hash("ablations.faulty")} if _checked(own, other) else {}),
        },
        perform=partial(_judge, pair, samples),
        inputs=inputs,
    )


def _checked(own: Measured, other: Measured | None) -> bool:
    return bool(own.faults or (other is not None and other.faults))


def _roles(owner: str, measured: Measured) -> dict[str, tuple[Unit, ...]]:
    roles = {
        f"{owner}.features": measured.features,
        f"{owner}.aligned": measured.aligned,
        f"{owner}.scores": measured.scores,
    }
    return {**roles, f"{owner}.faults": measured.faults} if measured.faults else roles


def _judge(pair: Pair, samples: Samples, _workshop: Workshop, values: Values) -> dict[str, Any]:
    def features(
        rows: Sequence[NDArray[Any]], keys: tuple[SampleKey, ...], *, shares_prompts: bool = False
    ) -> Features | None:
        if not rows:
            return None
        return Features(
            keys=keys,
            values=np.concatenate(rows).astype(np.float64),
            extractor=samples.extractor,
            shares_prompts=shares_prompts,
        )

    def evidence(owner: str) -> Evidence:
        found = features(values[f"{owner}.features"], samples.keys)
        every = Evidence(features=found, scores=_scores(owner, samples, values, found))
        return without(every, faults[owner])

    faults = {
        owner: faults_by_key(samples.keys, values.get(f"{owner}.faults", ()))
        for owner in ("own", "other")
    }
    own = evidence("own")
    measures = Measures(
        metrics=metrics_for(samples.metrics, [score.metric for score in own.scores]),
        prompts={prompt.id: prompt for prompt in samples.prompts},
        reference=features(values["reference"], samples.reference_keys, shares_prompts=True),
    )
    comparisons: Sequence[Any] = ()
    if pair.reference is not None:
        arms = Arms(arm=pair.arm, reference=pair.reference)
        pair_of = (own, evidence("other"))
        comparisons = compare(
            *(in_common(*pair_of) if any(faults.values()) else pair_of), measures, arms
        )
    told = {_named(key): reason for key, reason in faults["own"].items()}
    return {
        **({"faults": told} if told else {}),
        "scores": [score_row(score) for score in own.scores],
        "estimates": [to_json(row) for row in estimate(own, measures)],
        "comparisons": [to_json(row) for row in comparisons],
        "contributions": [contribution_row(c) for c in contributions(own, measures)],
    }


def _named(key: SampleKey) -> str:
    return f"{key.prompt_id} seed {key.seed}"


def _scores(
    owner: str, samples: Samples, values: Values, features: Features | None
) -> tuple[Score, ...]:
    scores = [score_from_row(row) for rows in values[f"{owner}.scores"] for row in rows]
    scores += _of_texts(owner, samples, values)
    for name in samples.metrics:
        if METRICS[name].needs == "images+training":
            scores += _of_memory(name, samples, values, features)
        elif METRICS[name].needs in NOT_IN_A_RUN:
            scores += unscored(samples.keys, name, NOT_IN_A_RUN[METRICS[name].needs])
    return tuple(sorted(scores, key=lambda score: (score.key, score.metric)))


def _of_texts(owner: str, samples: Samples, values: Values) -> Iterator[Score]:
    """Yield how well images fit their texts, in the judge's space."""
    if not (aligned := values[f"{owner}.aligned"]):
        return
    images, texts = np.concatenate(aligned), np.concatenate(values["texts"])
    if CLIP_SCORE in samples.metrics:
        yield from clip_scores(samples.keys, images, texts)
    if R_PRECISION in samples.metrics:
        yield from r_precision_scores(samples.keys, images, texts, samples.texts)


def _of_memory(
    name: str, samples: Samples, values: Values, features: Features | None
) -> tuple[Score, ...]:
    """Return which images are copies of training pictures."""
    if features is None or not values["training"]:
        return unscored(samples.keys, name, "the training pictures of this model are not known")
    training, fresh = (np.concatenate(values[role]) for role in ("training", "fresh"))
    return memorised_scores(name, features, training, fresh)
