"""Extractors by their names on the command line: inception, clip:…, dinov2, effnet, scenes."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence

from dalle2eval.features.extractor import Extractor
from dalle2eval.features.networks import dinov2, effnet, inception
from dalle2eval.features.open_clip_extractor import PREFIX, OpenClipExtractor
from dalle2eval.features.scenes_judge import ScenesExtractor
from dalle2eval.protocols import TextImageEmbedder
from dalle2eval.records import InputError

NETWORKS: dict[str, Callable[[str], Extractor]] = {
    "inception": inception,
    "dinov2": dinov2,
    "effnet": effnet,
}
ALLOWED = "inception, clip:MODEL/TAG, clip:MODEL=FILE, clip:FOLDER, dinov2, effnet, scenes"


def open_extractors(
    names: Sequence[str], *, device: str, open_judge: Callable[[], TextImageEmbedder]
) -> tuple[Extractor, ...]:
    """Return extractors in the order of their names; weights are checked now, networks built later.

    Args:
        names: see the top of this module.
        device: ``cpu`` or ``cuda``.
        open_judge: loads the bundled judge of scenes.

    Raises:
        MissingWeightsError: a file of weights is not on this machine.
        InputError: a name is unknown, or given twice.
    """
    extractors = tuple(_open(name, device, open_judge) for name in names)
    families = [extractor.family for extractor in extractors]
    for family in families:
        if families.count(family) > 1:
            raise InputError(f"--features: {family} is given twice; score them in two runs")
    return extractors


def _open(name: str, device: str, open_judge: Callable[[], TextImageEmbedder]) -> Extractor:
    if name == "scenes":
        return ScenesExtractor(open_judge())
    if name.startswith(PREFIX):
        return OpenClipExtractor(name, device=device)
    if name in NETWORKS:
        return NETWORKS[name](device)
    near = difflib.get_close_matches(name, [*NETWORKS, "scenes", "clip"], n=1)
    if near == ["clip"]:  # a family, which no name alone chooses
        hint = "; a CLIP is named with its weights, such as clip:ViT-B-32/openai"
    else:
        hint = f'; did you mean "{near[0]}"?' if near else ""
    raise InputError(f'no extractor "{name}"{hint}; allowed: {ALLOWED}')
