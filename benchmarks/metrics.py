"""How fast the metrics are beside their peers, and which of the two is closer to the truth.

    uv run --extra benchmarks python benchmarks/metrics.py [--small]

Ours and each peer take turns in one process on one thread, on the same float32 features; what is
printed is the median of the ratios of CPU time, turn by turn. `exact` is the same formula spelt
out in float64, to which both answers are held. The share of the GEMM roof is the least number of
multiply-adds that the definition needs, at the measured speed of a large matrix product in the
precision used, over our time. Writes benchmarks/results/metrics.json and metrics.md after every
row; called again it goes on with the rows that are missing.
"""

from __future__ import annotations

import os

os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1"))

import argparse
import contextlib
import hashlib
import importlib.metadata
import io
import json
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from machine import machine_facts
from numpy.typing import NDArray
from peers import PEERS, exact_value

from dalle2eval import metrics

RESULTS = Path(__file__).parent / "results"
PEER_PACKAGES = (
    "torchmetrics",
    "torch-fidelity",
    "pytorch-fid",
    "clean-fid",
    "prdc",
    "vendi-score",
)
CLIP_WIDTH, INCEPTION_WIDTH, NEIGHBOURS = 768, 2048, 5
Table = NDArray[np.float32]
Call = Callable[[], float]


@dataclass(frozen=True, kw_only=True)
class Case:
    """One number to compute: ours, its peers by name, the truth, and the work that it needs."""

    what: str
    ours: Call
    peers: dict[str, Call]
    exact: Call
    gflop: float
    precision: str


@dataclass(frozen=True, kw_only=True)
class Row:
    """Ours beside one peer."""

    what: str
    peer: str
    seconds: float
    peer_seconds: float
    ratio: float
    error: float
    peer_error: float
    roof_share: float


Rows = dict[tuple[str, str], Row]


def features(n: int, d: int, seed: int, shift: float) -> Table:
    """Return rectified, correlated features like those of a network, [n, d] float32."""
    mix = np.random.default_rng(d).standard_normal((d, d)) / np.sqrt(d)
    mix *= np.linspace(1.0, 0.05, d)
    noise = np.random.default_rng(seed).standard_normal((n, d), dtype=np.float32)
    return np.maximum(noise @ ((1 + shift) * mix).astype(np.float32) + 0.2, 0)


def roof(precision: str) -> float:
    """Return the speed of a 2048 x 2048 matrix product, GFLOP/s, best of 3."""
    x = np.random.default_rng(0).standard_normal((2048, 2048)).astype(precision)
    times = []
    for _ in range(3):
        started = time.process_time()
        x @ x
        times.append(time.process_time() - started)
    return 2 * 2048**3 / min(times) / 1e9


def cases(*, small: bool) -> Iterator[Case]:
    """Yield every comparison."""
    d = INCEPTION_WIDTH // 4 if small else INCEPTION_WIDTH
    big, middle, few = (1500, 800, 120) if small else (10_000, 5_000, 500)
    yield from frechet_cases(d, big, few)
    x, y = features(middle, d, 1, 0.0), features(middle, d, 2, 0.03)
    pairs = 4e-9 * middle**2  # within the first, within the second: half a table each; across: one
    yield _case("kid", x, y, pairs * d, "float32")
    yield _case("prdc", x, y, pairs * d, "float32")
    yield _case("vendi", x, y, vendi_gflop(middle, d), "float64")
    yield _case("vendi", x[:few], y, vendi_gflop(few, d), "float64")
    x, y = (features(middle, CLIP_WIDTH, seed, 0.02 * seed) for seed in (3, 4))
    yield _case("cmmd", x, y, pairs * CLIP_WIDTH, "float32")
    if not small:
        x, y = features(big, d, 5, 0.0), features(big, d, 6, 0.03)
        yield _case("kid", x, y, 4e-9 * big**2 * d, "float32")


def frechet_cases(d: int, big: int, few: int) -> Iterator[Case]:
    """Yield the Fréchet distance from moments, from many features and from few."""
    x, y = features(big, d, 7, 0.0), features(big, d, 8, 0.03)
    a, b = metrics.moments(x), metrics.moments(y)
    spectrum = (1 / 3 + 1 + 4 / 3) * d**3 * 1e-9  # Cholesky, dsygst, tridiagonal form
    yield Case(
        what=f"fd from moments, d={d}",
        ours=lambda: metrics.frechet_distance_from_moments(a, b),
        peers={name: (lambda peer=peer: peer(a, b)) for name, peer in PEERS["fd-moments"].items()},
        exact=lambda: exact_value("fd", x, y),
        gflop=spectrum,
        precision="float64",
    )
    yield _case("fd", x, y, spectrum + 2e-9 * big * d * d, "float64")
    x, y = features(few, d, 9, 0.0), features(few, d, 10, 0.03)
    yield _case("fd", x, y, 2e-9 * few * few * d + 8 / 3 * few**3 * 1e-9, "float64")


def vendi_gflop(n: int, d: int) -> float:
    """Return the work of half a Gram matrix and its tridiagonal form."""
    k = min(n, d)
    return (n * d * k + 4 / 3 * k**3) * 1e-9


def _case(name: str, x: Table, y: Table, gflop: float, precision: str) -> Case:
    ours = {
        "fd": lambda: metrics.frechet_distance(x, y),
        "kid": lambda: metrics.kernel_distance(x, y),
        "prdc": lambda: float(metrics.overlap(x, y, neighbours=NEIGHBOURS).recall.mean()),
        "vendi": lambda: metrics.vendi_score(x),
        "cmmd": lambda: metrics.cmmd(x, y),
    }[name]
    return Case(
        what=f"{name}, N={len(x)}, d={x.shape[1]}",
        ours=ours,
        peers={peer: (lambda call=call: call(x, y)) for peer, call in PEERS[name].items()},
        exact=lambda: exact_value(name, x, y),
        gflop=gflop,
        precision=precision,
    )


def timed(call: Call) -> tuple[float, float]:
    """Return the answer and the CPU seconds of a call, silenced."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        started = time.process_time()
        value = call()
        return value, time.process_time() - started


def warm_up() -> None:
    """Call every peer once, so that no import is timed."""
    x, y = features(60, 16, 1, 0.0), features(60, 16, 2, 0.03)
    for name, peers in PEERS.items():
        for call in peers.values():
            of_moments = name == "fd-moments"
            sides = (metrics.moments(x), metrics.moments(y)) if of_moments else (x, y)
            timed(lambda call=call, sides=sides: call(*sides))


def measure(case: Case, known: Rows, roofs: dict[str, float], repeats: int) -> Iterator[Row]:
    """Yield ours beside each peer, in turn ``repeats`` times, where it is not known yet."""
    missing = [peer for peer in case.peers if (case.what, peer) not in known]
    exact = case.exact() if missing else 0.0
    for peer, call in case.peers.items():
        if peer not in missing:
            yield known[case.what, peer]
            continue
        pairs = [(timed(case.ours), timed(call)) for _ in range(repeats)]
        seconds = statistics.median(ours[1] for ours, _ in pairs)
        (value, _), (theirs, _) = pairs[-1]
        yield Row(
            what=case.what,
            peer=peer,
            seconds=round(seconds, 4),
            peer_seconds=round(statistics.median(them[1] for _, them in pairs), 4),
            ratio=round(statistics.median(them[1] / ours[1] for ours, them in pairs), 2),
            error=_error(value, exact),
            peer_error=_error(theirs, exact),
            roof_share=round(case.gflop / roofs[case.precision] / seconds, 3),
        )


def _error(value: float, exact: float) -> float:
    return float(f"{abs(value - exact) / abs(exact):.2g}")


def as_markdown(rows: list[Row], facts: dict[str, Any]) -> str:
    """Return the table."""
    machine, roofs = facts["machine"], facts["roof_gflops"]
    lines = [
        "# The metrics beside their peers",
        "",
        f"One thread of {machine['cpu']}, {facts['repeats']} turns; a matrix product reaches "
        f"{roofs['float64']:.0f} GFLOP/s in float64 and {roofs['float32']:.0f} in float32. "
        "`ratio`: the peer's CPU time over ours, median of the turns. Errors are relative to the "
        "definition spelt out in float64. `roof`: share of the speed of a plain matrix product.",
        "",
        "| what | peer | ours, s | peer, s | ratio | our error | peer's error | roof |",
        "|---|---|--:|--:|--:|--:|--:|--:|",
    ]
    lines += [
        f"| {r.what} | {r.peer} | {r.seconds:.3f} | {r.peer_seconds:.3f} | {r.ratio:.2f} "
        f"| {r.error:.1g} | {r.peer_error:.1g} | {100 * r.roof_share:.0f}% |"
        for r in rows
    ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every case and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", default="", help="the cases whose name holds this text")
    parser.add_argument("--out", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warm_up()
    roofs = {precision: roof(precision) for precision in ("float64", "float32")}
    facts = {
        "machine": machine_facts(),
        "peers": {name: importlib.metadata.version(name) for name in PEER_PACKAGES},
        "repeats": options.repeats,
        "code": code_hash(),
        "roof_gflops": {precision: round(speed, 1) for precision, speed in roofs.items()},
    }
    options.out.mkdir(parents=True, exist_ok=True)
    known, rows = read_rows(options.out / "metrics.json", facts), []
    for case in cases(small=options.small):
        if options.only in case.what:
            for row in measure(case, known, roofs, options.repeats):
                rows.append(row)
                sys.stderr.write(f"{row.ratio:8.2f}x  {row}\n")
                document = json.dumps({**facts, "results": [asdict(r) for r in rows]}, indent=1)
                (options.out / "metrics.json").write_text(document)
                (options.out / "metrics.md").write_text(as_markdown(rows, facts))


def read_rows(path: Path, facts: dict[str, Any]) -> Rows:
    """Return the rows that an earlier call of the same code measured."""
    if not path.exists():
        return {}
    document = json.loads(path.read_text())
    if any(document.get(name) != facts[name] for name in ("code", "repeats", "peers")):
        return {}
    rows = [Row(**row) for row in document["results"]]
    return {(row.what, row.peer): row for row in rows}


def code_hash() -> str:
    """Return a hash of the code under test, so that rows of other code are measured again."""
    files = sorted(Path(metrics.__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()


if __name__ == "__main__":
    main()
