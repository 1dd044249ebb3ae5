"""Strengths of arms from pairwise votes with ties: Davidson's extension of Bradley and Terry.

Davidson 1970 (J. Am. Stat. Assoc. 65, Eq. 2.3): with strengths pi and a tie parameter nu,

    P(i wins) : P(j wins) : P(tie) = pi_i : pi_j : nu sqrt(pi_i pi_j).

In theta = log pi and delta = log nu it is a multinomial logit, so its likelihood is concave and has
one maximum or none; whether it has one is decided by a linear programme before the search. Errors
are those of a likelihood whose votes share voters and prompts (sandwich, `votes.two_way`).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import optimize, special

from dalle2eval.metrics.arrays import Floats
from dalle2eval.votes.ballots import FIRST_WINS, SECOND_WINS, Ballots, Codes
from dalle2eval.votes.two_way import variance_of_sum

TINY = 1e-7
TIE = 2  # place of the tie among the three alternatives


class NoMaximum(ValueError):  # noqa: N818  (it says what there is not)
    """The votes do not decide the strengths; says why."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Strengths:
    """Maximum likelihood.

    Attributes:
        theta: [m], log strengths, their sum zero.
        errors: [m], standard errors of theta, clustered by voter and prompt.
        tie: nu, 0 without ties.
        log_likelihood: at the maximum, natural logarithm.
    """

    theta: Floats
    errors: Floats
    tie: float
    log_likelihood: float


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """Votes by kind: ``designs`` [q, a, k], how each alternative's utility reads the parameters.

    ``counts`` [q, a] is how often each was chosen, ``kind`` [n] and ``choice`` [n] each vote's own.
    """

    designs: Floats
    counts: Floats
    kind: Codes
    choice: Codes


def fit(votes: Ballots, num_arms: int) -> Strengths:
    """Return the strengths that make the votes most likely; "both bad" is a tie.

    Raises:
        NoMaximum: all votes are ties, an arm never lost, or arms were never compared.
    """
    table = _tabulate(votes, num_arms)
    _check_maximum(table)
    start = np.zeros(table.designs.shape[2])
    found = optimize.minimize(  # type: ignore[call-overload]  # the stubs want tuples of floats
        lambda beta: -_log_likelihood(table, beta),
        start,
        jac=lambda beta: -_scores(table, beta).sum(axis=0),
        hess=lambda beta: _information(table, beta),
        method="trust-exact",
        tol=1e-9 * max(1, len(votes)),
    )
    beta = found.x
    # Arm 0 was held at zero in the search; the contrast puts the mean there.
    contrast = (np.eye(num_arms) - 1 / num_arms)[:, 1:]
    pulls = _scores(table, beta) @ np.linalg.inv(_information(table, beta))
    pulls = pulls[:, : num_arms - 1] @ contrast.T
    has_ties = table.designs.shape[1] > TIE
    return Strengths(
        theta=contrast @ beta[: num_arms - 1],
        errors=np.sqrt(variance_of_sum(pulls, votes.voter, votes.prompt)),
        tie=float(np.exp(beta[-1])) if has_ties else 0.0,
        log_likelihood=_log_likelihood(table, beta),
    )


def _tabulate(votes: Ballots, num_arms: int) -> _Table:
    choice = np.where(
        votes.outcome == FIRST_WINS, 0, np.where(votes.outcome == SECOND_WINS, 1, TIE)
    )
    has_ties = bool((choice == TIE).any())
    if not (choice != TIE).any():
        raise NoMaximum("every vote was a tie")
    met, kind = np.unique(np.stack([votes.first, votes.second]), axis=1, return_inverse=True)
    kind = np.asarray(kind, dtype=np.int64).reshape(-1)
    eye = np.eye(num_arms)[:, 1:]
    first, second = eye[met[0]], eye[met[1]]
    designs = np.stack([first, second, (first + second) / 2], axis=1)
    log_nu = np.zeros((*designs.shape[:2], 1))
    log_nu[:, TIE] = 1.0
    designs = np.concatenate([designs, log_nu], axis=2) if has_ties else designs[:, :TIE]
    counts = np.zeros(designs.shape[:2])
    np.add.at(counts, (kind, choice), 1.0)
    return _Table(designs, counts, kind, choice)


def _check_maximum(table: _Table) -> None:
    """Refuse where the likelihood rises for ever in some direction (Albert and Anderson 1984).

    Such a direction makes no chosen alternative less likely, against each that was not chosen.
    """
    kinds, chosen = np.nonzero(table.counts)
    gaps = (table.designs[kinds, chosen][:, None] - table.designs[kinds]).reshape(
        -1, table.designs.shape[2]
    )
    if np.linalg.matrix_rank(gaps) < gaps.shape[1]:
        raise NoMaximum("some arms were never compared, not even through others")
    found = optimize.linprog(
        -gaps.sum(axis=0), A_ub=-gaps, b_ub=np.zeros(len(gaps)), bounds=(-1, 1)
    )
    if found.fun is None or found.fun < -TINY:
        raise NoMaximum("an arm, or a group of them, never lost to the rest: its lead is unbounded")


def _log_probabilities(table: _Table, beta: Floats) -> Floats:
    utilities = table.designs @ beta
    result: Floats = utilities - special.logsumexp(utilities, axis=1, keepdims=True)
    return result


def _log_likelihood(table: _Table, beta: Floats) -> float:
    return float((table.counts * _log_probabilities(table, beta)).sum())


def _scores(table: _Table, beta: Floats) -> Floats:
    """Return each vote's gradient [n, k]: the chosen alternative's design less the mean one."""
    shares = np.exp(_log_probabilities(table, beta))
    means = np.einsum("qa,qak->qk", shares, table.designs)
    result: Floats = table.designs[table.kind, table.choice] - means[table.kind]
    return result


def _information(table: _Table, beta: Floats) -> Floats:
    """Return the observed information [k, k], which for a logit is the expected one."""
    shares = np.exp(_log_probabilities(table, beta))
    means = np.einsum("qa,qak->qk", shares, table.designs)
    apart = table.designs - means[:, None]
    weights = shares * table.counts.sum(axis=1, keepdims=True)
    result: Floats = np.einsum("qa,qak,qal->kl", weights, apart, apart)
    return result
