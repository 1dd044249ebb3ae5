"""Periodic evaluation: of the averaged weights, on what no training sees, changing nothing."""

import json
import shutil
from functools import partial

import pytest
import torch
from image_files import picture, write
from safetensors.torch import load_file

from dalle2eval import training_sources
from dalle2eval.records import InputError
from dalle2eval.scenes.grammar import is_held_out, parse
from dalle2eval.scenes.training_data import SceneSource
from dalle2eval.training_evaluation import Evaluation
from dalle2eval.training_sources import Scenes, open_data
from reference_model.manifest import BUNDLED, read_manifest
from reference_model.training import train


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    monkeypatch.setattr(training_sources, "SAMPLES", 6)


def trained(folder, stage, judge=None, **loop):
    shutil.copytree(BUNDLED / "tiny", folder / "scenes", dirs_exist_ok=True)
    changes = {"steps": 4, "batch_size": 4, "compiled": False, **loop}
    train("scenes", SceneSource, stage=stage, work=folder / "work", out=folder, preset="tiny",
          changes={"embeddings": 64} | {f"loop.{k}": v for k, v in changes.items()},
          judge=judge)  # fmt: skip
    return load_file(folder / "scenes" / f"{stage}.safetensors")


def scenes_judge():
    scenes = Scenes()
    return Evaluation(scenes.held_out, partial(scenes.open_extractor, "cpu"), "cpu")


def lines(folder, stage):
    text = (folder / "work" / stage / "evaluations.jsonl").read_text()
    return [json.loads(line) for line in text.splitlines()]


@pytest.mark.parametrize(
    ("stage", "metrics"),
    [
        ("clip", {"clip_score", "r_precision"}),
        ("prior-eps", {"prior.true", "prior.text"}),
        ("decoder", {"kid_scenes", "clip_score", "r_precision"}),
        ("upsampler-256-efficient", {"kid_scenes", "clip_score", "r_precision"}),
    ],
)
def test_a_training_that_is_evaluated_ends_in_the_same_weights(tmp_path, stage, metrics):
    without = trained(tmp_path / "without", stage)
    found = trained(tmp_path / "with", stage, scenes_judge(), evaluate_every=2)
    assert all(torch.equal(without[name], found[name]) for name in without)
    told = lines(tmp_path / "with", stage)
    assert [line["step"] for line in told] == [2, 4]
    for line in told:
        assert metrics <= set(line)
        assert (line["part"], line["n"]) == (stage, 6)
    trained(tmp_path / "again", stage, scenes_judge(), evaluate_every=2)
    assert lines(tmp_path / "again", stage) == told
    assert not (tmp_path / "with" / "work" / stage / "evaluated").exists()


def test_the_judge_sees_the_averaged_weights_among_the_finished_parts(tmp_path):
    class Notary:
        def __init__(self):
            self.seen = []

        def prepare(self, kind):
            self.kind = kind

        def __call__(self, folder, part):
            manifest = read_manifest(folder)
            self.seen.append((manifest.part(part).sha256, set(manifest.parts)))
            return {}

    notary = Notary()
    trained(tmp_path, "decoder", notary, evaluate_every=3)
    parts = read_manifest(tmp_path / "scenes").parts
    assert notary.kind == "decoder"
    assert [found for _, found in notary.seen] == [set(parts)] * 2
    assert notary.seen[0][0] != notary.seen[1][0] == parts["decoder"].sha256


def test_evaluations_without_a_judge_or_a_metric_are_refused_before_the_training(tmp_path):
    with pytest.raises(ValueError, match="needs a judge"):
        trained(tmp_path, "decoder", evaluate_every=2)
    with pytest.raises(InputError, match="no metric is of a classifier; allowed: clip, prior"):
        trained(tmp_path, "classifier", scenes_judge(), evaluate_every=2)
    assert not (tmp_path / "work" / "classifier" / "log.jsonl").exists()


def test_what_is_evaluated_on_is_never_trained_on(tmp_path):
    scenes = Scenes().held_out()
    assert len(scenes.captions) == 6
    assert all(is_held_out(parse(caption)) for caption in scenes.captions)
    for k in range(120):
        write(tmp_path / f"{k:03d}.png", picture(k, 10, 12))
        (tmp_path / f"{k:03d}.txt").write_text(f"picture number {k}\n")
    data = open_data(str(tmp_path))
    kept_back, source = data.held_out(), data(stream=1, held_out=False, mix="broad")
    assert len(kept_back.captions) == 3
    assert not set(kept_back.captions) & set(source.batch(0, 400, 8, rows=range(0)).captions)
    assert kept_back.images(8).shape == (3, 8, 8, 3)
