"""The graded probe: each prompt's GenEval tasks, by whoever can see its picture.

A prompt of the procedural world is graded by the exact reader. A prompt that carries a GenEval task
(``facts["geneval"]``, from GenEval's or T2I-CompBench's files) needs an open-vocabulary detector;
without one it stays unscored, with the reason.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.probes.detection import Detector
from dalle2eval.probes.detector_selftest import COLOUR, COUNT, OBJECT, POSITION, detector_self_test
from dalle2eval.probes.geneval.on_scenes import answers
from dalle2eval.probes.geneval.rules import judge
from dalle2eval.probes.probe import Probe
from dalle2eval.probes.reader_selftest import reader_self_test
from dalle2eval.records import Prompt, SampleKey, Score, SelfTest
from dalle2eval.scenes.grammar import scene_from_facts
from dalle2eval.scenes.reader import facts_of, read

PREFIX = "geneval."
NO_DETECTOR = "needs an open-vocabulary detector; give one with --detector FOLDER"

READER_TASKS: dict[str, tuple[str, ...]] = {
    "single_object": ("shape",),
    "two_objects": ("shape",),
    "counting": ("shape", "count"),
    "colours": ("shape", "colour"),
    "position": ("shape", "colour", "relation"),
    "colour_attribution": ("shape", "colour"),
    "binding": ("shape",),  # never by the reader; a prompt that asks for it stays unscored
}
DETECTOR_TASKS: dict[str, tuple[str, ...]] = {
    "single_object": (OBJECT,),
    "two_objects": (OBJECT,),
    "counting": (OBJECT, COUNT),
    "colours": (OBJECT, COLOUR),
    "position": (OBJECT, POSITION),
    "colour_attribution": (OBJECT, COLOUR),
    "binding": (OBJECT,),
}


def geneval_probe(detector: Detector | None = None) -> Probe:
    """Return the probe; with a detector it judges pictures of anything, and no scenes.

    Args:
        detector: None for the exact reader, which sees scenes alone.
    """
    tasks = READER_TASKS if detector is None else DETECTOR_TASKS
    return Probe(
        name="geneval",
        version=1,
        summary="GenEval's six tasks, by the exact reader on scenes or by a detector (--detector)",
        requires={PREFIX + task: tests for task, tests in tasks.items()},
        image_size=64,
        tag=None,
        seconds_per_image=0.006,
        grade=_by_reader if detector is None else functools.partial(_by_detector, detector),
        test=_test_reader if detector is None else functools.partial(detector_self_test, detector),
    )


def _test_reader() -> tuple[SelfTest, ...]:
    return reader_self_test("shape", "colour", "count", "relation")


def _by_reader(image: NDArray[np.uint8], prompt: Prompt, key: SampleKey) -> tuple[Score, ...]:
    facts = prompt.facts or {}
    if "geneval" in facts:
        metric = PREFIX + facts["geneval"]["task"]
        return (Score(key=key, metric=metric, value=None, reason=NO_DETECTOR),)
    if not facts.get("objects"):
        return ()
    reading = read(image)
    detail: dict[str, Any] = {"asked": dict(facts), "read": facts_of(reading)}
    if reading.unreadable is not None:
        detail |= {"read": None, "why": reading.unreadable}
    return tuple(
        Score(key=key, metric=PREFIX + task, value=float(right), detail=detail)
        for task, right in answers(scene_from_facts(facts), reading).items()
    )


def _by_detector(
    detector: Detector, image: NDArray[np.uint8], prompt: Prompt, key: SampleKey
) -> tuple[Score, ...]:
    task: Mapping[str, Any] | None = (prompt.facts or {}).get("geneval")
    if task is None:
        return ()
    classes = [asked["class"] for asked in (*task["include"], *task.get("exclude", ()))]
    found = detector.detect(image, list(dict.fromkeys(classes)))
    verdict = judge(task, found, functools.partial(detector.colours_of, image))
    seen = [
        {"class": f.label, "confidence": round(f.confidence, 3), "box": [round(x) for x in f.box]}
        for f in found
    ]
    return (
        Score(
            key=key,
            metric=PREFIX + task["task"],
            value=float(verdict.right),
            detail={"asked": dict(task), "found": seen, "wrong": list(verdict.wrong)},
        ),
    )


GENEVAL = geneval_probe()
