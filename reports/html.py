"""The report as one HTML file: no request, everything escaped, whole without its script.

Jinja escapes every value (autoescape), and the page's own content security policy allows one script
by its hash and no load but of data: pictures, so that a hostile prompt stays text even if an escape
were forgotten. The script adds filters, a lightbox and sorting to what stands there already.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jinja2
from markupsafe import Markup, escape

from reports.answer import answer
from reports.cautions import cautions
from reports.direction import balanced
from reports.facts_text import MAX_LENGTH, shorten
from reports.failures import probe_failures
from reports.flips import (
    LOST,
    WON,
    FlipRow,
    ProbeFlips,
    compares_sides,
    find_flips,
    flip_rows,
)
from reports.forest import forests
from reports.gallery import picture_groups
from reports.number_text import duration
from reports.people import people_studies
from reports.pictures import Thumbnails
from reports.plots import guidance_curve, guidance_plots
from reports.run_record import RunRecord
from reports.tables import arm_tables, breakdowns, changes_text
from reports.training_table import SAYS, training_tables
from reports.wording import wording

TEMPLATES = Path(__file__).parent / "templates"
_BRACKETS = re.compile(r"(\([^()]*\))")


def html(run: RunRecord) -> str:
    """Return the whole page."""
    thumbnails = Thumbnails(run.folder)
    flips = _flips(run, thumbnails)  # first what one asks for: the page's budget is spent in order
    groups = picture_groups(run, thumbnails)
    probes = probe_failures(run, thumbnails)
    page = {
        "run": run,
        "images": sorted({counts.asked for counts in run.counts.values()}),
        "answer": answer(run),
        "tables": arm_tables(run),
        "trainings": training_tables(run),
        "trainings_say": SAYS,
        "people": people_studies(run.folder),
        "plots": guidance_plots(run),
        "curve": guidance_curve(run),
        "forests": forests(run),
        "flips": flips,
        "groups": groups,
        "breakdowns": breakdowns(run),
        "probes": probes,
        "worst": max(probes, key=lambda probe: probe.failed).metric if probes else None,
        "cautions": cautions(run, thumbnails),
        "environment": _environment(run.environment),
        **_browser(run),
    }
    return engine().get_template("report.html.j2").render(page)


def _flips(
    run: RunRecord, thumbnails: Thumbnails
) -> list[tuple[ProbeFlips, list[tuple[str, tuple[FlipRow, ...]]]]]:
    """Return each probe's flips with the pictures of both directions; none in other runs."""
    if not compares_sides(run):
        return []
    return [
        (found, [(way, flip_rows(run, found, way, thumbnails)) for way in (LOST, WON)])
        for found in find_flips(run)
    ]


def _browser(run: RunRecord) -> dict[str, Any]:
    """Return what the picture browser can filter and sort by, and its script."""
    script = (TEMPLATES / "browser.js").read_text("utf-8")
    judged = dict.fromkeys(score.metric for _, score in run.all_scores())
    return {
        "verdict_metrics": [metric for metric in judged if wording(metric).share],
        "score_metrics": list(judged),
        "tags": list(dict.fromkeys(tag for prompt in run.plan.prompts for tag in prompt.tags)),
        "script": Markup(script),
        "script_hash": base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
    }


def engine() -> jinja2.Environment:
    """Return what fills the templates, with escaping on."""
    engine = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_finalize,
    )
    engine.filters.update(
        soften=_soften, prompt=_prompt, duration=duration, changes=changes_text, shorten=shorten
    )
    return engine


def _finalize(value: Any) -> Any:
    """Keep a text's direction marks inside it; markup is of our own making."""
    return balanced(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _soften(sentence: str) -> Markup:
    """Set the bracketed numbers of a sentence apart, so that the words can be read first."""
    parts = _BRACKETS.split(balanced(sentence))
    return Markup("").join(
        Markup('<span class="numbers">{}</span>').format(part) if i % 2 else escape(part)
        for i, part in enumerate(parts)
    )


def _prompt(text: str) -> Markup:
    """Show a prompt in isolation from the page's text direction; a very long one folds.

    What folds is a block: the element around it must not be a paragraph, which a block ends.
    """
    if len(text) <= MAX_LENGTH:
        return Markup("<bdi>{}</bdi>").format(balanced(text))
    return Markup(
        '<details class="long"><summary><bdi>{}</bdi> <small>({} characters)</small></summary>'
        "<bdi>{}</bdi></details>"
    ).format(shorten(text), f"{len(text):,}", balanced(text))


def _environment(environment: Mapping[str, Any]) -> list[tuple[str, str | list[tuple[str, str]]]]:
    """Return name and text, or name and a list of both, for every fact about the machine."""
    return [
        (name.replace("_", " "), [(k, _text(v)) for k, v in value.items()])
        if isinstance(value, Mapping)
        else (name.replace("_", " "), _text(value))
        for name, value in environment.items()
    ]


def _text(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(map(str, value))
    return str(value)
