"""A study as a folder: what is asked, about which pairs, with the pictures beside it.

    study.json      the question, the arms and the pairs; its id is the hash of it
    pictures/       <pair id>-<slot>.webp, encoded anew: shown when the runs are gone
    votes.sqlite    the votes (`votes.store`)
    vote.html       the page that works without a server, after `vote export`

The same command finds the same study again and goes on with it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from PIL import Image

from dalle2eval.records import SCHEMA_VERSION, InputError, fingerprint
from dalle2eval.store import write_atomic
from dalle2eval.votes.arms import ArmPictures, find_arms
from dalle2eval.votes.checks import Look, make_checks
from dalle2eval.votes.pairs import SLOTS, Pair, choose_pairs, common_size, sample_file
from dalle2eval.votes.pictures import grid, read_picture, webp
from dalle2eval.votes.questions import Question, question_named

FILE, PICTURES = "study.json", "pictures"
DEFAULT_PAIRS = 100
PAIRS_A_CHECK, MIN_CHECKS = 10, 3
_ID = re.compile(r"[0-9a-f]{16}")

Slots = tuple[Image.Image, Image.Image]


@dataclass(frozen=True, slots=True, kw_only=True)
class Design:
    """What a study asks for.

    Attributes:
        pairs: how many true pairs there are at most.
        per_voter: how many of them one voter sees; None for all.
        checks: attention checks; None for one in ten pairs and at least three.
        size: side of the pictures in pixels; None for the one that most pictures have.
    """

    question: str
    pairs: int = DEFAULT_PAIRS
    per_voter: int | None = None
    checks: int | None = None
    size: int | None = None
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class Study:
    """A study that lies in a folder.

    Attributes:
        runs: by arm label, the run folder's name and fingerprint and the arm's name in it.
        pairs: true pairs and attention checks.
    """

    folder: Path
    question: Question
    arms: tuple[str, ...]
    runs: Mapping[str, Mapping[str, str]]
    seed: int
    size: int
    per_voter: int | None
    pairs: tuple[Pair, ...]

    @cached_property
    def id(self) -> str:
        """Hash of everything that a vote depends on."""
        return fingerprint(self.to_json())

    @cached_property
    def by_id(self) -> Mapping[str, Pair]:
        """Return the pairs by their id."""
        return {pair.id: pair for pair in self.pairs}

    @property
    def database(self) -> Path:
        """Return where the votes lie."""
        return self.folder / "votes.sqlite"

    def picture(self, pair_id: str, slot: str) -> Path:
        """Return the file of one side; the pair must be one of this study's."""
        return self.folder / PICTURES / f"{self.by_id[pair_id].id}-{slot}.webp"

    def to_json(self) -> dict[str, Any]:
        """Return the content of study.json without its id."""
        return {
            "schema_version": SCHEMA_VERSION,
            "question": self.question.name,
            "arms": list(self.arms),
            "runs": {arm: dict(facts) for arm, facts in self.runs.items()},
            "seed": self.seed,
            "size": self.size,
            "per_voter": self.per_voter,
            "pairs": [json.loads(json.dumps(asdict(pair))) for pair in self.pairs],
        }


def open_study(wanted: Sequence[str], design: Design | None, out: Path | None) -> Study:
    """Return the study that a command means: an existing folder's, or a new one of runs.

    Args:
        wanted: one study folder, or RUN and RUN:ARM.
        design: what to ask; None goes with a study folder.
        out: where a new study lies; ``votes/<question>-<id>`` when None.

    Raises:
        InputError: the folder holds another study, or the runs do not give one.
    """
    if len(wanted) == 1 and (Path(wanted[0]) / FILE).is_file():
        return read_study(Path(wanted[0]))
    if design is None:
        raise InputError("--question is missing (photorealism, caption or diversity)")
    return make_study(find_arms(wanted), design, out)


def make_study(arms: Sequence[ArmPictures], design: Design, out: Path | None = None) -> Study:
    """Choose the pairs, write the folder and return the study; an equal one is taken up again.

    Raises:
        InputError: the folder holds another study, or the arms have nothing to compare.
    """
    question = question_named(design.question)
    size = common_size(arms, design.size)
    pairs = choose_pairs(arms, question, num=design.pairs, size=size, seed=design.seed)
    look = Look(size, max(len(pair.seeds) for pair in pairs))
    num = max(MIN_CHECKS, len(pairs) // PAIRS_A_CHECK) if design.checks is None else design.checks
    checks = make_checks(arms, question, num=num, look=look, seed=design.seed)
    study = Study(
        folder=out or Path(),
        question=question,
        arms=tuple(arm.label for arm in arms),
        runs={a.label: {"run": a.run, "arm": a.arm, "fingerprint": a.fingerprint} for a in arms},
        seed=design.seed,
        size=size,
        per_voter=design.per_voter,
        pairs=(*pairs, *(pair for pair, _ in checks)),
    )
    if out is None:
        study = replace(study, folder=Path("votes") / f"{question.name}-{study.id[:8]}")
    if (study.folder / FILE).exists():
        return _take_up(study)
    shown = {pair.id: slots for pair, slots in checks}
    _write(study, ((p, shown.get(p.id) or _slots(p, arms, size)) for p in study.pairs))
    return study


def _take_up(study: Study) -> Study:
    found = read_study(study.folder)
    if found.id == study.id:
        return found
    theirs, ours = found.to_json(), study.to_json()
    differ = [name for name in ours if theirs[name] != ours[name]]
    raise InputError(
        f"{study.folder}: holds another study (its {', '.join(differ)} differ); "
        "choose another --out, or give that folder in place of the runs"
    )


def _slots(pair: Pair, arms: Sequence[ArmPictures], size: int) -> Slots:
    by_label = {arm.label: arm for arm in arms}
    first, second = (
        grid([read_picture(sample_file(by_label[label], pair.prompt_id, seed=s, size=size))
              for s in pair.seeds])
        for label in pair.arms
    )  # fmt: skip
    return first, second


def _write(study: Study, shown: Iterator[tuple[Pair, Slots]]) -> None:
    """Write the pictures first: a study.json says that everything is there."""
    (study.folder / PICTURES).mkdir(parents=True, exist_ok=True)
    for pair, slots in shown:
        for slot, image in zip(SLOTS, slots, strict=True):
            study.picture(pair.id, slot).write_bytes(webp(image))
    content = json.dumps({"id": study.id, **study.to_json()}, indent=1)
    write_atomic(study.folder / FILE, content.encode())


def read_study(folder: Path) -> Study:
    """Read a study folder.

    Raises:
        InputError: it is missing, damaged, edited, or from a newer release.
    """
    path = folder / FILE
    try:
        data = json.loads(path.read_bytes())
        told = data.pop("id")
        if data["schema_version"] != SCHEMA_VERSION:
            raise InputError(
                f"{path}: schema_version {data['schema_version']!r}; "
                f"this release reads {SCHEMA_VERSION}"
            )
        study = _study(folder, data)
    except FileNotFoundError:
        raise InputError(f"{folder}: no study (expected a folder with {FILE})") from None
    except InputError:
        raise
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError
    ) as error:  # fmt: skip
        raise InputError(f"{path}: damaged, {' '.join(str(error).split())[:120]}") from None
    if study.id != told:
        raise InputError(f"{path}: was edited; its votes would no longer fit its pairs")
    return study


def _study(folder: Path, data: Mapping[str, Any]) -> Study:
    pairs = [
        Pair(**{**row, "seeds": tuple(row["seeds"]), "arms": tuple(row["arms"])})
        for row in data["pairs"]
    ]
    odd = [pair.id for pair in pairs if not _ID.fullmatch(pair.id)]
    if odd:
        raise ValueError(f"pair id {odd[0]!r}")
    return Study(
        folder=folder,
        question=question_named(data["question"]),
        arms=tuple(data["arms"]),
        runs=data["runs"],
        seed=data["seed"],
        size=data["size"],
        per_voter=data["per_voter"],
        pairs=tuple(pairs),
    )
