"""Prompt sets are the same for ever, balanced, and half of them unseen in training."""

import hashlib
import re
from collections import Counter

import pytest

from dalle2eval.prompts import PROMPT_SETS, load_prompts
from dalle2eval.records import InputError
from dalle2eval.scenes.grammar import is_held_out, parse, scene_from_facts


@pytest.mark.parametrize("name", [name for name in PROMPT_SETS if name.startswith("scenes/")])
def test_facts_say_what_the_text_says(name):
    for prompt in load_prompts(name):
        scene = parse(prompt.text)
        assert scene_from_facts(prompt.facts) == scene
        assert prompt.tags == (scene.kind, "held-out" if is_held_out(scene) else "seen")


@pytest.mark.parametrize("name", PROMPT_SETS)
def test_ids_and_texts_are_unique_and_fit_for_file_names(name):
    prompts = load_prompts(name, PROMPT_SETS[name].largest)
    assert len({p.id for p in prompts}) == len({p.text for p in prompts}) == len(prompts)
    assert all(re.fullmatch(r"[a-z][a-z-]{3,90}", p.id) for p in prompts)


def test_160_prompts_have_the_promised_shares():
    prompts = load_prompts("scenes/quick", 160)
    assert Counter(p.tags for p in prompts) == {
        ("single", "seen"): 20,
        ("single", "held-out"): 20,
        ("count", "seen"): 16,
        ("count", "held-out"): 16,
        ("two-object", "seen"): 16,
        ("two-object", "held-out"): 16,
        ("relation", "seen"): 16,
        ("relation", "held-out"): 16,
        ("word", "seen"): 12,
        ("word", "held-out"): 12,
    }


def test_counts_relations_and_word_lengths_take_turns():
    prompts = load_prompts("scenes/quick", 160)
    counts = Counter(len(p.facts["objects"]) for p in prompts if p.facts["kind"] == "count")
    assert counts == {1: 8, 2: 8, 3: 8, 4: 8}
    relations = Counter(p.facts["relation"] for p in prompts if p.facts["relation"])
    assert len(relations) == 6
    assert max(relations.values()) - min(relations.values()) <= 2
    lengths = Counter(len(p.facts["word"]) for p in prompts if p.facts["word"])
    assert set(lengths) == {2, 3, 4, 5, 6}
    assert max(lengths.values()) - min(lengths.values()) <= 2


@pytest.mark.parametrize("n", [1, 2, 7, 13, 80])
def test_a_limit_gives_so_many_prompts_of_the_larger_set(n):
    small, large = load_prompts("scenes/quick", n), load_prompts("scenes/quick", 160)
    assert len(small) == n
    assert {p.id for p in small} <= {p.id for p in large}
    kinds = Counter(p.tags[0] for p in small)
    assert n < 5 or len(kinds) == 5


def test_the_prompts_never_change_unnoticed():
    # Published numbers are tied to these texts: sha256 of the ids and texts of 160, one a line.
    prompts = load_prompts("scenes/quick", 160)
    text = "\n".join(f"{p.id}\t{p.text}" for p in prompts)
    assert (
        hashlib.sha256(text.encode()).hexdigest()
        == "d38355f0dfd06dab27893baf31af54e310223c375a9b72e7d842750e2c71a616"
    )


def test_the_showcase_is_of_four_kinds_and_apart_from_the_scored_prompts():
    shown = load_prompts("scenes/showcase")
    assert len({p.facts["kind"] for p in shown}) == 4
    assert not {p.id for p in shown} & {p.id for p in load_prompts("scenes/quick", 400)}


def test_words_are_asked_for_by_words_alone():
    assert {p.tags[0] for p in load_prompts("scenes/words")} == {"word"}


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("scenes/quik", 'no prompt set "scenes/quik"; did you mean "scenes/quick"?'),
        (
            "zzz",
            'no prompt set "zzz"; allowed: scenes/quick, scenes/showcase, '
            "scenes/single-seen, scenes/words",
        ),
    ],
)
def test_an_unknown_set_is_named_with_what_is_near(name, message):
    with pytest.raises(InputError, match=re.escape(message)):
        load_prompts(name)


@pytest.mark.parametrize(("name", "n"), [("scenes/showcase", 5), ("scenes/quick", 0)])
def test_more_prompts_than_there_are_is_said_and_not_cut(name, n):
    with pytest.raises(InputError, match=f"{n} were asked for"):
        load_prompts(name, n)
