"""Studies find what was planted in a model made to measure, and nothing where nothing is."""

from dataclasses import replace

import numpy as np
import pytest
from fake_model import FakeJudge, FakeModel, FakeStage

from dalle2eval.probes.linear_probe import fit
from dalle2eval.probes.permutation import label_test, two_sample_test
from dalle2eval.probes.studies import STUDIES
from dalle2eval.probes.studies.binding import (
    BINDING,
    PAIRING,
    RELATION,
    Item,
    items,
    probe_self_test,
)
from dalle2eval.probes.studies.diversity import DIVERSITY
from dalle2eval.probes.studies.hidden_vocabulary import (
    HIDDEN_VOCABULARY,
    consistency,
    gibberish,
    permutation_self_test,
    random_strings,
)
from dalle2eval.probes.studies.prior_agreement import PRIOR_AGREEMENT
from dalle2eval.probes.studies.text_rendering import (
    TEXT_STUDY,
    bpe_tokens,
    breakdown,
    further_scores,
)
from dalle2eval.probes.studies.typographic_attack import TYPOGRAPHIC_ATTACK, attacks, shown_colour
from dalle2eval.probes.study import Bench, trusted
from dalle2eval.probes.subject import Subject, pairs
from dalle2eval.prompts import load_prompts
from dalle2eval.records import Prompt, SampleKey, Score, SelfTest
from dalle2eval.scenes.grammar import parse
from dalle2eval.scenes.layout import Placed
from dalle2eval.scenes.reader import read
from dalle2eval.scenes.renderer import draw
from dalle2eval.store import Store


class Painter(FakeModel):
    """Its z_i is the picture itself, so it draws whatever it sees; captions become true pictures.

    Args:
        drawing: what the decoder makes of the picture in z_i.
    """

    sees_pictures = True

    def __init__(self, drawing=lambda image: image):
        super().__init__()
        self.drawing = drawing

    def plan_stages(self, settings, size):
        chain = [FakeStage("prior", {}, None), FakeStage("decoder", dict(settings), 64)]
        return chain + [FakeStage(f"upsampler_{s}", {}, s) for s in (256,) if s <= size]

    def run_stage(self, stage, prompts, noise_keys, previous):
        self.calls += 1
        if stage.name == "prior":
            return self.encode_images(
                np.stack([self._true(*row) for row in zip(prompts, noise_keys, strict=True)])
            )
        if stage.name == "decoder":
            pictures = np.round(previous * 255).clip(0, 255).astype(np.uint8)
            return np.stack([self.drawing(p) for p in pictures.reshape(-1, 64, 64, 3)])
        return previous.repeat(4, axis=1).repeat(4, axis=2)

    @staticmethod
    def _true(text, key):
        return draw(parse(text), 1000 + key[1])

    def encode_images(self, images):
        return images.reshape(len(images), -1).astype(np.float32) / 255

    def encode_texts(self, texts):
        return self.encode_images(np.stack([self._true(text, ("", 0)) for text in texts]))


class Eyes(Subject):
    """A subject whose z_i keeps its length, because `Painter` needs the pixels."""

    def see(self, images):
        return self.model.encode_images(images)


def bench(model, *, n=2, seeds=(0, 1), prompts=(), store=None, subject=Eyes):
    return Bench(
        subject=subject(model, store=store),
        n=n,
        prompts=tuple(prompts),
        seeds=tuple(seeds),
        judge=FakeJudge(),
    )


def values(finding, part="all"):
    return {e.metric.partition(".")[2]: e.value for e in finding.estimates if e.slice == part}


# ── abilities ────────────────────────────────────────────────────────────────────────────────


def test_every_study_says_what_a_model_lacks():
    class Bare(FakeModel):
        def plan_stages(self, settings, size):
            return [FakeStage("all", {}, 64)]

        def resolve_settings(self, changes):
            return {}

    needs = {name for name, study in STUDIES.items() if study.missing(Subject(Bare()))}
    assert needs == {"typographic-attack", "prior-agreement", "binding", "diversity"}
    with pytest.raises(
        ValueError, match=r"it has not a first stage that makes z_i.*, nor an image"
    ):
        BINDING.check(Subject(Bare()))
    for study in STUDIES.values():
        assert study.missing(Subject(Painter())) == []


def test_a_model_that_cannot_see_is_told_apart_by_its_property_not_its_methods():
    blind = Painter()
    blind.sees_pictures = False
    assert not Subject(blind).sees_pictures
    assert "image encoder" in BINDING.missing(Subject(blind))[0]


def test_work_is_kept_and_a_second_call_draws_nothing(tmp_path):
    model, prompts = Painter(), load_prompts("scenes/quick", 4)
    subject = Subject(model, store=Store(tmp_path))
    chosen, keys = pairs(prompts, (0,))
    first = subject.draw(chosen, keys)
    calls = model.calls
    again = Subject(model, store=Store(tmp_path)).draw(chosen, keys)
    assert model.calls == calls
    assert (first == again).all()
    other = Subject(model, {"guidance_scale": 1.0}, store=Store(tmp_path)).draw(chosen, keys)
    assert model.calls == calls + 1  # the decoder alone
    assert other.shape == first.shape


def test_z_i_that_differs_in_one_number_is_drawn_anew(tmp_path):
    model = Painter()
    subject = Subject(model, store=Store(tmp_path))
    z = np.zeros((1, 64 * 64 * 3), np.float32)
    key = [SampleKey(prompt_id="p", seed=0)]
    subject.decode(z, key)
    subject.decode(z + np.eye(1, z.shape[1], dtype=np.float32), key)
    assert model.calls == 2


def test_a_judge_under_its_floor_takes_the_numbers_with_it():
    finding = TYPOGRAPHIC_ATTACK.conduct(bench(Painter(), n=2, seeds=(0,)))
    failed = SelfTest(judge="j", task="t", accuracy=0.5, low=0.4, high=0.6, n=10, floor=0.9)
    refused = trusted(finding, [failed])
    assert all(e.value is None and "j is right on 50%" in e.reason for e in refused.estimates)
    assert refused.comparisons == ()
    assert trusted(finding, [replace(failed, accuracy=0.9)]) is finding


# ── hidden vocabulary ────────────────────────────────────────────────────────────────────────


def test_only_strings_that_are_no_words_are_gibberish():
    texts = ["CAT vuxo", "vuxo ab", "HELLO zzyg", "owl"]
    assert gibberish(texts, ['the word "HELLO" in red']) == ("vuxo", "zzyg")


def test_random_strings_have_the_lengths_and_letters_of_the_others():
    found = ("vuxoq", "zzyg", "bbb")
    made = random_strings(found)
    assert [len(s) for s in made] == [5, 4, 3]
    assert set("".join(made)) <= set("abcdefghijklmnopqrstuvwxyz")
    assert not set(made) & set(found)
    assert made == random_strings(found)


def test_random_strings_exist_even_where_one_letter_is_all_there_is():
    assert len(set(random_strings(("aaa", "aaaa")))) == 2


def test_consistency_of_known_pictures():
    a, b = np.eye(2)
    features = np.array([[a, a], [b, b]])
    assert consistency(features).within.tolist() == [1, 1]
    assert consistency(features).between.tolist() == [0, 0]
    mixed = np.array([[a, b], [a, b]])
    assert consistency(mixed).gap == pytest.approx([-0.5, -0.5])


def test_p_values_of_nothing_are_uniform():
    rng = np.random.default_rng(3)
    ps = []
    for _ in range(100):
        features = rng.normal(size=(4, 3, 5))
        ps.append(label_test(features, lambda x: float(consistency(x).gap.mean()), shuffles=99)[1])
    assert abs(np.mean(ps) - 0.5) < 0.12
    assert np.mean(np.array(ps) <= 0.05) <= 0.12


def test_a_p_value_is_never_0_and_equal_samples_give_1():
    assert two_sample_test(np.ones(5), np.zeros(5), shuffles=50)[1] >= 1 / 51
    assert two_sample_test(np.ones(5), np.ones(5), shuffles=50)[1] == 1


def test_a_model_that_writes_only_words_leaves_the_question_open(monkeypatch):
    monkeypatch.setattr("dalle2eval.probes.studies.hidden_vocabulary.read_text", lambda _: "CAT")
    finding = HIDDEN_VOCABULARY.conduct(
        bench(Painter(), prompts=load_prompts("scenes/words", 2), seeds=(0,))
    )
    assert all(e.value is None and "0 strings" in e.reason for e in finding.estimates)


class Speaker(Painter):
    """Gives every string a colour of its own, or, without ``means``, any picture any colour."""

    def __init__(self, means):
        super().__init__()
        self.means = means

    @staticmethod
    def _rng(*parts):
        return np.random.default_rng([sum(map(ord, p)) if isinstance(p, str) else p for p in parts])

    def run_stage(self, stage, prompts, noise_keys, previous):
        if stage.name == "prior":
            return np.zeros((len(prompts), 64 * 64 * 3), np.float32)
        if stage.name != "decoder":
            return super().run_stage(stage, prompts, noise_keys, previous)
        out = []
        for text, key in zip(prompts, noise_keys, strict=True):
            rng = self._rng(text) if self.means(text) else self._rng(text, key[1])
            colour = rng.integers(0, 256, 3)
            noise = self._rng(text, key[1], 1).integers(-9, 9, (64, 64, 3))
            out.append(np.clip(colour + noise, 0, 255).astype(np.uint8))
        return np.stack(out)


@pytest.mark.parametrize(("hidden", "verdict"), [(True, "higher"), (False, "no difference found")])
def test_a_planted_vocabulary_is_found_and_a_missing_one_is_not(monkeypatch, hidden, verdict):
    texts = iter(["wexo pluu", "grib mivz", "qoth zark", "vell dast"] * 10)
    monkeypatch.setattr(
        "dalle2eval.probes.studies.hidden_vocabulary.read_text", lambda _: next(texts)
    )
    known = {"wexo", "pluu", "grib", "mivz", "qoth", "zark", "vell", "dast"}
    model = Speaker(lambda text: hidden and text in known)
    finding = HIDDEN_VOCABULARY.conduct(
        bench(model, prompts=load_prompts("scenes/words", 4), seeds=(0,))
    )
    against_random = finding.comparisons[-1]
    assert against_random.verdict == verdict
    assert (against_random.p_value <= 0.05) is hidden


# ── typographic attack ───────────────────────────────────────────────────────────────────────


def test_attacks_name_another_colour_in_the_ink_of_a_third():
    made = attacks(TYPOGRAPHIC_ATTACK.most)
    assert len({a.id for a in made}) == len(made) == TYPOGRAPHIC_ATTACK.most
    for attack in made:
        assert len({attack.colour, attack.named, attack.ink}) == 3
    assert {a.named for a in made} == {"red", "green", "blue", "white", "orange"}


def test_colours_are_told_in_pictures_under_attack():
    for attack in attacks(20, seed=5):
        for word in (True, False):
            image = attack.picture(word=word)
            assert shown_colour(image, attack.colour, attack.named) == attack.colour
            assert shown_colour(image, attack.named, attack.colour) == attack.colour


def swap_colours(image):
    """A decoder that believes the word: it draws the named colour in place of the pictured one."""
    reading = [a for a in attacks(4) if shown_colour(image, a.colour, a.named) == a.colour]
    from dalle2eval.scenes.vocabulary import COLOURS

    out = image.copy()
    for attack in reading[:1]:
        near = np.abs(image.astype(int) - COLOURS[attack.colour]).sum(axis=2) < 60
        out[near] = COLOURS[attack.named]
    return out


def test_a_decoder_that_draws_what_it_sees_shows_the_picture_and_not_the_word():
    finding = TYPOGRAPHIC_ATTACK.conduct(bench(Painter(), n=4, seeds=(0,)))
    for part in ("with-word", "without-word"):
        found = values(finding, part)
        assert found["picture"] == 1
        assert found["named"] == 0
    assert {c.verdict for c in finding.comparisons if c.metric.endswith("picture")} == {
        "no difference found"
    }


def test_a_decoder_that_believes_the_word_is_found_out():
    attack = attacks(1)[0]
    finding = TYPOGRAPHIC_ATTACK.conduct(bench(Painter(swap_colours), n=1, seeds=(0, 1)))
    assert swap_colours(attack.picture(word=True)).shape == (64, 64, 3)
    rows = [r for r in finding.rows if r["metric"] == "typographic.named"]
    assert {r["value"] for r in rows} == {1.0}


# ── binding ──────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("item", items(3), ids=lambda item: item.id)
def test_sides_are_read_from_true_pictures(item):
    for side in (0, 1):
        for seed in range(5):
            assert item.side_of(read(draw(item.scene(side), seed)).objects) == side


def test_a_picture_of_one_colour_or_three_objects_is_neither_side():
    item = Item(RELATION, "red", "blue")
    red = Placed(shape="square", colour="red", x=0.5, y=0.3, radius=0.1)
    blue = Placed(shape="square", colour="blue", x=0.5, y=0.7, radius=0.1)
    assert item.side_of((red, blue)) == 0
    assert item.side_of((red,)) is None
    assert item.side_of((red, red)) is None
    assert item.side_of((red, blue, blue)) is None
    assert item.side_of((red, replace(blue, y=0.31))) is None
    assert Item(PAIRING, "red", "blue").side_of((red, blue)) is None  # two squares


def mirrored(image):
    """A decoder that loses the vertical order: it draws the picture upside down."""
    return image[::-1]


def test_a_decoder_that_swaps_what_z_i_holds_is_told_from_a_z_i_that_holds_nothing():
    faithful = BINDING.conduct(bench(Painter(), n=2, seeds=(0, 1)))
    for task in (RELATION, PAIRING):
        assert values(faithful, task)["decoder_if_both"] == 1
        assert values(faithful, task)["caption"] == 1
    swapping = BINDING.conduct(bench(Painter(mirrored), n=2, seeds=(0, 1)))
    assert values(swapping, RELATION)["decoder_if_both"] == 0
    assert values(swapping, RELATION)["probe"] == values(faithful, RELATION)["probe"]
    assert values(swapping, PAIRING)["decoder_if_both"] == 1


def test_a_linear_probe_finds_a_planted_direction_and_no_other():
    assert probe_self_test().passed
    rng = np.random.default_rng(0)
    yes, no = rng.normal(size=(2, 40, 8))
    yes[:, 3] += 4
    probe = fit(yes, no)
    assert np.abs(probe.normal).argmax() == 3
    assert probe.normal[3] > 0  # yes is on the positive side
    with pytest.raises(ValueError, match="equal numbers"):
        fit(yes, no[:5])


# ── diversity and prior agreement ────────────────────────────────────────────────────────────


class Collapsing(FakeModel):
    """Draws prompts alike above guidance 2."""

    def _draw(self, stage, key, z):
        scale = stage.settings["guidance_scale"]
        rng = np.random.default_rng([key[1], len(key[0]), int(abs(z[0]) * 1000)])
        colour = rng.integers(0, 256, 3) if scale <= 2 else np.array([200, 30, 30])
        return np.clip(colour + rng.normal(0, 2, (64, 64, 3)), 0, 255).astype(np.uint8)


def test_a_model_that_collapses_under_guidance_is_seen_to():
    prompts = load_prompts("scenes/quick", 8)
    finding = DIVERSITY.conduct(bench(Collapsing(), prompts=prompts, seeds=(0, 1, 2)))
    vendi = {e.slice: e.value for e in finding.estimates if e.metric == "vendi_scenes"}
    assert vendi["guidance 1"] > 1.2 * vendi["guidance 8"]
    test = next(
        c for c in finding.comparisons if (c.arm, c.metric) == ("guidance 8", "vendi_scenes")
    )
    assert test.verdict == "lower"


def test_recall_of_prompts_without_real_pictures_is_unknown_with_its_reason():
    prompts = [Prompt(id=f"p{i}", text=f"a thing {i}") for i in range(4)]
    finding = DIVERSITY.conduct(bench(FakeModel(), prompts=prompts, seeds=(0, 1), subject=Subject))
    recall = [e for e in finding.estimates if e.metric == "recall_scenes"]
    assert len(recall) == 4
    assert all(e.value is None and "not known" in e.reason for e in recall)


def test_a_perfect_prior_agrees_better_with_its_own_caption_and_wholly_with_its_picture():
    prompts = [p for p in load_prompts("scenes/quick", 8) if p.facts["objects"]]
    finding = PRIOR_AGREEMENT.conduct(
        bench(Painter(), prompts=prompts, seeds=(0,), subject=Subject)
    )
    found = values(finding)
    assert found["decoded"] == pytest.approx(1, abs=1e-3)
    assert found["true"] > found["floor"]
    assert found["ceiling"] > found["floor"]


def test_prior_agreement_refuses_prompts_without_real_pictures():
    with pytest.raises(ValueError, match="procedural world"):
        PRIOR_AGREEMENT.conduct(bench(Painter(), prompts=[Prompt(id="p", text="a cat")]))


# ── text rendering ───────────────────────────────────────────────────────────────────────────


def test_tokens_are_those_of_clips_vocabulary():
    assert bpe_tokens("hello") == bpe_tokens("HELLO") == 1
    assert bpe_tokens("deep learning") == 2
    assert bpe_tokens("qzxv") > 1


def test_a_text_belongs_to_its_length_tokens_case_and_kind():
    def of(word):
        return breakdown(Prompt(id="p", text="t", facts={"word": word}))

    assert of("Hello") == ("letters-5", "bpe-1", "mixed-case", "one-word")
    assert of("mind the gap") == ("letters-7-or-more", "bpe-3", "lower-case", "sentence")
    assert breakdown(Prompt(id="p", text="t")) == ()


def read_as(asked, read, second=None):
    detail = {"asked": asked, "read": read}
    if second is not None:
        detail["second_read"] = second
    key = SampleKey(prompt_id="p", seed=0)
    score = Score(key=key, metric="text.exact", value=1.0, detail=detail)
    return {s.metric.removeprefix("text."): s.value for s in further_scores(score)}


def test_case_and_the_second_judge_get_numbers_of_their_own():
    assert read_as("Hello", "HELLO")["exact_case"] == 0
    assert read_as("Hello", " Hello")["exact_case"] == 1
    found = read_as("CAT", "CAT", "CUT")
    assert found["second_exact"] == 0
    assert found["second_cer"] == pytest.approx(1 / 3)
    assert found["agree"] == 0


def test_without_a_second_judge_its_numbers_are_unknown_never_0():
    found = read_as("CAT", "CAT")
    assert found["exact_case"] == 1
    assert found["second_exact"] is found["second_ned"] is found["agree"] is None


def test_a_faulty_picture_is_unscored_in_every_number():
    model = Painter(lambda image: np.zeros_like(image))
    finding = TEXT_STUDY.conduct(
        bench(model, prompts=load_prompts("scenes/words", 2), seeds=(0,), subject=Subject)
    )
    assert all(e.value is None and e.num_unscored == 2 for e in finding.estimates)


def test_the_permutation_self_test_passes():
    assert permutation_self_test().passed
