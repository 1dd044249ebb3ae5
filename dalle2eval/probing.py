"""A probe with its own procedure, put to a model: `dalle2eval probe NAME --model MODEL`.

Everything that the user chose is checked first. What the model draws is kept in the store, so that
the same call goes on after it was killed. The answer lies in the folder: ``probe.json`` for
machines, ``probe.md`` for people.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from dalle2eval.records import InputError, Prompt, to_json
from dalle2eval.spelling import nearest
from dalle2eval.store import Store, check_writable, default_store, write_atomic

if TYPE_CHECKING:
    from dalle2eval.probes.study import Bench, Study
    from dalle2eval.protocols import TextToImage

SCHEMA_VERSION = 1
MOST_PICTURES = 100_000
SIZES = (64, 256, 1024)
RESULT, PAGE = "probe.json", "probe.md"
# What decides the numbers; a folder holds the answer to one such question.
DECIDES = ("probe", "version", "weights", "settings", "prompts", "n", "seeds", "size", "detector")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """What the user chose.

    Attributes:
        name: of the probe.
        model: as a suite names it.
        prompts: a prompt set, or a file; the probe's own when None.
        format: of the file, where its name does not tell it.
        n: prompts, or pictures of the probe's own.
        samples: pictures of each.
        seed: of the first picture of each.
        size: side of the pictures in pixels; what the judges like best when None.
        settings: of the model.
        detector: folder of an OWLv2.
        device: ``auto``, ``cpu`` or ``cuda``.
        store: folder of what is kept; see `dalle2eval.store.default_store`.
    """

    name: str
    model: str = "scenes"
    prompts: str | None = None
    format: str | None = None
    n: int | None = None
    samples: int | None = None
    seed: int = 0
    size: int | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    detector: str | Path | None = None
    device: str = "auto"
    store: str | Path | None = None


def probe(
    name: str,
    *,
    out: str | Path | None = None,
    tell: Callable[[str], object] = lambda _: None,
    **choices: Any,
) -> Path:
    """Put a probe to a model and return the folder of its answer.

    Args:
        name: of the probe, as `dalle2eval list probes` shows it.
        out: the folder; ``probes/<probe>-<model>`` when None.
        tell: hears how it goes.
        choices: the other fields of `ProbeRequest`.

    Raises:
        InputError: a name is unknown, a number out of its range, the model lacks what the probe
            needs, or a file is missing or damaged; nothing was begun.
    """
    from ablations.environment import describe_environment
    from dalle2eval.probes.study import trusted
    from reports.probe_markdown import probe_markdown

    request = ProbeRequest(name=name, **choices)
    study, bench = prepare(request)
    found = _question(request, study, bench)
    folder = Path(out) if out is not None else Path("probes") / _slug(name, request.model)
    _check_same(folder, found)
    check_writable(folder, "--out")
    started = time.monotonic()
    tell("testing the judges")
    tests = tuple(study.test(bench))
    tell(f"{study.name}: {study.summary}")
    finding = study.conduct(bench)
    finding = trusted(finding, tests) if study.strict else finding
    weights = {bench.subject.model.name: bench.subject.model.weights}
    found |= {
        "schema_version": SCHEMA_VERSION,
        "model": request.model,
        "summary": study.summary,
        "judge": f"{bench.judge.name}@{bench.judge.weights[:12]}",
        "answer": finding.answer,
        "self_tests": [to_json(test) for test in tests],
        "estimates": [to_json(row) for row in finding.estimates],
        "comparisons": [to_json(row) for row in finding.comparisons],
        "notes": list(finding.notes),
        "rows": [dict(row) for row in finding.rows],
        "seconds": round(time.monotonic() - started, 2),
        "environment": describe_environment(weights, _device(request.device)),
    }
    text = json.dumps(found, indent=1, allow_nan=False, ensure_ascii=False, default=str)
    write_atomic(folder / RESULT, (text + "\n").encode())
    write_atomic(folder / PAGE, probe_markdown(found).encode())
    return folder


def prepare(request: ProbeRequest) -> tuple[Study, Bench]:
    """Check all that the user chose and return the study with what it works with; draw nothing."""
    from ablations.catalogue import JUDGE, check_device, told_plainly, verify_weights
    from dalle2eval.models import open_system
    from dalle2eval.probes.studies import STUDIES
    from dalle2eval.probes.study import Bench
    from dalle2eval.probes.subject import Subject
    from reference_model.embedder import load_clip

    if request.name not in STUDIES:
        raise InputError(f'no probe "{request.name[:40]}"{nearest(request.name, STUDIES)}')
    study = STUDIES[request.name]
    check_device(request.device)
    n, samples = _numbers(request, study)
    prompts = _prompts(request, study, n)
    with told_plainly():
        device = _device(request.device)
        detector = _detector(request.detector, device)
        model = cast("TextToImage", open_system(request.model, request.device))
        root = Path(request.store) if request.store is not None else default_store()
        subject = Subject(model, request.settings, store=Store(root))
        study.check(subject)
        verify_weights(JUDGE)
        judge = load_clip(JUDGE, device=device)
        if request.size is not None:
            model.plan_stages(subject.settings, request.size)
    check_writable(root, "--store")
    seeds = tuple(range(request.seed, request.seed + samples))
    return study, Bench(
        subject=subject,
        n=len(prompts) or n,
        prompts=prompts,
        seeds=seeds,
        judge=judge,
        detector=detector,
        size=request.size,
    )


def _numbers(request: ProbeRequest, study: Study) -> tuple[int, int]:
    """Return how many prompts and pictures of each; refuse what is out of range."""
    n = study.n if request.n is None else request.n
    samples = study.samples if request.samples is None else request.samples
    for option, value in (("--n", n), ("--samples", samples)):
        if value < 1:
            raise InputError(f"{option} is {value}; expected 1 or more")
    if n * samples > MOST_PICTURES:
        raise InputError(f"{n} x {samples} pictures are asked for, at most {MOST_PICTURES}")
    if study.most is not None and n > study.most:
        raise InputError(f"--n is {n}; {study.name} has {study.most} of its own")
    if request.size is not None and request.size not in SIZES:
        raise InputError(f"--size is {request.size}; allowed: {', '.join(map(str, SIZES))}")
    return n, samples


def _prompts(request: ProbeRequest, study: Study, n: int) -> tuple[Prompt, ...]:
    from dalle2eval.prompts import PROMPT_SETS, file_name, load_prompts

    if study.prompts is None:
        if request.prompts is not None:
            raise InputError(f"--prompts: {study.name} brings its own pictures")
        return ()
    named = request.prompts
    if named is None or named in PROMPT_SETS:
        if request.format is not None:
            raise InputError("--format is of a file of prompts; --prompts names none")
        return load_prompts(named or study.prompts, n)
    if not Path(named).exists():
        raise InputError(
            f'--prompts: no prompt set and no file "{named[:80]}"{nearest(named, PROMPT_SETS)}'
        )
    return load_prompts(file_name(named, request.format), request.n)


def _detector(folder: str | Path | None, device: str) -> Any:
    if folder is None:
        return None
    from dalle2eval.probes.owlv2 import Owlv2

    return Owlv2(folder, device=device)


def _device(device: str) -> str:
    from ablations.catalogue import resolve_device

    return resolve_device(device)


def _question(request: ProbeRequest, study: Study, bench: Bench) -> dict[str, Any]:
    """Return what decides the numbers, as it stands in ``probe.json``."""
    return {
        "probe": study.name,
        "version": study.version,
        "weights": bench.subject.model.weights,
        "settings": bench.subject.settings,
        "prompts": request.prompts or study.prompts,
        "n": bench.n,
        "seeds": list(bench.seeds),
        "size": request.size,
        "detector": bench.detector.name if bench.detector else None,
    }


def _check_same(folder: Path, question: Mapping[str, Any]) -> None:
    """Refuse a folder that holds something else than an answer to this very question."""
    if not folder.is_dir() or not any(folder.iterdir()):
        return
    try:
        held = json.loads((folder / RESULT).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        raise InputError(
            f"{folder} is not empty and holds no probe; choose another --out"
        ) from None
    plain = json.loads(json.dumps(dict(question), default=str))
    differing = [name for name in DECIDES if held.get(name) != plain[name]]
    if differing:
        raise InputError(
            f"{folder} holds an answer of other {', '.join(differing)}; choose another --out"
        )


def _slug(name: str, model: str) -> str:
    safe = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in model)
    return f"{name}-{safe[:60]}"


def describe_studies() -> dict[str, dict[str, Any]]:
    """Return what is known of each probe, as plain data, for `dalle2eval list` and `describe`."""
    from dalle2eval.probes import PROBES
    from dalle2eval.probes.studies import STUDIES
    from dalle2eval.probes.study import ABILITIES

    return {
        name: {
            "summary": study.summary,
            "version": study.version,
            "in_suites": name in PROBES,
            "command": f"dalle2eval probe {name} --model MODEL",
            "needs": [ABILITIES[need][1] for need in study.needs] or ["pictures of prompts"],
            "prompts": study.prompts or "brings its own pictures",
            "n": study.n,
            "samples": study.samples,
            "metrics": [measure.name for measure in study.measures],
            "suite_metrics": list(PROBES[name].metrics) if name in PROBES else [],
            "image_size": PROBES[name].image_size if name in PROBES else None,
            "measures": [asdict(measure) for measure in study.measures],
        }
        for name, study in STUDIES.items()
    }
