"""The things that walk through the house: frozen records, standard library only.

A number never travels without its n and its interval, an unscored sample is a value with a reason,
and a sample is named by what made it. Everything that the other packages exchange is defined here.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

SCHEMA_VERSION = 1
ROUNDING = 1e-9  # by this part of its ends a value may lie outside its interval
ALL = "all"  # the slice that holds every prompt
SHOWCASE = "showcase"  # the tag of prompts that are drawn large for the eye and never scored


class InputError(ValueError):
    """The user's input is wrong; the message names the thing and what is allowed (exit 2)."""


class NotComparable(InputError):  # noqa: N818  (it says what the two numbers are)
    """Two numbers that must not be compared: other n, extractor, prompts or seeds (exit 12)."""


def check_text(text: str, what: str) -> str:
    """Return a text that can be written down.

    Raises:
        InputError: it holds half of a surrogate pair, as an argument of bytes that are not UTF-8
            does; no file, tokenizer or report could take it.
    """
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise InputError(
            f"{what} is not UTF-8 text (it holds half of a surrogate pair): {text[:40]!a}"
        )
    return text


def fingerprint(content: Any) -> str:
    """Return the SHA-256 hex digest of JSON-serialisable content, independent of key order."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """One text to draw, with what a grader may check about the picture.

    Attributes:
        id: unique and stable within its prompt set.
        text: what the model is given.
        tags: slices that the prompt belongs to, such as ``count`` or ``seen``.
        facts: the scene that the text describes, as plain JSON data; None when nothing is known.
    """

    id: str
    text: str
    tags: tuple[str, ...] = ()
    facts: Mapping[str, Any] | None = None


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class SampleKey:
    """Names one image within an arm for ever; its noise is drawn from this key alone."""

    prompt_id: str
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Score:
    """One grader's judgement of one sample. A None value needs a reason and is never averaged.

    Attributes:
        metric: what was judged, such as ``composition.object`` or ``clip_score``.
        value: the judgement; pass/fail is 1.0/0.0.
        reason: why there is no value; None when there is one.
        detail: what the grader saw (the read scene, the OCR text), as plain JSON data.
    """

    key: SampleKey
    metric: str
    value: float | None
    reason: str | None = None
    detail: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        """Refuse NaN, and an unscored sample without a reason."""
        if self.value is None and not self.reason:
            raise ValueError(f"score {self.metric} of {self.key} has neither a value nor a reason")
        if self.value is not None and not math.isfinite(self.value):
            raise ValueError(
                f"score {self.metric} of {self.key} is {self.value}; use None and a reason"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Contribution:
    """What one image adds to a metric over a set, to first order; it sums to zero over the set.

    With it two runs are compared in pairs without their features (`statistics.contributions`).
    """

    key: SampleKey
    metric: str
    value: float

    def __post_init__(self) -> None:
        """Refuse what is not a number."""
        if not math.isfinite(self.value):
            raise ValueError(f"contribution to {self.metric} of {self.key} is {self.value}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Estimate:
    """A number over many samples, with its n and its 95% interval.

    ``value`` is None (with a ``reason``) when the number cannot be known, as FID of too few images.

    Attributes:
        slice: the tag of the prompts it covers, or ``all``.
        n: how many samples were scored; ``num_unscored`` more were asked for and excluded.
        method: how the interval was made (``wilson``, ``cluster-bootstrap``, ``influence`` ...).
        extractor: the feature network and its weights hash, where there is one.
        note: a caution to print beside the number, such as ``rank-deficient: N < 2d``.
    """

    metric: str
    value: float | None
    low: float | None
    high: float | None
    n: int
    method: str
    higher_is_better: bool | None
    slice: str = ALL
    num_unscored: int = 0
    extractor: str | None = None
    unit: str = ""
    reason: str | None = None
    note: str | None = None

    def __post_init__(self) -> None:
        """Refuse a number without interval or n, and an unknown without a reason."""
        if self.value is None:
            if not self.reason:
                raise ValueError(f"estimate {self.metric} has neither a value nor a reason")
            return
        if self.low is None or self.high is None or self.n < 1 or not self.method:
            raise ValueError(
                f"estimate {self.metric} = {self.value} needs low, high, n >= 1 and method"
            )
        if not all(math.isfinite(x) for x in (self.value, self.low, self.high)):
            raise ValueError(
                f"estimate {self.metric} is not finite: {self.value} [{self.low}, {self.high}]"
            )
        if not self.low <= self.high:
            raise ValueError(f"estimate {self.metric}: low {self.low} is above high {self.high}")
        rounding = ROUNDING * max(abs(self.low), abs(self.high))
        if not self.low - rounding <= self.value <= self.high + rounding:
            raise ValueError(
                f"estimate {self.metric}: {self.value} lies outside [{self.low}, {self.high}]"
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """An arm against its reference arm on shared prompts and seeds: difference = arm - reference.

    ``verdict`` is ``better``, ``worse``, ``no difference found`` or ``not compared`` (with a
    reason); for a metric with no good direction it is ``higher`` or ``lower`` in place of better
    and worse.
    """

    arm: str
    reference: str
    metric: str
    difference: float | None
    low: float | None
    high: float | None
    n_pairs: int
    method: str
    verdict: str
    p_value: float | None = None
    slice: str = ALL
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmSpec:
    """One arm of a suite, resolved: every setting of the model that generates its images."""

    name: str
    reference: str | None
    changes: Mapping[str, Any]
    settings: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTest:
    """What a judge gets right on inputs with known truth, printed beside its scores."""

    judge: str
    task: str
    accuracy: float
    low: float
    high: float
    n: int
    floor: float

    @property
    def passed(self) -> bool:
        """Say whether the judge may score: its measured accuracy reaches its floor."""
        return self.accuracy >= self.floor


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A suite, resolved and frozen before any work: the content of ``plan.yaml``."""

    suite: str
    question: str
    finding: Mapping[str, str] | None
    model: Mapping[str, Any]
    arms: tuple[ArmSpec, ...]
    prompts: tuple[Prompt, ...]
    seeds: tuple[int, ...]
    metrics: tuple[str, ...]
    probes: tuple[str, ...]
    primary_metric: str
    options: Mapping[str, Any] = field(default_factory=dict)
    schema_version: int = SCHEMA_VERSION

    @property
    def fingerprint(self) -> str:
        """Name everything that decides the numbers; equal fingerprints mean equal numbers."""
        return fingerprint(to_json(self))


def to_json(record: Any) -> Any:
    """Turn a record into plain JSON data (dicts, lists, strings, numbers)."""
    return json.loads(json.dumps(asdict(record), default=dict))


def plan_from_json(data: Mapping[str, Any]) -> Plan:
    """Rebuild a Plan from the data of ``plan.yaml``.

    Raises:
        InputError: the schema version is not ours, or a field is missing or unknown.
    """
    if data.get("schema_version") != SCHEMA_VERSION:
        raise InputError(
            f"plan has schema_version {data.get('schema_version')!r}; "
            f"this release reads {SCHEMA_VERSION}"
        )
    try:
        fields = dict(data)
        fields["arms"] = tuple(ArmSpec(**arm) for arm in data["arms"])
        fields["prompts"] = tuple(
            Prompt(**{**prompt, "tags": tuple(prompt["tags"])}) for prompt in data["prompts"]
        )
        for name in ("seeds", "metrics", "probes"):
            fields[name] = tuple(data[name])
        return Plan(**fields)
    except (KeyError, TypeError) as error:
        raise InputError(f"plan is damaged: {error}") from None
