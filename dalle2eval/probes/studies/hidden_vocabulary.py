"""Is the gibberish that a model writes a vocabulary of its own?

The claim is of Daras and Dimakis 2022, arXiv 2206.00169.

Words are asked for, the pictures are read by OCR, and what was read and is no word is fed back as a
prompt. If a string means something to the model, its pictures resemble each other more than those
of other strings. But any deterministic text encoder maps a string to one place, so pictures of one
random string resemble each other too: the claim of a *hidden vocabulary* is that strings read from
pictures are more consistent than random strings of the same lengths and letters.

    hidden.within   cosine of pictures of one string, in the judge's space
    hidden.between  cosine of pictures of different strings of the same kind
    hidden.gap      within - between, string by string
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dalle2eval.metrics.info import MetricInfo
from dalle2eval.probes.ocr import OCR_SIZE, read_text
from dalle2eval.probes.permutation import label_test, two_sample_test
from dalle2eval.probes.probe import self_test
from dalle2eval.probes.study import Bench, Finding, Study, estimates_over, shown
from dalle2eval.probes.subject import pairs, unit
from dalle2eval.probes.text_rendering import OCR_TASK, readers_self_test
from dalle2eval.records import Comparison, Estimate, Prompt, SampleKey, Score, SelfTest
from dalle2eval.scenes.vocabulary import WORDS

SHORTEST = 3  # letters: shorter strings are read from noise
MOST_STRINGS = 8
REPEATS = 6  # pictures of each string
READ, RANDOM = "read", "random"
FEWEST = 2  # strings, to compare within with between
TEST_SETS, TEST_FLOOR, LEVEL = 40, 0.85, 0.05
SOURCE = "Daras and Dimakis 2022, arXiv 2206.00169"

MEASURES = tuple(
    MetricInfo(
        name=f"hidden.{name}",
        higher_is_better=None,
        needs="features+groups",
        estimator="mean",
        unit="cosine",
        source=SOURCE,
        summary=summary,
        range=bounds,
    )
    for name, summary, bounds in (
        ("within", "How alike the pictures of one string are.", (-1.0, 1.0)),
        ("between", "How alike the pictures of different strings are.", (-1.0, 1.0)),
        ("gap", "Within less between: how much a string decides its pictures.", (-2.0, 2.0)),
    )
)


@dataclass(frozen=True, slots=True)
class Consistency:
    """How alike pictures are, string by string: within [s] and between [s]."""

    within: NDArray[np.float64]
    between: NDArray[np.float64]

    @property
    def gap(self) -> NDArray[np.float64]:
        """Return within less between, [s]."""
        return self.within - self.between


def conduct(bench: Bench) -> Finding:
    """Ask for words, read, feed the gibberish back, and compare with random strings."""
    prompts, keys = pairs(bench.prompts, bench.seeds)
    pictures = bench.subject.draw(
        prompts, keys, size=bench.size or bench.subject.size_up_to(OCR_SIZE)
    )
    read = [read_text(picture) for picture in pictures]
    found = gibberish(read, [prompt.text for prompt in bench.prompts])
    rows = tuple(
        {"prompt_id": key.prompt_id, "seed": key.seed, "read": text}
        for key, text in zip(keys, read, strict=True)
    )
    if len(found) < FEWEST:
        reason = f"{len(found)} strings were read that are no words; {FEWEST} are needed"
        return Finding(answer=f"unknown: {reason}", estimates=_unknown(reason), rows=rows)
    return _compare(bench, found, random_strings(found), rows)


def gibberish(texts: Sequence[str], prompts: Sequence[str]) -> tuple[str, ...]:
    """Return what was read and is no word: the most frequent strings, ties by alphabet.

    Args:
        texts: as read from each picture.
        prompts: their words are known, as are those of the procedural world. No dictionary is at
            hand: a real word that stands in neither counts as gibberish.
    """
    known = {word.lower() for word in WORDS}
    known |= {word.lower() for prompt in prompts for word in re.findall(r"[A-Za-z]+", prompt)}
    counts = Counter(
        word.lower() for text in texts for word in re.findall(rf"[A-Za-z]{{{SHORTEST},}}", text)
    )
    strange = sorted((-n, word) for word, n in counts.items() if word not in known)
    return tuple(word for _, word in strange[:MOST_STRINGS])


def random_strings(like: Sequence[str], seed: int = 0) -> tuple[str, ...]:
    """Return as many strings of the same lengths, of letters drawn from all of theirs."""
    rng = np.random.default_rng(seed)
    letters = sorted("".join(like))
    known = {*like, *(word.lower() for word in WORDS)}
    made: list[str] = []
    for word in like:
        while (string := "".join(rng.choice(letters, len(word)))) in known:
            # Few letters may have few arrangements: the whole alphabet always has more.
            letters = sorted([*letters, *"abcdefghijklmnopqrstuvwxyz"])
        made.append(string)
        known.add(string)
    return tuple(made)


def _compare(
    bench: Bench,
    found: Sequence[str],
    controls: Sequence[str],
    rows: tuple[dict[str, object], ...],
) -> Finding:
    by_kind = {
        READ: _pictures_of(bench, found, READ),
        RANDOM: _pictures_of(bench, controls, RANDOM),
    }
    gaps = {kind: consistency(features) for kind, features in by_kind.items()}
    scores = [
        Score(key=SampleKey(prompt_id=f"{kind}-{i}", seed=0), metric=f"hidden.{name}", value=v)
        for kind, one in gaps.items()
        for name in ("within", "between", "gap")
        for i, v in enumerate(getattr(one, name).tolist())
    ]
    tags = {score.key.prompt_id: (score.key.prompt_id.split("-")[0],) for score in scores}
    estimates = estimates_over(scores, MEASURES, tags)
    tests = (
        *(_against_shuffled(kind, features) for kind, features in by_kind.items()),
        _against_random(gaps),
    )
    p = tests[-1].p_value
    answer = (
        f"gap of {len(found)} strings read from pictures {shown(estimates, 'hidden.gap', READ)}, "
        f"of random strings {shown(estimates, 'hidden.gap', RANDOM)}: "
        + ("no more consistent than random strings" if p is None or p > LEVEL else "more than them")
        + f" (p = {p:.3g})"
    )
    strings = tuple(
        {"string": s, "kind": kind, "gap": round(float(g), 4)}
        for kind, names in ((READ, found), (RANDOM, controls))
        for s, g in zip(names, gaps[kind].gap, strict=True)
    )
    notes = ("a real word that is in no list at hand counts as gibberish",)
    return Finding(
        answer=answer, estimates=estimates, comparisons=tests, notes=notes, rows=(*strings, *rows)
    )


def _pictures_of(bench: Bench, strings: Sequence[str], kind: str) -> NDArray[np.float32]:
    """Return the judge's unit features [s, r, d] of pictures of each string."""
    # The number of the string, not its letters, names the noise: kinds share their noise.
    prompts = [Prompt(id=f"string-{i}", text=s) for i, s in enumerate(strings)]
    every, keys = pairs(prompts, range(bench.seeds[0], bench.seeds[0] + REPEATS))
    features = unit(bench.judge.embed_images(bench.subject.draw(every, keys)))
    return features.reshape(len(strings), REPEATS, -1)


def consistency(features: NDArray[np.floating]) -> Consistency:
    """Return the mean cosines of unit features [s, r, d] within and between strings."""
    s, r, d = features.shape
    flat = features.reshape(s * r, d).astype(np.float64)
    cosines = (flat @ flat.T).reshape(s, r, s, r)
    same = np.einsum("irir->i", cosines)
    sums = cosines.sum(axis=(1, 3))
    within = (np.diag(sums) - same) / (r * (r - 1))
    between = (sums.sum(axis=1) - np.diag(sums)) / (r * r * (s - 1))
    return Consistency(within, between)


def _against_shuffled(kind: str, features: NDArray[np.floating]) -> Comparison:
    """Return whether strings decide their pictures: labels of pictures shuffled."""
    value, p = label_test(features, lambda x: float(consistency(x).gap.mean()))
    return _comparison(f"{kind} strings", "pictures shuffled", value, p, features.shape[0])


def _against_random(gaps: dict[str, Consistency]) -> Comparison:
    value, p = two_sample_test(gaps[READ].gap, gaps[RANDOM].gap)
    return _comparison("read strings", "random strings", value, p, len(gaps[READ].gap))


def _comparison(arm: str, reference: str, value: float, p: float, n: int) -> Comparison:
    found = "no difference found" if p > LEVEL else "higher"
    return Comparison(
        arm=arm,
        reference=reference,
        metric="hidden.gap",
        difference=value,
        low=None,
        high=None,
        n_pairs=n,
        method="permutation, one-sided",
        verdict=found,
        p_value=p,
    )


def _unknown(reason: str) -> tuple[Estimate, ...]:
    return tuple(
        Estimate(
            metric=measure.name,
            value=None,
            low=None,
            high=None,
            n=0,
            method="none",
            higher_is_better=None,
            reason=reason,
        )
        for measure in MEASURES
    )


def permutation_self_test() -> SelfTest:
    """Return how often the test decides rightly on sets with and without a planted vocabulary."""
    rng = np.random.default_rng(2206)
    right = 0
    for index in range(TEST_SETS):
        planted = index % 2 == 0
        centres = rng.normal(size=(MOST_STRINGS, 1, 32)) * (1.0 if planted else 0.0)
        features = centres + rng.normal(size=(MOST_STRINGS, REPEATS, 32))
        features /= np.linalg.norm(features, axis=2, keepdims=True)
        _, p = label_test(features, lambda x: float(consistency(x).gap.mean()), shuffles=200)
        right += (p <= LEVEL) == planted
    return self_test("permutation test", "planted", right=right, n=TEST_SETS, floor=TEST_FLOOR)


def _test(_: Bench) -> tuple[SelfTest, ...]:
    by_ocr = [test for test in readers_self_test() if test.task == OCR_TASK]
    return (*by_ocr, permutation_self_test())


HIDDEN_VOCABULARY = Study(
    name="hidden-vocabulary",
    version=1,
    summary="gibberish read from pictures, fed back: more consistent than random strings?",
    measures=MEASURES,
    prompts="scenes/words",
    n=40,
    samples=2,
    conduct=conduct,
    test=_test,
)
