"""Prompts of the procedural world, picked once and for all by the hash of their captions.

Every kind is cut into strata (shapes, counts, relations, lengths of words) that take turns, and
seen and held-out scenes alternate, so that any number of prompts is balanced and a smaller set is
contained in a larger one.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import itemgetter

from dalle2eval.records import Prompt
from dalle2eval.scenes.grammar import (
    TEMPLATES,
    Scene,
    SceneObject,
    all_scenes,
    caption,
    facts,
    is_held_out,
    scene_from_facts,
)

# Shares of the kinds in `scenes/quick`, in percent.
QUICK_SHARES = {"single": 25, "count": 20, "two-object": 20, "relation": 20, "word": 15}
SEEN, HELD_OUT = "seen", "held-out"
_SHOWCASE = (
    Scene(objects=(SceneObject(shape="star", colour="orange", size="large"),)),
    Scene(objects=(SceneObject(shape="ring", colour="cyan"),) * 4, counted=True),
    Scene(
        objects=(
            SceneObject(shape="circle", colour="yellow"),
            SceneObject(shape="square", colour="blue"),
        ),
        relation="on top of",
    ),
    Scene(word="HELLO", word_colour="white"),
)


def quick(n: int) -> tuple[Prompt, ...]:
    """Return n prompts over all five kinds, half of them held out of training."""
    return tuple(p for kind, number in _allotted(n).items() for p in _of_kind(kind, number))


def words(n: int) -> tuple[Prompt, ...]:
    """Return n prompts that ask for a word, half of them held out of training."""
    return tuple(_of_kind("word", n))


def single_seen(n: int) -> tuple[Prompt, ...]:
    """Return n prompts for one object in a colour and shape that training draws together.

    The pairs of colour and shape take turns, so that 42 prompts ask for all of them.
    """
    turns: Counter[tuple[object, object]] = Counter()
    ranked = []
    for prompt in _ordered("single", held_out=False):
        (item,) = scene_from_facts(prompt.facts or {}).objects
        ranked.append((turns[item.colour, item.shape], prompt))
        turns[item.colour, item.shape] += 1
    return tuple(prompt for _, prompt in sorted(ranked, key=itemgetter(0)))[:n]


def showcase(n: int) -> tuple[Prompt, ...]:
    """Return the first n of the four prompts that are drawn at every size, to be looked at."""
    return tuple(_prompt(scene, TEMPLATES[0], prefix="showcase-") for scene in _SHOWCASE[:n])


def _allotted(n: int) -> dict[str, int]:
    """Share n out among the kinds by largest remainder."""
    exact = {kind: n * share / 100 for kind, share in QUICK_SHARES.items()}
    whole = {kind: int(value) for kind, value in exact.items()}
    by_remainder = sorted(exact, key=lambda kind: whole[kind] - exact[kind])
    for kind in by_remainder[: n - sum(whole.values())]:
        whole[kind] += 1
    return whole


def _of_kind(kind: str, number: int) -> Iterator[Prompt]:
    seen, held_out = _ordered(kind, held_out=False), _ordered(kind, held_out=True)
    alternating = itertools.chain.from_iterable(zip(seen, held_out, strict=False))
    return itertools.islice(alternating, number)


@functools.cache
def _ordered(kind: str, *, held_out: bool) -> tuple[Prompt, ...]:
    """Return the prompts of a kind, strata in turn; plain captions, then the other templates."""
    scenes = [scene for scene in all_scenes(kind) if is_held_out(scene) == held_out]
    strata: dict[object, list[Scene]] = {}
    for scene in sorted(scenes, key=_hash):
        strata.setdefault(_stratum(scene), []).append(scene)
    rows = itertools.zip_longest(*(strata[key] for key in sorted(strata, key=str)))
    mixed = [scene for row in rows for scene in row if scene is not None]
    templates = TEMPLATES if kind == "single" else TEMPLATES[:1]
    return tuple(_prompt(scene, template) for template in templates for scene in mixed)


def _hash(scene: Scene) -> bytes:
    return hashlib.sha256(f"prompts: {caption(scene)}".encode()).digest()


def _stratum(scene: Scene) -> object:
    """Return what a kind is balanced over."""
    if scene.word is not None:
        return len(scene.word)
    if scene.kind == "count":
        return len(scene.objects)
    return scene.relation or scene.objects[0].shape


def _prompt(scene: Scene, template: str, prefix: str = "") -> Prompt:
    text = caption(scene, template)
    return Prompt(
        id=f"{prefix}{scene.kind}-{_slug(text)}",
        text=text,
        tags=(scene.kind, HELD_OUT if is_held_out(scene) else SEEN),
        facts=facts(scene),
    )


def _slug(text: str) -> str:
    """Return a caption's telling words: ``the word "CAT" in red`` becomes ``cat-red``."""
    words = re.findall(r"[a-z]+", re.sub(r'the word "([A-Z]+)" in', r"\1", text).lower())
    return "-".join(_without_articles(words))


def _without_articles(words: Iterable[str]) -> list[str]:
    return [word for word in words if word not in ("a", "an", "the")]
