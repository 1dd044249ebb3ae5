"""`gate --against REV`: run a suite on another commit and on the working tree, then the gate.

Both run in this job, on this machine, with this interpreter and its packages: only the code (and
the weights that lie in git) differ. The commit is checked out as a git worktree in a temporary
folder and put before everything else on PYTHONPATH. No second environment is made: it would need
the network, and a package that moved by itself would be blamed on the change. A commit that needs
other packages than the installed ones therefore fails, and says so.

Each side has a store of its own. Stages are addressed by a declared version, and a change that
forgot to raise it would find the other side's pictures and pass: the very change to be caught.
"""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from dalle2eval.gate.decision import Decision
from dalle2eval.gate.front import accept, check
from dalle2eval.gate.policy import Floor
from dalle2eval.records import InputError
from dalle2eval.store import check_writable


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One call of the command line: its arguments, its folder and its environment."""

    arguments: tuple[str, ...]
    cwd: Path
    environment: Mapping[str, str]


Runner = Callable[[Job], int]  # returns the exit code


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What runs on both sides: a suite, with what is chosen on top of it (``--set X=Y`` ...)."""

    suite: str
    options: tuple[str, ...] = ()


def run_job(job: Job) -> int:
    """Run `dalle2eval` in another process; what it prints goes where ours does."""
    command = [sys.executable, "-m", "dalle2eval", *job.arguments]
    done = subprocess.run(command, cwd=job.cwd, env=dict(job.environment), check=False)
    return done.returncode


def against(
    revision: str,
    head: Head,
    *,
    out: str | Path,
    repository: str | Path = ".",
    floors: Mapping[str, Floor] | None = None,
    runner: Runner = run_job,
) -> Decision:
    """Run a suite on a revision and on the working tree, and hold the second against the first.

    Args:
        revision: any name of a commit, such as ``origin/main`` or ``HEAD~1``.
        head: what to run.
        out: folder of both runs, their stores and the baseline. A side that was run before is
            continued: the runs are named by the commit and by the state of the working tree.
        repository: any folder inside the git repository.
        floors: by metric; the policy's where none is given.
        runner: runs one side.

    Raises:
        InputError: no repository or no such commit, ``out`` cannot be written, or a side failed.
        NotComparable: the two sides are not the same experiment.
    """
    root = Path(_git("rev-parse", "--show-toplevel", cwd=Path(repository)) or _no_repository())
    commit = _git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}", cwd=root)
    if commit is None or revision.startswith("-"):
        raise InputError(f'--against {revision}: no such commit in {root}; did you "git fetch" it?')
    folder = Path(out).resolve()
    check_writable(folder, "--out")
    place, now = (folder / f"base-{commit[:12]}", folder / f"head-{_state(root, folder)[:12]}")
    with _terminable():
        with _worktree(root, commit) as tree:
            _run(head, place, tree, runner=runner)
        _run(head, now, root, runner=runner)
    baseline = folder / "baseline.json"
    baseline.unlink(missing_ok=True)  # its floors would be kept
    accept(place, baseline, reason=f"{revision} at {commit[:12]}", floors=floors or {})
    return check(now, baseline)


def _state(root: Path, out: Path) -> str:
    """Return a hash of the working tree: the commit, its changes and the files not yet added.

    A run must never be continued with other code: its finished pictures would be of the old one.
    """
    others = ["."]
    if out.is_relative_to(root):
        others.append(f":(exclude){out.relative_to(root).as_posix()}")
    digest = hashlib.sha256()
    for arguments in (("rev-parse", "HEAD"), ("diff", "--binary", "HEAD")):
        digest.update(os.fsencode(_git(*arguments, cwd=root) or ""))
    added = _git("ls-files", "-z", "--others", "--exclude-standard", "--", *others, cwd=root) or ""
    for name in filter(None, added.split("\0")):
        digest.update(os.fsencode(f"{name} {_git('hash-object', '--', name, cwd=root)}"))
    return digest.hexdigest()


def _run(head: Head, folder: Path, code: Path, *, runner: Runner) -> None:
    arguments = ("run", head.suite, "--out", str(folder), "--store", f"{folder}-store")
    paths = [str(code), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    job = Job(arguments=(*arguments, *head.options), cwd=code, environment=environment)
    status = runner(job)
    if status != 0:
        raise InputError(
            f"{folder.name}: `dalle2eval {' '.join(job.arguments)}` failed with exit code {status}"
        )


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM, a cancelled job's, end the run beneath and take the worktree away."""

    def end(*_: object) -> None:
        raise SystemExit(128 + signal.SIGTERM)

    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield
        return
    before = signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def _worktree(root: Path, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dalle2eval-against-") as temporary:
        tree = Path(temporary, "tree")
        if _git("worktree", "add", "--detach", str(tree), commit, cwd=root) is None:
            raise InputError(f"{root}: git cannot check out {commit[:12]} as a worktree")
        try:
            yield tree
        finally:
            _git("worktree", "remove", "--force", str(tree), cwd=root)


def _git(*arguments: str, cwd: Path) -> str | None:
    """Return what git printed; None where it failed. No time limit: a checkout may be large."""
    command: Sequence[str] = ("git", "-C", str(cwd), *arguments)
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return None
    # Contents and names need not be UTF-8; fsencode gives their bytes back.
    return os.fsdecode(done.stdout).strip() if done.returncode == 0 else None


def _no_repository() -> str:
    raise InputError("--against needs a git repository; there is none here")
