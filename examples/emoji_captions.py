"""Turn the npm package emoji-datasource-google into an image-caption folder.

    python examples/emoji_captions.py node_modules/emoji-datasource-google .train/emoji

Every picture is copied once, and captions.jsonl gives its name in lower case, such as "red heart".
"""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

PICTURES = Path("img", "google", "64")


def convert(package: Path, out: Path) -> int:
    """Write the folder and return the number of pictures.

    Args:
        package: the unpacked npm package: emoji.json, and pictures of 64 pixels.
        out: the new folder.
    """
    out.mkdir(parents=True, exist_ok=True)
    rows = []
    for file, caption in captioned(json.loads((package / "emoji.json").read_text())):
        picture = package / PICTURES / file
        if picture.is_file():
            shutil.copyfile(picture, out / file)
            rows.append(json.dumps({"file": file, "caption": caption}))
    (out / "captions.jsonl").write_text("\n".join(rows) + "\n")
    return len(rows)


def captioned(emoji: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield (file, caption) of every emoji, and of its variants by skin tone."""
    for one in emoji:
        name = str(one["name"] or one["short_name"]).lower().replace("_", " ")
        yield Path(one["image"]).name, name
        for tone, variant in one.get("skin_variations", {}).items():
            yield Path(variant["image"]).name, f"{name}, {tone_name(tone)}"


TONES = {
    "1F3FB": "light skin",
    "1F3FC": "medium-light skin",
    "1F3FD": "medium skin",
    "1F3FE": "medium-dark skin",
    "1F3FF": "dark skin",
}


def tone_name(codes: str) -> str:
    """Return the words for one or two skin tones, such as ``1F3FB-1F3FF``."""
    return " and ".join(dict.fromkeys(TONES.get(code, code.lower()) for code in codes.split("-")))


if __name__ == "__main__":
    sys.stdout.write(f"{convert(Path(sys.argv[1]), Path(sys.argv[2]))} captioned pictures\n")
