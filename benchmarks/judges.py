"""Does the CLIP judge agree with the truth? Pictures with known truth, right captions and wrong.

    uv run python benchmarks/judges.py [--n 500]

Each question shows a picture that the procedural world drew, its true caption, and one that is
wrong in one thing. The judge agrees where the true caption has the higher CLIP score; guessing
agrees half of the time. Writes benchmarks/results/judges.json and docs/judges.md.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from machine import machine_facts

from dalle2eval.features import embed_aligned, embed_texts
from dalle2eval.metrics import clip_score
from dalle2eval.scenes.grammar import KINDS, Scene, all_scenes, caption, is_held_out
from dalle2eval.scenes.renderer import draw
from dalle2eval.scenes.vocabulary import COLOURS, RELATIONS, SHAPES, WORDS
from dalle2eval.statistics import wilson_interval
from reference_model.embedder import load_clip

ROOT = Path(__file__).parents[1]
RESULT, PAGE = ROOT / "benchmarks" / "results" / "judges.json", ROOT / "docs" / "judges.md"
JUDGES = {
    "scenes-judge": "the judge of runs",
    "scenes": "the generator's own CLIP, which never judges it",
}
SIZE = 64
PICTURES = 2**40  # seeds of these pictures start here, far from those of training
Rng = np.random.Generator
Change = Callable[[Scene, Rng], Scene]


def other_colour(scene: Scene, rng: Rng) -> Scene:
    """Return the scene with its first object in a colour that it does not show."""
    colour = str(rng.choice([name for name in COLOURS if name not in scene.colours]))
    return _first(scene, colour=colour)


def other_shape(scene: Scene, rng: Rng) -> Scene:
    """Return the scene with its first object in a shape that it does not show."""
    shown = {item.shape for item in scene.objects}
    return _first(scene, shape=str(rng.choice([name for name in SHAPES if name not in shown])))


def other_count(scene: Scene, rng: Rng) -> Scene:
    """Return the scene with another number of its objects."""
    numbers = [number for number in range(1, 5) if number != len(scene.objects)]
    return replace(scene, objects=scene.objects[:1] * int(rng.choice(numbers)))


def exchanged_colours(scene: Scene, _: Rng) -> Scene:
    """Return the scene with the colours of its two objects exchanged: the same words."""
    a, b = scene.objects
    return replace(scene, objects=(replace(a, colour=b.colour), replace(b, colour=a.colour)))


def exchanged_objects(scene: Scene, _: Rng) -> Scene:
    """Return the scene with its two objects exchanged: the same words, the relation turned."""
    return replace(scene, objects=scene.objects[::-1])


def other_relation(scene: Scene, rng: Rng) -> Scene:
    """Return the scene with the opposite of its relation, or another one."""
    opposites = {"left of": "right of", "above": "below", "on top of": "below"}
    opposites |= {"right of": "left of", "below": "above", "inside": str(rng.choice(RELATIONS[:4]))}
    return replace(scene, relation=opposites[str(scene.relation)])


def other_word(scene: Scene, rng: Rng) -> Scene:
    """Return the scene with another word of the same length."""
    assert scene.word is not None
    alike = [word for word in WORDS if len(word) == len(scene.word) and word != scene.word]
    return replace(scene, word=str(rng.choice(alike)))


def other_scene(scene: Scene, rng: Rng) -> Scene:
    """Return any other scene of the same kind: the caption of another picture."""
    pool = [other for other in all_scenes(scene.kind) if caption(other) != caption(scene)]
    return pool[int(rng.integers(len(pool)))]


def _first(scene: Scene, **changes: str) -> Scene:
    old = scene.objects[0]
    new = replace(old, **changes)
    return replace(scene, objects=tuple(new if item == old else item for item in scene.objects))


# What is wrong, in scenes of which kinds, and how it is made wrong.
QUESTIONS: dict[str, tuple[tuple[str, ...], Change]] = {
    "another picture's caption": (KINDS, other_scene),
    "wrong colour": (("single", "count", "two-object", "relation"), other_colour),
    "wrong shape": (("single", "count", "two-object", "relation"), other_shape),
    "wrong count": (("count",), other_count),
    "colours exchanged": (("two-object", "relation"), exchanged_colours),
    "objects exchanged": (("relation",), exchanged_objects),
    "wrong relation": (("relation",), other_relation),
    "wrong word": (("word",), other_word),
}


@dataclass(frozen=True, kw_only=True)
class Row:
    """How often one judge prefers the true caption, and by how much on average."""

    judge: str
    question: str
    scenes: str
    agreement: float
    low: float
    high: float
    n: int
    margin: float


def pairs(question: str, n: int, *, held_out: bool) -> Iterator[tuple[Scene, Scene]]:
    """Yield n scenes, each with one that is wrong in one thing."""
    kinds, change = QUESTIONS[question]
    rng = np.random.Generator(np.random.PCG64([n, held_out, *question.encode()]))
    pools = {
        kind: [scene for scene in all_scenes(kind) if is_held_out(scene) == held_out]
        for kind in kinds
    }
    for number in range(n):
        pool = pools[kinds[number % len(kinds)]]
        scene = pool[int(rng.integers(len(pool)))]
        yield scene, change(scene, rng)


def judge_pairs(name: str, question: str, n: int, *, held_out: bool) -> Row:
    """Return one row of the table."""
    judge = load_clip(name)
    chosen = list(pairs(question, n, held_out=held_out))
    images = np.stack([draw(scene, PICTURES + k, SIZE) for k, (scene, _) in enumerate(chosen)])
    features = embed_aligned(judge, images)
    right, wrong = (
        clip_score(features, embed_texts(judge, [caption(pair[side]) for pair in chosen]))
        for side in (0, 1)
    )
    agreed = int((right > wrong).sum())
    interval = wilson_interval(agreed, n)
    return Row(
        judge=name,
        question=question,
        scenes="held out" if held_out else "seen",
        agreement=agreed / n,
        low=interval.low,
        high=interval.high,
        n=n,
        margin=float((right - wrong).mean()),
    )


def as_page(rows: list[Row], n: int) -> str:
    """Return docs/judges.md."""
    lines = [
        "# Does the CLIP judge agree with the truth?",
        "",
        "Printed by `uv run python benchmarks/judges.py`; not to be edited by hand. Each line: "
        f"{n} pictures drawn by the procedural world, each with its true caption and with one that "
        "is wrong in one thing. Agreement is the share of pictures whose true caption has the "
        "higher CLIP score, with Wilson's 95% interval; guessing gives 50%. `margin` is by how "
        "much the true caption is ahead, in 100 x cosine. Held-out scenes were never drawn when "
        "the generator and its CLIP learned; the judge has seen such scenes in other pictures.",
        "",
        "What the judge cannot tell, a CLIP score cannot measure: read the composition probe's "
        "exact reader there.",
    ]
    for judge, who in JUDGES.items():
        lines += [
            "",
            f"## `{judge}`: {who}",
            "",
            "| the other caption | scenes | agreement | 95% interval | n | margin |",
            "|---|---|--:|---|--:|--:|",
        ]
        lines += [
            f"| {r.question} | {r.scenes} | {100 * r.agreement:.1f}% "
            f"| {100 * r.low:.1f} to {100 * r.high:.1f} | {r.n} | {r.margin:.2f} |"
            for r in rows
            if r.judge == judge
        ]
    return "\n".join(lines) + "\n"


def main() -> None:
    """Ask every question and write the results."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--n", type=int, default=500, help="pictures a question")
    n = parser.parse_args().n
    rows = []
    for name in JUDGES:
        for question in QUESTIONS:
            for held_out in (False, True):
                rows.append(judge_pairs(name, question, n, held_out=held_out))
                sys.stderr.write(f"{rows[-1]}\n")
    facts = {"machine": machine_facts(), "rows": [asdict(row) for row in rows]}
    RESULT.write_text(json.dumps(facts, indent=1))
    PAGE.write_text(as_page(rows, n))


if __name__ == "__main__":
    main()
