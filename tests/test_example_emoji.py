"""The example's converter makes a folder that the training reads."""

import json
import sys
from pathlib import Path

from image_files import picture, write

from dalle2eval.images.captioned import open_pairs

sys.path.insert(0, str(Path(__file__).parent.parent / "examples"))
from emoji_captions import convert


def test_every_picture_that_is_there_gets_its_name_and_skin_tones(tmp_path):
    toned = {"1F3FB-1F3FF": {"image": "b-1.png"}}
    emoji = [
        {"name": "HEAVY HEART", "short_name": "heart", "image": "a.png"},
        {"name": None, "short_name": "wave_hand", "image": "b.png", "skin_variations": toned},
        {"name": "NOT DRAWN", "short_name": "x", "image": "c.png"},
    ]  # fmt: skip
    for k, name in enumerate(("a", "b", "b-1")):
        write(tmp_path / "package" / "img" / "google" / "64" / f"{name}.png", picture(k))
    (tmp_path / "package" / "emoji.json").write_text(json.dumps(emoji))
    assert convert(tmp_path / "package", tmp_path / "out") == 3
    pairs = open_pairs(str(tmp_path / "out"))
    captions = {pair.name: pair.caption for pair in (*pairs.train, *pairs.held_out)}
    assert captions == {
        "a.png": "heavy heart",
        "b.png": "wave hand",
        "b-1.png": "wave hand, light skin and dark skin",
    }
