"""What a probe found, as Markdown: the answer, its numbers and tests, and how good the judges are.

Read from the ``probe.json`` that `dalle2eval probe` leaves. Texts are escaped as in the report of a
run, so that neither Markdown nor HTML in a prompt or a name takes effect.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from reports.markdown import plain
from reports.wording import wording

Row = Mapping[str, Any]


def probe_markdown(found: Mapping[str, Any]) -> str:
    """Return the page of one probe.

    Args:
        found: the content of ``probe.json``.
    """
    parts = [
        f"# {plain(found['probe'])}: {plain(found['model'])}",
        plain(found["summary"]),
        f"**{plain(found['answer'])}**",
        "## Numbers",
        _table(("metric", "slice", "value", "95% interval", "n", "unscored"), _numbers(found)),
        *_tests(found["comparisons"]),
        "## What the judges get right on inputs with known truth",
        _table(("judge", "task", "right", "95% interval", "n", "floor"), _judges(found)),
        *(["## Notes", "\n".join(f"- {plain(note)}" for note in found["notes"])]
          if found["notes"] else []),
        "## Provenance",
        "\n".join(f"- {line}" for line in _facts(found)),
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def _numbers(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            plain(wording(row["metric"]).title),
            plain(row["slice"]),
            _value(row),
            _interval(row),
            str(row["n"]),
            str(row["num_unscored"] or ""),
        )
        for row in found["estimates"]
    ]


def _tests(rows: Sequence[Row]) -> list[str]:
    if not rows:
        return []
    head = ("metric", "slice", "this", "against", "difference", "95% interval", "p", "verdict")
    lines = [
        (
            plain(wording(row["metric"]).title),
            plain(row["slice"]),
            plain(row["arm"]),
            plain(row["reference"]),
            "unknown" if row["difference"] is None else f"{row['difference']:.3g}",
            _interval(row),
            "" if row["p_value"] is None else f"{row['p_value']:.3g}",
            plain(row["verdict"]) + (f" ({plain(row['reason'])})" if row["reason"] else ""),
        )
        for row in rows
    ]
    return ["## Tests", _table(head, lines)]


def _judges(found: Mapping[str, Any]) -> list[tuple[str, ...]]:
    return [
        (
            plain(row["judge"]),
            plain(row["task"]),
            f"{row['accuracy']:.1%}",
            f"[{row['low']:.1%}, {row['high']:.1%}]",
            str(row["n"]),
            f"{row['floor']:.0%}" if row["floor"] else "none",
        )
        for row in found["self_tests"]
    ]


def _facts(found: Mapping[str, Any]) -> list[str]:
    settings = ", ".join(f"{name} {value}" for name, value in found["settings"].items())
    asked = f"{found['n']} x {len(found['seeds'])}"
    facts = {
        "probe": f"{found['probe']}, version {found['version']}",
        "weights": found["weights"][:12],
        "prompts": f"{found['prompts'] or 'its own'}, {asked} pictures",
        "judge": found["judge"],
        "detector": found["detector"] or "none",
        "settings": settings or "none",
        "time": f"{found['seconds']:.0f} s on {found['environment']['device']}",
    }
    return [f"{name}: {plain(str(text))}" for name, text in facts.items()]


def _value(row: Row) -> str:
    if row["value"] is None:
        return f"unknown: {plain(row['reason'])}"
    return f"{row['value']:.3g}"


def _interval(row: Row) -> str:
    return "" if row["low"] is None else f"[{row['low']:.3g}, {row['high']:.3g}]"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
