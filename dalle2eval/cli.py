"""The command line: its commands by their names; what they do is in `dalle2eval.api`.

Text for people and progress go to standard error; ``--json`` prints one document, and nothing else,
on standard output.
"""

from __future__ import annotations

import sys

import typer

from dalle2eval.allocator import keep_freed_memory
from dalle2eval.commands import (
    comparing,
    drawing,
    gating,
    looking,
    probing,
    running,
    scoring,
    training,
    voting,
    weights,
)
from dalle2eval.console import guard, interruptible
from dalle2eval.threads import let_waiting_threads_sleep

app = typer.Typer(
    help="Evaluate and ablate text-to-image models; a complete reference DALL·E 2 is inside.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

# In the order of `--help`. A new command is a function in a file of `commands` and a row here.
COMMANDS = {
    "run": running.run,
    "plan": running.plan,
    "power": running.power,
    "sample": drawing.sample,
    "probe": probing.probe,
    "score": scoring.score,
    "report": scoring.report,
    "compare": comparing.compare,
    "train": training.train,
    "list": looking.list_,
    "describe": looking.describe,
    "doctor": looking.doctor,
}
GROUPS = {"weights": weights.weights_app, "gate": gating.gate_app, "vote": voting.vote_app}

# What Ctrl-C leaves behind.
UNCHANGED = "nothing was changed"
LEFT_BEHIND = {
    "run": "what was made is kept; the same command goes on from it",
    "score": "what was measured is kept; the same command goes on from it",
    "sample": "finished pictures are in the --out folder",
    "probe": "what was drawn is kept; the same command goes on from it",
    "train": "the same command goes on from the last checkpoint",
    **dict.fromkeys(("plan", "power", "list", "describe", "doctor"), UNCHANGED),
}

for name, command in COMMANDS.items():
    left = LEFT_BEHIND.get(name, "what was written is whole")
    app.command(name)(interruptible(command, left))
for name, group in GROUPS.items():
    app.add_typer(group, name=name)


def main() -> None:
    """Run the command line and leave with its exit code."""
    keep_freed_memory()
    let_waiting_threads_sleep()
    sys.exit(guard(lambda: app(standalone_mode=False, prog_name="dalle2eval")))
