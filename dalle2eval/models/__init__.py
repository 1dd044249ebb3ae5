"""Systems under test: reference models, folders of images, diffusers, image APIs, own classes."""

from dalle2eval.models.faults import WrongAnswer, find_faults
from dalle2eval.models.kinds import KINDS, describe_kinds, open_system
from dalle2eval.models.naming import REFERENCE, SystemName, parse_name
from dalle2eval.models.one_stage import ChecksSamples, Drawer, OneStage, Wanted

__all__ = [
    "KINDS",
    "REFERENCE",
    "ChecksSamples",
    "Drawer",
    "OneStage",
    "SystemName",
    "Wanted",
    "WrongAnswer",
    "describe_kinds",
    "find_faults",
    "open_system",
    "parse_name",
]
