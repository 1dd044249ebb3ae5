"""Text in pictures by two judges, and what it depends on: length, case, novelty, BPE tokens.

The paper (arXiv 2204.06125, §7) supposes that byte pair encoding hides the spelling of words from
the model; so accuracy is broken down by the number of tokens of the text asked for, in CLIP's own
vocabulary of 49,408. Where tesseract is installed it is the second judge, with numbers of its own;
where not, its numbers are unknown.

    text.exact, text.cer, text.ned                       rapidocr, case-folded, without spaces
    text.exact_case                                      rapidocr, letter for letter, in its case
    text.second_exact, text.second_cer, text.second_ned  tesseract
    text.agree                                           both read the same
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from dalle2eval.metrics import METRICS, MetricInfo
from dalle2eval.probes.edit_distance import (
    character_error_rate,
    normalised,
    normalised_similarity,
)
from dalle2eval.probes.studies.graded import judge_pictures, rows_of
from dalle2eval.probes.study import Bench, Finding, Study, estimates_over, shown
from dalle2eval.probes.text_rendering import TEXT_RENDERING
from dalle2eval.records import Prompt, Score, SelfTest

LONGEST = 7  # letters, and BPE tokens, from which on texts are counted together
NO_SECOND = "tesseract is not installed, or gave no answer"

_EXACT = METRICS["text.exact"]
MEASURES: tuple[MetricInfo, ...] = (
    *(METRICS[metric] for metric in TEXT_RENDERING.metrics),
    replace(
        _EXACT,
        name="text.exact_case",
        source="OCR, white space evened",
        summary="OCR reads exactly the text asked for, in its case.",
    ),
    replace(_EXACT, name="text.second_exact", source="tesseract, case-folded and space-free"),
    replace(METRICS["text.cer"], name="text.second_cer"),
    replace(METRICS["text.ned"], name="text.second_ned"),
    replace(
        _EXACT,
        name="text.agree",
        higher_is_better=None,
        source="both OCRs",
        summary="Both OCRs read the same; how often they differ is a floor under their errors.",
    ),
)


def conduct(bench: Bench) -> Finding:
    """Draw texts, have them read twice, and break the accuracy down."""
    size = bench.size or bench.subject.size_up_to(TEXT_RENDERING.image_size)
    judged = judge_pictures(bench, [TEXT_RENDERING], size)
    scores = (*judged.scores, *(s for first in judged.scores for s in further_scores(first)))
    tags = {prompt.id: (*prompt.tags, *breakdown(prompt)) for prompt in bench.prompts}
    estimates = estimates_over(scores, MEASURES, tags)
    parts = [e.slice for e in estimates if e.metric == "text.exact" and e.slice.startswith("bpe-")]
    by_tokens = ", ".join(f"{part} {shown(estimates, 'text.exact', part)}" for part in parts)
    answer = f"words right {shown(estimates, 'text.exact')}; by number of BPE tokens: " + (
        by_tokens or "all have the same"
    )
    return Finding(answer=answer, estimates=estimates, rows=rows_of(judged.scores))


def further_scores(score: Score) -> Iterator[Score]:
    """Yield what else follows from what was read for ``text.exact``: case, and the second judge."""
    if score.metric != "text.exact":
        return
    if score.value is None or score.detail is None:
        names = [m.name for m in MEASURES if m.name not in TEXT_RENDERING.metrics]
        for name in names:
            yield replace(score, metric=name, value=None, reason=score.reason or "not read")
        return
    asked, read = str(score.detail["asked"]), str(score.detail["read"])
    exact = " ".join(read.split()) == " ".join(asked.split())
    yield replace(score, metric="text.exact_case", value=float(exact))
    second = score.detail.get("second_read")
    values: dict[str, float | None] = dict.fromkeys(
        ("text.second_exact", "text.second_cer", "text.second_ned", "text.agree")
    )
    if second is not None:
        other = str(second)
        values = {
            "text.second_exact": float(normalised(other) == normalised(asked)),
            "text.second_cer": character_error_rate(asked, other),
            "text.second_ned": normalised_similarity(asked, other),
            "text.agree": float(normalised(other) == normalised(read)),
        }
    for name, value in values.items():
        reason = NO_SECOND if value is None else None
        yield replace(score, metric=name, value=value, reason=reason)


def breakdown(prompt: Prompt) -> tuple[str, ...]:
    """Return the slices of the text that a prompt asks for; nothing when it asks for none.

    ``letters-5``, ``bpe-2`` (CLIP's tokens; it folds case), the case, and ``one-word`` or
    ``sentence``.
    """
    text = (prompt.facts or {}).get("word")
    if not text:
        return ()
    kind = "sentence" if " " in text.strip() else "one-word"
    parts = (_counted("letters", len(normalised(text))), _counted("bpe", bpe_tokens(text)))
    return (*parts, _case(text), kind)


def _counted(what: str, number: int) -> str:
    return f"{what}-{number}" if number < LONGEST else f"{what}-{LONGEST}-or-more"


def _case(text: str) -> str:
    if text.isupper():
        return "upper-case"
    return "lower-case" if text.islower() else "mixed-case"


def bpe_tokens(text: str) -> int:
    """Return how many tokens of CLIP's byte pair encoding the text has.

    >>> bpe_tokens("hello")
    1
    """
    return len(_tokenizer().encode(text))


@functools.cache
def _tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


def _test(_: Bench) -> tuple[SelfTest, ...]:
    return TEXT_RENDERING.self_test()


TEXT_STUDY = Study(
    name="text-rendering",
    version=TEXT_RENDERING.version,
    summary="words and short sentences by two OCRs: exact, CER, NED; by length, case and BPE",
    measures=MEASURES,
    prompts="scenes/words",
    n=80,
    samples=2,
    conduct=conduct,
    test=_test,
    strict=False,
)
