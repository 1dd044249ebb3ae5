"""Every estimate beside its paired difference as one flat row: the content of summary.csv.

Full precision, empty where a number is not known (with the reason in its own column). A text that a
spreadsheet would run as a formula is made plain by an apostrophe (OWASP, "CSV Injection").
"""

from __future__ import annotations

import csv
import io
from typing import Any

import pyarrow
import pyarrow.parquet

from dalle2eval.records import Comparison
from reports.run_record import RunRecord

Row = dict[str, Any]
ESTIMATE_FIELDS = (
    "metric", "slice", "value", "low", "high", "n", "num_unscored", "method", "higher_is_better",
    "unit", "extractor", "reason", "note",
)  # fmt: skip
COMPARISON_FIELDS = {
    "reference": "reference", "difference": "difference", "difference_low": "low",
    "difference_high": "high", "n_pairs": "n_pairs", "p_value": "p_value", "verdict": "verdict",
    "comparison_method": "method", "comparison_reason": "reason",
}  # fmt: skip


def flat_rows(run: RunRecord) -> list[Row]:
    """Return one row per (arm, metric, slice), in the plan's order of arms."""
    compared = {(c.arm, c.metric, c.slice): c for c in run.comparisons}
    order = {arm.name: i for i, arm in enumerate(run.arms)}
    rows = []
    for key, estimate in sorted(run.estimates.items(), key=lambda item: order[item[0][0]]):
        row: Row = {"arm": key[0]}
        row |= {name: getattr(estimate, name) for name in ESTIMATE_FIELDS}
        rows.append(row | _compared(compared.get(key)))
    return rows


def _compared(comparison: Comparison | None) -> Row:
    return {
        column: getattr(comparison, name) if comparison else None
        for column, name in COMPARISON_FIELDS.items()
    }


def csv_text(run: RunRecord) -> str:
    """Return the rows as CSV (RFC 4180)."""
    buffer = io.StringIO()
    writer = csv.DictWriter(buffer, ["arm", *ESTIMATE_FIELDS, *COMPARISON_FIELDS])
    writer.writeheader()
    writer.writerows({name: _plain(value) for name, value in row.items()} for row in flat_rows(run))
    return buffer.getvalue()


def _plain(value: Any) -> Any:
    if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")):
        return "'" + value
    return value


def parquet_bytes(run: RunRecord) -> bytes:
    """Return the rows as Parquet, texts as they are."""
    columns = ["arm", *ESTIMATE_FIELDS, *COMPARISON_FIELDS]
    rows = flat_rows(run)
    table = pyarrow.table({name: [row[name] for row in rows] for name in columns})
    buffer = io.BytesIO()
    pyarrow.parquet.write_table(table, buffer)
    return buffer.getvalue()
