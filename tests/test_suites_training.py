"""Suites that train their arms: what is refused, what is shared, what a kill costs, what varies."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from ablations.catalogue import find_judge, judges_for, open_ensemble, tables, workshop
from ablations.executors import LocalExecutor
from ablations.loading import list_suites, load_suite
from ablations.plan import plan_work
from ablations.resolving import Choice, resolve
from ablations.training_units import UNFINISHED
from ablations.workshop import TrainingRoom
from dalle2eval import api
from dalle2eval.prompts import load_prompts
from dalle2eval.records import InputError, SampleKey
from dalle2eval.scenes.training_data import SceneSource
from dalle2eval.statistics.training_seeds import Trained, over_seeds
from dalle2eval.store import Store
from reference_model.diffusion.targets import eps_from_x0, q_sample, target_of
from reference_model.manifest import BUNDLED
from reference_model.packed import with_part
from reference_model.training import main_builders, train_stage
from reference_model.training.loop import Loop
from reference_model.training.stages import native_loss, weighted_loss

SUITE = """\
question: Does it matter what a tiny prior predicts?
model: {name: tiny, prior_steps: 2, decoder_steps: 2, prior_candidates: 1}
prompts: {set: scenes/quick, n: 3}
sizes: {all: 64}
reference_images: {n_per_prompt: 1}
training:
  stage: prior
  steps: 4
  seeds: [0, 1, 2]
  set: {loop.batch_size: 4, loop.checkpoint_every: 1, embeddings: 32}
arms:
  x0: {}
  eps: {reference: x0, train: {prior.target: eps}}
metrics: [clip_score]
"""
TRAINING_SUITES = [name for name in list_suites() if load_suite(name).suite.training]


def make_plan(path, text=SUITE, *overrides, **choice):
    path.write_text(text)
    return resolve(
        load_suite(str(path), overrides),
        open_ensemble("tiny", "cpu"),
        load_prompts=load_prompts,
        tables=tables(),
        choice=Choice(**choice),
        judged_by={},
    )


def make_work(path, text=SUITE, *overrides):
    plan = make_plan(path, text, *overrides)
    return plan_work(plan, open_ensemble("tiny", "cpu"), judges_for(plan, find_judge()))


def trainings(work):
    return {unit.address: unit for unit in work.units if unit.kind == "part"}


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("stage: prior", "stage: pior", '7:3: no stage \'pior\' can be trained for an arm; did'),
        ("stage: prior", "stage: clip", "7:3: no stage 'clip' can be trained for an arm"),
        ("steps: 4", "stepz: 4", '8:3: no field "training.stepz"; did you mean "steps"?'),
        ("steps: 4", "steps: 0", "8:3: training.steps: input should be greater than or equal"),
        ("steps: 4", "recipe: scene\n  steps: 4", "8:3: unknown recipe 'scene'; did you mean"),
        ("steps: 4", "preset: tyny\n  steps: 4", '8:3: unknown preset \'tyny\'; did you mean'),
        ("steps: 4", "preset: scenes\n  steps: 4", "reads 128; choose another preset"),
        ("[0, 1, 2]", "[0, 1]", "9:3: 2 training seeds; the stage prior needs 3"),
        ("[0, 1, 2]", "[0, 1, 1]", "9:3: a training seed occurs twice"),
        ("embeddings: 32", "embedings: 32", "no setting 'embedings'; did you mean \"embeddings\""),
        ("embeddings: 32", "embeddings: 1", "10:55: embeddings is 1; allowed: at least 2"),
        ("prior.target: eps", "prior.tarjet: eps", "13:32: no setting 'prior.tarjet'; did you"),
        ("prior.target: eps", "prior.target: w", "13:32: prior.target is 'w'"),
        ("prior.target: eps", "loop.steps: 9", "13:32: loop.steps is of the budget"),
        ("prior.target: eps", "embeddings: 99", "13:32: embeddings is of the budget"),
        ("prior.target: eps", "prior.target: x0", "13:3: arm eps is trained and drawn as its"),
        ("prior.target: eps", "decoder.target: eps", "decoder.target is 'eps' and changes nothing"),
        ("eps}}", "eps}, guidance_scale: 1.0}", "differs from its reference arm x0 in 2 things"),
        ("eps}}", "v, loss_weighting: snr}}", "(train.prior.target = v, train.loss_weighti"),
        ("eps}}", "eps}, conditioning: caption}", "13:3: arm eps differs from its"),
        ("prior_steps: 2, decoder_steps: 2, prior_candidates: 1", "conditioning: caption",
         "12:3: arm x0 trains prior, which its pictures do not depend on"),
    ],
)  # fmt: skip
def test_a_mistake_in_a_training_is_told_with_its_place_before_any_work(
    tmp_path, before, after, message
):
    assert SUITE.count(before) == 1
    with pytest.raises(InputError) as caught:
        make_plan(tmp_path / "s.yaml", SUITE.replace(before, after))
    assert "\n" not in str(caught.value)
    assert message in str(caught.value)
    assert "s.yaml:" in str(caught.value)


def test_an_arm_that_trains_in_a_suite_that_does_not_is_refused(tmp_path):
    head, _, tail = SUITE.partition("training:")
    text = head + "arms:" + tail.partition("arms:")[2]
    with pytest.raises(InputError, match="the suite trains nothing: give it `training:`"):
        make_plan(tmp_path / "s.yaml", text)


def test_only_models_of_ours_can_be_trained(tmp_path):
    (tmp_path / "pictures").mkdir()
    text = SUITE.replace("name: tiny, prior_steps: 2, decoder_steps: 2, prior_candidates: 1",
                         "name: other")  # fmt: skip
    (tmp_path / "s.yaml").write_text(text)
    from fake_model import FakeModel

    with pytest.raises(InputError, match='2:9: "other" is no reference model'):
        resolve(load_suite(str(tmp_path / "s.yaml")), FakeModel(), load_prompts=load_prompts,
                tables=tables(), choice=Choice(), judged_by={})  # fmt: skip


def test_each_arm_is_trained_once_from_each_seed_and_a_grid_of_guidance_trains_nothing(tmp_path):
    guided = "  guided: {reference: x0, prior_guidance_scale: 2.0}\n"
    more = SUITE.replace("metrics:", guided + "metrics:")
    work = make_work(tmp_path / "s.yaml", more)
    assert len(trainings(work)) == 6
    assert {unit.forward_passes for unit in trainings(work).values()} == {4}
    names = [arm.arm.name for arm in work.arms]
    assert names[:3] == ["x0", "eps", "guided"]
    assert "guided.train-2" in names
    references = {arm.arm.name: arm.arm.reference for arm in work.arms}
    assert references["eps.train-1"] == "x0.train-1"


def test_another_seed_or_target_shares_no_artefact_that_depends_on_the_training(tmp_path):
    work = make_work(tmp_path / "s.yaml")
    drawn = [u for u in work.units if u.stage in ("conditioning", "decoder", "upsampler_256")]
    assert len(drawn) == 3 * 6
    parts = [arm.drawn[0].images[64].address for arm in work.arms if arm.drawn]
    assert len(set(parts)) == 6


def test_an_unchanged_arm_is_not_trained_again(tmp_path):
    before = trainings(make_work(tmp_path / "s.yaml"))
    added = SUITE.replace("metrics:", "  v: {reference: x0, train: {prior.target: v}}\nmetrics:")
    fourth = added.replace("seeds: [0, 1, 2]", "seeds: [0, 1, 2, 7]")
    after = trainings(make_work(tmp_path / "s.yaml", fourth))
    assert before.keys() < after.keys()
    assert len(after) == 12
    other = trainings(make_work(tmp_path / "s.yaml", SUITE, "training.steps=5"))
    assert not before.keys() & other.keys()


def test_set_reaches_a_field_of_a_training(tmp_path):
    plan = make_plan(tmp_path / "s.yaml", SUITE, "arms.eps.train.prior.target=v")
    assert plan.options["training"]["arms"]["eps"]["changes"]["prior.target"] == "v"
    assert next(a for a in plan.arms if a.name == "eps").changes == {"train.prior.target": "v"}


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("training")
    (folder / "s.yaml").write_text(SUITE)
    choices = {"store": folder / "store", "device": "cpu"}
    return api.run(str(folder / "s.yaml"), out=folder / "run", **choices), folder, choices


def test_a_tiny_suite_trains_draws_and_tells_what_varies_by_training(finished):
    run, folder, _ = finished
    summary = api.read_summary(run)
    told = summary["training"]["arms"]
    assert list(told) == ["x0", "eps"]
    row = next(row for row in told["eps"] if row["metric"] == "clip_score")
    assert len(row["values"]) == 3
    assert row["mean"] == pytest.approx(np.mean(row["values"]))
    of_eps = [c for c in summary["comparisons"] if (c["arm"], c["slice"]) == ("eps", "all")]
    ones = [c["difference"] for c in summary["comparisons"]
            if c["arm"].startswith("eps.train") and c["slice"] == "all"]  # fmt: skip
    assert of_eps[0]["difference"] == pytest.approx(np.mean(ones))
    assert of_eps[0]["n_pairs"] == 9
    report = (run / "summary.md").read_text()
    assert "## Training seeds" in report
    assert "eps.train-1" not in report, "a reader wants arms, not trainings"
    assert not list((folder / "store" / UNFINISHED).iterdir())


def test_a_finished_suite_is_run_again_without_training(finished, monkeypatch):
    _, folder, choices = finished
    monkeypatch.setattr(Loop, "run", None)
    forecast = api.plan(str(folder / "s.yaml"), **choices)
    assert forecast["cached"] == forecast["units"]
    assert api.run(str(folder / "s.yaml"), out=folder / "again", **choices)


def test_a_trained_part_takes_the_place_of_the_models_own(finished):
    _, folder, _ = finished
    unit = next(iter(trainings(make_work(folder / "s.yaml")).values()))
    content = Store(folder / "store").load(unit.address, "part")
    model = open_ensemble("tiny", "cpu").main
    stack = with_part(model, "prior", content)
    own, trained = model.network("prior"), stack.network("prior")
    assert not np.allclose(own.out.weight, trained.out.weight)
    assert stack.manifest.part("clip") == model.manifest.part("clip")


KILLED = """
import os, sys
from pathlib import Path
sys.path.insert(0, "tests")
from reference_model.training.loop import Loop
whole = Loop._train_step
def step(self):
    if self.step == 2:
        os.kill(os.getpid(), 9)
    return whole(self)
Loop._train_step = step
import test_suites_training as t
t.train_first(Path(sys.argv[1]))
"""


def train_first(folder):
    """Train the first arm from its first seed, as a run does."""
    work = make_work(folder / "s.yaml")
    unit = next(iter(trainings(work).values()))
    room = TrainingRoom(store=folder / "store")
    tools = workshop(open_ensemble("tiny", "cpu"), "cpu", room)
    for _ in LocalExecutor().run([unit], Store(room.store), tools):
        pass
    return Store(room.store).load(unit.address, "part")


def test_a_training_that_was_killed_goes_on_and_ends_in_the_same_bytes(
    tmp_path, finished, monkeypatch
):
    killed = subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False,
                            capture_output=True)  # fmt: skip
    assert killed.returncode == -9
    steps, whole = [], Loop._train_step
    monkeypatch.setattr(Loop, "_train_step", lambda loop: (steps.append(loop.step), whole(loop))[1])
    assert train_first(tmp_path) == train_first(finished[1])
    assert steps == [2, 3], "the steps before the kill were done again, or those behind it not"


@pytest.mark.parametrize("target", ["eps", "v"])
def test_the_snr_weighting_is_one_and_the_same_for_every_target(target):
    torch.manual_seed(0)
    x0, eps, wrong = torch.randn(3, 5, 8)
    alpha_bar = torch.tensor([[0.01], [0.1], [0.5], [0.9], [0.99]])
    x_t = q_sample(x0, eps, alpha_bar)
    x0_hat = x0 + 0.1 * wrong
    output = target_of(target, x0_hat, eps_from_x0(x0_hat, x_t, alpha_bar), alpha_bar)
    alike = weighted_loss("x0", x0_hat, x0, x_t, alpha_bar)
    assert torch.isclose(weighted_loss(target, output, x0, x_t, alpha_bar), alike, rtol=1e-3)
    native = native_loss("x0", x0_hat, x0, eps, alpha_bar)
    assert not torch.isclose(native_loss(target, output, x0, eps, alpha_bar), native, rtol=0.1)


def test_an_arm_is_trained_with_the_weighting_that_it_names(tmp_path, monkeypatch):
    seen, whole = [], main_builders.prior_loss

    def loss(*parts, **named):
        seen.append(named["weighting"])
        return whole(*parts, **named)

    monkeypatch.setattr(main_builders, "prior_loss", loss)
    for weighting in ("native", "snr"):
        train_stage("tiny", "prior", SceneSource, steps=1, seed=0, out=tmp_path / weighting,
                    changes={"loss_weighting": weighting, "embeddings": 8, "loop.batch_size": 4},
                    parts_from=BUNDLED / "tiny", recipe="scenes")  # fmt: skip
    assert seen == ["native", "snr"]


def table(values):
    """Return a number of each training and prompt [t, g] as `over_seeds` takes it."""
    return [
        Trained(
            value=float(row.mean()),
            first={SampleKey(prompt_id=f"p{g:02d}", seed=0): float(y - row.mean())
                   for g, y in enumerate(row)},
        )
        for row in values
    ]  # fmt: skip


def test_the_components_are_those_of_the_analysis_of_variance():
    values = np.random.default_rng(1).normal(size=(4, 10)) + np.array([[0.0], [2.0], [5.0], [1.0]])
    t, g = values.shape
    rows, columns, mean = values.mean(1, keepdims=True), values.mean(0), values.mean()
    between = g * ((rows - mean) ** 2).sum() / (t - 1)
    error = ((values - rows - columns + mean) ** 2).sum() / ((t - 1) * (g - 1))
    found = over_seeds(table(values))
    assert found.value == pytest.approx(mean)
    assert found.between == pytest.approx((between - error) / g)
    assert found.within == pytest.approx(np.mean(values.var(axis=1, ddof=1)) / g)


def test_trainings_that_differ_alone_leave_nothing_to_samples_and_the_other_way_round():
    effects = np.array([[1.0], [2.0], [6.0]])
    found = over_seeds(table(np.repeat(effects, 5, axis=1)))
    assert found.between == pytest.approx(np.var(effects, ddof=1))
    assert found.within == 0
    prompts = np.repeat(np.array([[1.0, 2.0, 6.0, 3.0]]), 3, axis=0)
    found = over_seeds(table(prompts))
    assert found.between == 0
    assert found.within == pytest.approx(np.var(prompts[0], ddof=1) / 4)


def test_known_components_are_found_again_and_their_interval_covers_the_truth():
    rng, found = np.random.default_rng(2), []
    for _ in range(400):
        training, prompt = rng.normal(0, 0.3, (3, 1)), rng.normal(0, 1.0, (1, 40))
        found.append(over_seeds(table(1 + training + prompt + rng.normal(0, 0.5, (3, 40)))))
    assert np.mean([f.between for f in found]) == pytest.approx(0.3**2, rel=0.2)
    assert np.mean([f.within for f in found]) == pytest.approx((1 + 0.25) / 40, rel=0.1)
    covered = np.mean([f.interval.low <= 1 <= f.interval.high for f in found])
    assert covered > 0.9
    wide = [f.interval.high - f.interval.low for f in found]
    assert max(wide) < 10 * np.median(wide), "too few degrees of freedom make an interval absurd"


@pytest.mark.parametrize("name", TRAINING_SUITES)
def test_a_training_suite_says_what_it_asks_finds_and_costs(name):
    suite = load_suite(name).suite
    assert suite.question.endswith("?")
    assert suite.finding.source.startswith("arXiv ")
    assert len(suite.training.seeds) >= 3
    assert suite.scales["smoke"].cost.minutes <= 1.5
    assert suite.cost.minutes <= 15
    assert suite.scales["smoke"].steps < suite.training.steps < suite.scales["full"].steps
