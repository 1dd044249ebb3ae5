"""The kinds of work in a run, each as a unit: a pure function of its identity and its inputs.

The identity holds all that decides the value: settings, weights, prompts, seeds, code version.
Cheap work (judging) carries the hash of its source files, so that no change is forgotten; a model's
stages carry their declared version, so that a new comment does not cost an hour.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ablations.score_rows import score_row
from ablations.units import Unit, Values
from ablations.workshop import Judge, Workshop
from dalle2eval.models import find_faults
from dalle2eval.probes.tesseract import tesseract_version
from dalle2eval.protocols import Stage
from dalle2eval.records import Prompt, SampleKey, fingerprint, to_json

Embedding = Literal["features", "aligned"]

OCR_PACKAGES = ("rapidocr", "onnxruntime")  # they hold the OCR's weights and code

# Yardsticks on two CPU cores, in seconds; measured times replace them during a run.
EMBED_IMAGE_S, EMBED_TEXT_S, RENDER_S, SELF_TEST_S = 0.003, 0.002, 0.001, 4.0
FAULT_S = 1e-4


@functools.cache
def source_hash(*names: str) -> str:
    """Return a hash of the Python sources of packages or modules, without importing them."""
    digest = hashlib.sha256()
    for name in names:
        spec = importlib.util.find_spec(name)
        if spec is None or spec.origin is None:
            raise ImportError(f"no module {name}")
        origin, is_package = Path(spec.origin), spec.submodule_search_locations is not None
        for file in sorted(origin.parent.rglob("*.py")) if is_package else [origin]:
            digest.update(file.name.encode() + b"\0" + file.read_bytes())
    return digest.hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedPart:
    """A part of the model that a unit trains."""

    name: str
    unit: Unit


def stage_unit(
    stage: Stage,
    prompts: Sequence[Prompt],
    keys: Sequence[SampleKey],
    previous: Unit | None,
    trained: TrainedPart | None = None,
) -> Unit:
    """Return one stage of the model on one shard of (prompt, seed) pairs.

    Args:
        stage: of the model.
        prompts: of the shard.
        keys: of its pictures.
        previous: the stage before.
        trained: what the run trains itself and the stage reads.
    """
    texts = tuple(prompt.text for prompt in prompts)
    noise_keys = tuple((key.prompt_id, key.seed) for key in keys)
    return Unit(
        stage=stage.name,
        kind="array" if stage.image_size is None else "images",
        samples=len(keys),
        forward_passes=stage.forward_passes,
        seconds=stage.seconds_per_image * len(keys),
        identity={
            "version": stage.version,
            "settings": dict(stage.settings),
            "weights": stage.weights,
            "prompts": texts,
            "noise_keys": noise_keys,
        },
        perform=partial(_run_stage, stage, texts, noise_keys, trained.name if trained else ""),
        inputs={
            **({"previous": (previous,)} if previous is not None else {}),
            **({"trained": (trained.unit,)} if trained is not None else {}),
        },
    )


def _run_stage(
    stage: Stage,
    texts: tuple[str, ...],
    noise_keys: tuple[tuple[str, int], ...],
    part: str,
    workshop: Workshop,
    values: Values,
) -> NDArray[Any]:
    previous = values["previous"][0] if "previous" in values else None
    model = workshop.model_with(part, values["trained"][0]) if part else workshop.model
    return model.run_stage(stage, texts, noise_keys, previous)


def fault_unit(images: Unit) -> Unit:
    """Return why pictures of a shard cannot be judged, each None for one that can."""
    return Unit(
        stage="faults",
        kind="json",
        samples=images.samples,
        seconds=FAULT_S * images.samples,
        identity={"code": source_hash("dalle2eval.models.faults")},
        perform=_find_faults,
        inputs={"images": (images,)},
    )


def _find_faults(_workshop: Workshop, values: Values) -> list[str | None]:
    return find_faults(values["images"][0])


def image_features_unit(judge: Judge, images: Unit, embedding: Embedding) -> Unit:
    """Return the judge's features of a shard's images: its own, or those aligned with texts."""
    return Unit(
        stage="features",
        kind="array",
        samples=images.samples,
        forward_passes=1,
        seconds=EMBED_IMAGE_S * images.samples,
        identity={**_judge_identity(judge), "embedding": embedding},
        perform=partial(_embed_images, embedding),
        inputs={"images": (images,)},
    )


def _embed_images(embedding: Embedding, workshop: Workshop, values: Values) -> NDArray[np.float32]:
    from dalle2eval.features import embed_aligned, embed_images

    images = values["images"][0]
    if embedding == "aligned":
        return embed_aligned(workshop.judge, images)
    return embed_images(workshop.judge, images)


def text_features_unit(judge: Judge, prompts: Sequence[Prompt]) -> Unit:
    """Return the judge's features of a shard's texts."""
    texts = tuple(prompt.text for prompt in prompts)
    return Unit(
        stage="features",
        kind="array",
        samples=len(texts),
        forward_passes=1,
        seconds=EMBED_TEXT_S * len(texts),
        identity={**_judge_identity(judge), "texts": texts},
        perform=partial(_embed_texts, texts),
    )


def _embed_texts(
    texts: tuple[str, ...], workshop: Workshop, _values: Values
) -> NDArray[np.float32]:
    from dalle2eval.features import embed_texts

    return embed_texts(workshop.judge, texts)


def _judge_identity(judge: Judge) -> dict[str, str]:
    code = source_hash("dalle2eval.features")
    return {"judge": judge.name, "weights": judge.weights, "code": code}


def reference_unit(
    judge: Judge, prompts: Sequence[Prompt], keys: Sequence[SampleKey], size: int
) -> Unit:
    """Return the judge's features of real pictures of prompts, drawn by the procedural world."""
    facts = tuple(to_json(prompt)["facts"] for prompt in prompts)
    seeds = tuple(_picture_seed(key) for key in keys)
    code = source_hash("dalle2eval.scenes")
    return Unit(
        stage="reference",
        kind="array",
        samples=len(keys),
        forward_passes=1,
        seconds=(RENDER_S + EMBED_IMAGE_S) * len(keys),
        identity={
            **_judge_identity(judge),
            "scenes": code,
            "facts": facts,
            "seeds": seeds,
            "size": size,
        },
        perform=partial(_embed_real, facts, seeds, size),
    )


def training_unit(judge: Judge, stream: int, start: int, n: int, size: int) -> Unit:
    """Return the judge's features of pictures start ... of a stream of the procedural world."""
    return Unit(
        stage="training",
        kind="array",
        samples=n,
        forward_passes=1,
        seconds=(RENDER_S + EMBED_IMAGE_S) * n,
        identity={
            **_judge_identity(judge),
            "scenes": source_hash("dalle2eval.scenes"),
            "pictures": [stream, start, n],
            "size": size,
        },
        perform=partial(_embed_stream, stream, start, n, size),
    )


def _embed_stream(
    stream: int, start: int, n: int, size: int, workshop: Workshop, _values: Values
) -> NDArray[np.float32]:
    from dalle2eval.features import embed_images
    from dalle2eval.scenes.training_data import SceneSource

    return embed_images(workshop.judge, SceneSource(stream=stream).batch(start, n, size).images)


def _picture_seed(key: SampleKey) -> int:
    return int(fingerprint(["reference picture", key.prompt_id, key.seed])[:15], 16)


def _embed_real(
    facts: tuple[Any, ...], seeds: tuple[int, ...], size: int, workshop: Workshop, _values: Values
) -> NDArray[np.float32]:
    from dalle2eval.features import embed_images
    from dalle2eval.scenes.grammar import scene_from_facts
    from dalle2eval.scenes.renderer import draw

    pairs = zip(facts, seeds, strict=True)
    images = np.stack([draw(scene_from_facts(fact), seed, size) for fact, seed in pairs])
    return embed_images(workshop.judge, images)


def probe_unit(
    name: str, images: Unit, prompts: Sequence[Prompt], keys: Sequence[SampleKey], *, seconds: float
) -> Unit:
    """Return a probe's scores of a shard's images, as rows."""
    return Unit(
        stage=name,
        kind="json",
        samples=images.samples,
        seconds=seconds * images.samples,
        identity={
            **_probe_identity(),
            "prompts": [to_json(prompt) for prompt in prompts],
            "keys": [to_json(key) for key in keys],
        },
        perform=partial(_score, name, tuple(prompts), tuple(keys)),
        inputs={"images": (images,)},
    )


def _probe_identity() -> dict[str, Any]:
    packages = {name: version(name) for name in OCR_PACKAGES}
    packages["tesseract"] = tesseract_version() or "none"  # the second OCR, where installed
    return {"code": source_hash("dalle2eval.probes", "dalle2eval.scenes"), "packages": packages}


def _score(
    name: str,
    prompts: tuple[Prompt, ...],
    keys: tuple[SampleKey, ...],
    workshop: Workshop,
    values: Values,
) -> list[dict[str, Any]]:
    return [score_row(s) for s in workshop.probes[name].score(values["images"][0], prompts, keys)]


def self_test_unit(name: str) -> Unit:
    """Return what a probe gets right on inputs with known truth, as rows."""
    return Unit(
        stage="self-test",
        kind="json",
        samples=1,
        seconds=SELF_TEST_S,
        identity={"probe": name, **_probe_identity()},
        perform=partial(_self_test, name),
    )


def _self_test(name: str, workshop: Workshop, _values: Values) -> list[dict[str, Any]]:
    return [to_json(test) for test in workshop.probes[name].self_test()]
