"""`gate calibrate`: run a suite with other seeds, measure the false alarms, write the floors.

Each repeat is a run folder of its own, so that a killed calibration goes on where it was and a
finished repeat is not made again. The caller says how a suite is run: the gate knows no model.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from dalle2eval.gate.baseline import conditions_of
from dalle2eval.gate.calibration import AlarmRate, Calibration, by_rank, calibrated
from dalle2eval.gate.measured import measured_arms
from dalle2eval.gate.policy import Floor, floors_from
from dalle2eval.records import InputError
from dalle2eval.store import write_atomic
from reports.reading import read_run
from reports.run_record import RunRecord

FLOORS_VERSION = 1
RunSuite = Callable[[int, Path], Path]  # (first seed, run folder) -> the finished run folder


def calibrate(
    run_suite: RunSuite,
    *,
    repeats: int,
    work: str | Path,
    out: str | Path,
    first_seed: int = 0,
) -> Calibration:
    """Run a suite several times, write the floors file and return what was found.

    Args:
        run_suite: runs the suite from a first seed into a folder; called again it goes on.
        repeats: how many runs, 2 or more.
        work: folder of the run folders.
        out: the floors file, for ``gate accept --floors`` and ``gate check --floors``.
        first_seed: of the first repeat; each further one begins where the one before ended.

    Raises:
        InputError: fewer than two repeats, or a place cannot be written.
    """
    if repeats < 2:  # noqa: PLR2004
        raise InputError(f"--repeats {repeats}: an A/A pair needs two repeats or more")
    runs: list[RunRecord] = []
    for number in range(repeats):
        seed = first_seed if not runs else max(runs[-1].plan.seeds) + 1
        runs.append(read_run(run_suite(seed, Path(work) / f"repeat-{number:03d}")))
    found = calibrated([by_rank(measured_arms(run)) for run in runs])
    write_floors(Path(out), found, runs[0])
    return found


def write_floors(path: Path, found: Calibration, run: RunRecord) -> None:
    """Write the floors with what they rest on."""
    conditions = conditions_of(run)
    data = {
        "floors_version": FLOORS_VERSION,
        "suite": run.plan.suite,
        "prompts": len({key.prompt_id for key in next(iter(measured_arms(run).values())).keys}),
        "seeds_a_repeat": len(run.plan.seeds),
        "machine": conditions["machine"],
        "packages": conditions["packages"],
        **calibration_json(found),
    }
    write_atomic(path, (json.dumps(data, indent=1, ensure_ascii=False) + "\n").encode())


def calibration_json(found: Calibration) -> dict[str, Any]:
    """Return a calibration as plain data."""
    return {
        "repeats": found.repeats,
        "false_alarms": _rate(found.before),
        "false_alarms_with_floors": _rate(found.after),
        "alarms_by_metric": dict(found.by_metric),
        "floors": {name: [f.absolute, f.relative] for name, f in found.floors.items()},
    }


def read_floors(path: Path) -> dict[str, Floor]:
    """Read the floors of a calibration.

    Raises:
        InputError: there is no such file, it is damaged or from a newer release.
    """
    try:
        data = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise InputError(f"{path}: no floors; `gate calibrate --out {path}` makes them") from None
    except (OSError, ValueError, RecursionError):
        raise InputError(f"{path}: cannot be read as floors (not JSON)") from None
    version = data.get("floors_version") if isinstance(data, Mapping) else None
    if version != FLOORS_VERSION:
        raise InputError(f"{path}: floors_version {version!r}; this release reads {FLOORS_VERSION}")
    try:
        return floors_from(data["floors"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: damaged floors ({error})") from None


def _rate(rate: AlarmRate) -> dict[str, Any]:
    return {"rate": round(rate.rate, 4), **asdict(rate)}
