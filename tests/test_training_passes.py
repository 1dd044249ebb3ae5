"""A batch in passes, or over processes, trains as one pass of one process does."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from train_two_ranks import SMALL, STAGES, run

from dalle2eval.scenes.training_data import SceneSource
from reference_model.training import train, train_stage
from reference_model.training.rows import shared_out, whole_batch

HERE = Path(__file__).parent


def losses(out, stage):
    lines = (out / "work" / stage / "log.jsonl").read_text().splitlines()
    return [json.loads(line)["loss"] for line in lines]


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    out = tmp_path_factory.mktemp("whole")
    run(out)
    return out


def test_rows_of_all_passes_are_the_batch_and_its_noise():
    passes = [p for rank in (0, 1) for p in shared_out(3, 12, passes=2, rank=rank, world=2)]
    assert [row for p in passes for row in p.range] == list(range(12))
    one = whole_batch(12, 3).randn(torch.Generator().manual_seed(1), 5)
    parts = [p.randn(torch.Generator().manual_seed(1), 5) for p in passes]
    assert torch.equal(torch.cat(parts), one)


def test_a_batch_that_cannot_be_shared_out_evenly_is_refused():
    with pytest.raises(ValueError, match=r"multiple of loop\.accumulate x processes"):
        shared_out(0, 10, passes=2, rank=0, world=2)


def test_accumulated_passes_give_the_curve_of_one_pass(whole, tmp_path):
    """Of CLIP too, whose loss compares the whole batch; recomputed blocks change nothing."""
    run(tmp_path, accumulate=4, activation_checkpointing=True)
    for stage in STAGES:
        assert len(losses(whole, stage)) == 4
        assert losses(tmp_path, stage) == pytest.approx(losses(whole, stage), abs=1e-5)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    """Trained by torchrun, two passes a step in each process."""
    out = tmp_path_factory.mktemp("two")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    environment = {**os.environ, "PYTHONPATH": str(HERE.parent), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, HERE / "train_two_ranks.py", out],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return out


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("parallel", ["ddp", "fsdp"])
def test_two_processes_give_the_curve_and_the_weights_of_one(whole, two_processes, parallel, stage):
    out = two_processes / parallel
    assert losses(out, stage) == pytest.approx(losses(whole, stage), abs=1e-5)
    ours, theirs = (load_file(o / "scenes" / f"{stage}.safetensors") for o in (out, whole))
    for name in theirs:
        assert torch.allclose(ours[name].float(), theirs[name].float(), atol=2e-3), name


def test_another_architecture_or_data_does_not_go_on_from_the_state(whole):
    options = {"stage": "clip", "work": whole / "work", "out": whole, "preset": "tiny"}
    with pytest.raises(ValueError, match="another architecture, seed or data"):
        train("scenes", SceneSource, changes=SMALL, data_identity="other", **options)


def test_an_arm_trains_one_stage_with_its_change(whole, tmp_path):
    changes = {"decoder.target": "v", "loop.batch_size": 4, "loop.bf16": False}
    folder = train_stage(
        "tiny", "decoder", SceneSource, steps=2, seed=0, out=tmp_path, changes=changes,
        parts_from=whole / "scenes",
    )  # fmt: skip
    part = json.loads((folder / "manifest.json").read_text())["parts"]["decoder"]
    assert part["config"]["target"] == "v"
    assert part["training"]["steps"] == 2
