"""How small a difference a suite can find, and how many prompts a wished one needs.

How much prompts differ from each other is measured, not guessed: by a finished run of the suite, or
of any suite with the same metrics (a small one will do). Without a run only shares can be answered,
by their worst case.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml

from ablations.resolving import is_scored
from dalle2eval.metrics import METRICS
from dalle2eval.records import InputError, Plan, plan_from_json
from dalle2eval.statistics import minimum_detectable_effect, prompts_needed

# Two arms that pass half of their prompts each and share nothing: √(2 x 1/4).
WORST_SHARE = 0.5**0.5
WORST_CASE = "worst case: arms that share nothing and pass half"
NO_RUN = "how much its prompts differ is not known; give --run FOLDER of a finished run"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """How much one prompt's paired difference varies, in the metric's unit."""

    value: float
    pair: str
    share: float  # of the run's prompts that have this metric


@dataclass(frozen=True, slots=True, kw_only=True)
class PowerRow:
    """One metric of a suite.

    Attributes:
        prompts: how many of the suite's prompts have the metric.
        spread: standard deviation of one prompt's paired difference.
        measured_on: the two arms that differ most, or the worst case that stands for them.
        detectable: smallest true difference that the suite finds with the given power.
        needed: prompts that find the wished difference; None when none was asked for.
        reason: why there are no numbers.
    """

    metric: str
    unit: str
    prompts: int
    spread: float | None = None
    measured_on: str = ""
    detectable: float | None = None
    needed: int | None = None
    reason: str | None = None


def power_rows(
    plan: Plan, *, metrics: tuple[str, ...], effect: float | None, power: float, run: Path | None
) -> list[dict[str, Any]]:
    """Return what each metric of a plan can find, as plain data.

    Args:
        plan: the suite, resolved.
        metrics: which.
        effect: the wished difference, in the unit of each metric.
        power: chance of finding a difference that is there.
        run: a finished run whose arms say how much prompts differ.

    Raises:
        InputError: the run folder is not one, or a number is out of its range.
    """
    spreads = spreads_of_run(run) if run is not None else {}
    num_prompts = sum(is_scored(prompt) for prompt in plan.prompts)
    return [asdict(_row(name, num_prompts, spreads, effect, power)) for name in metrics]


def _row(
    name: str, num_prompts: int, spreads: Mapping[str, Spread], effect: float | None, power: float
) -> PowerRow:
    metric = METRICS[name]
    spread = spreads.get(name)
    if spread is None and metric.estimator == "proportion" and not spreads:
        spread = Spread(value=WORST_SHARE, pair=WORST_CASE, share=1.0)
    if spread is None or spread.value == 0:
        reason = NO_RUN if not spreads else "the run's arms do not differ in it, or it is not there"
        return PowerRow(metric=name, unit=metric.unit, prompts=num_prompts, reason=reason)
    prompts = max(2, round(num_prompts * spread.share))
    return PowerRow(
        metric=name,
        unit=metric.unit,
        prompts=prompts,
        spread=spread.value,
        measured_on=spread.pair,
        detectable=minimum_detectable_effect(spread.value, prompts, power=power),
        needed=None if effect is None else prompts_needed(spread.value, effect, power=power),
    )


def spreads_of_run(folder: Path) -> dict[str, Spread]:
    """Return, by metric, the spread of the pair of arms of a run that varies most.

    Raises:
        InputError: the folder is no finished run with an arm that has a reference arm.
    """
    try:
        plan = plan_from_json(yaml.safe_load((folder / "plan.yaml").read_text("utf-8")))
        scores = pd.read_parquet(folder / "scores.parquet")
        added = pd.read_parquet(folder / "contributions.parquet")
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise InputError(f"{folder}: not the folder of a finished run ({error})") from None
    pairs = [(arm.name, arm.reference) for arm in plan.arms if arm.reference is not None]
    if not pairs:
        raise InputError(f"{folder}: no arm has a reference arm, so nothing was compared")
    num_prompts = sum(is_scored(prompt) for prompt in plan.prompts)
    found: dict[str, Spread] = {}
    for table, scale in ((scores.dropna(subset=["value"]), False), (added, True)):
        for name, rows in table.groupby("metric"):
            spreads = [_spread(rows, pair, num_prompts, scaled=scale) for pair in pairs]
            if known := [spread for spread in spreads if spread is not None]:
                found[str(name)] = max(known, key=lambda spread: spread.value)
    return found


def _spread(
    rows: pd.DataFrame, pair: tuple[str, str], num_prompts: int, *, scaled: bool
) -> Spread | None:
    """Return the spread of one pair of arms, or None where fewer than two prompts have both.

    A mean is over prompts, so a prompt counts by its mean difference. What images add to a metric
    over a set is summed up in each prompt, times prompts over images, for the same reason.
    """
    keyed = rows.set_index(["arm", "prompt_id", "seed"])["value"]
    arms = keyed.index.get_level_values("arm")
    if not {*pair} <= {*arms}:
        return None
    difference = (keyed.loc[pair[0]] - keyed.loc[pair[1]]).dropna()
    by_prompt = difference.groupby(level="prompt_id")
    values = by_prompt.sum() if scaled else by_prompt.mean()
    if len(values) < 2:  # noqa: PLR2004
        return None
    scale = len(values) / len(difference) if scaled else 1.0
    return Spread(
        value=float(np.std(values.to_numpy(), ddof=1)) * scale,
        pair=f"{pair[0]} against {pair[1]}",
        share=len(values) / num_prompts,
    )
