"""Does the picture show the word that the prompt asks for? By OCR, and by the exact scene reader.

    text.exact         OCR reads the word, case-folded and without spaces
    text.cer           OCR's edit distance to the word, over its length (0 is right)
    text.ned           1 - edit distance over the longer length (1 is right)
    text.reader_exact  the scene reader, at 64 pixels, reads the word; it knows no word list

OCR looks at 256 pixels. A smaller picture is enlarged by Lanczos, and the detail says from what
size. Where tesseract is installed, the detail also says what it read, and the self-tests say how
often it is right and how often the two agree; the scores stay those of the first. Where no text is
found, the word read is empty, which is wrong and not unscored: both readers read rendered words
(their self-tests stand beside the scores).
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dalle2eval.probes.edit_distance import (
    character_error_rate,
    normalised,
    normalised_similarity,
)
from dalle2eval.probes.ocr import OCR_SIZE, enlarged, ocr_version, read_text
from dalle2eval.probes.probe import Probe, self_test
from dalle2eval.probes.reader_selftest import reader_self_test
from dalle2eval.probes.tesseract import read_by_tesseract, tesseract_version
from dalle2eval.records import Prompt, SampleKey, Score, SelfTest
from dalle2eval.scenes.grammar import is_scene
from dalle2eval.scenes.reader import read
from dalle2eval.scenes.renderer import draw
from dalle2eval.scenes.selftest import FIRST_SEED, sample_scenes

OCR_FLOOR = 0.9
OCR_TASK = "word by OCR"
SECOND_TASK, AGREEMENT_TASK = "word by a second OCR", "agreement of both OCRs"
NO_FLOOR = 0.0  # it is reported, and scores nothing
OCR_TEST_WORDS = 60


def grade(image: NDArray[np.uint8], prompt: Prompt, key: SampleKey) -> tuple[Score, ...]:
    """Return the scores of an image uint8 [h, w, 3]; none when the prompt asks for no word."""
    word = (prompt.facts or {}).get("word")
    if not word:
        return ()
    text = read_text(image)
    values = {
        "text.exact": float(normalised(text) == normalised(word)),
        "text.cer": character_error_rate(word, text),
        "text.ned": normalised_similarity(word, text),
    }
    detail: dict[str, object] = {"asked": word, "read": text}
    second = read_by_tesseract(enlarged(image))
    if second is not None:
        detail |= {"second_read": second, "agree": normalised(second) == normalised(text)}
    if min(image.shape[:2]) < OCR_SIZE:
        detail["enlarged_from"] = min(image.shape[:2])
    scores = (Score(key=key, metric=m, value=v, detail=detail) for m, v in values.items())
    # Only the procedural world's words are drawn in the letters that the scene reader knows.
    return (*scores, _by_reader(image, word, key)) if is_scene(prompt.facts) else tuple(scores)


def _by_reader(image: NDArray[np.uint8], word: str, key: SampleKey) -> Score:
    reading = read(image)
    detail: dict[str, object] = {"asked": word, "read": reading.word or ""}
    if reading.unreadable is not None:
        detail["why"] = reading.unreadable
    exact = float(reading.word == word)
    return Score(key=key, metric="text.reader_exact", value=exact, detail=detail)


@functools.cache
def readers_self_test() -> tuple[SelfTest, ...]:
    """Return what OCR gets right on rendered words of 256 pixels, and the reader on 64."""
    scenes = sample_scenes("word", OCR_TEST_WORDS, FIRST_SEED + 1)
    words = [normalised(scene.word or "") for scene in scenes]
    pictures = [draw(scene, FIRST_SEED + index, OCR_SIZE) for index, scene in enumerate(scenes)]
    read = [normalised(read_text(picture)) for picture in pictures]
    right = sum(map(str.__eq__, read, words))
    by_ocr = self_test(ocr_version(), OCR_TASK, right=right, n=len(words), floor=OCR_FLOOR)
    return (by_ocr, *_second_opinion(pictures, words, read), *reader_self_test("word"))


def _second_opinion(
    pictures: Sequence[NDArray[np.uint8]], words: Sequence[str], read: Sequence[str]
) -> tuple[SelfTest, ...]:
    """Return how often tesseract is right, and how often both read the same; nothing without it."""
    version = tesseract_version()
    if version is None:
        return ()
    second = [normalised(read_by_tesseract(picture) or "") for picture in pictures]
    right, same = sum(map(str.__eq__, second, words)), sum(map(str.__eq__, second, read))
    pair = f"{ocr_version()} and {version}"
    return (
        self_test(version, SECOND_TASK, right=right, n=len(words), floor=NO_FLOOR),
        self_test(pair, AGREEMENT_TASK, right=same, n=len(words), floor=NO_FLOOR),
    )


TEXT_RENDERING = Probe(
    name="text-rendering",
    version=1,
    summary="the word asked for, by OCR (exact, CER, NED) and by the exact reader",
    requires={
        "text.exact": (OCR_TASK,),
        "text.cer": (OCR_TASK,),
        "text.ned": (OCR_TASK,),
        "text.reader_exact": ("word",),
    },
    image_size=OCR_SIZE,
    tag="word",
    seconds_per_image=0.06,
    grade=grade,
    test=readers_self_test,
)
