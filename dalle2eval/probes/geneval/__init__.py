"""GenEval's six tasks, by the exact reader on scenes or by a detector on any pictures."""

from __future__ import annotations

from dalle2eval.probes.geneval.grading import GENEVAL, geneval_probe

__all__ = ["GENEVAL", "geneval_probe"]
