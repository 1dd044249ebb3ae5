"""Text in pictures, read by rapidocr (PP-OCR; its models lie in the wheel).

Detection works on 160 pixels: on rendered words of 256 pixels it finds as many as at full size, for
two thirds of the time.
"""

from __future__ import annotations

import functools
import importlib.metadata
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

OCR_SIZE = 256  # pixels: smaller pictures are enlarged to it
DETECTION_SIDE = 160  # pixels


def read_text(image: NDArray[np.uint8]) -> str:
    """Return the text in a picture uint8 [h, w, 3], top to bottom; empty when there is none."""
    lines = _engine()(np.ascontiguousarray(enlarged(image)[..., ::-1]))  # RGB => BGR
    return " ".join(lines.txts or ())


def enlarged(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a picture of at least `OCR_SIZE` pixels a side, by Lanczos where it was smaller."""
    if min(image.shape[:2]) >= OCR_SIZE:
        return image
    large = Image.fromarray(image).resize((OCR_SIZE, OCR_SIZE), Image.Resampling.LANCZOS)
    return np.asarray(large)


def ocr_version() -> str:
    """Return the reader's name and version, as printed beside its numbers."""
    return f"rapidocr {importlib.metadata.version('rapidocr')}"


@functools.cache
def _engine() -> Any:
    from rapidocr import RapidOCR

    return RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.use_cls": False,
            "Det.limit_side_len": DETECTION_SIDE,
            "Det.limit_type": "max",
            "EngineConfig.onnxruntime.intra_op_num_threads": 1,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
        }
    )
