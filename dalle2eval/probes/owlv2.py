"""OWLv2 as the open-vocabulary detector, from a local folder (extra ``detector``).

Minderer et al. 2023, arXiv 2306.09683, through transformers. Only safetensors are read, nothing is
downloaded, and no code of the folder runs. A class is asked for as "a photo of a CLASS"; a box
belongs to the class that scores highest in it, and boxes of a class that overlap by half are one.

GenEval used Mask2Former and its own thresholds (0.3, in counting 0.9), so the numbers of the two
detectors are not comparable; the self-test says what this one is worth.
"""

from __future__ import annotations

import functools
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dalle2eval.probes.detection import COLOURS, Found
from dalle2eval.records import InputError

THRESHOLD = 0.2  # of the score; transformers' own examples take 0.1 to 0.2
SAME_OBJECT = 0.5  # overlap (intersection over union) of two boxes of one object
BLOCK = 1 << 20  # bytes hashed at once
Scores = NDArray[np.float32]


class Owlv2:
    """Finds what words name. The network is loaded when first asked.

    Args:
        folder: with ``config.json``, ``model.safetensors`` and the processor's files, as
            ``save_pretrained`` leaves them.
        device: ``cpu`` or ``cuda``.
        threshold: least score of a box, in [0, 1].

    Raises:
        InputError: the folder is none, or holds no OWLv2, or transformers is not installed.
    """

    def __init__(
        self, folder: str | Path, *, device: str = "cpu", threshold: float = THRESHOLD
    ) -> None:
        self.folder, self.device, self.threshold = Path(folder), device, threshold
        _check(self.folder)

    @property
    def name(self) -> str:
        """Return name and weights, as printed beside its numbers."""
        return f"owlv2@{self.weights[:12]}"

    @functools.cached_property
    def weights(self) -> str:
        """Return the SHA-256 of the network's file."""
        digest = hashlib.sha256()
        with (self.folder / "model.safetensors").open("rb") as file:
            while block := file.read(BLOCK):
                digest.update(block)
        return digest.hexdigest()

    def detect(self, image: NDArray[np.uint8], classes: Sequence[str]) -> list[Found]:
        """Return what it finds of these classes in a picture uint8 [h, w, 3], surest first."""
        scores, boxes = self._look(image, [f"a photo of a {name}" for name in classes])
        best, which = scores.max(axis=1), scores.argmax(axis=1)
        found: list[Found] = []
        for row in np.argsort(-best, kind="stable"):
            if best[row] < self.threshold:
                break
            item = Found(
                label=classes[which[row]],
                confidence=float(best[row]),
                box=tuple(float(x) for x in boxes[row]),  # type: ignore[arg-type]
            )
            if not any(_same(item, other) for other in found):
                found.append(item)
        return found

    def colours_of(self, image: NDArray[np.uint8], found: Sequence[Found]) -> list[str]:
        """Return, for each found object, the colour whose name fits its crop best."""
        return [self._colour(image, item) for item in found]

    def _colour(self, image: NDArray[np.uint8], item: Found) -> str:
        left, top, right, bottom = (round(x) for x in item.box)
        crop = image[top : max(bottom, top + 1), left : max(right, left + 1)]
        texts = [f"a photo of a {colour} {item.label}" for colour in COLOURS]
        scores, _ = self._look(crop, texts)
        return COLOURS[int(scores.max(axis=0).argmax())]

    def _look(self, image: NDArray[np.uint8], texts: Sequence[str]) -> tuple[Scores, Scores]:
        """Return scores [boxes, texts] in [0, 1], and boxes [boxes, 4] in pixels of the picture."""
        import torch

        processor, network = self._loaded
        inputs = processor(
            text=[list(texts)], images=np.ascontiguousarray(image), return_tensors="pt"
        ).to(self.device)
        with torch.inference_mode():
            outputs = network(**inputs)
        scores = outputs.logits[0].float().sigmoid().cpu().numpy()
        centres = outputs.pred_boxes[0].float().cpu().numpy()
        return scores, _in_pixels(centres, image.shape[:2])

    @functools.cached_property
    def _loaded(self) -> tuple[Any, Any]:
        from transformers import Owlv2ForObjectDetection, Owlv2Processor

        try:
            processor = Owlv2Processor.from_pretrained(self.folder, local_files_only=True)
            network = Owlv2ForObjectDetection.from_pretrained(
                self.folder, local_files_only=True, use_safetensors=True
            )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"--detector {self.folder}: cannot be loaded: {reason}") from None
        return processor, network.eval().to(self.device)


def _check(folder: Path) -> None:
    """Refuse what is no folder of OWLv2 before any work."""
    if not folder.is_dir():
        raise InputError(f"--detector {folder} is no folder")
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        kind = config.get("model_type")
    except (OSError, ValueError, AttributeError, RecursionError):
        raise InputError(f"--detector {folder}: no readable config.json") from None
    if kind != "owlv2":
        raise InputError(f"--detector {folder}: model_type is {kind!r:.40}; allowed: owlv2")
    if not (folder / "model.safetensors").is_file():
        raise InputError(f"--detector {folder}: no model.safetensors (pickles are not read)")
    try:
        import transformers  # noqa: F401
    except ImportError:
        message = "--detector needs transformers: pip install 'dalle2eval[detector]'"
        raise InputError(message) from None


def _in_pixels(boxes: Scores, shape: tuple[int, ...]) -> Scores:
    """Return corners in pixels of centres and sides in shares of the padded square.

    OWLv2 sees a picture that was padded to a square at its right and lower edge.
    """
    height, width = shape
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    corners = np.concatenate([centre - half, centre + half], axis=1) * max(height, width)
    clipped: Scores = corners.clip(0, [width, height, width, height]).astype(np.float32)
    return clipped


def _same(first: Found, second: Found) -> bool:
    """Say whether two boxes of one class are of one object."""
    if first.label != second.label:
        return False
    a, b = np.array(first.box), np.array(second.box)
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2])
    shared = float(np.prod(sides.clip(0)))
    areas = float(np.prod(a[2:] - a[:2]) + np.prod(b[2:] - b[:2]))
    return shared > SAME_OBJECT * max(areas - shared, 1e-9)
