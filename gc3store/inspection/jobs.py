"""What GC3Pie's jobs say of themselves, worked out from what they hold.

In GC3Pie much of this is computed by properties of ``gc3libs.Run`` and ``gc3libs.Task``, whose
code is not at hand here:

===================================  ================================================================
``execution.returncode``             exit code and signal in one number, as ``os.wait`` has it
``job.state``                        the state
``job.outcome``                      what became of it, in a few words: ``exit code 1``, ``signal 9``
``job.failed``                       whether it terminated with anything but success
``job.exitcode``, ``job.signal``     how it ended
``job.message``                      the last entry of its history that says more than that
``job.resource``                     where it ran
``job.submitted``, ``job.started``,  when, in UTC
``job.ended``
``job.duration``                     seconds from its first state to its last
``job.time.RUNNING``                 seconds spent in a state
``job.children``                     the IDs of its tasks
``job.parents``                      the IDs of what it is a task of; only as a column
===================================  ================================================================

They are columns like others: ``store.table(columns=["temperature", "job.outcome"])``, and
``store.attributes()`` lists them.
"""

from __future__ import annotations

import signal as signals
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from functools import cache
from itertools import pairwise
from typing import Any, Final

from gc3store.inspection.shape import class_path
from gc3store.inspection.values import Inert, Reference, attributes
from gc3store.paths import MISSING, Path, evaluate

__all__ = ["JOB_RUN", "PARENTS", "RETURNCODE", "Job", "columns_of", "derived", "is_job", "span"]

#: What a column is called that is not read out of a job, but out of those that refer to it.
PARENTS: Final = "job.parents"
#: What GC3Pie has a property for.
RETURNCODE: Final = "execution.returncode"

#: Exit codes above this are not the program's: GC3Pie uses them, with a signal of its own.
_OWN_SIGNALS: Final = {
    113: "remote error",
    121: "cancelled",
    122: "output not found",
    123: "submission failed",
    124: "data staging failed",
    125: "remote kill",
}


_ROUTINE: Final = ("Transition from state", "Final output downloaded", "Submitt")


class Job:
    """A view of a GC3Pie task.

    Parameters
    ----------
    task : Inert or callable
        The task, inspected; or what returns what a path leads to in it, `MISSING` if nowhere.

    Examples
    --------
    >>> from pathlib import Path
    >>> from gc3store.inspection import read
    >>> sample = Path("tests/data/gc3pie/fs/IsingRun.26")
    >>> job = Job(read(sample.read_bytes())) if sample.exists() else None
    >>> (job.outcome, job.failed, job.resource) if job else ("exit code 1", True, "localhost")
    ('exit code 1', True, 'localhost')
    """

    def __init__(self, task: Inert | Callable[[str], Any]) -> None:
        self._look = (lambda path: evaluate(path, task)) if isinstance(task, Inert) else task

    def _get(self, name: str) -> Any:
        found = self._look(f"execution.{name}")
        return None if found is MISSING else found

    @property
    def state(self) -> str | None:
        """The state, ``TERMINATED`` for example."""
        found = self._get("state")
        return found if isinstance(found, str) else None

    @property
    def exitcode(self) -> int | None:
        """The exit code; `None` where there is none yet."""
        return _number(self._get("exitcode"))

    @property
    def signal(self) -> int | None:
        """The signal that ended it; 0 if none did."""
        return _number(self._get("signal"))

    @property
    def returncode(self) -> int | None:
        """Exit code and signal in one number, as ``os.wait`` has it."""
        if self.exitcode is None and self.signal is None:
            return None
        code, signal = self.exitcode, self.signal
        return ((code if code is not None and code >= 0 else 0xFF) & 0xFF) << 8 | (signal or 0) & 0x7F

    @property
    def failed(self) -> bool | None:
        """Whether it terminated with anything but success; `None` as long as it has not terminated."""
        if self.state != "TERMINATED":
            return None
        return self.returncode != 0

    @property
    def outcome(self) -> str | None:
        """What became of it, in a few words."""
        if self.state != "TERMINATED":
            return self.state
        if self.signal:
            if self.signal in _OWN_SIGNALS:
                return _OWN_SIGNALS[self.signal]
            try:
                return f"signal {self.signal} ({signals.Signals(self.signal).name})"
            except ValueError:
                return f"signal {self.signal}"
        if self.exitcode is None:
            return "unknown"
        return "ok" if self.exitcode == 0 else f"exit code {self.exitcode}"

    @property
    def message(self) -> str | None:
        """The last entry of its history that says more than that its state has changed."""
        found = self._get("history.messages")
        entries = found if isinstance(found, list) else ()
        texts = [entry[0] for entry in entries if isinstance(entry, (list, tuple)) and entry]
        telling = [t for t in texts if isinstance(t, str) and not t.startswith(_ROUTINE)]
        return telling[-1] if telling else None

    @property
    def resource(self) -> str | None:
        """Where it ran."""
        found = self._get("resource_name")
        return found if isinstance(found, str) else None

    @property
    def times(self) -> dict[str, float]:
        """When it entered each state, in seconds since the epoch."""
        found = self._get("timestamp")
        if not isinstance(found, Mapping):
            return {}
        seconds = {k: _seconds(v) for k, v in found.items() if isinstance(k, str)}
        pairs = [(state, second) for state, second in seconds.items() if second is not None]
        return dict(sorted(pairs, key=lambda pair: pair[1]))

    @property
    def durations(self) -> dict[str, float]:
        """Seconds spent in each state that it has left."""
        entries = list(self.times.items())
        return {state: after - before for (state, before), (_, after) in pairwise(entries)}

    @property
    def duration(self) -> float | None:
        """Seconds from its first state to its last."""
        entries = list(self.times.values())
        return entries[-1] - entries[0] if len(entries) > 1 else None

    @property
    def submitted(self) -> datetime | None:
        """When it was submitted, in UTC."""
        return self._moment("SUBMITTED")

    @property
    def started(self) -> datetime | None:
        """When it began to run, in UTC."""
        return self._moment("RUNNING")

    @property
    def ended(self) -> datetime | None:
        """When it terminated, in UTC."""
        return self._moment("TERMINATED")

    def _moment(self, state: str) -> datetime | None:
        seconds = self.times.get(state)
        try:
            return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
        except (ValueError, OverflowError, OSError):
            return None

    @property
    def children(self) -> list[str]:
        """The IDs of its tasks, where it is a collection of tasks."""
        tasks = self._look("tasks")
        return [task.id for task in tasks if isinstance(task, Reference)] if isinstance(tasks, list) else []


def is_job(value: Any) -> bool:
    """Whether an inert value is a GC3Pie task: an object with an ``execution`` that is a ``gc3libs.Run``."""
    return isinstance(value, Inert) and class_path(attributes(value).get("execution")) == JOB_RUN


#: The class of what a task has for its ``execution``.
JOB_RUN: Final = "gc3libs.Run"

_FIELDS: Final = tuple(
    "state outcome failed exitcode signal returncode message resource submitted started ended duration "  # noqa: SIM905
    "children".split()
)
#: So many states of a job are columns at most; GC3Pie has nine.
_MANY_STATES: Final = 50


def columns_of(look: Callable[[str], Any]) -> Iterator[tuple[str, Any]]:
    """Yield what a job says of itself: each column with its value.

    Parameters
    ----------
    look : callable
        Returns what a path leads to in the job.
    """
    job = Job(cache(look))
    yield RETURNCODE, job.returncode
    for name in _FIELDS:
        yield f"job.{name}", getattr(job, name)
    states = [(state, seconds) for state, seconds in job.durations.items() if state.isidentifier()]
    for state, seconds in states[:_MANY_STATES]:
        yield f"job.time.{state}", seconds


def derived(look: Callable[[str], Any], path: Path) -> Any:
    """Return what a path means that GC3Pie has a property for, or this module; else `MISSING`.

    Parameters
    ----------
    look : callable
        Returns what another path leads to in the same task.
    path : Path
        The path.
    """
    names = [str(key) for sort, key in path.steps if sort == "."]
    if len(names) != len(path.steps) or len(names) < 2:
        return MISSING
    job = Job(look)
    if ".".join(names) == RETURNCODE:
        return job.returncode
    if names[0] != "job":
        return MISSING
    if len(names) == 2 and names[1] in _FIELDS:
        return getattr(job, names[1])
    if len(names) == 3 and names[1] == "time":
        return job.durations.get(names[2], MISSING)
    return MISSING


def _number(value: Any) -> int | None:
    """Return an exit code or signal, of the size that one can have."""
    return value if type(value) is int and -(1 << 63) <= value < 1 << 63 else None


def _seconds(value: Any) -> float | None:
    """Return a number of seconds that can be reckoned with."""
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not -_AEON < value < _AEON:
        return None
    return float(value)


#: Some thirty thousand years, in seconds.
_AEON: Final = 1e12


def span(seconds: float) -> str:
    """Return a time span as people write it.

    >>> span(3.14159), span(75), span(90_061)
    ('3.1 s', '1 min 15 s', '1 d 1 h')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    units = [("d", 86_400), ("h", 3600), ("min", 60), ("s", 1)]
    left, parts = round(seconds), []
    for unit, length in units:
        n, left = divmod(left, length)
        parts.append((n, unit))
    while parts[0][0] == 0:
        del parts[0]
    return " ".join(f"{n} {unit}" for n, unit in parts[:2] if n)
