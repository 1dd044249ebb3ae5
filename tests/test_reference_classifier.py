"""Classifier guidance as a choice: which prompts have a class, and what it does to a picture."""

import json

import pytest
import torch
from cli_fixtures import call
from stack_fixtures import tiny_with

from dalle2eval.prompts import load_prompts
from dalle2eval.scenes.grammar import all_scenes, caption, is_held_out
from dalle2eval.scenes.training_data import SceneSource
from reference_model import load
from reference_model.classes import class_of, labels_of
from reference_model.diffusion.gradient_guidance import classifier_guided
from reference_model.diffusion.schedule import Schedule
from reference_model.diffusion.targets import denoiser
from reference_model.diffusion.thresholding import static
from reference_model.manifest import read_manifest

FAST = {"prior_steps": 2, "prior_candidates": 1, "decoder_steps": 3, "guidance_scale": 1.0}
CLASSES = SceneSource(stream=6).classes()


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    made = tiny_with(tmp_path_factory.mktemp("weights"), "classifier", "decoder-noise-power")
    return made.rename(made.parent / "guided")


def stages(model, **changes):
    return model.plan_stages(model.resolve_settings({**FAST, **changes}))


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("a red circle", "red circle"),
        ("a picture of a small red circle", "red circle"),
        ("three blue stars", "blue star"),
        ("two orange crosses", "orange cross"),
        ("a red circle on a plain background", "red circle"),
        ("a red circle and a blue square", None),
        ("a red circle left of a red circle", "red circle"),
        ('the word "RED" in red', None),
        ("a circle", None),
        ("a red circlet", None),
        ("an infrared circle", None),
        ("", None),
    ],
)
def test_a_caption_is_of_the_only_class_whose_words_stand_in_it(text, named):
    number = class_of(text, CLASSES)
    assert (None if number is None else CLASSES[number]) == named


def test_every_scene_of_one_kind_of_object_has_its_class_and_no_other_has_one():
    for kind in ("single", "count", "two-object", "relation", "word"):
        for scene in all_scenes(kind):
            number = class_of(caption(scene), CLASSES)
            kinds = {f"{item.colour} {item.shape}" for item in scene.objects}
            named = [words for words in CLASSES if words in kinds]
            assert (number is None) == (len(named) != 1)
            assert number is None or CLASSES[number] == named[0]


def test_the_classes_are_the_pairs_that_training_draws():
    assert len(CLASSES) == len(set(CLASSES)) == 42
    singles = [scene for scene in all_scenes("single") if not is_held_out(scene)]
    assert {f"{s.objects[0].colour} {s.objects[0].shape}" for s in singles} == set(CLASSES)
    labels = labels_of([p.text for p in load_prompts("scenes/single-seen")], CLASSES)
    assert len(set(labels)) == 42


def test_training_keeps_the_classes_and_the_decoders_noise_beside_the_weights(weights):
    config = read_manifest(weights).part("classifier").config
    assert config["classes"] == CLASSES
    assert (config["schedule"], config["num_timesteps"]) == ("cosine", 1000)
    classifier = load(weights, device="cpu").network("classifier")
    with torch.no_grad():
        logits = classifier(torch.zeros(2, 3, 16, 16), torch.tensor([0, 999]))
    assert logits.shape == (2, 42)


def test_its_guidance_reaches_the_picture_and_no_other_picture_of_the_batch(weights):
    model = load(weights, device="cpu")
    how = {**FAST, "classifier_guidance_scale": 200.0}
    prompts = ["a red circle", "two blue stars"]
    together = model.generate(prompts, [5, 6], **how).astype(int)
    alone = model.generate(prompts[1:], [6], **how)
    assert abs(together[1] - alone[0]).max() <= 1
    assert alone.tobytes() != model.generate(prompts[1:], [6], **FAST).tobytes()


def test_its_stage_names_scale_and_weights_and_counts_its_calls(weights, monkeypatch):
    from reference_model.classifier import NoisyClassifier

    model, calls = load(weights, device="cpu"), []
    usual, guided = stages(model)[1], stages(model, classifier_guidance_scale=2.0)[1]
    assert guided.settings == {**usual.settings, "classifier_guidance_scale": 2.0}
    identity = model.manifest.part("classifier").identity
    assert identity in guided.weights
    assert identity not in usual.weights
    assert usual == stages(load("tiny"))[1]
    forward = NoisyClassifier.forward
    monkeypatch.setattr(
        NoisyClassifier, "forward", lambda self, *a: calls.append(1) or forward(self, *a)
    )
    model.generate(["a red circle"], [0], **FAST, classifier_guidance_scale=2.0)
    assert guided.forward_passes - usual.forward_passes == len(calls)


def test_it_goes_with_every_other_guidance_and_sampler(weights):
    model = load(weights, device="cpu")
    how = {"classifier_guidance_scale": 5.0, "clip_guidance_scale": 5.0, "guidance_scale": 3.0,
           "threshold": "dynamic", "decoder_sampler": "analytic-dpm"}  # fmt: skip
    assert model.generate(["a red circle"], [0], **{**FAST, **how}).shape == (1, 16, 16, 3)


def test_weights_without_a_classifier_are_refused_before_work():
    with pytest.raises(ValueError, match="'tiny' have no part 'classifier'; train the stage"):
        stages(load("tiny"), classifier_guidance_scale=1.0)


def test_a_classifier_of_other_noise_is_refused(weights, tmp_path):
    """At the decoder's timesteps it would be asked about noise that it does not mean."""
    manifest = json.loads((weights / "manifest.json").read_text())
    manifest["parts"]["classifier"]["config"]["schedule"] = "linear"
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ValueError, match="classifier of the noise linear, 1000 timesteps"):
        stages(load(tmp_path), classifier_guidance_scale=1.0)


@pytest.mark.parametrize("prompt", ["a purple circle", "a red circle above a blue star", "hello"])
def test_a_prompt_without_a_class_is_refused_by_python_and_the_command_line(
    weights, tmp_path, capsys, prompt
):
    with pytest.raises(ValueError, match="names one class"):
        load(weights).generate([prompt], [0], **FAST, classifier_guidance_scale=1.0)
    refused = call(capsys, "sample", prompt, "--model", weights, "--out", tmp_path / "made",
                   "--set", "classifier_guidance_scale=1")  # fmt: skip
    assert refused.code == 2
    assert prompt in refused.err
    assert len(refused.err.strip().splitlines()) == 1
    assert not (tmp_path / "made").exists()


SUITE = """\
question: Does the classifier help?
model: {{name: {weights}, prior_steps: 2, decoder_steps: 2}}
prompts: {{set: {prompts}, n: 8}}
samples_per_prompt: 1
sizes: {{all: 64}}
arms:
  plain: {{}}
  guided: {{reference: plain, classifier_guidance_scale: 2.0}}
metrics: [clip_score]
"""


def test_a_suite_of_known_classes_plans_and_another_is_refused(weights, tmp_path, capsys):
    suite = tmp_path / "guided.yaml"
    suite.write_text(SUITE.format(weights=weights, prompts="scenes/single-seen"))
    assert call(capsys, "plan", suite, "--store", tmp_path / "store", "--json").code == 0
    suite.write_text(SUITE.format(weights=weights, prompts="scenes/quick"))
    refused = call(capsys, "plan", suite, "--store", tmp_path / "store")
    assert refused.code == 2
    assert "names one class" in refused.err


def test_near_pure_noise_a_guided_estimate_stays_in_the_pictures_range():
    """The gradient over almost no signal would throw the first steps out of all range."""
    schedule, x_t = Schedule("cosine"), torch.randn(2, 3, 4, 4)
    plain = denoiser(lambda x, t: torch.zeros_like(x), "x0", schedule)
    likely = lambda x, t: 1e-3 * x.flatten(1).sum(1)  # noqa: E731
    t = schedule.num_timesteps - 1
    free, bounded = (
        classifier_guided(plain, likely, schedule, 1.0, threshold=threshold)(x_t, t)
        for threshold in (None, static())
    )
    assert free.x0_hat.abs().max() > 5
    assert bounded.x0_hat.abs().max() <= 1
    alpha_bar = schedule.alpha_bar[t].float()
    mixed = alpha_bar.sqrt() * bounded.x0_hat + (1 - alpha_bar).sqrt() * bounded.eps_hat
    assert torch.allclose(mixed, x_t, atol=1e-5)
