"""The files of a run: see docs/design/001-run-folder.md. Each appears at once, whole."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from numpy.typing import NDArray

from ablations.events import alone_with
from ablations.plan import Drawn, Work
from ablations.trainings import OPTION, is_training
from dalle2eval.records import Comparison, Estimate, InputError, Plan, SampleKey, to_json
from dalle2eval.store import TEMPORARY, check_writable, encode_png, write_atomic

DIARY = "events.jsonl"
TEXT, NUMBER, WHOLE = pa.string(), pa.float64(), pa.int64()
SCORES = pa.schema(
    [
        ("arm", TEXT),
        ("prompt_id", TEXT),
        ("seed", WHOLE),
        ("metric", TEXT),
        ("value", NUMBER),
        ("reason", TEXT),
        ("detail", TEXT),
    ]
)
CONTRIBUTIONS = pa.schema(
    [("arm", TEXT), ("prompt_id", TEXT), ("seed", WHOLE), ("metric", TEXT), ("value", NUMBER)]
)
_TYPES = {"n": WHOLE, "num_unscored": WHOLE, "n_pairs": WHOLE, "higher_is_better": pa.bool_()}
_NUMBERS = ("value", "low", "high", "difference", "p_value")


def _schema(record: type[Any]) -> list[tuple[str, pa.DataType]]:
    names = [item.name for item in fields(record)]
    return [(n, _TYPES.get(n, NUMBER if n in _NUMBERS else TEXT)) for n in names]


ESTIMATES = pa.schema([("arm", TEXT), *_schema(Estimate)])
COMPARISONS = pa.schema(_schema(Comparison))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """One picture of the run folder: which row of which unit's images."""

    arm: str
    key: SampleKey
    size: int
    row: int

    @property
    def path(self) -> str:
        """Return its place in the run folder; a prompt id is quoted, for it may hold anything."""
        name = f"{quote(self.key.prompt_id, safe='')}-{self.key.seed}.png"
        return f"samples/{self.arm}/{self.size}/{name}"


def samples_of(arm: str, drawn: Drawn, size: int) -> list[Sample]:
    """Return the samples of a shard at one of its sizes."""
    keys = enumerate(drawn.shard.keys)
    return [Sample(arm=arm, key=key, size=size, row=row) for row, key in keys]


def kept_sizes(drawn: Drawn) -> list[int]:
    """Return the sizes that are kept: all of a scored shard, the largest of a showcase."""
    return sorted(drawn.images) if drawn.shard.scored else [max(drawn.images)]


def write_sample(folder: Path, sample: Sample, images: NDArray[Any]) -> str:
    """Write one picture of a shard as PNG and return the SHA-256 of the file."""
    content = encode_png(images[sample.row])
    write_atomic(folder / sample.path, content)
    return hashlib.sha256(content).hexdigest()


def file_sha256(path: Path) -> str | None:
    """Return a file's SHA-256, or None when it cannot be read."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return None


@contextmanager
def claim(folder: Path, plan: Plan) -> Iterator[Path]:
    """Hold a run folder for one run of this plan, write the plan if it is new; yield the diary.

    Nothing is written before the folder is held, so a run that comes second alters nothing.

    Raises:
        InputError: the folder cannot be written, holds another plan or something that is not
            ours, or another run is at work in it.
        DiskFullError: the disk is full.
    """
    known = check_same_plan(folder, plan)
    check_writable(folder, "--out")
    diary = folder / DIARY
    with alone_with(diary):
        # Looked at again: between the first look and the lock another run may have begun here.
        if not known and not check_same_plan(folder, plan):
            write_plan(folder, plan)
        yield diary


def write_plan(folder: Path, plan: Plan) -> None:
    """Write ``plan.yaml``."""
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    text = yaml.dump(to_json(plan), Dumper=dumper, sort_keys=False, allow_unicode=True)
    write_atomic(folder / "plan.yaml", text.encode())


def check_same_plan(folder: Path, plan: Plan) -> bool:
    """Say whether the folder holds this very plan already (True) or none (False).

    Raises:
        InputError: it holds another plan, or something that is not ours; names what differs.
    """
    path = folder / "plan.yaml"
    if not path.exists():
        if folder.is_dir() and not all(_is_a_beginning(p) for p in folder.iterdir()):
            raise InputError(f"{folder} is not empty and holds no run; choose another --out")
        return False
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        found = yaml.load(path.read_bytes(), Loader=loader)
    except (OSError, ValueError, yaml.YAMLError):
        raise InputError(f"{path} cannot be read as a plan; choose another --out") from None
    differing = _differences(found, to_json(plan))
    if differing:
        shown = "; ".join(differing[:3]) + ("; ..." if len(differing) > 3 else "")  # noqa: PLR2004
        raise InputError(f"{folder} holds a run of another plan ({shown}); choose another --out")
    return True


def _is_a_beginning(path: Path) -> bool:
    """Say whether a kill before the plan was written can have left this file."""
    empty_diary = path.name == DIARY and path.stat().st_size == 0
    return empty_diary or path.name.startswith(TEMPORARY)


def _differences(found: Any, wanted: Any, path: str = "") -> list[str]:
    """Return the fields in which two plans differ, as ``seeds: 0 there, 1 here``."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        names = dict.fromkeys([*found, *wanted])
        parts = [(f"{path}.{n}" if path else str(n), found.get(n), wanted.get(n)) for n in names]
    elif isinstance(found, list) and isinstance(wanted, list) and len(found) == len(wanted):
        pairs = enumerate(zip(found, wanted, strict=True))
        parts = [(f"{path}[{i}]", a, b) for i, (a, b) in pairs]
    else:
        return [] if found == wanted else [f"{path}: {_brief(found)} there, {_brief(wanted)} here"]
    return [line for name, a, b in parts for line in _differences(a, b, name)]


def _brief(value: Any) -> str:
    if isinstance(value, list):
        return f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= 24 else text[:21] + "..."  # noqa: PLR2004


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON that a person can read."""
    text = json.dumps(data, indent=1, allow_nan=False, ensure_ascii=False)
    write_atomic(path, (text + "\n").encode())


def write_table(path: Path, rows: Iterable[Mapping[str, Any]], schema: pa.Schema) -> None:
    """Write rows as Parquet; equal rows give equal bytes."""
    buffer = io.BytesIO()
    pq.write_table(pa.Table.from_pylist(list(rows), schema=schema), buffer, compression="zstd")
    write_atomic(path, buffer.getvalue())


def score_columns(arm: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """Return a score's row as it stands in ``scores.parquet``."""
    detail = row["detail"]
    text = None if detail is None else json.dumps(detail, sort_keys=True, ensure_ascii=False)
    return {"arm": arm, **row, "detail": text}


def gallery_of(work: Work) -> list[dict[str, Any]]:
    """Return every picture of the run folder with its path."""
    return [
        {
            "arm": sample.arm,
            "prompt_id": sample.key.prompt_id,
            "seed": sample.key.seed,
            "size": sample.size,
            "path": sample.path,
        }
        for arm in work.arms
        for drawn in arm.drawn
        for size in kept_sizes(drawn)
        for sample in samples_of(arm.arm.name, drawn, size)
    ]


def summary_of(
    work: Work, judged: Mapping[str, Mapping[str, Sequence[Any]]], **rest: Any
) -> dict[str, Any]:
    """Return the content of ``summary.json``.

    Args:
        work: of the run.
        judged: the value of each arm's judging unit, by arm.
        rest: ``self_tests``, ``counts``, ``cost`` and ``notes``.
    """
    plan = to_json(work.plan)
    head = ("schema_version", "suite", "question", "finding", "primary_metric", "arms")
    return {
        **{name: plan[name] for name in head},
        "fingerprint": work.plan.fingerprint,
        "estimates": [{"arm": a, **row} for a, of in judged.items() for row in of["estimates"]],
        "comparisons": [row for of in judged.values() for row in of["comparisons"]],
        "gallery": gallery_of(work),
        **_training_of(work, judged),
        **rest,
    }


def _training_of(work: Work, judged: Mapping[str, Mapping[str, Sequence[Any]]]) -> dict[str, Any]:
    """Return what is told of arms that were trained several times; nothing where none was."""
    if not is_training(work.plan):
        return {}
    option = work.plan.options[OPTION]
    told = {name: of["training"] for name, of in judged.items() if "training" in of}
    return {OPTION: {"steps": option["steps"], "seeds": option["seeds"], "arms": told}}
