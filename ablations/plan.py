"""From a `Plan` to the work that it takes: a graph of units, shared between arms by address.

Shards are 16 consecutive (prompt, seed) pairs of one target size, whatever is in the store already:
with fixed shard boundaries, and noise drawn from (prompt, seed) alone, every image comes out the
same whether a run was interrupted or not.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from ablations.judging import Measured, Pair, Samples, judging_unit
from ablations.over_seeds import mean_unit
from ablations.resolving import Planner, is_scored, target_size
from ablations.tasks import (
    fault_unit,
    image_features_unit,
    probe_unit,
    reference_unit,
    self_test_unit,
    stage_unit,
    text_features_unit,
    training_unit,
)
from ablations.training_units import TrainedArm, trained_arms
from ablations.trainings import repeats_of
from ablations.units import Unit, in_order
from ablations.workshop import Judge
from dalle2eval.models import MODEL, ChecksSamples, is_ours
from dalle2eval.records import ArmSpec, InputError, Plan, Prompt, SampleKey
from dalle2eval.scenes.grammar import is_scene

SHARD = 16
JUDGED_SIZE = 64  # pixels: what the judge and the reader look at
TRAINING_PICTURES, FRESH_PICTURES = 4096, 1024  # of the check for copies; 20 s once, then stored
FRESH_STREAM = 1000  # of the procedural world; nothing learns from it
PICTURES_A_UNIT = 256
_NO_MEMORY: dict[str, tuple[Unit, ...]] = {"training": (), "fresh": ()}


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeUse:
    """How a run uses a probe: on which images, and what it costs.

    Attributes:
        image_size: of the images that it judges, in pixels.
        tag: the slice of prompts that it asks about; None for all.
        seconds_per_image: yardstick.
    """

    name: str
    image_size: int
    tag: str | None = None
    seconds_per_image: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Judges:
    """Who judges: the network, the probes, and which embeddings the metrics need.

    ``training_stream`` is the stream of the procedural world that the model learned to draw from;
    None for a model that learned elsewhere.
    """

    judge: Judge
    label: str
    probes: tuple[ProbeUse, ...]
    needs_features: bool
    needs_alignment: bool
    needs_memory: bool = False
    training_stream: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Consecutive (prompt, seed) pairs that are drawn together."""

    prompts: tuple[Prompt, ...]
    keys: tuple[SampleKey, ...]
    size: int

    @property
    def scored(self) -> bool:
        """Say whether its images are judged."""
        return is_scored(self.prompts[0])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Drawn:
    """A shard's images in one arm: the units that hold them, by size in pixels."""

    shard: Shard
    images: Mapping[int, Unit]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ArmWork:
    """All the work of one arm: its pictures and its numbers."""

    arm: ArmSpec
    drawn: tuple[Drawn, ...]
    judged: Unit


@dataclass(frozen=True, kw_only=True, eq=False)
class Work:
    """All the work of a plan."""

    plan: Plan
    arms: tuple[ArmWork, ...]
    self_tests: tuple[Unit, ...]

    @cached_property
    def units(self) -> list[Unit]:
        """Return every distinct unit, inputs before their readers; the judges are tested first."""
        wanted = list(self.self_tests)
        for arm in self.arms:
            wanted += [unit for drawn in arm.drawn for unit in drawn.images.values()]
            wanted.append(arm.judged)
        return in_order(wanted)


def plan_work(plan: Plan, planner: Planner, judges: Judges) -> Work:
    """Return the work of a plan; nothing is loaded and nothing done."""
    shards = tuple(_shards(plan))
    scored = [shard for shard in shards if shard.scored]
    trained, means = trained_arms(plan, planner), repeats_of(plan)
    drawable = [arm for arm in plan.arms if arm.name not in means]
    ours = {arm.name: is_ours(model_of(plan, arm)) for arm in drawable}
    drawn = {
        # The showcase is only looked at: others' pictures of it may cost, or not exist.
        arm.name: tuple(
            _draw(planner, arm, s, trained.get(arm.name))
            for s in shards
            if s.scored or ours[arm.name]
        )
        for arm in drawable
    }
    measured = {
        name: _measure(pictures, judges, checked=not ours[name]) for name, pictures in drawn.items()
    }
    samples = _samples(plan, scored, judges)
    common = {
        "texts": tuple(text_features_unit(judges.judge, shard.prompts) for shard in scored)
        if judges.needs_alignment
        else (),
        "reference": tuple(_references(plan, judges)) if judges.needs_features else (),
        **_memory(judges),
    }
    arms = [
        ArmWork(
            arm=arm,
            drawn=drawn[arm.name],
            judged=judging_unit(
                Pair(arm=arm.name, reference=arm.reference),
                samples,
                own=measured[arm.name],
                other=measured[arm.reference] if arm.reference else None,
                common=common if MODEL not in arm.settings else {**common, **_NO_MEMORY},
            ),
        )
        for arm in drawable
    ]
    arms = [*_mean_arms(plan, {work.arm.name: work.judged for work in arms}), *arms]
    tests = tuple(self_test_unit(probe.name) for probe in judges.probes)
    return Work(plan=plan, arms=tuple(arms), self_tests=tests)


def _mean_arms(plan: Plan, judged: Mapping[str, Unit]) -> Iterator[ArmWork]:
    """Yield the arms that are means over their trainings."""
    repeats = repeats_of(plan)
    for arm in plan.arms:
        if arm.name in repeats:
            own = tuple(judged[name] for name in repeats[arm.name])
            other = tuple(judged[name] for name in repeats.get(arm.reference or "", ()))
            unit = mean_unit(Pair(arm=arm.name, reference=arm.reference), own, other)
            yield ArmWork(arm=arm, drawn=(), judged=unit)


def _shards(plan: Plan) -> Iterator[Shard]:
    """Yield the shards: scored prompts by target size, then the showcase with the first seed."""
    groups: dict[tuple[bool, int], list[tuple[Prompt, SampleKey]]] = defaultdict(list)
    for prompt in plan.prompts:
        shown = not is_scored(prompt)
        group = groups[shown, target_size(prompt, plan.options["sizes"])]
        for seed in plan.seeds[:1] if shown else plan.seeds:
            group.append((prompt, SampleKey(prompt_id=prompt.id, seed=seed)))
    for (_, size), pairs in sorted(groups.items(), key=lambda item: item[0]):
        for prompts, keys in _batches(pairs):
            yield Shard(prompts=prompts, keys=keys, size=size)


def _batches(
    pairs: Sequence[tuple[Prompt, SampleKey]],
) -> Iterator[tuple[tuple[Prompt, ...], tuple[SampleKey, ...]]]:
    for start in range(0, len(pairs), SHARD):
        batch = pairs[start : start + SHARD]
        yield tuple(prompt for prompt, _ in batch), tuple(key for _, key in batch)


def model_of(plan: Plan, arm: ArmSpec) -> str:
    """Return the name of the model that draws an arm: its own, or the suite's."""
    return str(arm.settings.get(MODEL, plan.model["name"]))


def _draw(planner: Planner, arm: ArmSpec, shard: Shard, trained: TrainedArm | None) -> Drawn:
    images: dict[int, Unit] = {}
    previous: Unit | None = None
    model = planner if trained is None else trained.stack
    for stage in model.plan_stages(arm.settings, shard.size):
        if isinstance(model, ChecksSamples):
            texts = [prompt.text for prompt in shard.prompts]
            model.check_samples(stage, texts, [(key.prompt_id, key.seed) for key in shard.keys])
        part = trained.part if trained is not None and trained.stack.reads(stage) else None
        previous = stage_unit(stage, shard.prompts, shard.keys, previous, part)
        if stage.image_size is not None:
            images[stage.image_size] = previous
    return Drawn(shard=shard, images=images)


def _measure(drawn: Sequence[Drawn], judges: Judges, *, checked: bool) -> Measured:
    scored = [pictures for pictures in drawn if pictures.shard.scored]
    small = [pictures.images[JUDGED_SIZE] for pictures in scored]
    return Measured(
        features=tuple(image_features_unit(judges.judge, unit, "features") for unit in small)
        if judges.needs_features
        else (),
        aligned=tuple(image_features_unit(judges.judge, unit, "aligned") for unit in small)
        if judges.needs_alignment
        else (),
        scores=tuple(_probe(probe, p) for probe in judges.probes for p in _asked(probe, scored)),
        faults=tuple(fault_unit(unit) for unit in small) if checked else (),
    )


def _asked(probe: ProbeUse, scored: Sequence[Drawn]) -> Iterator[Drawn]:
    """Yield the shards that hold images of the probe's size of prompts that it asks about."""
    for drawn in scored:
        about = any(probe.tag in (None, *prompt.tags) for prompt in drawn.shard.prompts)
        if about and probe.image_size in drawn.images:
            yield drawn


def _probe(probe: ProbeUse, drawn: Drawn) -> Unit:
    images, shard = drawn.images[probe.image_size], drawn.shard
    return probe_unit(
        probe.name, images, shard.prompts, shard.keys, seconds=probe.seconds_per_image
    )


def _samples(plan: Plan, scored: Sequence[Shard], judges: Judges) -> Samples:
    prompts = tuple(prompt for prompt in plan.prompts if is_scored(prompt))
    return Samples(
        keys=tuple(key for shard in scored for key in shard.keys),
        prompts=prompts,
        reference_keys=tuple(key for _, key in _reference_pairs(plan)),
        metrics=plan.metrics,
        extractor=judges.label,
    )


def _reference_pairs(plan: Plan) -> Iterator[tuple[Prompt, SampleKey]]:
    """Yield the real pictures of each scored prompt, numbered from 0."""
    for prompt in plan.prompts:
        if is_scored(prompt):
            for number in range(plan.options["references_per_prompt"]):
                yield prompt, SampleKey(prompt_id=prompt.id, seed=number)


def _memory(judges: Judges) -> dict[str, tuple[Unit, ...]]:
    """Return the features of the model's training pictures and of fresh ones, where asked for."""
    if not judges.needs_memory or judges.training_stream is None:
        return _NO_MEMORY

    def pictures(stream: int, n: int) -> tuple[Unit, ...]:
        starts = range(0, n, PICTURES_A_UNIT)
        return tuple(
            training_unit(judges.judge, stream, start, PICTURES_A_UNIT, JUDGED_SIZE)
            for start in starts
        )

    return {
        "training": pictures(judges.training_stream, TRAINING_PICTURES),
        "fresh": pictures(FRESH_STREAM, FRESH_PICTURES),
    }


def _references(plan: Plan, judges: Judges) -> Iterator[Unit]:
    for prompts, keys in _batches(list(_reference_pairs(plan))):
        for prompt in prompts:
            if not is_scene(prompt.facts):
                raise InputError(
                    f"distances need real pictures; the scene of prompt {prompt.id!r} is not known"
                )
        yield reference_unit(judges.judge, prompts, keys, JUDGED_SIZE)
