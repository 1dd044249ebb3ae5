"""GenEval's rules decide as the paper says: for a detector with known answers, and a reader."""

import numpy as np
import pytest

from dalle2eval.metrics import METRICS
from dalle2eval.probes.detection import Found
from dalle2eval.probes.detector_selftest import FLOORS, detector_self_test
from dalle2eval.probes.geneval import GENEVAL, geneval_probe
from dalle2eval.probes.geneval.rules import judge, relations
from dalle2eval.records import Prompt, SampleKey
from dalle2eval.scenes.grammar import facts, parse
from dalle2eval.scenes.reader import read
from dalle2eval.scenes.renderer import draw


def box(x, y, side=20):
    return (float(x), float(y), float(x + side), float(y + side))


def found(label, x=0, y=0, confidence=0.9):
    return Found(label=label, confidence=confidence, box=box(x, y))


def never(_):
    raise AssertionError("no colour was asked for")


def cats(count, most=None):
    exclude = [{"class": "cat", "count": most}] if most else []
    return {"include": [{"class": "cat", "count": count}], "exclude": exclude}


@pytest.mark.parametrize(
    ("count", "most", "seen", "right"),
    [(1, None, 0, False), (1, None, 1, True), (1, None, 3, True),
     (2, 3, 2, True), (2, 3, 3, False), (2, 3, 1, False)],
)  # fmt: skip
def test_counting_takes_more_only_where_nothing_is_excluded(count, most, seen, right):
    verdict = judge(cats(count, most), [found("cat", 30 * i) for i in range(seen)], never)
    assert verdict.right is right
    assert bool(verdict.wrong) is not right


def test_other_classes_do_not_count():
    assert not judge(cats(1), [found("dog")], never).right


@pytest.mark.parametrize(("colours", "right"), [(["red", "blue"], False), (["red", "red"], True)])
def test_every_counted_object_needs_its_colour(colours, right):
    task = {"include": [{"class": "cat", "count": 2, "color": "red"}]}
    objects = [found("cat", 0), found("cat", 30)]
    assert judge(task, objects, lambda group: colours[: len(group)]).right is right


def test_the_surest_object_is_asked_for_its_colour_in_whatever_order_they_come():
    task = {"include": [{"class": "cat", "count": 1, "color": "red"}]}
    objects = [found("cat", 0, confidence=0.3), found("cat", 30, confidence=0.8)]
    asked = []

    def colours_of(group):
        asked.extend(group)
        return ["red"]

    assert judge(task, objects, colours_of).right
    assert asked == [objects[1]]


@pytest.mark.parametrize(
    ("first", "second", "true"),
    [
        ((0, 0), (60, 0), {"left of"}),
        ((60, 0), (0, 0), {"right of"}),
        ((0, 0), (0, 60), {"above"}),
        ((0, 60), (0, 0), {"below"}),
        ((0, 0), (60, 60), {"left of", "above"}),
        ((0, 0), (60, 10), {"left of"}),
        ((0, 0), (3, 3), set()),
        ((0, 0), (0, 0), set()),
    ],
)
def test_relations_of_known_boxes(first, second, true):
    assert relations(box(*first), box(*second)) == true


def test_a_tenth_of_the_sides_is_no_offset():
    assert relations(box(0, 0), box(4, 0)) == set()  # 0.1 * (20 + 20)
    assert relations(box(0, 0), box(9, 0)) == {"left of"}


POSITION = {
    "include": [
        {"class": "dog", "count": 1},
        {"class": "cat", "count": 1, "position": ["left of", 0]},
    ]
}


def test_position_is_that_of_the_second_class_to_the_first_not_the_other_way_round():
    dog_left = [found("dog", 0), found("cat", 60)]
    cat_left = [found("cat", 0), found("dog", 60)]
    assert judge(POSITION, cat_left, never).right
    assert not judge(POSITION, dog_left, never).right


def test_nothing_stands_beside_what_is_not_there():
    verdict = judge(POSITION, [found("cat", 0)], never)
    assert verdict.wrong == (
        "0 of dog, 1 asked for", "there is nothing right that cat could be left of",
    )  # fmt: skip


SCENES = [
    # asked, drawn, tasks that fail
    ("a red circle", "a red circle", set()),
    ("a red circle", "a blue circle", {"colours"}),
    ("a red circle", "a red square", {"single_object", "colours"}),
    ("a red circle", "a red circle and a blue ring", set()),
    ("three green squares", "three cyan squares", set()),
    ("three green squares", "four green squares", {"counting"}),
    ("three green squares", "three green rings", {"counting"}),
    ("a red circle and a blue ring", "a blue circle and a red ring", {"colour_attribution"}),
    ("a red circle and a blue ring", "a red circle", {"two_objects", "colour_attribution"}),
    ("a red circle left of a blue ring", "a red circle left of a blue ring", set()),
    ("a red circle left of a blue ring", "a red circle right of a blue ring", {"position"}),
]


def graded(probe, prompt, image):
    key = SampleKey(prompt_id=prompt.id, seed=0)
    return {s.metric.partition(".")[2]: s for s in probe.score(image[None], [prompt], [key])}


@pytest.mark.parametrize(("asked", "drawn", "wrong"), SCENES)
def test_the_reader_fails_only_the_task_that_a_picture_gets_wrong(asked, drawn, wrong):
    scene = parse(asked)
    prompt = Prompt(id="p", text=asked, tags=(scene.kind,), facts=facts(scene))
    scores = graded(GENEVAL, prompt, draw(parse(drawn), 3))
    assert {task for task, score in scores.items() if score.value == 0} == wrong


class Knowing:
    """A detector that reads scenes exactly, boxes and all; ``blind`` finds nothing."""

    name, weights = "knowing", "2" * 64

    def __init__(self, *, blind=False):
        self.blind = blind

    def _placed(self, image):
        return [] if self.blind else list(read(image).objects)

    def detect(self, image, classes):
        side = len(image)
        return [
            Found(
                label=item.shape,
                confidence=0.9,
                box=tuple(side * (c + s * item.radius) for s in (-1, 1) for c in (item.x, item.y)),
            )
            for item in self._placed(image)
            if item.shape in classes
        ]

    def colours_of(self, image, found):
        by_shape = {item.shape: item.colour for item in self._placed(image)}
        return [by_shape[item.label] for item in found]


def scene_task(task, include, exclude=()):
    asked = {"task": task, "include": include, "exclude": list(exclude)}
    return Prompt(id="p", text="t", facts={"geneval": asked})


def test_a_detector_that_passes_its_self_test_grades_by_the_rules():
    probe = geneval_probe(Knowing())
    image = draw(parse("a red circle left of a blue ring"), 1, 256)
    right = scene_task(
        "position",
        [
            {"class": "ring", "count": 1},
            {"class": "circle", "count": 1, "position": ["left of", 0]},
        ],
    )
    wrong = scene_task("colours", [{"class": "ring", "count": 1, "color": "red"}])
    assert graded(probe, right, image)["position"].value == 1
    score = graded(probe, wrong, image)["colours"]
    assert score.value == 0
    assert score.detail["wrong"] == ["ring is blue, not red"]


def test_a_blind_detector_is_refused_with_its_numbers():
    probe = geneval_probe(Knowing(blind=True))
    image = draw(parse("a red circle"), 1, 256)
    score = graded(probe, scene_task("counting", [{"class": "cat", "count": 1}]), image)["counting"]
    assert score.value is None
    assert score.reason.startswith("knowing is right on 0% of known")


def test_the_detectors_self_test_asks_every_task():
    tests = {test.task: test for test in detector_self_test(Knowing())}
    assert set(tests) == set(FLOORS)
    assert all(test.passed and test.n >= 10 for test in tests.values())


def test_without_a_detector_a_task_of_photographs_is_unscored_not_wrong():
    prompt = scene_task("binding", [{"class": "green bench", "count": 1}])
    score = graded(GENEVAL, prompt, np.zeros((64, 64, 3), np.uint8))["binding"]
    assert score.value is None
    assert "--detector" in score.reason


def test_every_task_is_in_the_table_of_metrics():
    for probe in (GENEVAL, geneval_probe(Knowing())):
        assert set(probe.metrics) <= set(METRICS)
