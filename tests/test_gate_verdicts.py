"""The gate: what it lets pass, what it stops, and what it refuses to compare."""

import json
import shutil
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from fake_model import FakeModel
from PIL import Image
from run_fixtures import make_site, make_work

from ablations.runner import run_work
from dalle2eval.gate.decision import INCONCLUSIVE, NOT_COMPARABLE, PASS, REGRESSION
from dalle2eval.gate.front import accept, check
from dalle2eval.gate.measured import ArmMeasured, MetricMeasured
from dalle2eval.gate.outputs import MARKDOWN_LIMIT, remarks, to_junit, to_markdown
from dalle2eval.gate.policy import Floor
from dalle2eval.gate.verdicts import GateRow, corrected, judge_arm
from dalle2eval.metrics import METRICS, frechet_distance
from dalle2eval.records import InputError, NotComparable, SampleKey
from dalle2eval.statistics import (
    Arms,
    Features,
    compare_contributions,
    compare_features,
    contributions_of,
)
from dalle2eval.statistics.contributions import Measured


class Bluer(FakeModel):
    """A change that spoils red."""

    def _draw(self, stage, key, z):
        image = super()._draw(stage, key, z)
        return np.concatenate([image[..., :1] // 4, image[..., 1:]], axis=-1)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("gate")
    for name, model in (("base", FakeModel()), ("bluer", Bluer())):
        work = make_work(folder / "s.yaml", "prompts.n=60", arms=("prior",))
        run_work(work, make_site(folder / name, folder / f"{name}-store", model=model))
    accept(folder / "base", folder / "base.json", reason="the first")
    return folder


@pytest.fixture
def copied(runs, tmp_path):
    shutil.copytree(runs / "base", tmp_path / "run")
    return tmp_path / "run", runs / "base.json"


def test_the_same_pictures_pass_and_prove_it(runs):
    decision = check(runs / "base", runs / "base.json")
    assert decision.exit_code(strict=True) == PASS
    assert {row.verdict for row in decision.rows if row.gating} == {"pass"}
    largest = max(abs(row.high) / (1 + row.baseline) for row in decision.rows if row.gating)
    assert largest < 1e-5  # rounding to six digits


def test_equal_outcomes_alone_do_not_prove_the_same_pictures():
    """Twenty prompts that all pass, before and now, leave room for one in ten that fails."""
    [row] = judge_arm(arm([1.0] * 20), arm([1.0] * 20), {})
    assert row.verdict == "inconclusive"
    assert row.high > row.margin
    [score] = judge_arm(arm([0.5] * 20, "clip_score"), arm([0.5] * 20, "clip_score"), {})
    assert (score.verdict, score.low, score.high) == ("pass", 0.0, 0.0)


def test_a_spoilt_colour_is_a_regression(runs):
    decision = check(runs / "bluer", runs / "base.json")
    assert decision.exit_code() == REGRESSION
    rows = {row.metric: row for row in decision.rows}
    assert rows["composition.colour"].verdict == "regression"
    assert rows["composition.colour"].degradation > rows["composition.colour"].margin


def test_better_is_never_called_worse(runs, tmp_path):
    accept(runs / "bluer", tmp_path / "b.json", reason="spoilt")
    rows = {row.metric: row for row in check(runs / "base", tmp_path / "b.json").rows}
    assert rows["composition.colour"].verdict == "improved"


def test_other_seeds_are_not_compared(runs, tmp_path):
    work = make_work(tmp_path / "s.yaml", "prompts.n=60", arms=("prior",), seed=7)
    run_work(work, make_site(tmp_path / "run", tmp_path / "store"))
    with pytest.raises(NotComparable, match="one side only, first 'p00' seed 0 in the baseline"):
        check(tmp_path / "run", runs / "base.json")


def test_fewer_prompts_are_not_compared(runs, tmp_path):
    work = make_work(tmp_path / "s.yaml", arms=("prior",), limit=5)
    run_work(work, make_site(tmp_path / "run", tmp_path / "store"))
    with pytest.raises(NotComparable, match="prompts: not the baseline's"):
        check(tmp_path / "run", runs / "base.json")


def edited(baseline, folder, change):
    data = json.loads(baseline.read_text())
    change(data)
    (folder / "edited.json").write_text(json.dumps(data))
    return folder / "edited.json"


def test_another_extractor_loses_the_metric_not_the_whole_gate(copied, tmp_path):
    run, baseline = copied
    other = edited(
        baseline,
        tmp_path,
        lambda d: d["arms"]["prior"]["metrics"]["fd_scenes"].update(extractor="scenes@222"),
    )
    decision = check(run, other)
    assert decision.exit_code() == NOT_COMPARABLE
    assert any("scenes@222" in line for line in remarks(decision))


def test_a_metric_that_vanished_is_lost_coverage(copied, tmp_path):
    run, baseline = copied

    def add_a_metric(data):
        arm = data["arms"]["prior"]
        facts = {"value": 0.5, "n": len(arm["images"]), "extractor": None, "reason": None}
        arm["metrics"]["aesthetic"] = facts
        arm["columns"].append("aesthetic")
        arm["images"] = [[*row, 0.5] for row in arm["images"]]

    other = edited(baseline, tmp_path, add_a_metric)
    assert check(run, other).exit_code() == NOT_COMPARABLE


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        ("missing", NOT_COMPARABLE),
        ("size", NOT_COMPARABLE),
        ("constant", REGRESSION),
        ("saturated", REGRESSION),
        ("identical seeds", REGRESSION),
    ],
)
def test_broken_pictures_trip_a_wire_before_any_statistics(copied, fault, code):
    run, baseline = copied
    first, second = sorted((run / "samples/prior/64").glob("p01-*.png"))
    checkerboard = np.indices((64, 64)).sum(axis=0)[..., None] % 2 * np.full(3, 255)
    if fault == "missing":
        first.unlink()
    elif fault == "size":
        Image.open(first).resize((32, 32)).save(first)
    elif fault == "identical seeds":
        shutil.copy(first, second)
    else:
        pixels = checkerboard if fault == "saturated" else np.full((64, 64, 3), 90)
        Image.fromarray(pixels.astype(np.uint8)).save(first)
    decision = check(run, baseline)
    assert [wire.fault for wire in decision.tripped] == [fault]
    assert decision.exit_code() == code
    with pytest.raises(InputError, match="1 broken pictures, first"):
        accept(run, run.parent / "new.json", reason="never")


def test_two_accepts_of_one_run_are_the_same_bytes(runs, tmp_path):
    for name in ("a.json", "b.json"):
        accept(runs / "base", tmp_path / name, reason="again")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()
    assert str(runs) not in (tmp_path / "a.json").read_text()


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (None, "no baseline; make one with `gate accept"),
        ("{", "not JSON"),
        ("[]", "not a baseline"),
        ('{"baseline_version": 99}', "not a baseline"),
    ],
)
def test_a_baseline_that_is_none_is_named(runs, tmp_path, text, told):
    path = tmp_path / "f.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(InputError, match=told):
        check(runs / "base", path)


def test_a_baseline_from_the_future_is_refused(copied, tmp_path):
    run, baseline = copied
    other = edited(baseline, tmp_path, lambda d: d.update(baseline_version=2))
    with pytest.raises(InputError, match="comes from a newer release; this one reads 1"):
        check(run, other)


def scores(values):
    return {SampleKey(prompt_id=f"p{i:03}", seed=0): float(v) for i, v in enumerate(values)}


def arm(values, metric="composition.colour"):
    found = scores(values)
    measured = MetricMeasured(
        name=metric,
        value=float(np.mean(values)),
        n=len(values),
        extractor=None,
        reason=None,
        by_image=found,
    )
    return ArmMeasured(name="a", keys=frozenset(found), metrics={metric: measured})


def test_a_significant_trifle_does_not_stop_a_merge():
    base, current = np.ones(2000), np.ones(2000)
    current[:16] = 0  # 0.8 points worse, p = 3e-5
    row = judge_arm(arm(base), arm(current), {})[0]
    assert row.low > 0
    assert row.degradation < row.margin
    assert row.verdict == "pass"


def test_both_floors_must_be_exceeded():
    base, current = np.ones(400), np.ones(400)
    current[:20] = 0  # 5 points worse
    floors = {"composition.colour": Floor(absolute=0.02, relative=0.1)}
    assert judge_arm(arm(base), arm(current), floors)[0].verdict == "pass"
    floors = {"composition.colour": Floor(absolute=0.02, relative=0.02)}
    assert judge_arm(arm(base), arm(current), floors)[0].verdict == "regression"


def test_too_few_prompts_say_so_and_how_many_would_do():
    rng = np.random.default_rng(0)
    base, current = rng.integers(0, 2, (2, 30))
    row = judge_arm(arm(base), arm(current), {})[0]
    assert row.verdict == "inconclusive"
    assert row.detectable > row.margin
    assert row.prompts_needed > 30


def test_twenty_metrics_do_not_make_a_false_alarm_certain():
    row = GateRow(
        arm="a",
        metric="m",
        gating=True,
        baseline=1.0,
        current=0.9,
        verdict="regression",
        p_value=0.01,
    )
    assert corrected([row])[0].verdict == "regression"
    assert {r.verdict for r in corrected([row] * 20)} == {"inconclusive"}


def test_hostile_names_are_escaped_and_the_comment_stays_small(runs):
    decision = check(runs / "bluer", runs / "base.json")
    hostile = "<script>alert(1)</script>|`*@team\x00"
    rows = tuple(
        GateRow(
            arm=hostile,
            metric="clip_score",
            gating=True,
            baseline=1.0,
            current=None,
            verdict="not comparable",
            reason=hostile * 20,
        )
        for _ in range(400)
    )
    spoilt = type(decision)(rows=rows, tripped=(), cautions=(), accepted={"reason": hostile})
    text = to_markdown(spoilt, strict=False)
    assert "<script>" not in text
    assert "@team" not in text
    assert len(text.encode()) < MARKDOWN_LIMIT
    tree = ET.fromstring(to_junit(spoilt, strict=False).replace("\x00", "?"))
    assert tree.get("failures") == "400"


def test_strict_turns_cannot_tell_into_a_failure(runs):
    decision = check(runs / "base", runs / "base.json")
    unsure = type(decision)(
        rows=(
            GateRow(
                arm="a", metric="m", gating=True, baseline=1.0, current=1.0, verdict="inconclusive"
            ),
        ),
        tripped=(),
        cautions=(),
        accepted={},
    )
    assert unsure.exit_code() == PASS
    assert unsure.exit_code(strict=True) == INCONCLUSIVE


def test_contributions_give_the_difference_of_the_features_and_no_narrower_interval():
    rng = np.random.default_rng(1)
    keys = tuple(SampleKey(prompt_id=f"p{i // 2:03}", seed=i % 2) for i in range(120))
    base = rng.normal(size=(120, 8))
    near = base + 0.3 * rng.normal(size=(120, 8)) + 0.1
    reference = Features(keys=keys, values=rng.normal(size=(120, 8)), extractor="e")
    metric, arms = METRICS["fd_scenes"], Arms(arm="near", reference="base")
    sets = [Features(keys=keys, values=values, extractor="e") for values in (near, base)]
    exact = compare_features(*sets, metric, arms=arms, reference=reference)
    stored = []
    for features in sets:
        rows = contributions_of(features, metric, reference=reference)
        assert sum(row.value for row in rows) == pytest.approx(0, abs=1e-9)
        stored.append(
            Measured(
                value=frechet_distance(features.values, reference.values),
                extractor="e",
                first={row.key: row.value for row in rows},
            )
        )
    found = compare_contributions(*stored, metric, arms=arms)
    assert found.difference == pytest.approx(exact.difference, rel=1e-6)
    ratio = (found.high - found.low) / (exact.high - exact.low)
    assert 1.0 <= ratio < 1.5
