"""Anyone's samples go with the prompts that they were made for, or the run does not begin."""

import json

import numpy as np
import pytest
from image_files import write

from dalle2eval.images.checking import BadFilesError
from dalle2eval.models import WrongAnswer, open_system
from dalle2eval.records import InputError


def picture(number, side=64):
    image = np.random.default_rng(number).integers(0, 256, (side, side, 3), dtype=np.uint8)
    image[0, 0] = number
    return image


def folder(tmp_path, *names, side=64):
    for number, name in enumerate(names):
        write(tmp_path / "drawn" / name, picture(number, side))
    return tmp_path / "drawn"


def draw(place, *keys, size=64, texts=None, **settings):
    model = open_system(f"images:{place}")
    stages = model.plan_stages(model.resolve_settings(settings), size)
    texts = texts or ["a thing"] * len(keys)
    model.check_samples(stages[0], texts, list(keys))
    images = model.run_stage(stages[0], texts, list(keys), None)
    return [int(image[0, 0, 0]) for image in images]


def test_files_named_by_prompt_and_number_answer_to_the_seeds(tmp_path):
    place = folder(tmp_path, "p-0.png", "p-1.png", "p-10.png", "q.png", "r_3.png", "a%2Fb-0.png")
    keys = [("p", 0), ("p", 1), ("p", 2), ("q", 0), ("r", 0), ("a/b", 0)]
    assert draw(place, *keys) == [0, 1, 2, 3, 4, 5]


def test_a_suite_may_begin_with_another_seed(tmp_path):
    place = folder(tmp_path, "p-7.png", "p-8.png")
    assert draw(place, ("p", 8), ("p", 7), first_seed=7) == [1, 0]
    with pytest.raises(InputError, match="has 2 pictures, for the seeds 0 to 1; seed 7 was asked"):
        draw(place, ("p", 7))


def test_a_missing_picture_is_told_before_the_work(tmp_path):
    place = folder(tmp_path, "circle-0.png")
    with pytest.raises(InputError, match=r"no picture of prompt 'circel' .*mean \"circle\""):
        draw(place, ("circel", 0))
    with pytest.raises(InputError, match="has 1 pictures, for the seeds 0 to 0; seed 1"):
        draw(place, ("circle", 1))


def test_one_file_never_serves_two_prompts(tmp_path):
    place = folder(tmp_path, "p-1.png")
    with pytest.raises(InputError, match=r"p-1\.png would serve two prompts"):
        draw(place, ("p", 0), ("p-1", 0))


def test_a_small_oblong_or_damaged_picture_is_told_before_the_work(tmp_path):
    with pytest.raises(WrongAnswer, match=r"p\.png gave a picture of 64 x 64 pixels; allowed: sq"):
        draw(folder(tmp_path, "p.png"), ("p", 0), size=256)
    write(tmp_path / "drawn" / "q.png", picture(1)[:, :40])
    with pytest.raises(WrongAnswer, match=r"q\.png gave a picture of 40 x 64"):
        draw(tmp_path / "drawn", ("q", 0))
    content = (tmp_path / "drawn" / "p.png").read_bytes()
    (tmp_path / "drawn" / "p.png").write_bytes(content[:-20])
    with pytest.raises(BadFilesError, match=r"p\.png"):
        draw(tmp_path / "drawn", ("p", 0))


def test_a_manifest_matches_by_text_where_its_ids_are_others(tmp_path):
    place = folder(tmp_path, "x.png", "y.png", "z.png")
    rows = [("z.png", "a red circle"), ("x.png", "a blue star"), ("y.png", "a red circle")]
    lines = [json.dumps({"id": text[2:5], "file": file, "prompt": text}) for file, text in rows]
    manifest = tmp_path / "m.jsonl"
    manifest.write_text("\n".join(lines))
    keys, texts = [("p0", 0), ("p0", 1), ("p1", 0)], ["a red circle"] * 2 + ["a blue star"]
    assert draw(place, *keys, texts=texts, manifest=str(manifest)) == [2, 1, 0]
    with pytest.raises(InputError, match=r"'red' is 'a red circle' there and 'a thing' in the su"):
        draw(place, ("red", 0), manifest=str(manifest))


def test_the_identity_is_the_bytes_and_not_the_place(tmp_path):
    first, second = tmp_path / "one", tmp_path / "two"
    for root in (first, second):
        write(root / "p.png", picture(0))
    weights = open_system(f"images:{first}").weights
    assert open_system(f"images:{second}").weights == weights
    write(second / "p.png", picture(1))
    assert open_system(f"images:{second}").weights != weights


def test_a_changed_manifest_is_another_identity_wherever_it_lies(tmp_path):
    place = folder(tmp_path, "x.png", "y.png")
    settings = []
    for name, text in (("a.txt", "one\ntwo"), ("b.txt", "one\ntwo"), ("c.txt", "two\none")):
        (tmp_path / name).write_text(text)
        model = open_system(f"images:{place}")
        chosen = model.resolve_settings({"manifest": str(tmp_path / name)})
        settings.append(model.plan_stages(chosen, 64)[0].settings)
    assert settings[0] == settings[1] != settings[2]
