"""Does guidance make pictures alike? Vendi score, recall and distance in a prompt along its scale.

The paper (arXiv 2204.06125, §5.3, Fig. 9 to 13) finds that guidance costs unCLIP little diversity,
because z_i is fixed before the decoder is guided. Every scale draws the same prompts with the same
noise, so scales are compared in pairs with the first. Recall is against real pictures of the same
prompts, which only prompts of the procedural world have.
"""

from __future__ import annotations

import numpy as np

from dalle2eval.metrics import METRICS, vendi_score
from dalle2eval.metrics.manifold import overlap
from dalle2eval.probes.probe import self_test
from dalle2eval.probes.study import GUIDANCE, Bench, Finding, Study, shown
from dalle2eval.probes.subject import pairs
from dalle2eval.records import Comparison, Estimate, SampleKey, SelfTest, fingerprint
from dalle2eval.scenes.grammar import is_scene, scene_from_facts
from dalle2eval.scenes.renderer import draw
from dalle2eval.statistics import Arms, Features, compare_features, estimate_features

SCALES = (1.0, 2.0, 4.0, 8.0)
REFERENCES = 4  # real pictures a prompt
NAMES = ("vendi_scenes", "recall_scenes", "diversity_within_prompt")
MEASURES = tuple(METRICS[name] for name in NAMES)
MODES, TESTED, FLOOR = 8, 20, 0.9


def conduct(bench: Bench) -> Finding:
    """Draw every prompt at every scale and measure how different the pictures are."""
    reference = _reference(bench)
    by_scale = {scale: _features(bench, scale) for scale in SCALES}
    estimates: list[Estimate] = []
    tests: list[Comparison] = []
    first = f"guidance {SCALES[0]:g}"
    for scale, features in by_scale.items():
        part = f"guidance {scale:g}"
        for measure in MEASURES:
            real = reference if measure.needs == "features+reference" else None
            if measure.needs == "features+reference" and real is None:
                estimates.append(_no_reference(measure.name, part, len(features.keys)))
                continue
            estimates.append(estimate_features(features, measure, reference=real, slice=part))
            if scale != SCALES[0]:
                arms = Arms(arm=part, reference=first)
                tests.append(
                    compare_features(
                        features, by_scale[SCALES[0]], measure, arms=arms, reference=real
                    )
                )
    ends = (first, f"guidance {SCALES[-1]:g}")
    answer = "; ".join(
        f"{name} {shown(estimates, name, ends[0])} at {ends[0]}, "
        f"{shown(estimates, name, ends[1])} at {ends[1]}"
        for name in NAMES
    )
    return Finding(answer=answer, estimates=tuple(estimates), comparisons=tuple(tests))


def _features(bench: Bench, scale: float) -> Features:
    prompts, keys = pairs(bench.prompts, bench.seeds)
    pictures = bench.subject.draw(prompts, keys, guidance_scale=scale)
    values = bench.judge.embed_images(pictures)
    return Features(keys=tuple(keys), values=values.astype(np.float64), extractor=_label(bench))


def _label(bench: Bench) -> str:
    return f"{bench.judge.name}@{bench.judge.weights[:12]}"


def _reference(bench: Bench) -> Features | None:
    """Return the judge's features of real pictures; None where a prompt has none."""
    if not all(is_scene(prompt.facts) for prompt in bench.prompts):
        return None
    keys, pictures = [], []
    for prompt in bench.prompts:
        for number in range(REFERENCES):
            keys.append(SampleKey(prompt_id=prompt.id, seed=number))
            pictures.append(draw(scene_from_facts(prompt.facts or {}), picture_seed(keys[-1])))
    values = bench.judge.embed_images(np.stack(pictures)).astype(np.float64)
    return Features(keys=tuple(keys), values=values, extractor=_label(bench), shares_prompts=True)


def picture_seed(key: SampleKey) -> int:
    """Return the seed of a real picture, far from those of training."""
    return int(fingerprint(["probe picture", key.prompt_id, key.seed])[:15], 16)


def _no_reference(metric: str, part: str, n: int) -> Estimate:
    return Estimate(
        metric=metric,
        value=None,
        low=None,
        high=None,
        n=n,
        method="none",
        higher_is_better=True,
        slice=part,
        reason="real pictures of these prompts are not known",
    )


def _test(_: Bench) -> tuple[SelfTest, ...]:
    """Say whether fewer modes are told from more, by Vendi score and by recall."""
    rng = np.random.default_rng(0)
    right = 0
    for _index in range(TESTED):
        centres = rng.normal(size=(MODES, 16)) * 3
        sets = [
            centres[rng.integers(modes, size=128)] + rng.normal(size=(128, 16)) * 0.3
            for modes in (MODES, MODES // 2)
        ]
        real = centres[rng.integers(MODES, size=128)] + rng.normal(size=(128, 16)) * 0.3
        vendi = [vendi_score(one) for one in sets]
        recall = [float(overlap(one, real).recall.mean()) for one in sets]
        right += vendi[0] > vendi[1] and recall[0] > recall[1]
    found = self_test("Vendi and recall", "lost modes", right=right, n=TESTED, floor=FLOOR)
    return (found,)


DIVERSITY = Study(
    name="diversity",
    version=1,
    summary="Vendi, recall and distance within a prompt along the guidance scale",
    needs=(GUIDANCE,),
    measures=MEASURES,
    prompts="scenes/quick",
    n=40,
    samples=4,
    conduct=conduct,
    test=_test,
)
