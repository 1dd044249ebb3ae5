"""The gate in a test suite names what fails; its comment shows the images that changed."""

import dataclasses

import pytest

from dalle2eval.gate import testing
from dalle2eval.gate.changed import ChangedImage, changed_images
from dalle2eval.gate.decision import Decision
from dalle2eval.gate.measured import ArmMeasured, MetricMeasured
from dalle2eval.gate.outputs import MARKDOWN_LIMIT, to_markdown
from dalle2eval.gate.testing import assert_no_regression
from dalle2eval.gate.tripwires import Tripped
from dalle2eval.gate.verdicts import GateRow
from dalle2eval.records import Prompt, SampleKey
from reports.run_record import Picture

KEY = SampleKey(prompt_id="p1", seed=3)


def a_row(verdict, **changes):
    row = GateRow(
        arm="current",
        metric="composition.colour",
        gating=True,
        baseline=0.95,
        current=0.61,
        verdict=verdict,
        degradation=0.34,
        low=0.2,
        high=0.48,
        margin=0.02,
    )
    return dataclasses.replace(row, **changes)


def decided(monkeypatch, *rows, tripped=()):
    decision = Decision(rows=rows, tripped=tripped, cautions=(), accepted={})
    monkeypatch.setattr(testing, "check", lambda run, baseline: decision)


def test_the_message_names_the_failing_metrics_and_no_other(monkeypatch):
    good = a_row("pass", metric="clip_score")
    lost = a_row("not comparable", metric="fd_scenes", degradation=None, reason="judged by 'x'")
    decided(monkeypatch, a_row("regression"), good, lost)
    with pytest.raises(AssertionError) as failure:
        assert_no_regression("run", "gate.json")
    lines = str(failure.value).splitlines()
    assert lines[0] == "sample quality: not comparable against gate.json"
    assert lines[1].strip() == (
        "regression: current composition.colour: 0.95 -> 0.61, "
        "worse by 0.34 [0.2, 0.48], margin 0.02"
    )
    assert lines[2].strip() == "not comparable: current fd_scenes: judged by 'x'"
    assert len(lines) == 3


def test_cannot_tell_fails_only_where_strict(monkeypatch):
    decided(monkeypatch, a_row("inconclusive"))
    assert_no_regression("run", "gate.json")
    with pytest.raises(AssertionError, match=r"inconclusive: current composition\.colour"):
        assert_no_regression("run", "gate.json", strict=True)


def test_informational_metrics_never_fail_it(monkeypatch):
    decided(monkeypatch, a_row("regression", gating=False))
    assert_no_regression("run", "gate.json", strict=True)


def test_a_broken_picture_is_named(monkeypatch):
    wire = Tripped(fault="constant", arm="current", key=KEY, path="x.png")
    decided(monkeypatch, a_row("pass"), tripped=(wire,) * 30)
    with pytest.raises(AssertionError, match="constant: current, prompt 'p1' seed 3") as failure:
        assert_no_regression("run", "gate.json")
    assert "10 more broken pictures" in str(failure.value)


class Run:
    """The parts of a run that the ranking reads."""

    prompts = {f"p{i}": Prompt(id=f"p{i}", text=f"thing {i}") for i in range(4)}  # noqa: RUF012
    gallery = tuple(
        Picture(arm="a", key=SampleKey(prompt_id=f"p{i}", seed=0), size=s, path=f"p{i}-{s}.png")
        for i in range(4)
        for s in (256, 64)
    )


def measured(**values):
    keys = [SampleKey(prompt_id=f"p{i}", seed=0) for i in range(4)]
    metrics = {
        name: MetricMeasured(
            name=name,
            value=0.5,
            n=4,
            extractor=None,
            reason=None,
            by_image=dict(zip(keys, row, strict=True)),
        )
        for name, row in values.items()
    }
    return {"a": ArmMeasured(name="a", keys=frozenset(keys), metrics=metrics)}


def test_images_are_ranked_by_how_far_all_their_scores_moved():
    names = ("composition.colour", "clip_score", "kid_scenes")
    base = measured(**dict(zip(names, ([1, 1, 0, 0], [30, 31, 32, 33], [0, 0, 0, 1]), strict=True)))
    now = measured(**dict(zip(names, ([1, 0, 0, 1], [30, 31, 32, 38], [9, 0, 0, 1]), strict=True)))
    found = changed_images(Run, base, now)
    assert [image.key.prompt_id for image in found] == ["p3", "p1"]  # KID is informational
    assert found[0].flips == ("composition.colour: wrong → right",)
    assert found[1].flips == ("composition.colour: right → wrong",)
    assert found[0].path == "p3-64.png"
    assert changed_images(Run, base, base) == ()
    assert len(changed_images(Run, base, now, shown=1)) == 1


def test_the_comment_shows_pictures_where_it_is_told_an_address():
    image = ChangedImage(
        arm="a|b",
        key=KEY,
        prompt="<b>@me</b>",
        change=2.0,
        flips=("composition.colour: right → wrong",),
        path="samples/a b/x.png",
    )
    decision = Decision(rows=(), tripped=(), cautions=(), accepted={}, changed=(image,) * 900)
    text = to_markdown(decision, strict=False, pictures="https://example.org/run/")
    assert "![](https://example.org/run/samples/a%20b/x.png)" in text
    assert "<b>" not in text
    assert "a\\|b" in text
    assert len(text.encode()) < MARKDOWN_LIMIT
    assert "samples/a b/x.png" in to_markdown(decision, strict=False)
