"""Do the 95% intervals hold the truth 95% of the time, and do A/A comparisons stay silent?

Simulation on synthetic features and scores, where the truth is known: the expected value of the
metric at its n over fresh generated sets, the reference set held fixed. Writes coverage.json and
coverage.md after every row; called again it goes on with the rows that are missing.

    uv run python benchmarks/coverage.py --runs 2000 --out benchmarks/results
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from functools import partial
from itertools import chain
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")  # small matrices: threads cost more than they give

import numpy as np
from machine import machine_facts
from numpy.typing import NDArray

import dalle2eval
from dalle2eval.metrics import get_metric
from dalle2eval.records import Comparison, Estimate, SampleKey, Score
from dalle2eval.statistics import (
    Arms,
    Features,
    compare_features,
    compare_scores,
    estimate_features,
    estimate_scores,
)

ARMS = Arms(arm="b", reference="a")
Rows = NDArray[np.float64]
Rng = np.random.Generator
Draws = Callable[..., Iterator[Estimate] | Iterator[Comparison]]


@dataclass(frozen=True, kw_only=True)
class Result:
    """One row of the table."""

    what: str
    n: int
    d: int | None
    runs: int
    truth: float
    spread: float
    width: float
    below: float
    above: float

    @property
    def coverage(self) -> float:
        """Share of intervals that hold the truth."""
        return 1.0 - self.below - self.above

    @property
    def error(self) -> float:
        """Standard error of the coverage, from the number of runs."""
        return float(np.sqrt(self.coverage * (1.0 - self.coverage) / self.runs))


@dataclass(frozen=True, kw_only=True)
class World:
    """Where features come from: generated = what the reference is, mixed by another matrix."""

    d: int
    noise: float  # relative size of the generator's error; 0 means the two are alike
    relu: bool  # rectified, skewed features with many zeros, like those of a network
    seeds: int = 1

    def matrices(self) -> tuple[Rows, Rows]:
        """Return what mixes the reference and what mixes the generated images, both [d, d]."""
        rng = np.random.default_rng(self.d)
        mix = rng.standard_normal((self.d, self.d)) * np.linspace(1.0, 0.05, self.d) ** 1.5
        error = rng.standard_normal((self.d, self.d)) * self.noise
        return 2 * mix / np.sqrt(self.d), (2 * mix + error) / np.sqrt(self.d)

    def reference(self) -> Features:
        """Return the fixed reference set of 10 d images."""
        noise = np.random.default_rng(1).standard_normal((10 * self.d, self.d))
        return features(self._draw(noise, self.matrices()[0]), 1)

    def generated(self, noise: Rows, matrix: Rows) -> Features:
        """Return what a generator makes of noise [n, d]."""
        return features(self._draw(noise, matrix), self.seeds)

    def noise_for(self, n: int, rng: Rng) -> Rows:
        """Return [n, d] in which the seeds of a prompt share half of their variance."""
        own = rng.standard_normal((n, self.d))
        if self.seeds == 1:
            return own
        prompt = rng.standard_normal((n // self.seeds, self.d)).repeat(self.seeds, axis=0)
        return (own + prompt) / np.sqrt(2)

    def _draw(self, noise: Rows, matrix: Rows) -> Rows:
        x = noise @ matrix.T
        return np.maximum(x + 0.3 * np.sign(x[:, :1]), 0) if self.relu else x


def features(values: Rows, seeds: int) -> Features:
    """Return rows [n, d] as images, ``seeds`` of them a prompt."""
    keys = tuple(SampleKey(prompt_id=f"p{i // seeds}", seed=i % seeds) for i in range(len(values)))
    return Features(keys=keys, values=values, extractor="simulated")


def set_estimates(metric: str, world: World, n: int, rng: Rng) -> Iterator[Estimate]:
    """Yield estimates of fresh generated sets."""
    reference, matrix = world.reference(), world.matrices()[1]
    while True:
        generated = world.generated(world.noise_for(n, rng), matrix)
        yield estimate_features(generated, get_metric(metric), reference=reference)


def set_comparisons(
    metric: str, world: World, n: int, rng: Rng, *, same: bool
) -> Iterator[Comparison]:
    """Yield differences of two arms that share their noise; ``same``: of one quality."""
    reference, (_, matrix) = world.reference(), world.matrices()
    while True:
        noise = world.noise_for(n, rng)
        first = noise + 0.2 * rng.standard_normal(noise.shape)
        second = (1.0 if same else 1.03) * noise + 0.2 * rng.standard_normal(noise.shape)
        yield compare_features(
            world.generated(second, matrix),
            world.generated(first, matrix),
            get_metric(metric),
            arms=ARMS,
            reference=reference,
        )


def difficulty(metric: str, prompts: int, rng: Rng) -> Rows:
    """Return what the images of a prompt share [prompts, 1]: a pass rate or a level."""
    if metric == "composition.object":
        return rng.beta(4, 1.5, size=(prompts, 1))
    return rng.gamma(2.0, size=(prompts, 1))


def outcomes(metric: str, shared: Rows, seeds: int, rng: Rng) -> Rows:
    """Return scores [prompts, seeds] given the prompts' difficulty."""
    shape = (len(shared), seeds)
    if metric == "composition.object":
        return (rng.random(shape) < shared).astype(float)
    return shared + rng.gamma(1.0, size=shape)


def scores(metric: str, table: Rows) -> list[Score]:
    """Return scores of a table [prompts, seeds]."""
    return [
        Score(key=SampleKey(prompt_id=f"p{p}", seed=s), metric=metric, value=float(table[p, s]))
        for p, s in np.ndindex(*table.shape)
    ]


def score_estimates(metric: str, prompts: int, seeds: int, rng: Rng) -> Iterator[Estimate]:
    """Yield estimates of fresh prompts."""
    while True:
        table = outcomes(metric, difficulty(metric, prompts, rng), seeds, rng)
        yield estimate_scores(scores(metric, table), get_metric(metric))


def score_comparisons(metric: str, prompts: int, seeds: int, rng: Rng) -> Iterator[Comparison]:
    """Yield differences of two arms of one quality that share the prompts' difficulty."""
    while True:
        shared = difficulty(metric, prompts, rng)
        new, old = (scores(metric, outcomes(metric, shared, seeds, rng)) for _ in range(2))
        yield compare_scores(new, old, get_metric(metric), arms=ARMS)


def measure(
    what: str,
    n: int,
    d: int | None,
    runs: int,
    draws: Iterator[Estimate] | Iterator[Comparison],
    truth: float | None = None,
) -> Result:
    """Count how often the interval holds the truth: the mean of all runs, unless it is given."""
    records = [next(draws) for _ in range(runs)]
    values = np.array([r.value if isinstance(r, Estimate) else r.difference for r in records])
    low, high = np.array([(r.low, r.high) for r in records]).T
    target = float(values.mean()) if truth is None else truth
    return Result(
        what=what,
        n=n,
        d=d,
        runs=runs,
        truth=target,
        spread=float(values.std(ddof=1)),
        width=float((high - low).mean()),
        below=float((high < target).mean()),
        above=float((low > target).mean()),
    )


WORLDS = {
    "unlike": World(d=64, noise=0.3, relu=False),
    "alike": World(d=64, noise=0.0, relu=False),
    "rectified": World(d=64, noise=0.3, relu=True),
    "2 seeds a prompt": World(d=64, noise=0.3, relu=False, seeds=2),
}
SMALL = World(d=16, noise=0.3, relu=False)  # for what takes twenty passes an estimate


def set_cases() -> Iterator[tuple[str, int, int, Draws]]:
    """Yield metrics over sets: differences and A/A pairs, then estimates."""
    for metric in ("fd_scenes", "kid_scenes", "cmmd", "vendi_scenes"):
        for label, same in (("difference", False), ("A/A", True)):
            draw = partial(set_comparisons, metric, WORLDS["unlike"], 160, same=same)
            yield f"{metric}, paired {label}", 160, 64, draw
    for metric in ("fd_scenes", "kid_scenes"):
        for name, world in WORLDS.items():
            for n in (160, 640):
                yield f"{metric}, {name}", n, world.d, partial(set_estimates, metric, world, n)
    yield from other_set_cases()


def other_set_cases() -> Iterator[tuple[str, int, int, Draws]]:
    """Yield estimates of the metrics that a suite reads beside FD and KID."""
    for metric, n in (("cmmd", 160), ("vendi_scenes", 160), ("fd_scenes_corrected", 256)):
        for name in ("unlike", "rectified"):
            yield f"{metric}, {name}", n, 64, partial(set_estimates, metric, WORLDS[name], n)
    for metric in ("precision_scenes", "density_scenes", "recall_scenes", "coverage_scenes"):
        yield f"{metric}, unlike", 160, SMALL.d, partial(set_estimates, metric, SMALL, 160)
    draw = partial(set_comparisons, "recall_scenes", SMALL, 160, same=True)
    yield "recall_scenes, paired A/A", 160, SMALL.d, draw


def score_cases() -> Iterator[tuple[str, int, None, Draws]]:
    """Yield means and shares with one and with four seeds a prompt, and A/A pairs."""
    for metric in ("clip_score", "composition.object"):
        for prompts, seeds in ((40, 1), (160, 1), (40, 4)):
            n, where = prompts * seeds, f"{metric}, {prompts} prompts x {seeds}"
            yield where, n, None, partial(score_estimates, metric, prompts, seeds)
            yield (
                f"{where}, paired A/A",
                n,
                None,
                partial(score_comparisons, metric, prompts, seeds),
            )


def paired_gain(runs: int) -> float:
    """Return how many times narrower the paired interval of a ΔFD is than the unpaired one."""
    world, gains, rng = World(d=64, noise=0.3, relu=False), [], np.random.default_rng(0)
    reference, (_, matrix), metric = world.reference(), world.matrices(), get_metric("fd_scenes")
    for _ in range(runs):
        noise = world.noise_for(160, rng)
        sides = [
            world.generated(scale * noise + 0.2 * rng.standard_normal(noise.shape), matrix)
            for scale in (1.0, 1.03)
        ]
        paired = compare_features(*sides, metric, arms=ARMS, reference=reference)
        alone = [estimate_features(side, metric, reference=reference) for side in sides]
        unpaired = np.hypot(*(estimate.high - estimate.low for estimate in alone))
        gains.append(unpaired / (paired.high - paired.low))
    return float(np.mean(gains))


def as_markdown(results: list[Result], gain: float) -> str:
    """Return the table."""
    lines = [
        "# Coverage of the 95% intervals",
        "",
        "Each row is so many simulated runs; ± is the standard error of its coverage, in points. "
        "`low`, `high`: share of intervals that lie entirely below and above the truth. For A/A "
        "pairs the truth is no difference, and 100% - coverage is the rate of false alarms.",
        "",
        "| what | runs | n | d | coverage | ± | low | high | mean width | spread of the value |",
        "|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.what} | {r.runs} | {r.n} | {r.d or ''} | {100 * r.coverage:.1f}% "
        f"| {100 * r.error:.1f} | {100 * r.below:.1f}% | {100 * r.above:.1f}% "
        f"| {r.width:.3g} | {r.spread:.3g} |"
        for r in results
    ]
    lines += [
        "",
        f"A paired ΔFD (n = 160, d = 64) has an interval {gain:.1f} times narrower than an "
        "unpaired one.",
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run every case and write coverage.json and coverage.md."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/results"))
    parser.add_argument("--only", default="", help="run the cases whose name holds this text")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    gain = paired_gain(max(20, options.runs // 20))
    sys.stderr.write(f"a paired FD difference is {gain:.1f} times narrower than an unpaired one\n")
    known = read_results(options.out / "coverage.json", options.runs)
    results = []
    for what, n, d, draw in chain(score_cases(), set_cases()):
        result = known.get((what, n))
        if result is None and options.only in what:
            seed = zlib.crc32(what.encode()) + n
            truth = 0.0 if "A/A" in what else None
            drawn, started = draw(rng=np.random.default_rng(seed)), time.process_time()
            result = measure(what, n, d, runs_of(what, options.runs), drawn, truth)
            seconds = time.process_time() - started
            sys.stderr.write(f"{result.coverage:.3f}  {what} n={n} ({seconds:.0f} s)\n")
        if result is not None:
            results.append(result)
            write_results(options.out, results, gain, options.runs)


def runs_of(what: str, runs: int) -> int:
    """Return how many runs a row gets: A/A pairs of scores ten times as many.

    Their rate of false alarms is 5% by construction, which 2,000 runs miss by half a point.
    """
    return 10 * runs if "A/A" in what and " prompts x " in what else runs


def write_results(folder: Path, results: list[Result], gain: float, runs: int) -> None:
    """Write coverage.json and coverage.md."""
    facts = {"runs": runs, "code": code_hash(), "machine": machine_facts(), "paired_gain": gain}
    rows = [{**asdict(result), "coverage": result.coverage} for result in results]
    (folder / "coverage.json").write_text(json.dumps({**facts, "results": rows}, indent=1))
    (folder / "coverage.md").write_text(as_markdown(results, gain))


def read_results(path: Path, runs: int) -> dict[tuple[str, int], Result]:
    """Return the rows of an earlier call with as many runs of the same code, by name and n."""
    if not path.exists():
        return {}
    document = json.loads(path.read_text())
    if (document.get("runs"), document.get("code")) != (runs, code_hash()):
        return {}
    names = [field.name for field in fields(Result)]
    rows = [Result(**{name: row[name] for name in names}) for row in document["results"]]
    return {(row.what, row.n): row for row in rows}


def code_hash() -> str:
    """Return a hash of the code under test, so that rows of other code are made again."""
    house = Path(dalle2eval.__file__).parent
    files = sorted((house / "statistics").glob("*.py")) + sorted((house / "metrics").glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


if __name__ == "__main__":
    main()
