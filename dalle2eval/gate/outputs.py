"""The gate's answer for people and machines: terminal table, Markdown, JUnit XML and JSON.

One sign a row, readable without colour: + worse, - better, ~ not significant, = proven the same
within the margin, x not comparable.
"""

from __future__ import annotations

import html
from dataclasses import asdict
from typing import Any
from urllib.parse import quote
from xml.etree import ElementTree as ET

from dalle2eval.gate.decision import INCONCLUSIVE, NOT_COMPARABLE, PASS, REGRESSION, Decision
from dalle2eval.gate.verdicts import GateRow

SIGNS = {
    "regression": "+",
    "improved": "-",
    "inconclusive": "~",
    "pass": "=",
    "not comparable": "x",
}
HEAD = ("", "arm", "metric", "baseline", "current", "worse by [95%]", "margin", "verdict")
LEGEND = "+ worse   - better   ~ not significant   = same within the margin   x not comparable"
ANSWERS = {
    PASS: "pass",
    REGRESSION: "regression",
    INCONCLUSIVE: "inconclusive",
    NOT_COMPARABLE: "not comparable",
}
WIRES_SHOWN = 20  # broken pictures named one by one; the answer as JSON has all
PROMPT_SHOWN = 160  # characters of a prompt in the comment
_XML = ((0x20, 0xD7FF), (0xE000, 0xFFFD), (0x10000, 0x10FFFF))  # no control, no lone surrogate
MARKDOWN_LIMIT = 60_000  # bytes: what a pull-request comment may hold


def table_rows(decision: Decision) -> list[tuple[str, ...]]:
    """Return the cells under `HEAD`, gating metrics first; informational ones are bracketed."""
    ordered = sorted(decision.rows, key=lambda row: not row.gating)
    return [_cells(row) for row in ordered]


def remarks(decision: Decision) -> list[str]:
    """Return what stands below the table, one line each."""
    lines = [decision.refused] if decision.refused else []
    lines += [wire.text for wire in decision.tripped[:WIRES_SHOWN]]
    if len(decision.tripped) > WIRES_SHOWN:
        lines.append(f"{len(decision.tripped) - WIRES_SHOWN} more broken pictures: gate --json")
    lines += [f"{r.arm} {r.metric}: {r.reason}" for r in decision.rows if r.reason]
    for row in decision.rows:
        if row.verdict == "inconclusive" and row.gating and row.detectable is not None:
            line = f"{row.arm} {row.metric}: finds {_short(row.detectable)} at this n"
            if row.prompts_needed is not None:
                line += f"; the margin {_short(row.margin)} needs {row.prompts_needed} prompts"
            lines.append(line)
    return [_flat(line) for line in (*lines, *decision.cautions)]


def to_json(decision: Decision, *, strict: bool) -> dict[str, Any]:
    """Return the decision as plain data."""
    code = decision.exit_code(strict=strict)
    return {
        "answer": ANSWERS[code],
        "refused": decision.refused,
        "exit_code": code,
        "rows": [asdict(row) for row in decision.rows],
        "tripped": [{**asdict(wire), "text": wire.text} for wire in decision.tripped],
        "cautions": list(decision.cautions),
        "accepted": dict(decision.accepted),
        "changed": [asdict(image) for image in decision.changed],
    }


def row_text(row: GateRow) -> str:
    """Return a row's numbers in one line."""
    text = f"{_short(row.baseline)} -> {_short(row.current)}"
    if row.degradation is None:
        return text
    ends = f"[{_short(row.low)}, {_short(row.high)}]"
    return f"{text}, worse by {_short(row.degradation)} {ends}, margin {_short(row.margin)}"


def to_markdown(decision: Decision, *, strict: bool, pictures: str | None = None) -> str:
    """Return a comment for a pull request, under 60 kB; names are escaped.

    Args:
        decision: of the gate.
        strict: whether cannot tell is a failure.
        pictures: address under which the run folder can be reached; pictures are then shown, else
            named by their path (a comment cannot carry them).
    """
    answer = ANSWERS[decision.exit_code(strict=strict)]
    lines = [f"## Sample quality: {answer}", ""]
    if decision.rows:
        lines += [_accepted(decision), ""]
        lines += ["| " + " | ".join(HEAD) + " |", "|" + "---|" * len(HEAD)]
        lines += ["| " + " | ".join(map(_markdown, row)) + " |" for row in table_rows(decision)]
        lines += ["", f"`{LEGEND}`", ""]
    lines += [f"- {_markdown(line)}" for line in remarks(decision)]
    return _cut([*lines, *_changed(decision, pictures)])


def _changed(decision: Decision, pictures: str | None) -> list[str]:
    """Return the images that changed most, as a table."""
    if not decision.changed:
        return []
    lines = ["", "### Images that changed most", "", "| arm | prompt | seed | turned | picture |"]
    lines.append("|---|---|---|---|---|")
    for image in decision.changed:
        picture = _picture(image.path, pictures)
        cells = (
            image.arm,
            image.prompt[:PROMPT_SHOWN],
            str(image.key.seed),
            "; ".join(image.flips),
        )
        lines.append(f"| {' | '.join(map(_markdown, cells))} | {picture} |")
    return lines


def _picture(path: str | None, pictures: str | None) -> str:
    if path is None:
        return "not kept"
    if pictures is None:
        return _markdown(path)
    return f"![]({pictures.rstrip('/')}/{quote(path)})"


def to_junit(decision: Decision, *, strict: bool) -> str:
    """Return JUnit XML: a test case for every gating metric, one for the pictures."""
    suite = ET.Element("testsuite", name="dalle2eval gate")
    if decision.refused:
        case = ET.SubElement(suite, "testcase", classname="gate", name="same experiment")
        _fail(case, decision.refused)
    pictures = ET.SubElement(suite, "testcase", classname="gate", name="tripwires")
    if decision.tripped:
        _fail(pictures, "; ".join(wire.text for wire in decision.tripped[:20]))
    for row in decision.rows:
        case = ET.SubElement(suite, "testcase", classname=_xml(f"gate.{row.arm}"), name=row.metric)
        text = row.reason or row_text(row)
        if not row.gating or (row.verdict == "inconclusive" and not strict):
            ET.SubElement(case, "skipped", message=_xml(f"{row.verdict}: {text}"))
        elif row.verdict not in ("pass", "improved"):
            _fail(case, f"{row.verdict}: {text}")
    cases = list(suite)
    suite.set("tests", str(len(cases)))
    suite.set("failures", str(sum(case.find("failure") is not None for case in cases)))
    suite.set("skipped", str(sum(case.find("skipped") is not None for case in cases)))
    return ET.tostring(suite, encoding="unicode", xml_declaration=True)


def _fail(case: ET.Element, message: str) -> None:
    ET.SubElement(case, "failure", message=_xml(message))


def _xml(text: str) -> str:
    """Drop what XML 1.0 cannot hold."""
    return "".join(c for c in text if c in "\t\n" or _is_xml(ord(c)))


def _is_xml(code: int) -> bool:
    """Say whether a character is one of XML 1.0 (section 2.2)."""
    return any(first <= code <= last for first, last in _XML)


def _cells(row: GateRow) -> tuple[str, ...]:
    worse = ""
    if row.degradation is not None:
        worse = f"{_short(row.degradation)} [{_short(row.low)}, {_short(row.high)}]"
    verdict = row.verdict if row.gating else f"({row.verdict})"
    numbers = (_short(row.baseline), _short(row.current), worse, _short(row.margin))
    return (SIGNS[row.verdict], row.arm, row.metric, *numbers, verdict)


def _short(value: float | None) -> str:
    return "" if value is None else f"{value + 0.0:.3g}"  # + 0.0: no "-0"


def _accepted(decision: Decision) -> str:
    facts = decision.accepted
    told = ", ".join(str(facts[name]) for name in ("by", "date", "commit") if facts.get(name))
    return _markdown(f"Baseline accepted ({told}): {facts.get('reason', '')}")


def _markdown(text: str) -> str:
    """Escape what Markdown or HTML would act on; a name may hold anything."""
    escaped = html.escape(_flat(text), quote=False)
    for character in "\\`*_[]|~#$":
        escaped = escaped.replace(character, "\\" + character)
    for live in ("@", "://", "www."):  # mentions nobody, links nowhere
        escaped = escaped.replace(live, live[0] + "\u200b" + live[1:])
    return escaped


def _flat(text: str) -> str:
    """Return a text on one line without control characters: a terminal or a log acts on them."""
    return "".join(c for c in " ".join(text.split()) if c.isprintable())


def _cut(lines: list[str]) -> str:
    kept: list[str] = []
    size = 0
    for line in lines:
        size += len(line.encode()) + 1
        if size > MARKDOWN_LIMIT - 200:
            left = len(lines) - len(kept)
            kept += ["", f"{left} more lines are left out: gate --json has all."]
            break
        kept.append(line)
    return "\n".join(kept) + "\n"
