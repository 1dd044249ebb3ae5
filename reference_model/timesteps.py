"""Which of the T timesteps a sampler visits, from the noisiest down.

A sampler takes ``steps`` as a number (then `trailing`) or as the timesteps themselves, so that any
spacing of the literature is one function here and no sampler knows about it.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

Steps = int | Sequence[int]


def trailing(num_timesteps: int, steps: int) -> list[int]:
    """Return ``steps`` timesteps from T-1 downwards, evenly spaced from the noisy end.

    The first is always T-1 (pure noise) and there are exactly as many as asked for; the sampler's
    last move goes from the last of them to x0 (Lin et al. 2023, arXiv 2305.08891, "trailing").

    Raises:
        ValueError: steps is not between 1 and num_timesteps.
    """
    _check(num_timesteps, steps)
    return [round(num_timesteps * (1 - k / steps)) - 1 for k in range(steps)]


def shift_position(u: Any, shift: float) -> Any:
    """Return where a position u in [0, 1] of the chain goes (Esser et al. 2024, Eq. 23).

    A shift over 1 moves it towards the noisy end (arXiv 2403.03206).

    Args:
        u: a number, or an array or tensor of any shape; 1 is pure noise.
        shift: 1 changes nothing.
    """
    return shift * u / (1 + (shift - 1) * u)


def shifted(num_timesteps: int, steps: int, shift: float) -> list[int]:
    """Return `trailing` timesteps moved towards the noisy end (shift over 1), or away from it.

    Where things are and how many there are is decided while a picture is
    nearly all noise, and even spacing gives that few steps.

    Raises:
        ValueError: steps is not between 1 and num_timesteps, or two of them fall on one timestep.
    """
    even = [(t + 1) / num_timesteps for t in trailing(num_timesteps, steps)]
    moved = [round(num_timesteps * shift_position(u, shift)) - 1 for u in even]
    if len(set(moved)) < steps or moved[-1] < 0:
        raise ValueError(f"{steps} steps shifted by {shift:g} meet in {num_timesteps} timesteps")
    return moved


def strided(num_timesteps: int, steps: int) -> list[int]:
    """Return ``steps`` timesteps evenly spaced from T-1 to 0, both included.

    This is the paper's spacing, taken from Nichol & Dhariwal 2021 (arXiv 2102.09672, §4: "K evenly
    spaced real numbers between 1 and T, rounded to the nearest integer"); Karlo samples with it.

    Raises:
        ValueError: steps is not between 1 and num_timesteps.
    """
    return sections(num_timesteps, [steps])


def sections(num_timesteps: int, counts: Sequence[int]) -> list[int]:
    """Return timesteps strided within equal sections of the chain, the least noisy section first.

    GLIDE's upsampler visits ``[10, 10, 3, 2, 2]`` of five sections (its "fast27"). One section of
    one step is T-1 alone.

    Raises:
        ValueError: a count is not between 1 and the length of its section.
    """
    length, extra = divmod(num_timesteps, len(counts))
    visited, first = [], 0
    for index, count in enumerate(counts):
        size = length + (index < extra)
        _check(size, count)
        stride = (size - 1) / (count - 1) if count > 1 else 1.0
        visited += [first + round(k * stride) for k in range(count)]
        first += size
    if len(visited) == 1:
        return [num_timesteps - 1]
    return visited[::-1]


def timesteps_of(num_timesteps: int, steps: Steps) -> list[int]:
    """Return the timesteps that a sampler visits.

    Raises:
        ValueError: a number is out of range, or given timesteps do not fall strictly within the
            chain.
    """
    if isinstance(steps, int):
        return trailing(num_timesteps, steps)
    given = list(steps)
    falls = all(a > b for a, b in itertools.pairwise(given))
    if not given or not falls or given[-1] < 0 or given[0] >= num_timesteps:
        raise ValueError(
            f"timesteps are {given}; they must fall strictly, from at most {num_timesteps - 1} to "
            "at least 0"
        )
    return given


def _check(num_timesteps: int, steps: int) -> None:
    if not 1 <= steps <= num_timesteps:
        raise ValueError(f"steps is {steps}; allowed: 1 to {num_timesteps}")


SPACINGS = {"trailing": trailing, "strided": strided}
