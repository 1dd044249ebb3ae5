"""The toolkit's metrics of a training's averaged weights, on held-out samples with fixed seeds.

Each part is measured alone, with what the parts before it would give it taken from the held-out
samples, so that its numbers tell of its own training:

    CLIP         clip_score and r_precision of held-out pictures and captions, in its own space
    a prior      prior.true: cosine of its z_i with the picture's; prior.text: that of z_t instead
    a decoder    KID of what it draws from caption and true z_i, and what the judge says of scenes
    an upsampler KID of held-out pictures that it enlarges
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.evaluate import CLIP_SCORE, R_PRECISION, clip_scores, r_precision_scores
from dalle2eval.features.extract import checked_table, extractor_label
from dalle2eval.metrics import METRICS
from dalle2eval.probes.studies.prior_agreement import MEASURES
from dalle2eval.records import Estimate, InputError, SampleKey, Score
from dalle2eval.statistics import Features, estimate_features, estimate_scores
from dalle2eval.training_sources import HeldOut

if TYPE_CHECKING:
    from dalle2eval.features.extractor import Extractor
    from reference_model.dalle2 import DALLE2

AT_ONCE = 16
SEED = 0
PRIORS = {"prior": "x0", "prior-eps": "eps", "prior-ar": "ar"}
DRAWING = ("decoder", "imagen", "upsampler")
MEASURED = ("clip", "prior", "prior-ar", *DRAWING)
AGREEMENT = {measure.name: measure for measure in MEASURES}


class Evaluation:
    """Measures a part of a folder of weights; see `reference_model.training.evaluation.Judge`.

    Args:
        held_out: gives the samples, when they are first needed.
        open_extractor: of the pictures that parts draw.
        device: where the networks run.
    """

    def __init__(
        self,
        held_out: Callable[[], HeldOut],
        open_extractor: Callable[[], Extractor],
        device: str,
    ) -> None:
        self._open_held_out, self._open_extractor = held_out, open_extractor
        self.device = device

    @functools.cached_property
    def held_out(self) -> HeldOut:
        """Return the samples."""
        return self._open_held_out()

    @functools.cached_property
    def extractor(self) -> Extractor:
        """Return the extractor."""
        return self._open_extractor()

    @functools.cached_property
    def keys(self) -> list[SampleKey]:
        """Return the keys of the noise, the same at every evaluation."""
        return [
            SampleKey(prompt_id=f"held-out-{k}", seed=SEED)
            for k in range(len(self.held_out.captions))
        ]

    def prepare(self, kind: str) -> None:
        """See that a kind of part can be measured, before it is trained.

        Raises:
            InputError: no metric is of it, there are too few samples, or no extractor is here.
        """
        if kind not in MEASURED:
            raise InputError(
                f"loop.evaluate_every: no metric is of a {kind}; allowed: {', '.join(MEASURED)}"
            )
        if len(self.held_out.captions) < 2:  # noqa: PLR2004
            raise InputError("loop.evaluate_every needs two held-out pictures (2% of all) or more")
        if kind in DRAWING:
            _ = self.extractor

    def __call__(self, folder: Path, part: str) -> dict[str, Any]:
        """Return the metrics of a part by their names, each with its interval."""
        from reference_model import load

        stack = load(folder, device=self.device)
        kind = stack.manifest.part(part).kind
        measure = {"clip": self._clip, "prior": self._prior, "prior-ar": self._prior}
        estimates = measure.get(kind, self._drawn)(stack, part)
        line: dict[str, Any] = {"part": part, "n": len(self.keys)}
        for estimate in estimates:
            line |= _told(estimate)
        return line

    def _clip(self, stack: DALLE2, _part: str) -> list[Estimate]:
        pictures = self.held_out.images(stack.manifest.part("clip").config["image_size"])
        return self._aligned(
            stack.encode_images(pictures), stack.encode_texts(self.held_out.captions)
        )

    def _aligned(self, images: NDArray[np.float32], texts: NDArray[np.float32]) -> list[Estimate]:
        scores = clip_scores(self.keys, images, texts)
        found = r_precision_scores(self.keys, images, texts, self.held_out.captions)
        return [
            estimate_scores(scores, METRICS[CLIP_SCORE]),
            estimate_scores(found, METRICS[R_PRECISION]),
        ]

    def _prior(self, stack: DALLE2, part: str) -> list[Estimate]:
        from reference_model.stages import conditioning_stage

        settings = stack.resolve_settings({"prior": PRIORS[part]})
        predicted = self._run(stack, conditioning_stage(stack.manifest, settings), None)
        true, texts = self._z_i(stack), stack.encode_texts(self.held_out.captions)
        cosines = {
            "prior.true": (predicted * true).sum(axis=1),
            "prior.text": (texts * true).sum(axis=1),
        }
        return [
            estimate_scores(_scores(self.keys, name, values), AGREEMENT[name])
            for name, values in cosines.items()
        ]

    def _drawn(self, stack: DALLE2, part: str) -> list[Estimate]:
        """Return KID, and in the procedural world what its judge says of picture and caption."""
        drawn, real = self._pictures(stack, part)
        features, reference = (self._features(images) for images in (drawn, real))
        family = self.extractor.family
        found = [estimate_features(features, METRICS[f"kid_{family}"], reference=reference)]
        if family == "scenes":
            unit = features.values / np.linalg.norm(features.values, axis=1, keepdims=True)
            texts = self.extractor.embed_texts(self.held_out.captions)  # type: ignore[attr-defined]
            found += self._aligned(unit.astype(np.float32), texts)
        return found

    def _pictures(self, stack: DALLE2, part: str) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """Return what a part draws, and the held-out pictures of the same size."""
        from reference_model.stages import decoder_stage, upsampler_stage

        config = stack.manifest.part(part).config
        if not part.startswith("upsampler"):
            chosen = {"decoder": part.removeprefix("decoder-") if "-" in part else "unclip"}
            stage = decoder_stage(stack.manifest, stack.resolve_settings(chosen))
            return (
                self._run(stack, stage, self._z_i(stack)),
                self.held_out.images(config["image_size"]),
            )
        name, _, network = part.replace("-", "_", 1).partition("-")
        settings = stack.resolve_settings({f"{name}_network": network} if network else {})
        stage = upsampler_stage(stack.manifest, name, settings)
        low = self.held_out.images(config["low_size"])
        return self._run(stack, stage, low), self.held_out.images(config["high_size"])

    def _z_i(self, stack: DALLE2) -> NDArray[np.float32]:
        size = stack.manifest.part("clip").config["image_size"]
        return stack.encode_images(self.held_out.images(size))

    def _run(self, stack: DALLE2, stage: Any, previous: NDArray[Any] | None) -> NDArray[Any]:
        """Run one stage on all samples, a few at a time."""
        noise = [(key.prompt_id, key.seed) for key in self.keys]
        shards = [slice(k, k + AT_ONCE) for k in range(0, len(noise), AT_ONCE)]
        return np.concatenate(
            [
                stack.run_stage(
                    stage,
                    self.held_out.captions[shard],
                    noise[shard],
                    None if previous is None else previous[shard],
                )
                for shard in shards
            ]
        )

    def _features(self, images: NDArray[np.uint8]) -> Features:
        extractor = self.extractor
        tables = [
            extractor.embed([extractor.prepare(image) for image in images[k : k + AT_ONCE]])
            for k in range(0, len(images), AT_ONCE)
        ]
        table = checked_table(np.concatenate(tables), len(images), extractor.name)
        return Features(
            keys=tuple(self.keys),
            values=table.astype(np.float64),
            extractor=extractor_label(extractor.name, extractor.weights),
        )


def _scores(keys: Sequence[SampleKey], metric: str, values: NDArray[Any]) -> list[Score]:
    return [
        Score(key=key, metric=metric, value=float(value))
        for key, value in zip(keys, values, strict=True)
    ]


def _told(estimate: Estimate) -> dict[str, Any]:
    """Return a number with its interval, or why there is none, as a line of a log has it."""
    name = estimate.metric
    if estimate.value is None or estimate.low is None or estimate.high is None:
        return {name: None, f"{name}.reason": estimate.reason}
    return {
        name: round(estimate.value, 6),
        f"{name}.low": round(estimate.low, 6),
        f"{name}.high": round(estimate.high, 6),
    }
