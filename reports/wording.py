"""What each metric is called in a report and how it is explained; one line a metric.

"FID" is said of Inception features alone (docs/design, records); over other features the
distance is named after them. An unknown metric is shown under its own name and never dropped.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Title and one-line explanation.

    ``share`` marks a pass rate, printed in percent; ``label`` is its name under a picture.
    """

    title: str
    says: str
    share: bool = False
    label: str = ""


_PASS = {
    "composition.object": ("Right shape", "shape", "the one object asked for has its shape"),
    "composition.colour": ("Right colour", "colour", "the object asked for has its colour"),
    "composition.count": ("Right count", "count", "as many objects as asked"),
    "composition.relation": ("Right relation", "relation", "the two objects stand as asked"),
    "composition.binding": (
        "Binding",
        "binding",
        "both objects present, each in its own shape and colour",
    ),
    "composition.readable": ("Readable", "readable", "the exact reader could read the picture"),
    "geneval.single_object": ("Single object", "object", "the object is there"),
    "geneval.two_objects": ("Two objects", "objects", "both are there, in whatever colours"),
    "geneval.counting": ("Counting", "count", "exactly so many of the object are there"),
    "geneval.colours": ("Colours", "colour", "the object is there in its colour"),
    "geneval.position": ("Position", "position", "both objects are there and stand as asked"),
    "geneval.colour_attribution": (
        "Colour attribution",
        "attribution",
        "both objects are there, each in its own colour",
    ),
    "geneval.binding": ("Binding of attributes", "binding", "both are there as described"),
    "text.exact": ("Word exact", "OCR", "OCR reads exactly the word asked for"),
    "text.reader_exact": (
        "Word exact (reader)",
        "reader",
        "the scene reader reads exactly the word asked for",
    ),
}
_NAMED = {
    "fid": ("FID", "Fréchet distance to real images over Inception features"),
    "clip_score": ("CLIP score", "agreement of picture and prompt, by a judge CLIP"),
    "diversity_within_prompt": ("Diversity in a prompt", "mean distance of one prompt's pictures"),
    "text.cer": ("Character errors", "share of letters that OCR reads wrongly"),
    "text.ned": ("Letter likeness", "1 minus the normalised edit distance of the word read"),
}
_FAMILIES = {
    "fd_": ("Fréchet distance", "distance to real images over {} features"),
    "kid_": ("KID", "unbiased kernel distance to real images over {} features"),
    "precision_": ("Precision", "generated images that lie among real ones, by {} features"),
    "recall_": ("Recall", "real images that lie among the generated ones, by {} features"),
    "density_": ("Density", "real neighbourhoods around a generated image, by {} features"),
    "coverage_": ("Coverage", "real images with a generated one beside them, by {} features"),
    "vendi_": ("Vendi score", "effective number of different pictures over {} features"),
}
PROBES = {
    "composition": "Composition",
    "geneval": "GenEval's tasks",
    "text": "Text rendering",
}


def wording(metric: str) -> Wording:
    """Return how to speak of a metric."""
    if metric in _PASS:
        title, label, says = _PASS[metric]
        return Wording(title=title, says=says, share=True, label=label)
    if metric in _NAMED:
        title, says = _NAMED[metric]
        return Wording(title=title, says=says)
    for prefix, (title, says) in _FAMILIES.items():
        if metric.startswith(prefix):
            return Wording(title=title, says=says.format(metric.removeprefix(prefix)))
    return Wording(title=metric, says="")


def probe_of(metric: str) -> str | None:
    """Return the probe of a metric such as ``text.exact``; None for a metric of images."""
    return metric.split(".", 1)[0] if "." in metric else None


def direction(higher_is_better: bool | None) -> str:  # noqa: FBT001 - the field of Estimate itself
    """Return which way is good, in words with an arrow."""
    if higher_is_better is None:
        return "no good direction"
    return "↑ higher is better" if higher_is_better else "↓ lower is better"
