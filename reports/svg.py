"""The plots as one SVG file of its own, for pages that take a picture and no HTML.

The drawings are the report's (`forest`, `plots`), in the light scheme on a ground of their own.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import accumulate
from typing import Any

from reports.forest import Forest, forests
from reports.html import TEMPLATES, engine
from reports.plots import HEIGHT, WIDTH, Plot, guidance_plots
from reports.run_record import RunRecord

PAGE_WIDTH = 2 * WIDTH + 160
TRACK = (220, 540)  # pixels of the whiskers; names of arms lie before them, numbers behind
HEAD, ROW, GAP = 52, 26, 20  # pixels above the rows, of a row, and between drawings
MAX_FORESTS = 6  # the metrics of the answer and the first others; the table has all
PLOT_HEAD = 24
KEYS_A_ROW = 4
_SCHEMES = re.compile(r"(--\w+): light-dark\((#\w+), #\w+\);")
_SERIES = re.compile(r"^\.(?:s\d|dot|bar|curve|rule|tick|axis) .*$", re.MULTILINE)


def svg(run: RunRecord) -> str:
    """Return the paired differences and the guidance plots of a run as one SVG document."""
    trees, plots = _drawn(run)
    tops = list(accumulate((_height(tree) + GAP for tree in trees), initial=GAP))
    arms = [arm.name for arm in run.arms] if plots else []
    legend = _legend(arms, tops[-1])
    placed, bottom = _in_columns(plots, tops[-1] + ROW * -(-len(arms) // KEYS_A_ROW))
    style = (TEMPLATES / "style.css").read_text(encoding="utf-8")
    page = {
        "title": run.plan.question,
        "width": PAGE_WIDTH,
        "height": bottom,
        "track": TRACK,
        "middle": sum(TRACK) / 2,
        "forests": [_rows(tree, top) for tree, top in zip(trees, tops, strict=False)],
        "legend": legend,
        "plots": placed,
        "palette": ":root {" + " ".join(f"{k}: {v};" for k, v in _SCHEMES.findall(style)) + "}",
        "series": "\n".join(_SERIES.findall(style)),
    }
    return engine().get_template("plots.svg.j2").render(page).strip() + "\n"


def _drawn(run: RunRecord) -> tuple[tuple[Forest, ...], tuple[Plot, ...]]:
    """Return what there is to draw; two empty tuples where nothing was compared or guided."""
    return forests(run)[:MAX_FORESTS], guidance_plots(run)


def in_words(run: RunRecord) -> str:
    """Return the drawings in words, for those who cannot see them; nothing for no drawing."""
    trees, plots = _drawn(run)
    told = [
        f"{tree.title} against {tree.reference}: "
        + "; ".join(f"{whisker.arm} {whisker.text}" for whisker in tree.whiskers)
        for tree in trees
    ]
    return ". ".join([*told, *(plot.title for plot in plots)])


def _height(tree: Forest) -> int:
    return HEAD + ROW * len(tree.whiskers)


def _rows(tree: Forest, top: int) -> dict[str, Any]:
    start, stop = TRACK
    rows = [
        {
            "it": whisker,
            "y": HEAD + ROW * i + 16,
            **{
                end: round(start + (stop - start) * getattr(whisker, end) / 100, 1)
                for end in ("low", "mid", "high")
            },
        }
        for i, whisker in enumerate(tree.whiskers)
    ]
    return {"it": tree, "top": top, "bottom": _height(tree), "rows": rows}


def _legend(arms: Sequence[str], top: int) -> list[dict[str, Any]]:
    """Return the key of each arm, with its place."""
    step = (PAGE_WIDTH - 2 * GAP) // KEYS_A_ROW
    return [
        {
            "arm": arm,
            "index": i,
            "x": GAP + i % KEYS_A_ROW * step,
            "y": top + i // KEYS_A_ROW * ROW,
        }
        for i, arm in enumerate(arms)
    ]


def _in_columns(plots: Sequence[Plot], top: int) -> tuple[list[dict[str, Any]], int]:
    """Return the plots two a row with their places, and where the drawing ends."""
    step = HEIGHT + PLOT_HEAD + GAP
    placed = [
        {"it": plot, "left": 16 + i % 2 * (WIDTH + GAP), "top": top + i // 2 * step}
        for i, plot in enumerate(plots)
    ]
    return placed, top + -(-len(plots) // 2) * step
