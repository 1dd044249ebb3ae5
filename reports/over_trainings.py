"""A run whose arms were trained several times, as its reader wants it: arms, not trainings.

An arm's numbers are over all its trainings. Its pictures, and the judgements of single pictures,
are those of its first training seed; all others lie in the folder.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from dalle2eval.records import InputError, Plan
from reports.files import build
from reports.run_record import Counts, RunRecord, TrainedNumber, Trainings

OPTION = "training"  # of a plan, and key of summary.json


def over_trainings(run: RunRecord, summary: Mapping[str, Any]) -> RunRecord:
    """Return a run without the repeats of its arms; any other run as it is.

    Raises:
        InputError: plan and summary tell different things of the trainings.
    """
    option = run.plan.options.get(OPTION)
    if not option:
        return run
    try:
        repeats = {arm: tuple(names) for arm, names in option["repeats"].items()}
        told = _trainings(run.folder / "summary.json", summary[OPTION])
        first = {names[0]: arm for arm, names in repeats.items()}
        counts = {arm: _sum([run.counts[name] for name in of]) for arm, of in repeats.items()}
    except (AttributeError, IndexError, KeyError, TypeError) as error:
        place = run.folder / "summary.json"
        raise InputError(f"{place}: damaged, what it tells of trainings: {error!r}") from None
    return replace(
        run,
        plan=_without(run.plan, {name for names in repeats.values() for name in names}),
        estimates={key: e for key, e in run.estimates.items() if key[0] in repeats},
        comparisons=tuple(c for c in run.comparisons if c.arm in repeats),
        scores={(first[arm], key): s for (arm, key), s in run.scores.items() if arm in first},
        gallery=tuple(replace(p, arm=first[p.arm]) for p in run.gallery if p.arm in first),
        counts=counts,
        notes=(*run.notes, _note(told)),
        trainings=told,
    )


def _without(plan: Plan, repeats: set[str]) -> Plan:
    return replace(plan, arms=tuple(arm for arm in plan.arms if arm.name not in repeats))


def _trainings(path: Path, told: Mapping[str, Any]) -> Trainings:
    arms = {
        arm: tuple(
            build(path, TrainedNumber, {**row, "values": tuple(row["values"])}) for row in rows
        )
        for arm, rows in told["arms"].items()
    }
    own = {"steps": told["steps"], "seeds": tuple(told["seeds"]), "arms": arms}
    return build(path, Trainings, own)


def _sum(counts: Sequence[Counts]) -> Counts:
    unreadable = [c.unreadable for c in counts if c.unreadable is not None]
    return Counts(
        asked=sum(c.asked for c in counts),
        made=sum(c.made for c in counts),
        scored=sum(c.scored for c in counts),
        unscored=sum(c.unscored for c in counts),
        unscored_why=_added([c.unscored_why for c in counts]),
        unreadable=sum(unreadable) if unreadable else None,
        unreadable_why=_added([c.unreadable_why for c in counts]),
    )


def _added(reasons: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in reasons:
        total.update(one)
    return dict(total.most_common())


def _note(told: Trainings) -> str:
    seeds = ", ".join(map(str, told.seeds))
    return (
        f"Each arm was trained {len(told.seeds)} times for {told.steps} steps (training seeds "
        f"{seeds}: the initial weights; the order of the data and its noise are the same). Its "
        f"numbers are means over the trainings; pictures and single judgements shown are those of "
        f"training seed {told.seeds[0]}."
    )
