"""What a training learns from and is evaluated on: scenes, or anyone's captioned pictures."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from dalle2eval.records import InputError, fingerprint
from dalle2eval.spelling import nearest

if TYPE_CHECKING:
    from dalle2eval.features.extractor import Extractor
    from dalle2eval.images.captioned import CaptionedSource
    from dalle2eval.scenes.training_data import SceneSource
    from reference_model.training.data import CaptionedImages

SCENES = "scenes"
EVALUATION_STREAM = 8  # no recipe trains on it
DRAWN_FOR_HELD_OUT = 1000  # scenes, among which are `SAMPLES` held-out ones many times over
SAMPLES = 64


class HeldOut(NamedTuple):
    """Captioned pictures that no training sees; ``images`` gives them at a size in pixels."""

    captions: list[str]
    images: Callable[[int], NDArray[np.uint8]]


class Data(Protocol):
    """Makes the streams of training samples, and says what they are.

    Attributes:
        identity: a training on other data does not go on from its checkpoints.
        drawn_by: hash of all that decides the pixels and captions of a stream.
    """

    identity: str

    def __call__(self, *, stream: int, held_out: bool, mix: str) -> CaptionedImages:
        """Return the source of a stream; ``mix`` names the kinds of samples that it favours."""

    @property
    def drawn_by(self) -> str:
        """Return the hash."""

    def held_out(self) -> HeldOut:
        """Return samples that no training sees."""

    def open_extractor(self, device: str) -> Extractor:
        """Return what turns such pictures into features."""


class Scenes:
    """Makes streams of the procedural world; see `DataFactory`."""

    identity = SCENES

    def __call__(self, *, stream: int, held_out: bool, mix: str) -> SceneSource:
        """Return the source of a stream."""
        from dalle2eval.scenes.training_data import SceneSource

        return SceneSource(stream=stream, held_out=held_out, mix=mix)

    @property
    def drawn_by(self) -> str:
        """Return a hash of the code that draws the pictures."""
        from ablations.tasks import source_hash

        return source_hash("dalle2eval.scenes")

    def held_out(self) -> HeldOut:
        """Return held-out scenes of a stream that nothing is trained on."""
        from dalle2eval.scenes.grammar import is_held_out, parse
        from dalle2eval.scenes.training_data import SceneSource

        source = SceneSource(stream=EVALUATION_STREAM, held_out=True)
        captions = source.batch(0, DRAWN_FOR_HELD_OUT, 8, rows=range(0)).captions
        chosen = [k for k, text in enumerate(captions) if is_held_out(parse(text))][:SAMPLES]

        def images(size: int) -> NDArray[np.uint8]:
            return np.concatenate([source.batch(k, 1, size).images for k in chosen])

        return HeldOut([captions[k] for k in chosen], images)

    def open_extractor(self, device: str) -> Extractor:
        """Return the judge of the procedural world."""
        from ablations.catalogue import JUDGE, verify_weights
        from dalle2eval.features.scenes_judge import ScenesExtractor
        from reference_model.embedder import load_clip

        verify_weights(JUDGE)
        return ScenesExtractor(load_clip(JUDGE, device=device))


class Captioned:
    """Makes streams of anyone's captioned pictures; see `DataFactory`."""

    def __init__(self, place: str, seed: int) -> None:
        from dalle2eval.images.captioned import open_pairs

        self.pairs, self.seed = open_pairs(place), seed
        self.identity = fingerprint([self.pairs.content, seed])

    def __call__(self, *, stream: int, held_out: bool, mix: str) -> CaptionedSource:
        """Return the source of a stream."""
        from dalle2eval.images.captioned import CaptionedSource

        del mix  # real pictures have no kinds to favour
        every = (*self.pairs.train, *self.pairs.held_out)
        return CaptionedSource(
            pairs=every if held_out else self.pairs.train,
            captions=tuple(pair.caption for pair in every),
            stream=stream,
            seed=self.seed,
        )

    @property
    def drawn_by(self) -> str:
        """Return a hash of the pictures and of the code that cuts and orders them."""
        from ablations.tasks import source_hash

        return fingerprint([self.identity, source_hash("dalle2eval.images")])

    def held_out(self) -> HeldOut:
        """Return the first of the pictures that are kept back."""
        from dalle2eval.images.captioned import CaptionedSource

        pairs = self.pairs.held_out[:SAMPLES]
        source = CaptionedSource(pairs=pairs)

        def images(size: int) -> NDArray[np.uint8]:
            return source.batch(0, len(pairs), size).images

        return HeldOut(source.batch(0, len(pairs), 8, rows=range(0)).captions, images)

    def open_extractor(self, device: str) -> Extractor:
        """Return an extractor of real pictures that is on this machine."""
        return real_extractor(device)


def real_extractor(device: str) -> Extractor:
    """Return an extractor of real pictures: Inception-v3 where its weights are here, or effnet.

    Raises:
        MissingWeightsError: neither is here.
    """
    from dalle2eval.features.networks import effnet, inception
    from dalle2eval.features.weight_files import find

    return inception(device) if find("inception") else effnet(device)


def open_data(place: str, *, seed: int = 0) -> Data:
    """Return what makes the streams of training samples; every file is looked at.

    Args:
        place: ``scenes``, or where captioned images lie.
        seed: of their order.

    Raises:
        InputError: there is no such place, a picture has no caption, or files are damaged.
    """
    if place == SCENES:
        return Scenes()
    from dalle2eval.images.captioned import expand

    missing = [path for path in expand(place) if not path.exists()]
    if missing:
        raise InputError(
            f"--data {place}: {missing[0]} does not exist{nearest(place, [SCENES])} "
            "(or a folder, .zip or .tar of captioned images, or shards as shard-{000..012}.tar)"
        )
    return Captioned(place, seed)
