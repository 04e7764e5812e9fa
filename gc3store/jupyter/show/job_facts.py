"""What is in an object, and what became of a job, read without running any of its code."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

from gc3store.inspection.jobs import Job, is_job, span
from gc3store.inspection.text import text
from gc3store.inspection.values import Inert, attributes
from gc3store.support.text import shorten

if TYPE_CHECKING:
    from gc3store.store import Store

__all__ = ["facts", "lines"]


def facts(store: Store, id_: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield what a job says of itself, by title; nothing for an object that is not a job.

    Parameters
    ----------
    store : Store
        Where it is.
    id_ : str
        Its ID.
    value : Any
        The job, inspected.
    """
    if not is_job(value):
        return
    job = Job(value)
    found: list[tuple[str, Any]] = [
        ("State", job.state),
        ("Outcome", job.outcome if job.outcome != job.state else None),
        ("Exit code", job.exitcode),
        ("Signal", job.signal or None),
        ("Said", job.message),
        ("Ran on", job.resource),
        ("Submitted", job.submitted),
        ("Started", job.started),
        ("Ended", job.ended),
        ("Duration", None if job.duration is None else span(job.duration)),
        ("In states", ", ".join(f"{state} {span(s)}" for state, s in job.durations.items())),
        ("Children", _ids(job.children)),
        ("Parents", _ids(store.referrers(id_)) if store.offers("referrers") else None),
    ]
    for title, fact in found:
        if isinstance(fact, datetime):
            fact = f"{fact:%Y-%m-%d %H:%M:%S} UTC"
        if fact not in (None, ""):
            yield title, str(fact)


def lines(value: Any, *, most: int = 60, width: int = 200) -> Iterator[str]:
    """Yield an inspected object as lines of text: its attributes or items, else itself."""
    found: Iterator[tuple[str, Any]]
    if isinstance(value, Inert) and (inside := attributes(value)):
        found, count = ((str(name), item) for name, item in inside.items()), len(inside)
    elif isinstance(value, dict):
        found, count = ((_short(key, 60), item) for key, item in value.items()), len(value)
    else:
        yield _short(value, most * width)
        return
    for name, item in itertools.islice(found, most):
        yield f"{name} = {_short(item, width)}"
    if count > most:
        yield f"… and {count - most:,} more"


def _short(value: Any, width: int) -> str:
    return shorten(text(value, limit=width), width)


def _ids(ids: list[str], most: int = 10) -> str:
    more = f" and {len(ids) - most:,} more" if len(ids) > most else ""
    return ", ".join(ids[:most]) + more
