"""What a probe is: a question to a model, put by prompts, judged by a grader that is itself tested.

A grader whose self-test lies under its floor does not score: its scores are None with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dalle2eval.records import Prompt, SampleKey, Score, SelfTest
from dalle2eval.statistics import wilson_interval

Image = NDArray[np.uint8]
Grader = Callable[[Image, Prompt, SampleKey], Sequence[Score]]


@dataclass(frozen=True, kw_only=True)
class Probe:
    """A row of the table of probes.

    Attributes:
        version: raised whenever a score of an unchanged image changes.
        requires: for each metric that the probe gives, the self-test tasks that it rests on.
        image_size: side of the images that it judges best, in pixels.
        tag: the slice of prompts that it asks about; None when several are.
        seconds_per_image: on one core.
        grade: judges one image; no scores for a prompt that the probe does not ask about.
        test: judges inputs with known truth.
    """

    name: str
    version: int
    summary: str
    requires: Mapping[str, tuple[str, ...]]
    image_size: int
    tag: str | None
    seconds_per_image: float
    grade: Grader
    test: Callable[[], Sequence[SelfTest]]

    @property
    def metrics(self) -> tuple[str, ...]:
        """Return the metrics that the probe gives."""
        return tuple(self.requires)

    def self_test(self) -> tuple[SelfTest, ...]:
        """Judge inputs with known truth, once a process."""
        return _tested(self.test)

    def score(
        self, images: Image, prompts: Sequence[Prompt], keys: Sequence[SampleKey]
    ) -> tuple[Score, ...]:
        """Judge images uint8 [n, h, w, 3], one per prompt and key."""
        graded = [
            score
            for image, prompt, key in zip(images, prompts, keys, strict=True)
            for score in self.grade(image, prompt, key)
        ]
        if not graded:
            return ()
        failed = {test.task: test for test in self.self_test() if not test.passed}
        return tuple(self._trusted(score, failed) for score in graded)

    def _trusted(self, score: Score, failed: Mapping[str, SelfTest]) -> Score:
        for task in self.requires[score.metric]:
            if test := failed.get(task):
                reason = (
                    f"{test.judge} is right on {test.accuracy:.0%} of known {task} inputs,"
                    f" under its floor of {test.floor:.0%}"
                )
                return Score(key=score.key, metric=score.metric, value=None, reason=reason)
        return score


@functools.cache
def _tested(test: Callable[[], Sequence[SelfTest]]) -> tuple[SelfTest, ...]:
    return tuple(test())


def self_test(judge: str, task: str, *, right: int, n: int, floor: float) -> SelfTest:
    """Return what a judge got right, with its Wilson interval."""
    interval = wilson_interval(right, n)
    return SelfTest(
        judge=judge,
        task=task,
        accuracy=right / n,
        low=interval.low,
        high=interval.high,
        n=n,
        floor=floor,
    )
