"""Probes with a procedure of their own, and those that judge single pictures, by name."""

from __future__ import annotations

from dalle2eval.probes.studies.binding import BINDING
from dalle2eval.probes.studies.diversity import DIVERSITY
from dalle2eval.probes.studies.graded import COMPOSITION_STUDY, GENEVAL_STUDY
from dalle2eval.probes.studies.hidden_vocabulary import HIDDEN_VOCABULARY
from dalle2eval.probes.studies.prior_agreement import PRIOR_AGREEMENT
from dalle2eval.probes.studies.text_rendering import TEXT_STUDY
from dalle2eval.probes.studies.typographic_attack import TYPOGRAPHIC_ATTACK
from dalle2eval.probes.study import Study

__all__ = ["STUDIES"]

STUDIES: dict[str, Study] = {
    study.name: study
    for study in (
        COMPOSITION_STUDY,
        GENEVAL_STUDY,
        TEXT_STUDY,
        HIDDEN_VOCABULARY,
        TYPOGRAPHIC_ATTACK,
        DIVERSITY,
        PRIOR_AGREEMENT,
        BINDING,
    )
}
