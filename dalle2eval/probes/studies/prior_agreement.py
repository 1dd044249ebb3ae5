"""Does the prior make the z_i of a picture of its caption, and does the decoder draw it?

Embeddings are the model's own, at unit length. Real pictures are the procedural world's, of the
same caption; a caption leaves much open, so two real pictures of one caption are the ceiling.

    prior.true     cosine of the prior's z_i and the z_i of real pictures of the caption
    prior.decoded  cosine of the prior's z_i and the z_i of the picture drawn from it
    prior.ceiling  cosine of two real pictures' z_i of one caption
    prior.floor    cosine of the prior's z_i and real pictures' of another caption
    prior.text     cosine of z_t and real pictures' z_i: what a model without a prior starts from
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics.info import MetricInfo
from dalle2eval.probes.probe import self_test
from dalle2eval.probes.studies.diversity import picture_seed
from dalle2eval.probes.study import EYES, PRIOR, Bench, Finding, Study, estimates_over, shown
from dalle2eval.probes.subject import pairs, unit
from dalle2eval.records import InputError, SampleKey, Score, SelfTest
from dalle2eval.scenes.grammar import is_scene, scene_from_facts
from dalle2eval.scenes.renderer import draw

REAL = 4  # pictures a caption
FLOOR, TESTED = 0.95, 40
MEASURES = tuple(
    MetricInfo(
        name=f"prior.{name}",
        higher_is_better=better,
        needs="features+groups",
        estimator="mean",
        unit="cosine",
        source="the model's own CLIP",
        summary=summary,
        range=(-1.0, 1.0),
    )
    for name, better, summary in (
        ("true", True, "The prior's z_i with real pictures' of the caption."),
        ("decoded", True, "The prior's z_i with that of the picture drawn from it."),
        ("ceiling", None, "Two real pictures' z_i of one caption."),
        ("floor", None, "The prior's z_i with real pictures' of another caption."),
        ("text", None, "z_t with real pictures' z_i."),
    )
)


def conduct(bench: Bench) -> Finding:
    """Compare the prior's z_i with real pictures' and with what is drawn from it."""
    if not all(is_scene(prompt.facts) for prompt in bench.prompts):
        raise InputError(
            "prior-agreement needs prompts of the procedural world, whose real pictures are known"
        )
    prompts, keys = pairs(bench.prompts, bench.seeds)
    given = bench.subject.predict([prompt.text for prompt in prompts], keys)
    drawn = bench.subject.decode(given, keys, texts=[prompt.text for prompt in prompts])
    z_prior, z_drawn = unit(given), bench.subject.see(drawn)
    pictures = [
        draw(
            scene_from_facts(prompt.facts or {}),
            picture_seed(SampleKey(prompt_id=prompt.id, seed=number)),
        )
        for prompt in bench.prompts
        for number in range(REAL)
    ]
    real = bench.subject.see(np.stack(pictures)).reshape(len(bench.prompts), REAL, -1)
    texts = bench.subject.read([prompt.text for prompt in bench.prompts])
    scores = agreement_scores(keys, z_prior, z_drawn, real, texts, samples=len(bench.seeds))
    tags = {prompt.id: prompt.tags for prompt in bench.prompts}
    estimates = estimates_over(scores, MEASURES, tags)
    answer = (
        f"the prior's z_i agrees with real pictures' to {shown(estimates, 'prior.true')}, between "
        f"another caption's {shown(estimates, 'prior.floor')} and two real pictures' "
        f"{shown(estimates, 'prior.ceiling')}; with the picture drawn from it to "
        f"{shown(estimates, 'prior.decoded')}; z_t would agree to {shown(estimates, 'prior.text')}"
    )
    note = "cosines in the model's own space, which its prior and decoder were trained in"
    return Finding(answer=answer, estimates=estimates, notes=(note,))


def agreement_scores(
    keys: list[SampleKey],
    z_prior: NDArray[np.float32],
    z_drawn: NDArray[np.float32],
    real: NDArray[np.float32],
    texts: NDArray[np.float32],
    *,
    samples: int,
) -> list[Score]:
    """Return the five cosines.

    Args:
        keys: [p * samples], prompts in order.
        z_prior: [p * samples, d], unit length.
        z_drawn: like it, of the pictures drawn from it.
        real: [p, r, d], unit length; the other caption is the next one.
        texts: [p, d], unit length.
        samples: of each prompt.
    """
    p, r, _ = real.shape
    means, others = real.mean(axis=1), np.roll(real.mean(axis=1), -1, axis=0)
    owner = np.repeat(np.arange(p), samples)
    gram = np.einsum("prd,psd->prs", real, real)
    ceiling = (gram.sum(axis=(1, 2)) - np.einsum("prr->p", gram)) / (r * (r - 1))
    by_sample = {
        "true": (z_prior * means[owner]).sum(axis=1),
        "decoded": (z_prior * z_drawn).sum(axis=1),
        "floor": (z_prior * others[owner]).sum(axis=1),
    }
    by_prompt = {"ceiling": ceiling, "text": (texts * means).sum(axis=1)}
    firsts = keys[::samples]
    rows = [(name, keys, values) for name, values in by_sample.items()]
    rows += [(name, firsts, values) for name, values in by_prompt.items()]
    return [
        Score(key=key, metric=f"prior.{name}", value=float(value))
        for name, those, values in rows
        for key, value in zip(those, values, strict=True)
    ]


def _test(_: Bench) -> tuple[SelfTest, ...]:
    """Say whether a true z_i is told from another caption's, on vectors made to measure."""
    rng = np.random.default_rng(0)
    centres = unit(rng.normal(size=(TESTED, 32)))
    real = unit((centres[:, None] + 0.1 * rng.normal(size=(TESTED, REAL, 32))).reshape(-1, 32))
    prior = unit(centres + 0.1 * rng.normal(size=centres.shape))
    keys = [SampleKey(prompt_id=f"p{i}", seed=0) for i in range(TESTED)]
    found = agreement_scores(keys, prior, prior, real.reshape(TESTED, REAL, 32), centres, samples=1)
    by_metric = {
        name: [s.value or 0.0 for s in found if s.metric == f"prior.{name}"]
        for name in ("true", "floor")
    }
    right = sum(a > b for a, b in zip(*by_metric.values(), strict=True))
    return (self_test("cosines", "own caption", right=right, n=TESTED, floor=FLOOR),)


PRIOR_AGREEMENT = Study(
    name="prior-agreement",
    version=1,
    summary="cosine of the prior's z_i with real pictures' z_i and with the decoded picture's",
    needs=(PRIOR, EYES),
    measures=MEASURES,
    prompts="scenes/quick",
    n=80,
    samples=2,
    conduct=conduct,
    test=_test,
)
