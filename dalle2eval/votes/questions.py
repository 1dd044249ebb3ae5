"""The three questions of Ramesh et al. 2022 §5, in our words, and what a voter sees with each."""

from __future__ import annotations

from dataclasses import dataclass

from dalle2eval.records import InputError
from dalle2eval.spelling import nearest


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One question to a voter.

    Attributes:
        name: how commands and files call it.
        asks: the sentence above the two pictures.
        help: what to look at and what to leave aside.
        shows_prompt: whether the voter reads the prompt.
        grid: most pictures on one side; 1 for a single picture, 16 for the paper's 4 x 4.
    """

    name: str
    asks: str
    help: str
    shows_prompt: bool
    grid: int = 1


QUESTIONS = {
    question.name: question
    for question in (
        Question(
            name="photorealism",
            asks="Which picture looks more real?",
            help="Choose the one that could sooner be a photograph or a picture made with care. "
            "What it shows does not matter.",
            shows_prompt=False,
        ),
        Question(
            name="caption",
            asks="Which picture fits the text better?",
            help="Go by the things, colours, numbers and places that the text names. "
            "Beauty does not matter.",
            shows_prompt=True,
        ),
        Question(
            name="diversity",
            asks="Which group of pictures is more varied?",
            help="All pictures of both groups answer the same text. Choose the group whose "
            "pictures differ more from each other.",
            shows_prompt=True,
            grid=16,
        ),
    )
}


def question_named(name: str) -> Question:
    """Return a question by its name.

    Raises:
        InputError: there is none of that name; names those there are and a near match.
    """
    if name in QUESTIONS:
        return QUESTIONS[name]
    raise InputError(f'no question "{name}"{nearest(name, QUESTIONS)}')
