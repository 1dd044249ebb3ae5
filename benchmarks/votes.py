"""Do the intervals of human judgement hold the truth, for new voters and new prompts?

Simulated voters with tastes and prompts with an ease, so that votes of either are not independent;
the truth is the share that endless voters and prompts would give (Gauss-Hermite). Each design is
voted on anew every run. The plain interval (1.96 standard errors of independent votes, as in
published tables) stands beside ours. Writes votes.json and votes.md.

    uv run python benchmarks/votes.py --runs 1000 --out benchmarks/results
"""

from __future__ import annotations

import argparse
import json
import os
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from machine import machine_facts
from numpy.typing import NDArray
from scipy import special, stats

from dalle2eval.votes.ballots import Ballots
from dalle2eval.votes.bradley_terry import NoMaximum, fit
from dalle2eval.votes.two_way import degrees_of_freedom
from dalle2eval.votes.win_rates import clustered_share_interval

Floats = NDArray[np.float64]
# voters, prompts, mean log odds, spread of tastes, spread of ease
DESIGNS = (
    (3, 30, 0.0, 0.5, 1.0),
    (5, 30, 0.0, 0.5, 1.0),
    (10, 30, 0.0, 0.5, 1.0),
    (10, 100, 0.0, 0.5, 1.0),
    (25, 100, 0.0, 0.5, 1.0),
    (10, 30, 1.5, 0.5, 1.0),
    (25, 100, 1.5, 0.5, 1.0),
    (10, 30, 0.0, 0.0, 0.0),
)
TIES = 0.15  # of all votes, at random
ARMS = (-0.4, 0.0, 0.4)  # log strengths of the model with ties


def crossed(voters: int, prompts: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return voter and prompt of every vote where everybody sees every prompt."""
    voter, prompt = np.meshgrid(np.arange(voters), np.arange(prompts), indexing="ij")
    return voter.ravel(), prompt.ravel()


def true_share(mean: float, spread: float) -> float:
    """Return the expected vote over endless voters and prompts."""
    points, weights = np.polynomial.hermite_e.hermegauss(80)
    decided = float((weights * special.expit(mean + spread * points)).sum() / weights.sum())
    return TIES / 2 + (1 - TIES) * decided


def coverage_of_shares(design: tuple[float, ...], runs: int) -> dict[str, Any]:
    """Return how often both intervals hold the true share."""
    voters, prompts, mean, taste, ease = design
    voter, prompt = crossed(int(voters), int(prompts))
    truth = true_share(mean, float(np.hypot(taste, ease)))
    rng, ours, plain, widths = np.random.default_rng(0), 0, 0, []
    for _ in range(runs):
        odds = mean + rng.normal(0, taste, int(voters))[voter]
        odds = odds + rng.normal(0, ease, int(prompts))[prompt]
        votes = (rng.random(len(voter)) < special.expit(odds)).astype(np.float64)
        votes[rng.random(len(voter)) < TIES] = 0.5
        interval = clustered_share_interval(votes, voter, prompt)
        ours += interval.low <= truth <= interval.high
        widths.append(interval.high - interval.low)
        half = 1.96 * float(votes.std()) / np.sqrt(len(votes))
        plain += abs(float(votes.mean()) - truth) <= half
    return {
        "what": "share", "voters": voters, "prompts": prompts, "votes": len(voter),
        "truth": truth, "taste": taste, "ease": ease, "coverage": ours / runs,
        "plain": plain / runs, "width": float(np.median(widths)), "runs": runs,
    }  # fmt: skip


def coverage_of_strengths(voters: int, prompts: int, runs: int) -> dict[str, Any]:
    """Return how often a strength's interval holds the strength, votes drawn from the model."""
    voter, prompt = crossed(voters, prompts)
    rng, theta, held, widths, none = np.random.default_rng(1), np.array(ARMS), 0, [], 0
    quantile = float(stats.t.ppf(0.975, degrees_of_freedom(voter, prompt)))
    for _ in range(runs):
        first = rng.integers(0, 3, len(voter))
        second = (first + rng.integers(1, 3, len(voter))) % 3
        odds = np.stack([theta[first], theta[second], (theta[first] + theta[second]) / 2 - 1.0])
        outcome = np.argmax(odds + rng.gumbel(size=odds.shape), axis=0)
        votes = Ballots(
            first=first, second=second, outcome=outcome, voter=voter, prompt=prompt,
            pair=prompt, left_chosen=-np.ones_like(voter),
        )  # fmt: skip
        try:
            found = fit(votes, 3)
        except NoMaximum:
            none += 1
            continue
        half = quantile * found.errors
        held += int((np.abs(found.theta - theta) <= half).sum())
        widths.append(2 * float(half.mean()))
    return {
        "what": "strength", "voters": voters, "prompts": prompts, "votes": len(voter),
        "coverage": held / (3 * (runs - none)), "width": float(np.median(widths)), "runs": runs,
        "without_maximum": none,
    }  # fmt: skip


def markdown(rows: list[dict[str, Any]]) -> str:
    """Return the table for people."""
    lines = [
        "# Coverage of 95% intervals of human judgement",
        "",
        "Printed by `benchmarks/votes.py`. Plain: 1.96 standard errors of independent votes.",
        "",
        "| number | voters | prompts | truth | tastes, ease | covers | plain covers | width |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        share = row["what"] == "share"
        truth = f"{row['truth']:.3f}" if share else "log strengths -0.4, 0, 0.4"
        spread = f"{row['taste']}, {row['ease']}" if share else "0, 0"
        plain = f"{row['plain']:.1%}" if share else ""
        lines.append(
            f"| {row['what']} | {row['voters']} | {row['prompts']} | {truth} | {spread} | "
            f"{row['coverage']:.1%} | {plain} | {row['width']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Simulate every design and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    options = parser.parse_args()
    rows = [coverage_of_shares(design, options.runs) for design in DESIGNS]
    rows += [coverage_of_strengths(v, p, options.runs // 4) for v, p in ((5, 30), (10, 60))]
    content = {"machine": machine_facts(), "rows": rows}
    (options.out / "votes.json").write_text(json.dumps(content, indent=1) + "\n", "utf-8")
    (options.out / "votes.md").write_text(markdown(rows), "utf-8")
    print(markdown(rows))  # noqa: T201


if __name__ == "__main__":
    main()
