"""What votes say: strengths, win rates, agreement, against closed forms, brute force and peers."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import optimize

from dalle2eval.votes.agreement import agreement, krippendorff_alpha
from dalle2eval.votes.ballots import BOTH_BAD, FIRST_WINS, SECOND_WINS, TIED, Ballots
from dalle2eval.votes.bradley_terry import NoMaximum, fit
from dalle2eval.votes.two_way import variance_of_sum
from dalle2eval.votes.win_rates import clustered_share_interval, win_rates

NONE = -1


def a_ballot(rows, *, voters=4, prompts=10) -> Ballots:
    """Make ballots of (first, second, outcome) rows, voters and prompts dealt in turn."""
    first, second, outcome = (np.array(column) for column in zip(*rows, strict=True))
    n = np.arange(len(rows))
    return Ballots(
        first=first, second=second, outcome=outcome, voter=n % voters, prompt=n % prompts,
        pair=n % prompts, left_chosen=np.full(len(rows), NONE),
    )  # fmt: skip


def random_rows(num, arms, seed, *, ties=0.5, spread=1.0):
    """Draw votes of Davidson's model with known strengths."""
    rng, rows = np.random.default_rng(seed), []
    theta = np.linspace(-spread, spread, arms)
    for _ in range(num):
        i, j = rng.choice(arms, 2, replace=False)
        weights = np.exp(
            [theta[i], theta[j], np.log(max(ties, 1e-300)) + (theta[i] + theta[j]) / 2]
        )
        rows.append((i, j, rng.choice([FIRST_WINS, SECOND_WINS, TIED], p=weights / weights.sum())))
    return rows, theta - theta.mean()


def test_two_arms_have_davidsons_closed_form():
    # pi_1 / pi_2 = wins / losses, nu = ties / sqrt(wins losses) (Davidson 1970, m = 2)
    rows = [(0, 1, FIRST_WINS)] * 12 + [(1, 0, FIRST_WINS)] * 3 + [(0, 1, TIED)] * 9
    found = fit(a_ballot(rows), 2)
    assert np.exp(found.theta[0] - found.theta[1]) == pytest.approx(4.0, rel=1e-6)
    assert found.tie == pytest.approx(9 / 6, rel=1e-6)


def test_slots_do_not_matter_only_who_won():
    rows, _ = random_rows(200, 3, 1)
    other = {FIRST_WINS: SECOND_WINS, SECOND_WINS: FIRST_WINS, TIED: BOTH_BAD}
    turned = [(j, i, other[outcome]) for i, j, outcome in rows]
    assert fit(a_ballot(rows), 3).theta == pytest.approx(fit(a_ballot(turned), 3).theta, abs=1e-7)


def test_without_ties_it_is_bradley_terry_as_choix_fits_it():
    choix = pytest.importorskip("choix")
    rows, _ = random_rows(300, 4, 2, ties=0.0)
    wins = [(i, j) if outcome == FIRST_WINS else (j, i) for i, j, outcome in rows]
    ours = fit(a_ballot(rows), 4)
    assert ours.theta == pytest.approx(choix.ilsr_pairwise(4, wins), abs=1e-6)
    assert ours.tie == 0.0


def test_maximum_with_ties_is_that_of_a_likelihood_written_out_vote_by_vote():
    rows, _ = random_rows(250, 4, 3)

    def minus_log_likelihood(free):
        pi, nu = np.exp([0.0, *free[:3]]), np.exp(free[3])
        total = 0.0
        for i, j, outcome in rows:
            tie = nu * np.sqrt(pi[i] * pi[j])
            total -= np.log([pi[i], pi[j], tie][outcome] / (pi[i] + pi[j] + tie))
        return total

    brute = optimize.minimize(
        minus_log_likelihood, np.zeros(4), method="Nelder-Mead",
        options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 4000, "maxfev": 4000},
    )  # fmt: skip
    theta = np.array([0.0, *brute.x[:3]])
    found = fit(a_ballot(rows), 4)
    assert found.log_likelihood >= -brute.fun - 1e-9
    assert found.theta == pytest.approx(theta - theta.mean(), abs=1e-4)
    assert found.tie == pytest.approx(np.exp(brute.x[3]), abs=1e-4)


def test_errors_are_the_spread_of_the_strengths_over_new_votes():
    fits = [fit(a_ballot(random_rows(300, 3, seed)[0], voters=300, prompts=299), 3)
            for seed in range(100, 160)]  # fmt: skip
    spread = np.std([found.theta for found in fits], axis=0)
    errors = np.sqrt(np.mean([found.errors**2 for found in fits], axis=0))
    assert errors == pytest.approx(spread, rel=0.3)


def test_errors_are_positive_where_the_three_terms_cancel():
    # Voters and prompts that balance each other exactly leave less than nothing of the three terms.
    voter, prompt = np.arange(16) // 4, np.arange(16) % 4
    parts = np.where((voter + prompt) % 2 == 0, 1.0, -1.0)[:, None]
    assert variance_of_sum(parts, voter, prompt)[0] > 0
    for seed in range(20):
        ballot = a_ballot(random_rows(60, 3, seed)[0], voters=5, prompts=12)
        assert (fit(ballot, 3).errors > 0).all()


@pytest.mark.parametrize(
    ("rows", "arms", "why"),
    [
        ([(0, 1, FIRST_WINS)] * 5, 2, "unbounded"),
        ([(0, 1, FIRST_WINS)] * 5 + [(0, 1, TIED)] * 5, 2, "unbounded"),
        ([(0, 1, TIED)] * 5, 2, "tie"),
        ([(0, 1, 0), (0, 1, 1), (2, 3, 0), (2, 3, 1), (0, 1, 2)], 4, "never compared"),
    ],
)
def test_strengths_without_a_maximum_are_refused_with_the_reason(rows, arms, why):
    with pytest.raises(NoMaximum, match=why):
        fit(a_ballot(rows), arms)


def test_ties_alone_can_hold_a_third_arm_in_place():
    # Arm 2 never beats anyone, but ties pin it once wins of 0 and 1 pin the tie parameter.
    rows = [(0, 1, FIRST_WINS), (0, 1, SECOND_WINS), (0, 1, TIED), (1, 2, FIRST_WINS), (0, 2, TIED)]
    assert np.isfinite(fit(a_ballot(rows * 3), 3).theta).all()


def test_win_rate_counts_a_tie_and_both_bad_as_half_and_follows_the_arm_not_the_slot():
    rows = [(0, 1, FIRST_WINS)] * 4 + [(1, 0, SECOND_WINS)] * 2 + [(1, 0, FIRST_WINS)] * 2
    rows += [(0, 1, TIED), (1, 0, BOTH_BAD)]
    (rate,) = win_rates(a_ballot(rows), 2, "win_rate.caption")
    assert (rate.wins, rate.losses, rate.ties, rate.bad) == (6, 2, 2, 1)
    assert rate.estimate.value == pytest.approx(0.7)
    assert rate.estimate.low < 0.7 < rate.estimate.high


def test_one_voter_is_told_as_such_and_one_prompt_is_unknown():
    rows = [(0, 1, FIRST_WINS), (0, 1, SECOND_WINS), (0, 1, FIRST_WINS)]
    (rate,) = win_rates(a_ballot(rows, voters=1), 2, "w")
    assert "one voter" in rate.estimate.note
    (rate,) = win_rates(a_ballot(rows, prompts=1), 2, "w")
    assert rate.estimate.value is None
    assert "one prompt" in rate.estimate.reason


def test_interval_covers_new_voters_and_new_prompts_where_a_plain_one_does_not():
    rng, truth, covered, plain = np.random.default_rng(5), 0.5, 0, 0
    voters, prompts, repeats = 12, 25, 300
    voter, prompt = (grid.ravel() for grid in np.meshgrid(range(voters), range(prompts)))
    for _ in range(repeats):
        taste, ease = rng.normal(0, 1, voters), rng.normal(0, 1, prompts)
        votes = (taste[voter] + ease[prompt] + rng.logistic(size=len(voter)) > 0).astype(float)
        interval = clustered_share_interval(votes, voter, prompt)
        covered += interval.low <= truth <= interval.high
        half = 1.96 * np.sqrt(votes.mean() * (1 - votes.mean()) / len(votes))
        plain += abs(votes.mean() - truth) <= half
    assert covered / repeats >= 0.92
    assert plain / repeats < 0.6


def test_unanimous_votes_of_few_people_do_not_make_certainty():
    interval = clustered_share_interval(np.ones(30), np.arange(30) % 3, np.arange(30) % 10)
    assert interval.low < 0.5
    assert interval.high == 1.0


# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", section C: four observers, twelve
# units, nominal alpha 0.743; 0 stands for no answer.
OBSERVERS = np.array([
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
])  # fmt: skip


def counts_of(observers, answers):
    return np.array([[(unit == answer).sum() for answer in answers] for unit in observers.T])


def test_alpha_of_the_published_example():
    assert krippendorff_alpha(counts_of(OBSERVERS, range(1, 6))) == pytest.approx(0.743, abs=5e-4)


def test_alpha_agrees_with_the_krippendorff_library():
    library = pytest.importorskip("krippendorff")
    rng = np.random.default_rng(7)
    observers = rng.integers(0, 5, size=(6, 40))
    observers[:, :20] = observers[0, :20]
    theirs = library.alpha(
        value_counts=counts_of(observers, range(1, 5)), level_of_measurement="nominal"
    )
    assert krippendorff_alpha(counts_of(observers, range(1, 5))) == pytest.approx(theirs)


def test_agreement_is_one_when_all_agree_and_unknown_when_nobody_shares_a_pair():
    rows = [(0, 1, outcome) for outcome in (FIRST_WINS, SECOND_WINS, TIED) for _ in range(4)]
    n = np.arange(12)
    same = Ballots(
        first=n * 0, second=n * 0 + 1, outcome=np.array([row[2] for row in rows]), voter=n % 4,
        prompt=n // 4, pair=n // 4, left_chosen=n * 0,
    )  # fmt: skip
    found = agreement(same)
    assert (found.value, found.n) == (1.0, 12)
    assert found.low <= 1.0 <= found.high
    alone = agreement(a_ballot(rows, voters=12, prompts=12))
    assert alone.value is None
    assert "two voters" in alone.reason
