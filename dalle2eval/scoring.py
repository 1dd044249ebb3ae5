"""``dalle2eval score`` in Python: anyone's images by any extractor, and the same run folder."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from dalle2eval.records import InputError, Plan
from dalle2eval.store import default_store

if TYPE_CHECKING:
    from dalle2eval.features.extractor import Extractor
    from dalle2eval.protocols import TextImageEmbedder

REPORT_FORMATS = ("html", "md", "csv", "tex")
DEFAULT_FEATURES = ("inception",)


def score(  # noqa: PLR0913  (the command's options by their names)
    images: str | Path,
    *,
    prompts: str | Path | None = None,
    reference: str | Path | None = None,
    features: Sequence[str] = DEFAULT_FEATURES,
    metrics: Sequence[str] = (),
    out: str | Path | None = None,
    limit: int | None = None,
    skip_bad: bool = False,
    device: str = "auto",
    store: str | Path | None = None,
    progress: TextIO | None = None,
) -> Path:
    """Score images of any model and return the run folder, report included.

    Args:
        images: a folder (nested or not), a zip, a tar, or a folder of tars, of PNG, JPEG and WebP.
        prompts: .jsonl or .csv (id, file, prompt) or .txt (one prompt a line, files in order).
        reference: real images, likewise; needed by the distances.
        features: ``inception``, ``clip:MODEL/TAG``, ``clip:MODEL=FILE``, ``clip:FOLDER``,
            ``dinov2``, ``effnet``, ``scenes``.
        metrics: families (``fd``, ``kid``, ``precision`` ...) or names of the table; what the
            input allows when empty.
        out: the run folder; ``runs/score-<time>-<short fingerprint>`` when None.
        limit: of prompts.
        skip_bad: count out files that cannot be scored, in place of stopping.
        device: ``auto``, ``cpu`` or ``cuda``.
        store: folder of the artefacts; see `dalle2eval.store.default_store`.
        progress: where progress goes, such as ``sys.stderr``; None for silence.

    Raises:
        InputError: something about the input is wrong; nothing was begun. A missing file of
            weights and every bad image are named.
        NotComparable: features of two extractors would be compared.
        DiskFullError: a disk is full; what is done stays done.
    """
    from ablations.score_plan import ScoreRequest, plan_score
    from ablations.score_run import ScoreSite, run_score
    from reports.rendering import render

    if not features:
        raise InputError("--features: name at least one extractor")
    extractors, where = _open(features, device)
    request = ScoreRequest(
        images=Path(images),
        prompts=None if prompts is None else Path(prompts),
        reference=None if reference is None else Path(reference),
        metrics=tuple(metrics),
        limit=limit,
        skip_bad=skip_bad,
    )
    work = plan_score(request, extractors)
    site = ScoreSite(
        folder=Path(out) if out is not None else _new_folder(work.plan),
        store=Path(store) if store is not None else default_store(),
        environment=lambda: _environment(extractors, where),
        progress=progress,
    )
    folder = run_score(work, site)
    render(folder, REPORT_FORMATS)
    return folder


def _open(features: Sequence[str], device: str) -> tuple[tuple[Extractor, ...], str]:
    """Return the extractors, their weights checked, and the device that they run on."""
    from ablations.catalogue import check_device, resolve_device
    from dalle2eval.features.choosing import open_extractors

    check_device(device)
    where = device if device == "cpu" else resolve_device(device)
    return open_extractors(features, device=where, open_judge=lambda: _judge(where)), where


def _judge(device: str) -> TextImageEmbedder:
    from ablations.catalogue import JUDGE, told_plainly, verify_weights
    from reference_model.embedder import load_clip

    with told_plainly():
        verify_weights(JUDGE)
        return load_clip(JUDGE, device=device)


def _environment(extractors: Sequence[Extractor], device: str) -> Mapping[str, Any]:
    from ablations.environment import describe_environment

    return describe_environment({each.name: each.weights for each in extractors}, device)


def _new_folder(plan: Plan) -> Path:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"score-{stamp}-{plan.fingerprint[:8]}"
