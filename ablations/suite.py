"""A suite as data: one question, the arms that answer it, and what is measured.

The models here say what a file may hold; ``loading`` reads the file and ``resolving`` asks the
model and the prompt sets. Settings of the model stay unknown here: only the model knows them.
"""

from __future__ import annotations

import math
import re
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from dalle2eval.prompts import file_name

Size = Literal[64, 256, 1024]
Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]
_EXPECTED = r"^([\w.]+): (.+) (?:better|worse|higher|lower) than (.+)$"
Expectation = Annotated[Line, StringConstraints(pattern=_EXPECTED)]
# Arm names are folder names and stand in tables: letters that need no care anywhere.
ARM_NAME = r"^[A-Za-z0-9][A-Za-z0-9._=+-]{0,63}$"
ArmName = Annotated[str, StringConstraints(pattern=ARM_NAME)]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise ValueError("a setting is a number, a text, true, false or null")


Setting = Annotated[Any, AfterValidator(_plain)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Expected(NamedTuple):
    """What an expectation names: a metric, an arm, and the arm that it is held against."""

    metric: str
    arm: str
    other: str


class Finding(_Part):
    """The published finding that the suite tests.

    ``expect`` is the one comparison that would confirm it: ``METRIC: ARM worse than ARM``.
    """

    says: Line
    source: Line
    expect: Expectation | None = None

    @property
    def expected(self) -> Expected | None:
        """Return what ``expect`` names, or None where there is none."""
        match = re.match(_EXPECTED, self.expect or "")
        return Expected(*match.groups()) if match else None


class ModelChoice(BaseModel):
    """Which model, and its settings in every arm (any other key is a setting)."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Setting] = Field(init=False)

    name: Line

    @property
    def settings(self) -> dict[str, Any]:
        """Return the keys that are settings."""
        return dict(self.__pydantic_extra__ or {})


class PromptChoice(_Part):
    """A prompt set, or a file of prompts, and how many of its prompts.

    ``format`` is one of `dalle2eval.prompts.FORMATS`, for a file whose name does not tell it.
    """

    set: Line | None = None
    file: Line | None = None
    format: Line | None = None
    n: int | None = Field(default=None, ge=1, le=100_000)

    @model_validator(mode="after")
    def _one_source(self) -> PromptChoice:
        if (self.set is None) == (self.file is None):
            raise ValueError("give either a set or a file of prompts")
        if self.format is not None and self.file is None:
            raise ValueError("format is of a file; a set has none")
        return self

    @property
    def source(self) -> str:
        """Return what `dalle2eval.prompts.load_prompts` calls it."""
        if self.file is not None:
            return file_name(self.file, self.format)
        return self.set or ""  # a set is there where no file is

    @property
    def field(self) -> str:
        """Return the key that names it, for messages."""
        return "set" if self.file is None else "file"


class Showcase(_Part):
    """Prompts that are drawn at a large size for the gallery and never scored."""

    set: Line
    n: int | None = Field(default=None, ge=1, le=100)
    size: Size = 1024


class ReferenceImages(_Part):
    """Real pictures of the same prompts, for the distances: how many of each prompt."""

    n_per_prompt: int = Field(default=8, ge=1, le=1000)


def _flat(fields: Any, before: str = "") -> Any:
    """Return {"prior": {"target": "v"}}, as --set makes it, as {"prior.target": "v"}."""
    if not isinstance(fields, dict):
        return fields
    flat: dict[str, Any] = {}
    for name, value in fields.items():
        path = f"{before}{name}"
        flat |= _flat(value, f"{path}.") if isinstance(value, dict) else {path: value}
    return flat


def _plain_or_list(value: Any) -> Any:
    if isinstance(value, list) and all(type(item) is int for item in value):
        return value  # such as attention_levels
    return _plain(value)


# Fields of recipe and architecture by their paths, such as prior.target.
TrainedFields = Annotated[
    dict[str, Annotated[Any, AfterValidator(_plain_or_list)]], BeforeValidator(_flat)
]


class TrainingChoice(_Part):
    """What a suite trains for each of its arms, with equal budgets and equal data.

    Fields go by their paths, ``prior.target``, as those of ``dalle2eval train --set``.

    Attributes:
        stage: of the recipe: the part that is trained. The other parts are those of the suite's
            model.
        recipe: where the settings come from that no arm changes.
        preset: the architecture; the one with the model's name when None.
        steps: of the optimiser, in each training.
        seeds: each arm is trained once from each, and its numbers are means over them.
        set: fields of recipe and architecture that are other than the recipe's in all arms.
    """

    stage: Line
    recipe: Line = "scenes"
    preset: Line | None = None
    steps: int = Field(ge=1, le=10_000_000)
    seeds: list[Annotated[int, Field(ge=0, le=10_000)]] = Field(min_length=2, max_length=100)
    set: TrainedFields = Field(default_factory=dict)


class Arm(BaseModel):
    """One arm: its reference arm, and the settings in which it differs (any other key).

    ``model`` among them names another model than the suite's; an arm that is a text is that alone.
    ``train`` holds what its training changes (``prior.target: v``), or ``stage`` where it trains
    another part than the suite's.
    """

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)
    __pydantic_extra__: dict[str, Setting] = Field(init=False)

    reference: str | None = None
    grid: dict[str, Annotated[list[Setting], Field(min_length=1, max_length=64)]] = Field(
        default_factory=dict
    )
    train: TrainedFields = Field(default_factory=dict, max_length=64)

    @model_validator(mode="before")
    @classmethod
    def _model_alone(cls, data: Any) -> Any:
        return {"model": data} if isinstance(data, str) else data

    @property
    def changes(self) -> dict[str, Any]:
        """Return the keys that are settings."""
        return dict(self.__pydantic_extra__ or {})


class Cost(_Part):
    """What the suite's author promises on two CPU cores."""

    minutes: float = Field(gt=0)
    memory_mb: int = Field(gt=0)


class Scale(_Part):
    """How much of the suite is drawn at a scale: what it puts in place of the suite's own.

    ``steps`` are those of `TrainingChoice`.
    """

    n: int = Field(ge=1, le=100_000)
    samples_per_prompt: int = Field(ge=1, le=64)
    cost: Cost
    steps: int | None = Field(default=None, ge=1, le=10_000_000)


class Suite(_Part):
    """One question in YAML.

    The suite as it is written is its scale ``quick``; ``scales`` says what is more, or less.
    """

    question: Line
    finding: Finding | None = None
    model: ModelChoice
    prompts: PromptChoice
    samples_per_prompt: int = Field(default=1, ge=1, le=64)
    seed: int = Field(default=0, ge=0, le=2**31 - 1)
    sizes: dict[str, Size] = {"all": 64}
    showcase: Showcase | None = None
    reference_images: ReferenceImages = ReferenceImages()
    training: TrainingChoice | None = None
    arms: dict[ArmName, Arm] = Field(min_length=1, max_length=200)
    metrics: list[Line] = Field(default_factory=list, max_length=100)
    primary_metric: Line | None = None
    probes: list[Line] = Field(default_factory=list, max_length=100)
    cost: Cost | None = None
    scales: dict[Literal["smoke", "full"], Scale] = Field(default_factory=dict)
