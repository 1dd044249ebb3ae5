"""Probes: questions to a model, each with a grader and the grader's own self-test."""

from __future__ import annotations

from dalle2eval.probes.composition import COMPOSITION
from dalle2eval.probes.geneval import GENEVAL
from dalle2eval.probes.probe import Probe
from dalle2eval.probes.text_rendering import TEXT_RENDERING

__all__ = ["PROBES", "Probe"]

PROBES: dict[str, Probe] = {probe.name: probe for probe in (COMPOSITION, GENEVAL, TEXT_RENDERING)}
