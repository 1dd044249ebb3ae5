"""A text-to-image model, a judge and a probe in numpy: instant and deterministic."""

import difflib
import hashlib
from dataclasses import dataclass

import numpy as np

from dalle2eval.records import Score, SelfTest

SETTINGS = {"conditioning": "prior", "prior": "x0", "guidance_scale": 3.0, "decoder_steps": 20}
CHOICES = {"conditioning": ("prior", "text-embedding", "caption"), "prior": ("x0", "eps")}


def _rng(*parts):
    return np.random.default_rng(int.from_bytes(hashlib.sha256(repr(parts).encode()).digest()[:8]))


@dataclass(frozen=True)
class FakeStage:
    name: str
    settings: dict
    image_size: int | None
    weights: str = "0" * 64
    version: int = 1
    forward_passes: int = 2
    seconds_per_image: float = 0.001


class FakeModel:
    """Stages prior -> decoder -> upsampler_256 -> upsampler_1024; counts its calls."""

    name = "fake"

    def __init__(self, weights="0" * 64):
        self.weights = weights
        self.calls = 0

    def resolve_settings(self, changes):
        settings = dict(SETTINGS)
        for name, value in changes.items():
            if name not in SETTINGS:
                near = difflib.get_close_matches(name, SETTINGS, n=1)
                raise ValueError(
                    f'no setting "{name}"' + (f'; did you mean "{near[0]}"?' if near else "")
                )
            if name in CHOICES and value not in CHOICES[name]:
                raise ValueError(f"{name} is {value!r}; allowed: {', '.join(CHOICES[name])}")
            settings[name] = value
        return settings

    def plan_stages(self, settings, size):
        own = {"conditioning": settings["conditioning"], "prior": settings["prior"]}
        decoder = {name: settings[name] for name in ("guidance_scale", "decoder_steps")}
        chain = [FakeStage("prior", own, None), FakeStage("decoder", decoder, 64)]
        chain += [FakeStage(f"upsampler_{s}", {}, s) for s in (256, 1024) if s <= size]
        return chain

    def run_stage(self, stage, prompts, noise_keys, previous):
        self.calls += 1
        if stage.name == "prior":
            rows = [_rng("prior", stage.settings, key).normal(size=4) for key in noise_keys]
            return np.array(rows, np.float32)
        if stage.name == "decoder":
            return np.stack(
                [self._draw(stage, *row) for row in zip(noise_keys, previous, strict=True)]
            )
        return previous.repeat(4, axis=1).repeat(4, axis=2)

    def _draw(self, stage, key, z):
        rng = _rng("decoder", key)
        colour = rng.integers(0, 256, 3) + 10 * z[:3] + stage.settings["guidance_scale"]
        noise = rng.normal(0, 8, (64, 64, 3))
        return np.clip(colour + noise, 0, 255).astype(np.uint8)

    def generate(self, prompts, seeds, *, size=64, **settings):
        keys = list(zip(prompts, seeds, strict=True))
        value = None
        for stage in self.plan_stages(self.resolve_settings(settings), size):
            value = self.run_stage(stage, prompts, keys, value)
        return value


class FakeJudge:
    """Features of mean colours, four numbers wide."""

    name = "scenes"
    weights = "1" * 64

    def embed_images(self, images):
        colours = images.reshape(len(images), -1, 3).mean(axis=1) / 255
        corners = images[:, 0, 0, :1] / 255
        return np.concatenate([colours, corners], axis=1).astype(np.float32)

    def embed_aligned_images(self, images):
        return self._unit(self.embed_images(images))

    def embed_texts(self, texts):
        return self._unit(np.array([_rng("text", text).random(4) for text in texts], np.float32))

    @staticmethod
    def _unit(rows):
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class FakeProbe:
    """Right when the picture is rather red; it says nothing of prompts about words."""

    def score(self, images, prompts, keys):
        return [
            Score(
                key=key,
                metric="composition.colour",
                value=float(image[..., 0].mean() > image[..., 2].mean()),
                detail={"asked": prompt.text},
            )
            for image, prompt, key in zip(images, prompts, keys, strict=True)
            if "word" not in prompt.tags
        ]

    def self_test(self):
        n = 100
        return [
            SelfTest(
                judge="composition",
                task="colour",
                accuracy=1.0,
                low=0.0,
                high=1.0,
                n=n,
                floor=0.9,
            )
        ]
