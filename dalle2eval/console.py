"""How the command line ends: JSON alone on standard output, text for people on the other stream.

An error is one line and an exit code: 2 for what the user can put right, 12 for what must not be
compared, 1 when the tool failed. ``DALLE2EVAL_DEBUG=1`` shows where it came from.
"""

from __future__ import annotations

import errno
import functools
import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any

PASSED, FAILED, BAD_INPUT, NOT_COMPARABLE = 0, 1, 2, 12
INTERRUPTED = 130  # what typer makes of Ctrl-C


def say(text: str) -> None:
    """Write a line for people, on standard error."""
    sys.stderr.write(text + "\n")


def put_json(data: Any) -> None:
    """Write the one JSON document, on standard output."""
    sys.stdout.write(json.dumps(data, indent=1, ensure_ascii=True, allow_nan=False) + "\n")


def say_table(rows: Sequence[Sequence[Any]], head: Sequence[str]) -> None:
    """Write rows in aligned columns, numbers to the right."""
    texts = [list(head), *([str(cell) for cell in row] for row in rows)]
    widths = [max(len(row[i]) for row in texts) for i in range(len(head))]
    right = [all(isinstance(row[i], int | float) for row in rows) for i in range(len(head))]
    for row in texts:
        cells = [
            cell.rjust(width) if flush else cell.ljust(width)
            for cell, width, flush in zip(row, widths, right, strict=True)
        ]
        say("  ".join(cells).rstrip())


def say_facts(facts: Mapping[str, Any], indent: str = "") -> None:
    """Write nested facts, one a line."""
    for name, value in facts.items():
        if isinstance(value, Mapping):
            say(f"{indent}{name}:")
            say_facts(value, indent + "  ")
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            say(f"{indent}{name}: {shown}")


class InterruptedCommand(Exception):  # noqa: N818  (it is no error)
    """Somebody pressed Ctrl-C; the message says what that leaves behind."""


def interruptible(command: Callable[..., Any], leaves: str) -> Callable[..., Any]:
    """Return a command that says, when it is interrupted, what it leaves behind."""

    @functools.wraps(command)
    def telling(*arguments: Any, **options: Any) -> Any:
        try:
            return command(*arguments, **options)
        except KeyboardInterrupt:
            raise InterruptedCommand(leaves) from None

    return telling


def guard(command: Callable[[], Any]) -> int:
    """Run a command and return its exit code; whatever goes wrong becomes one line."""
    try:
        code = command()
        sys.stdout.flush()
    except KeyboardInterrupt:
        code = INTERRUPTED
    except InterruptedCommand as interruption:
        say(f"interrupted; {interruption}")
        return FAILED
    except Exception as error:
        if os.environ.get("DALLE2EVAL_DEBUG"):
            traceback.print_exc()
        return _explain(error)
    if code == INTERRUPTED:
        say("interrupted")
        return FAILED
    return code if isinstance(code, int) else PASSED


def _explain(error: Exception) -> int:
    """Say what went wrong and return the exit code."""
    if hasattr(error, "format_message"):  # the option parser's own errors
        return _explain_usage(error)
    if isinstance(error, BrokenPipeError):  # the reader of our output has left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PASSED
    code, advice = _judge(error)
    known = code != FAILED or isinstance(error, RuntimeError | OSError)
    kind = "" if known else f"{type(error).__name__}: "
    say(f"error: {kind}{_one_line(error)}{advice}")
    for line in getattr(error, "details", ()):  # such as every bad file by its name
        say(line)
    return code


def _judge(error: Exception) -> tuple[int, str]:
    """Return the exit code of an error, and what to do about it where the message does not say."""
    from dalle2eval.records import InputError, NotComparable
    from dalle2eval.store import DiskFullError

    if isinstance(error, InputError):
        return (NOT_COMPARABLE if isinstance(error, NotComparable) else BAD_INPUT), ""
    if isinstance(error, UnicodeEncodeError) and "surrogate" in error.reason:
        return BAD_INPUT, "  (an argument is not UTF-8 text)"
    if isinstance(error, DiskFullError) or getattr(error, "errno", None) == errno.ENOSPC:
        return FAILED, "; make room, and the same command with the same --out goes on"
    return FAILED, "  (DALLE2EVAL_DEBUG=1 shows where)"


def _explain_usage(error: Any) -> int:
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
    else:
        path = error.ctx.command_path if getattr(error, "ctx", None) else "dalle2eval"
        say(f"error: {_one_line(error.format_message())} ({path} --help)")
    return int(error.exit_code)


def _one_line(error: Any) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= 500 else text[:497] + "..."  # noqa: PLR2004
