"""Attention checks: pairs whose right answer is known because we made it so.

They look like any other pair and lie spread over a voter's sequence (`votes.sequence`). None leans
on a model having drawn what it was asked: for photorealism one side is a picture whose pixels were
shuffled, for the caption one side is all black and the other all white, for diversity one group
shows a single picture again and again.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from dalle2eval.votes.arms import ArmPictures
from dalle2eval.votes.pairs import FIRST, ID_LENGTH, SECOND, Pair, draw, draw_share
from dalle2eval.votes.pictures import grid, read_picture
from dalle2eval.votes.questions import Question

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
CAPTIONS = ("a picture that is black all over", "a picture that is white all over")
MIXED = "all kinds of pictures"
PARTS_A_SIDE = 32  # the shuffled picture's pieces: small enough that nothing is recognised


@dataclass(frozen=True, slots=True)
class Look:
    """How a study's true pairs look: side of a picture in pixels, pictures on each side."""

    size: int
    grid: int


Sides = tuple[Image.Image, Image.Image]  # right, wrong


def make_checks(
    arms: Sequence[ArmPictures], question: Question, *, num: int, look: Look, seed: int
) -> list[tuple[Pair, Sides]]:
    """Return ``num`` checks, each with its pictures in the order of the slots."""
    made = []
    for i in range(num):
        right, wrong, prompt = _sides(arms[0], question, look, (seed, i))
        first_is_right = draw_share("check side", seed, i) < 0.5  # noqa: PLR2004
        pair = Pair(
            id=draw("check", seed, question.name, i)[:ID_LENGTH],
            prompt_id=f"attention-check-{i}",
            prompt=prompt,
            seeds=(),
            arms=(),
            answer=FIRST if first_is_right else SECOND,
        )
        made.append((pair, (right, wrong) if first_is_right else (wrong, right)))
    return made


def _sides(
    arm: ArmPictures, question: Question, look: Look, what: tuple[int, int]
) -> tuple[Image.Image, Image.Image, str]:
    """Return the right side, the wrong side and the text above them."""
    if question.name == "caption":
        black, white = (Image.new("RGB", (look.size, look.size), c) for c in (BLACK, WHITE))
        sides = (black, white) if what[1] % 2 == 0 else (white, black)
        return *sides, CAPTIONS[what[1] % 2]
    one_a_prompt = {key.prompt_id: key for key, side in sorted(arm.files) if side == look.size}
    keys = sorted(one_a_prompt.values(), key=lambda key: draw(what, key.prompt_id))
    pictures = [read_picture(arm.files[key, look.size]) for key in keys[: look.grid]]
    if question.name == "diversity":
        return grid(pictures), grid(pictures[:1] * len(pictures)), MIXED
    return pictures[0], shuffled(pictures[0], seed=f"{what}"), ""


def shuffled(picture: Image.Image, *, seed: str) -> Image.Image:
    """Return the picture cut into small squares that lie in random order."""
    side = max(1, picture.width // PARTS_A_SIDE)
    boxes = [
        (x, y, x + side, y + side)
        for y in range(0, picture.height - side + 1, side)
        for x in range(0, picture.width - side + 1, side)
    ]
    places = list(boxes)
    random.Random(seed).shuffle(places)
    result = picture.copy()
    for box, place in zip(boxes, places, strict=True):
        result.paste(picture.crop(box), place)
    return result
