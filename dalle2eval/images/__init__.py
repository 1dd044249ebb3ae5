"""Anyone's images: folders, zips and tars to uint8 RGB by stated rules, with their prompts."""

from dalle2eval.images.archives import Collection, open_collection
from dalle2eval.images.checking import BadFile, Checked, check_files
from dalle2eval.images.decoding import BadImage, decode
from dalle2eval.images.prompts import Item, items_for, items_without_prompts

__all__ = [
    "BadFile",
    "BadImage",
    "Checked",
    "Collection",
    "Item",
    "check_files",
    "decode",
    "items_for",
    "items_without_prompts",
    "open_collection",
]
