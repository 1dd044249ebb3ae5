"""Systems under test: reference models, folders of images, diffusers, image APIs, own classes."""

from dalle2eval.models.ensemble import MODEL, Ensemble, apply_changes, is_ours
from dalle2eval.models.faults import WrongAnswer, find_faults
from dalle2eval.models.kinds import KINDS, describe_kinds, open_system
from dalle2eval.models.naming import REFERENCE, SystemName, parse_name
from dalle2eval.models.one_stage import ChecksSamples, Drawer, OneStage, Wanted

__all__ = [
    "KINDS",
    "MODEL",
    "REFERENCE",
    "ChecksSamples",
    "Drawer",
    "Ensemble",
    "OneStage",
    "SystemName",
    "Wanted",
    "WrongAnswer",
    "apply_changes",
    "describe_kinds",
    "find_faults",
    "is_ours",
    "open_system",
    "parse_name",
]
