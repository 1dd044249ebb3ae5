"""The plan of the synthetic run, and drawings that stand for its samples."""

from __future__ import annotations

import random
from typing import Any

from PIL import Image, ImageDraw, ImageFont

from dalle2eval.records import ArmSpec, Plan, Prompt

RGB = {
    "red": (220, 40, 40),
    "green": (40, 165, 65),
    "blue": (50, 85, 230),
    "yellow": (245, 215, 45),
    "purple": (150, 60, 190),
    "orange": (245, 135, 25),
    "cyan": (55, 205, 225),
    "white": (245, 245, 245),
}
SKILL = {  # how often an arm draws what was asked: (single shapes, two objects, words)
    "prior": (0.97, 0.8, 0.7),
    "prior-eps": (0.96, 0.78, 0.7),
    "text-embedding": (0.8, 0.45, 0.3),
    "caption-only": (0.95, 0.7, 0.7),
    "guidance-1": (0.7, 0.3, 0.2),
    "guidance-4": (0.98, 0.8, 0.6),
}
CHANGES: dict[str, dict[str, Any]] = {
    "prior": {},
    "prior-eps": {"prior_target": "eps"},
    "text-embedding": {"conditioning": "text-embedding"},
    "caption-only": {"conditioning": "caption-only"},
    "guidance-1": {"guidance_scale": 1.0},
    "guidance-4": {"guidance_scale": 4.0},
}
MODEL = {"conditioning": "prior", "prior_target": "x0", "guidance_scale": 3.0, "decoder_steps": 20}


def an_object(text: str) -> dict[str, Any]:
    colour, shape = text.split()
    return {"shape": shape, "colour": colour, "size": None}


def facts(
    kind: str, *objects: str, relation: str | None = None, word: str | None = None
) -> dict[str, Any]:
    return {
        "kind": kind,
        "objects": [an_object(item) for item in objects],
        "counted": kind == "count",
        "relation": relation,
        "word": word,
        "word_colour": "red" if word else None,
    }


def a_plan(**changes: Any) -> Plan:
    prompts = (
        ("a red circle", "single", facts("single", "red circle")),
        ("a yellow star", "single", facts("single", "yellow star")),
        ("a purple ring", "single", facts("single", "purple ring")),
        ("a picture of a cyan square", "single", facts("single", "cyan square")),
        ("three green triangles", "count", facts("count", *["green triangle"] * 3)),
        ("four orange circles", "count", facts("count", *["orange circle"] * 4)),
        (
            "a blue square and a white circle",
            "two-object",
            facts("two-object", "blue square", "white circle"),
        ),
        (
            "a red triangle and a cyan ring",
            "two-object",
            facts("two-object", "red triangle", "cyan ring"),
        ),
        (
            "a green circle left of a purple square",
            "relation",
            facts("relation", "green circle", "purple square", relation="left of"),
        ),
        (
            "an orange star above a blue circle",
            "relation",
            facts("relation", "orange star", "blue circle", relation="above"),
        ),
        ('the word "CAT" in red', "word", facts("word", word="CAT")),
        ('the word "RIVER" in red', "word", facts("word", word="RIVER")),
    )
    fields: dict[str, Any] = {
        "suite": "quick",
        "question": "What does the prior buy, and what do its target and the guidance do?",
        "finding": {
            "says": "a stack with a prior has the lower FID: 7.99 against 16.55",
            "source": "arXiv 2204.06125 §5.1",
            "expect": "fd_scenes: text-embedding worse than prior",
        },
        "model": {"name": "scenes"},
        "arms": tuple(
            ArmSpec(
                name=name,
                reference=None if name == "prior" else "prior",
                changes=change,
                settings={**MODEL, **change},
            )
            for name, change in CHANGES.items()
        ),
        "prompts": tuple(
            Prompt(
                id=f"{kind}-{i}",
                text=text,
                tags=(kind, "held-out" if i % 4 == 3 else "seen"),
                facts=fact,
            )
            for i, (text, kind, fact) in enumerate(prompts)
        ),
        "seeds": (0, 1),
        "metrics": (
            "fd_scenes",
            "kid_scenes",
            "clip_score",
            "vendi_scenes",
            "diversity_within_prompt",
        ),
        "probes": ("composition", "text-rendering"),
        "primary_metric": "fd_scenes",
    }
    return Plan(**{**fields, **changes})


def a_small_plan() -> Plan:
    """Return two arms, four prompts and one seed, for tests that copy and break the folder."""
    plan = a_plan()
    arms = tuple(arm for arm in plan.arms if arm.name in ("prior", "guidance-1"))
    return a_plan(arms=arms, prompts=plan.prompts[::3], seeds=(0,))


def draw(scene: dict[str, Any], size: int, seed: int) -> Image.Image:
    """Draw facts too large and shrink, which antialiases."""
    big, rng = max(size, min(size * 4, 1024)), random.Random(str(scene) + str(seed))
    picture = Image.new(
        "RGB", (big, big), rng.choice([(14, 14, 18), (46, 46, 50), (18, 24, 62), (44, 34, 30)])
    )
    pen = ImageDraw.Draw(picture)
    if scene["word"]:
        pen.text(
            (big / 2, big / 2),
            scene["word"],
            RGB["red"],
            ImageFont.load_default(big / 4),
            anchor="mm",
        )
    for i, item in enumerate(scene["objects"]):
        n = len(scene["objects"])
        cx = big * ((i % 2) * 0.46 + 0.27 if n > 1 else 0.5)
        cy = big * ((i // 2) * 0.46 + 0.27 if n > 2 else 0.5)
        _draw_shape(
            pen, item, cx + rng.uniform(-0.05, 0.05) * big, cy, big * (0.17 if n > 1 else 0.27)
        )
    return picture.resize((size, size), Image.Resampling.LANCZOS)


def _draw_shape(
    pen: ImageDraw.ImageDraw, item: dict[str, Any], x: float, y: float, r: float
) -> None:
    colour, box = RGB[item["colour"]], (x - r, y - r, x + r, y + r)
    if item["shape"] == "circle":
        pen.ellipse(box, fill=colour)
    elif item["shape"] == "ring":
        pen.ellipse(box, outline=colour, width=int(r * 0.4))
    else:
        sides = {"square": 4, "triangle": 3, "star": 5, "cross": 4}[item["shape"]]
        pen.regular_polygon((x, y, r), sides, fill=colour)
