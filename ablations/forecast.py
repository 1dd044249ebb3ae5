"""What a plan will take: units, images, network passes and time, and what the store has already."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from ablations.plan import Work
from ablations.progress import Forecast
from ablations.run_folder import gallery_of
from ablations.trainings import repeats_of
from dalle2eval.store import Store


def forecast(work: Work, store: Store) -> dict[str, Any]:
    """Return the forecast as plain data; looks into the store and changes nothing."""
    repeats = {name for names in repeats_of(work.plan).values() for name in names}
    stages: dict[str, dict[str, int]] = {}
    missing = []
    for unit in work.units:
        zero = {"units": 0, "cached": 0, "images": 0, "forward_passes": 0}
        row = stages.setdefault(unit.stage, zero)
        row["units"] += 1
        if store.has(unit.address, unit.kind):
            row["cached"] += 1
            continue
        row["images"] += unit.samples
        row["forward_passes"] += unit.forward_passes
        missing.append(unit)
    return {
        "suite": work.plan.suite,
        "question": work.plan.question,
        "fingerprint": work.plan.fingerprint,
        "arms": [arm.arm.name for arm in work.arms if arm.arm.name not in repeats],
        "prompts": len(work.plan.prompts),
        "seeds": len(work.plan.seeds),
        "pictures": len(gallery_of(work)),
        "units": len(work.units),
        "cached": len(work.units) - len(missing),
        "forward_passes": sum(row["forward_passes"] for row in stages.values()),
        "eta_s": round(Forecast(missing).seconds_left, 1),
        "price": _price(work, {unit.address for unit in missing}),
        "store": str(store.root),
        "stages": stages,
    }


def _price(work: Work, missing: Collection[str]) -> float | None:
    """Return what the pictures that are missing cost at a service, by the prices of the arms.

    None when no arm states a price; in the currency in which it does.
    """
    prices: dict[str, float] = {}
    stated = False
    for arm in work.arms:
        price = arm.arm.settings.get("price_per_image")
        if price is not None:
            stated = True
            units = [unit for drawn in arm.drawn for unit in drawn.images.values()]
            paid = [unit for unit in units if unit.stage == "http" and unit.address in missing]
            prices |= {unit.address: price * unit.samples for unit in paid}
    return round(sum(prices.values()), 2) if stated else None
