"""In words: what a run leaves out or changes of the suite as it was written.

``--arm``, ``--limit``, ``--seed``, ``--scale`` and ``--set`` make a run cheaper or other than its
suite. Its numbers are right, but they are not the suite's, and a reader of the report must be told.
"""

from __future__ import annotations

from ablations.checking import at
from ablations.loading import AS_WRITTEN, LoadedSuite
from ablations.resolving import Choice, PromptLoader, arm_names, is_scored
from dalle2eval.records import Plan


def departures(
    loaded: LoadedSuite, plan: Plan, choice: Choice, load_prompts: PromptLoader
) -> tuple[str, ...]:
    """Return a sentence for each way in which a run is not its suite; empty for the whole suite.

    Args:
        loaded: the suite with its overrides.
        plan: what is run of it.
        choice: from the command line.
        load_prompts: finds n prompts of a set.
    """
    found = (
        _scale(loaded),
        _arms(loaded, plan),
        _prompts(loaded, plan, load_prompts),
        _seed(loaded, choice),
        _fields(loaded),
    )
    return tuple(sentence for sentence in found if sentence)


def _scale(loaded: LoadedSuite) -> str:
    if loaded.scale == AS_WRITTEN:
        return ""
    return f"Changed run: scale {loaded.scale}; as it is written, the suite is {AS_WRITTEN}."


def _arms(loaded: LoadedSuite, plan: Plan) -> str:
    run, names = {arm.name for arm in plan.arms}, arm_names(loaded.suite)
    missing = [name for name in names if name not in run]
    if not missing:
        return ""
    kept = ", ".join(name for name in names if name in run)
    return (
        f"Partial run: {len(run)} of the suite's {len(names)} arms ({kept}); "
        f"left out: {', '.join(missing)}."
    )


def _prompts(loaded: LoadedSuite, plan: Plan, load_prompts: PromptLoader) -> str:
    wanted = loaded.suite.prompts
    with at(loaded, ("prompts", "n")):
        whole = wanted.n or len(load_prompts(wanted.source, None))
    scored = sum(is_scored(prompt) for prompt in plan.prompts)
    if scored >= whole:
        return ""
    return f"Partial run: {scored} of the suite's {whole} scored prompts in each arm."


def _seed(loaded: LoadedSuite, choice: Choice) -> str:
    if choice.seed is None or choice.seed == loaded.suite.seed:
        return ""
    return f"Changed run: the first seed is {choice.seed}; the suite says {loaded.suite.seed}."


def _fields(loaded: LoadedSuite) -> str:
    if not loaded.overrides:
        return ""
    told = "; ".join(
        f"{change.path} is {change.value} ({change.instead_of})" for change in loaded.overrides
    )
    return f"Changed run: {told}."
