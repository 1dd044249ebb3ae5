"""Scenes as data, their captions, and the way back: every caption has exactly one meaning.

A `Scene` says what a caption asks for and no more (a caption that names no size leaves it open).
`caption` writes it, `parse` reads it; the two are inverse to each other, so a grader never guesses.
"""

from __future__ import annotations

import hashlib
import itertools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from dalle2eval.records import InputError
from dalle2eval.scenes.vocabulary import (
    COLOURS,
    COUNTS,
    HELD_OUT_PAIRS,
    HELD_OUT_WORDS,
    INVERSE,
    RELATIONS,
    SHAPES,
    SIZES,
    WORDS,
)

PLAIN = "{}"
TEMPLATES: tuple[str, ...] = (
    PLAIN,
    "a picture of {}",
    "an image of {}",
    "a drawing of {}",
    "{} on a plain background",
)
KINDS: tuple[str, ...] = ("single", "count", "two-object", "relation", "word")
HELD_OUT_SHARE = 8  # one caption of a composed scene in so many is chosen by its hash


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneObject:
    """One shape in one colour; size None means that the caption leaves it open."""

    shape: str
    colour: str
    size: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """What a caption asks for: up to four equal objects, two objects, or one coloured word.

    Attributes:
        objects: in caption order; a relation holds from the first to the second.
        counted: whether the caption states the number (``one red circle`` against ``a red
            circle``).
        relation: one of `RELATIONS`, or None when the two objects may stand anywhere.
        word: upper-case letters; then ``word_colour`` is set and there are no objects.
    """

    objects: tuple[SceneObject, ...] = ()
    counted: bool = False
    relation: str | None = None
    word: str | None = None
    word_colour: str | None = None

    @property
    def kind(self) -> str:
        """Return which of `KINDS` the scene is."""
        if self.word is not None:
            return "word"
        if self.relation is not None:
            return "relation"
        if len(set(self.objects)) == 2:  # noqa: PLR2004
            return "two-object"
        return "count" if self.counted else "single"

    @property
    def colours(self) -> tuple[str, ...]:
        """Return the colours that occur, in caption order."""
        if self.word_colour is not None:
            return (self.word_colour,)
        return tuple(dict.fromkeys(item.colour for item in self.objects))


def facts(scene: Scene) -> dict[str, Any]:
    """Return the scene as plain JSON data, as `records.Prompt.facts` holds it."""
    return {
        "kind": scene.kind,
        "objects": [
            {"shape": item.shape, "colour": item.colour, "size": item.size}
            for item in scene.objects
        ],
        "counted": scene.counted,
        "relation": scene.relation,
        "word": scene.word,
        "word_colour": scene.word_colour,
    }


def is_scene(data: Mapping[str, Any] | None) -> bool:
    """Say whether a prompt's facts are those of a scene of this world."""
    return data is not None and "objects" in data


def scene_from_facts(data: Mapping[str, Any]) -> Scene:
    """Rebuild the scene from `facts`."""
    return Scene(
        objects=tuple(SceneObject(**item) for item in data["objects"]),
        counted=data["counted"],
        relation=data["relation"],
        word=data["word"],
        word_colour=data["word_colour"],
    )


def caption(scene: Scene, template: str = PLAIN) -> str:
    """Write the caption of a scene in one of `TEMPLATES`."""
    return template.format(_phrase(scene))


def _phrase(scene: Scene) -> str:
    if scene.word is not None:
        return f'the word "{scene.word}" in {scene.word_colour}'
    first = scene.objects[0]
    if scene.kind == "count":
        return f"{COUNTS[len(scene.objects) - 1]} {_noun(first, plural=len(scene.objects) > 1)}"
    if scene.kind == "single":
        return _with_article(first)
    joint = scene.relation or "and"
    return f"{_with_article(first)} {joint} {_with_article(scene.objects[1])}"


def _noun(item: SceneObject, *, plural: bool = False) -> str:
    words = [item.size] if item.size else []
    ending = ("es" if item.shape == "cross" else "s") if plural else ""
    return " ".join([*words, item.colour, item.shape + ending])


def _with_article(item: SceneObject) -> str:
    noun = _noun(item)
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


_OBJECT = rf"(?:({'|'.join(SIZES)}) )?({'|'.join(COLOURS)}) ({'|'.join(SHAPES)})(?:es|s)?"
_PATTERNS = {
    "word": re.compile(rf'the word "([A-Z]{{2,6}})" in ({"|".join(COLOURS)})'),
    "pair": re.compile(rf"an? {_OBJECT} ({'|'.join(RELATIONS)}|and) an? {_OBJECT}"),
    "count": re.compile(rf"({'|'.join(COUNTS)}) {_OBJECT}"),
    "single": re.compile(rf"an? {_OBJECT}"),
}


def parse(text: str) -> Scene:
    """Read a caption back into its scene.

    Raises:
        InputError: the text is not a caption of this world.
    """
    for template in reversed(TEMPLATES):
        prefix, suffix = template.split("{}")
        if text.startswith(prefix) and text.endswith(suffix):
            scene = _parse_phrase(text[len(prefix) : len(text) - len(suffix)])
            if scene is not None and caption(scene, template) == text:
                return scene
    raise InputError(f'not a caption of the scenes world: "{text[:80]}" (such as "a red circle")')


def _parse_phrase(phrase: str) -> Scene | None:
    for name, read in _READERS.items():
        if match := _PATTERNS[name].fullmatch(phrase):
            return read(match)
    return None


def _read_pair(match: re.Match[str]) -> Scene:
    relation = None if match[4] == "and" else match[4]
    return Scene(objects=(_object(match, 1), _object(match, 5)), relation=relation)


def _read_count(match: re.Match[str]) -> Scene:
    number = COUNTS.index(match[1]) + 1
    return Scene(objects=(_object(match, 2),) * number, counted=True)


def _object(match: re.Match[str], group: int) -> SceneObject:
    return SceneObject(size=match[group], colour=match[group + 1], shape=match[group + 2])


_READERS = {
    "word": lambda match: Scene(word=match[1], word_colour=match[2]),
    "pair": _read_pair,
    "count": _read_count,
    "single": lambda match: Scene(objects=(_object(match, 1),)),
}


def is_held_out(scene: Scene) -> bool:
    """Say whether training never draws this scene: held-out pair, word or (by hash) pairing.

    By hash it is held out where both of its captions are: "a red star above a blue ring" says the
    same as "a blue ring below a red star".
    """
    if scene.word is not None:
        return scene.word in HELD_OUT_WORDS
    if any((item.colour, item.shape) in HELD_OUT_PAIRS for item in scene.objects):
        return True
    if scene.kind == "single":
        return False
    return all(_chosen_by_hash(said) for said in (scene, *_from_the_other_object(scene)))


def _chosen_by_hash(scene: Scene) -> bool:
    digest = hashlib.sha256(caption(_without_sizes(scene)).encode()).digest()
    return digest[0] % HELD_OUT_SHARE == 0


def _from_the_other_object(scene: Scene) -> Iterator[Scene]:
    """Yield the scene as it is named from its other object, where it has such a name."""
    if scene.kind == "two-object":
        yield Scene(objects=scene.objects[::-1])
    elif scene.relation in INVERSE:
        yield Scene(objects=scene.objects[::-1], relation=INVERSE[scene.relation])


def _without_sizes(scene: Scene) -> Scene:
    bare = tuple(SceneObject(shape=item.shape, colour=item.colour) for item in scene.objects)
    return Scene(objects=bare, counted=scene.counted, relation=scene.relation)


def all_scenes(kind: str) -> Iterator[Scene]:
    """Yield every scene of a kind in a fixed order (two objects always differ in colour)."""
    items = [SceneObject(shape=s, colour=c) for s in SHAPES for c in COLOURS]
    if kind == "single":
        sized = [SceneObject(shape=i.shape, colour=i.colour, size=z) for i in items for z in SIZES]
        yield from (Scene(objects=(item,)) for item in [*items, *sized])
    elif kind == "count":
        yield from (Scene(objects=(i,) * n, counted=True) for i in items for n in range(1, 5))
    elif kind == "word":
        yield from (Scene(word=w, word_colour=c) for w in WORDS for c in COLOURS)
    else:
        relations = RELATIONS if kind == "relation" else (None,)
        for first, second, relation in itertools.product(items, items, relations):
            if first.colour != second.colour:
                yield Scene(objects=(first, second), relation=relation)
