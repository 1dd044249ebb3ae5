"""Pictures made from a given picture: variations, interpolations, text diffs; see `cli.sample`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.images.decoding import decode
from dalle2eval.records import InputError, check_text
from dalle2eval.store import check_writable, encode_png, write_atomic

TEXT_DIFF_SHARE = 0.5  # the paper rotates z_i by up to 0.25 to 0.50 of the way
FEWEST = {"variation": 1, "interpolation": 2, "text-diff": 2}
DRAWN_BY = ("decoder_steps", "guidance_scale")  # the settings that all of them follow
Images = NDArray[np.uint8]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manipulation:
    """What shall be done with which pictures.

    Attributes:
        kind: ``variation``, ``interpolation`` or ``text-diff``.
        images: one file, or two to interpolate between.
        captions: for a text diff, what the picture shows and what it shall become.
    """

    kind: str
    images: tuple[Path, ...]
    captions: tuple[str, str] = ("", "")


def choose(
    prompts: Sequence[str] | None,
    variation_of: Path | None,
    interpolate: tuple[Path, Path] | None,
    text_diff: tuple[Path, str, str] | None,
) -> Manipulation | None:
    """Return the manipulation that the options ask for; None where prompts are to be drawn.

    Raises:
        InputError: more than one thing is asked for, or nothing.
    """
    asked = []
    if variation_of is not None:
        asked.append(Manipulation(kind="variation", images=(variation_of,)))
    if interpolate is not None:
        asked.append(Manipulation(kind="interpolation", images=interpolate))
    if text_diff is not None:
        image, before, after = text_diff
        diff = Manipulation(kind="text-diff", images=(image,), captions=(before, after))
        asked.append(diff)
    if len(asked) + bool(prompts) != 1:
        raise InputError(
            "give prompts, or one of --variation-of, --interpolate and --text-diff; "
            f"there are {len(asked)} of these and {len(prompts or [])} prompts"
        )
    return asked[0] if asked else None


def manipulate(
    asked: Manipulation,
    *,
    out: Path,
    model: str,
    seeds: Sequence[int],
    device: str,
    settings: Mapping[str, Any],
) -> list[Path]:
    """Draw pictures from given ones into a folder and return their files.

    Args:
        asked: what to do.
        out: the folder.
        model: name of the weights.
        seeds: one a picture; only variations use them.
        device: ``auto``, ``cpu`` or ``cuda``.
        settings: of the model: decoder_steps, guidance_scale and, for variations, decoder_eta.

    Raises:
        InputError: no such model or setting, a file that is no picture, too few pictures asked
            for, or weights that cannot see a picture.
    """
    from ablations.catalogue import check_device, open_model, told_plainly
    from reference_model.manipulations import VARIATION_ETA, Manipulator

    check_device(device)
    for caption in asked.captions:
        check_text(caption, "--text-diff: a caption")
    if len(seeds) < FEWEST[asked.kind]:
        raise InputError(f"--n is {len(seeds)}; a {asked.kind} takes {FEWEST[asked.kind]} or more")
    images = [_picture(path) for path in asked.images]
    check_writable(out, "--out")
    with told_plainly():
        chosen = open_model(model, device)
        knobs = chosen.resolve_settings({"decoder_eta": VARIATION_ETA, **settings})
        _check_settings(asked.kind, settings)
        manipulator = Manipulator(
            chosen, steps=knobs["decoder_steps"], guidance_scale=knobs["guidance_scale"]
        )
    shares = np.linspace(0, TEXT_DIFF_SHARE, len(seeds)).tolist()
    draw: dict[str, Callable[[], Images]] = {
        "variation": lambda: manipulator.variations(images[0], seeds, eta=knobs["decoder_eta"]),
        "interpolation": lambda: manipulator.interpolation(images[0], images[1], len(seeds)),
        "text-diff": lambda: manipulator.text_diff(images[0], *asked.captions, shares),
    }
    made = draw[asked.kind]()
    files = [out / f"{asked.kind}-{k}.png" for k in range(len(made))]
    for path, pixels in zip(files, made, strict=True):
        write_atomic(path, encode_png(pixels))
    return files


def _check_settings(kind: str, settings: Mapping[str, Any]) -> None:
    """Refuse a setting that would be ignored: a given picture is drawn by DDIM from its own z_i."""
    followed = (*DRAWN_BY, "decoder_eta") if kind == "variation" else DRAWN_BY
    for name in settings:
        if name not in followed:
            raise InputError(f"{kind}: {name} changes nothing; allowed: {', '.join(followed)}")


def _picture(path: Path) -> Images:
    try:
        return decode(path.read_bytes()).copy()  # torch wants writable pixels
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be read as a picture: {error}") from None
