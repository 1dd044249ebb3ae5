"""Arms with drawn pictures and studies made of them, without a run folder or a model."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from dalle2eval.records import SampleKey
from dalle2eval.votes.arms import ArmPictures
from dalle2eval.votes.study import Design, Study, make_study

PROMPTS = {f"p{i}": f"a thing number {i}" for i in range(6)}
PROMPTS["p0"] = '<script>alert(1)</script> & "quoted" \u202etxet'


def an_arm(folder: Path, name: str, grey: int, *, seeds: int = 2, size: int = 16) -> ArmPictures:
    """Draw one arm: a grey per prompt and seed, so that every picture is another."""
    files = {}
    for i, prompt in enumerate(PROMPTS):
        for seed in range(seeds):
            path = folder / name / str(size) / f"{prompt}-{seed}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (size, size), (grey, 20 * i, 90 * seed)).save(path)
            files[SampleKey(prompt_id=prompt, seed=seed), size] = path
    return ArmPictures(
        label=name, run="run", fingerprint="f" * 64, arm=name, prompts=PROMPTS, files=files
    )


def a_study(folder: Path, *, names: tuple[str, ...] = ("secret-a", "secret-b"), **design) -> Study:
    """Make a study of two or more drawn arms."""
    arms = [an_arm(folder / "run", name, 60 + 50 * i) for i, name in enumerate(names)]
    return make_study(arms, Design(**{"question": "caption", **design}), folder / "study")
