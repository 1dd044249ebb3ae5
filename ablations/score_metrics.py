"""Which metrics ``dalle2eval score`` computes: families such as ``fd`` over each extractor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from dalle2eval.metrics import METRICS, MetricInfo
from dalle2eval.records import InputError
from dalle2eval.spelling import nearest

OVER_FEATURES = ("kid", "precision", "recall", "density", "coverage", "vendi")
FRECHET = {"fd": "", "fd_corrected": "_corrected"}
OVER_TEXTS = ("clip_score", "r_precision")
OF_THE_SET = ("cmmd", "diversity_within_prompt")
FAMILIES = (*FRECHET, *OVER_FEATURES, *OVER_TEXTS, *OF_THE_SET)
JUDGES_OF_TEXT = ("clip", "scenes")  # the first of them that is there


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """A metric, and the extractor family whose features it is computed over."""

    metric: MetricInfo
    family: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Supply:
    """What there is to compute metrics from.

    Attributes:
        families: of the extractors, in the order in which they were asked for.
        reference: a reference set was given.
        texts: prompts were given.
    """

    families: tuple[str, ...]
    reference: bool
    texts: bool

    @property
    def judge(self) -> str | None:
        """Return the family that judges images and texts; None when no extractor can."""
        return next((name for name in JUDGES_OF_TEXT if name in self.families), None)


def choose(asked: Sequence[str], supply: Supply) -> tuple[Question, ...]:
    """Return the metrics asked for, or those that the supply allows when none is.

    Args:
        asked: families (``fd``, ``kid`` ...) or names of the table (``fid``, ``kid_dinov2`` ...).
        supply: what there is.

    Raises:
        InputError: a name is unknown, or what it needs was not given; says how to give it.
    """
    questions = [q for name in asked or _usual(supply) for q in _questions(name, supply)]
    for question in questions:
        _check_supplied(question.metric, supply)
    return tuple({question.metric.name: question for question in questions}.values())


def _usual(supply: Supply) -> list[str]:
    names = ["fd", "kid", "precision", "recall"] if supply.reference else ["vendi"]
    return [*names, "clip_score"] if supply.texts and supply.judge else names


def _questions(name: str, supply: Supply) -> list[Question]:
    if name in OVER_TEXTS:
        if supply.judge is None:
            raise InputError(f"--metrics {name} needs --features clip:… or scenes")
        return [Question(metric=METRICS[name], family=supply.judge)]
    if name in OF_THE_SET:
        family = "clip" if name == "cmmd" else supply.families[0]
        return _over(METRICS[name], family, supply)
    if name in FRECHET:
        tables = [(_frechet(family) + FRECHET[name], family) for family in supply.families]
    elif name in OVER_FEATURES:
        tables = [(f"{name}_{family}", family) for family in supply.families]
    else:
        return _by_table_name(name, supply)
    return [Question(metric=METRICS[table], family=family) for table, family in tables]


def _by_table_name(name: str, supply: Supply) -> list[Question]:
    names = {
        told: family
        for family in ("inception", "clip", "dinov2", "effnet", "scenes")
        for told in (
            *(_frechet(family) + end for end in FRECHET.values()),
            *(f"{each}_{family}" for each in OVER_FEATURES),
        )
    }
    if name not in names:
        raise InputError(f'--metrics: cannot score "{name}"{nearest(name, [*FAMILIES, *names])}')
    return _over(METRICS[name], names[name], supply)


def _over(metric: MetricInfo, family: str, supply: Supply) -> list[Question]:
    if family not in supply.families:
        raise InputError(
            f"--metrics {metric.name} needs --features {family}; given: "
            f"{', '.join(supply.families)}"
        )
    return [Question(metric=metric, family=family)]


def _frechet(family: str) -> str:
    return "fid" if family == "inception" else f"fd_{family}"


def _check_supplied(metric: MetricInfo, supply: Supply) -> None:
    if metric.needs == "features+reference" and not supply.reference:
        raise InputError(f"--metrics {metric.name} needs real images: --reference DIR")
    if metric.needs in ("images+texts", "features+groups") and not supply.texts:
        raise InputError(f"--metrics {metric.name} needs the images' prompts: --prompts FILE")
