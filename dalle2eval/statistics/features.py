"""Features with the names of their images, so that nothing is compared with what it is not."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from dalle2eval.metrics.arrays import Floats, as_features
from dalle2eval.records import InputError, NotComparable, SampleKey


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Features:
    """Features of one set of images: row i belongs to keys[i].

    Attributes:
        keys: [n], all different.
        values: [n, d], float64.
        extractor: the network and its weights hash; features of two extractors are never compared.
        shares_prompts: of a reference set: whether its pictures were made for the prompts of the
            generated ones, so that equal prompt ids are one draw (`shared_prompts`).
    """

    keys: tuple[SampleKey, ...]
    values: Floats
    extractor: str
    shares_prompts: bool = False

    def __post_init__(self) -> None:
        """Refuse a table that is not one finite row per key."""
        object.__setattr__(self, "values", as_features(self.values))
        if len(self.keys) != len(self.values):
            raise InputError(f"got {len(self.values)} rows of features for {len(self.keys)} images")
        if len(set(self.keys)) != len(self.keys):
            raise InputError("features: two rows belong to one image (prompt and seed)")

    @property
    def prompts(self) -> tuple[str, ...]:
        """The prompt of each row: the clusters within which images are not independent."""
        return tuple(key.prompt_id for key in self.keys)

    def pick(self, rows: ArrayLike) -> Features:
        """Return the given rows [k], in the given order."""
        numbers = np.asarray(rows, dtype=np.intp)
        return Features(
            keys=tuple(self.keys[row] for row in numbers),
            values=self.values[numbers],
            extractor=self.extractor,
            shares_prompts=self.shares_prompts,
        )


def require_one_extractor(first: Features, second: Features) -> None:
    """Refuse features of two extractors.

    Raises:
        NotComparable: the extractors (or their weights) differ.
    """
    if first.extractor != second.extractor:
        raise NotComparable(
            f"features of {first.extractor!r} cannot be compared with those of {second.extractor!r}"
        )


def aligned(arm: Features, reference_arm: Features) -> Features:
    """Return the reference arm's features in the arm's order of keys.

    Raises:
        NotComparable: the arms differ in extractor, in number of images, or in their keys;
            distances and diversity depend on n, so that no part may be left out silently. See
            ``shared``.
    """
    require_one_extractor(arm, reference_arm)
    if len(arm.keys) != len(reference_arm.keys):
        raise NotComparable(
            f"{len(arm.keys)} images cannot be compared with {len(reference_arm.keys)}: "
            "the metric depends on n; compare the shared prompts and seeds"
        )
    rows = {key: row for row, key in enumerate(reference_arm.keys)}
    missing = [key for key in arm.keys if key not in rows]
    if missing:
        raise NotComparable(
            f"{len(missing)} images have no partner of the same prompt and seed, "
            f"first {missing[0].prompt_id!r} seed {missing[0].seed}"
        )
    return reference_arm.pick([rows[key] for key in arm.keys])


def shared(arm: Features, reference_arm: Features) -> tuple[Features, Features]:
    """Return both arms cut to the images whose prompt and seed both have, in one order.

    Raises:
        NotComparable: the extractors differ, or no image is shared.
    """
    require_one_extractor(arm, reference_arm)
    rows = {key: row for row, key in enumerate(reference_arm.keys)}
    both = [(row, rows[key]) for row, key in enumerate(arm.keys) if key in rows]
    if not both:
        raise NotComparable("the arms share no prompt and seed")
    return arm.pick([a for a, _ in both]), reference_arm.pick([b for _, b in both])
