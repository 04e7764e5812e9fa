"""Records of GC3Pie: a pickle per object, and what can be told of it without running it."""

from __future__ import annotations

from typing import Any

import xxhash

from gc3store.backend import Inert, OpenMode, StoredRecord, corrupt
from gc3store.errors import LoadError
from gc3store.gc3pie.convert import from_gc3pie
from gc3store.inspection.machine.templates import Templates
from gc3store.inspection.summary import Summary, summary
from gc3store.pickling import Source

__all__ = ["GC3PieRecord", "NoPickle", "entry_of_pickle", "fingerprint", "is_damaged"]


class NoPickle(bytes):
    """What a record has in place of a pickle: something that is not of bytes."""


def fingerprint(data: bytes) -> int:
    """Return a number that stands for the bytes of a record, in place of a revision.

    >>> fingerprint(b"one") == fingerprint(b"one") != fingerprint(b"another")
    True
    """
    return xxhash.xxh3_64_intdigest(data) >> 16 or 1


def entry_of_pickle(id_: str, data: bytes, templates: Templates | None = None) -> dict[str, Any]:
    """Return the catalogue entry of a record, damaged or not."""
    entry: dict[str, Any] = {"id": id_, "size": len(data), "revision": fingerprint(data)}
    try:
        found = _summary(id_, data, templates)
    except LoadError as error:
        entry["error"] = str(error)
        return entry
    entry["cls"] = found.cls
    if found.state is not None:
        entry["state"] = found.state
    if found.references:
        entry["references"] = found.references
    return entry


def is_damaged(data: bytes) -> bool:
    """Whether something is not the bytes of a whole pickle."""
    try:
        summary(data)
    except LoadError:
        return True
    return False


class GC3PieRecord(StoredRecord):
    """A record of GC3Pie, which is opened as it is, unless one of our own is needed.

    Parameters
    ----------
    id_ : str
        The record's ID.
    data : bytes
        The pickle.

    Raises
    ------
    CorruptRecordError
        If it cannot be told what it refers to.
    """

    __slots__ = ()

    def __init__(self, id_: str, data: bytes) -> None:
        # A string can look like a pickle, but GC3Pie would not load it.
        opener = self._converted if isinstance(data, NoPickle) else None
        super().__init__(id_, fingerprint(data), _references(id_, data), None, data, opener=opener)
        self.persistent = self.references

    def _converted(self, _: OpenMode) -> Source:
        return self.open_for_shells()

    def open(self, mode: OpenMode = "copy") -> Source:
        """Return the payload: the pickle itself; to pass it on, one of our own."""
        return self.open_for_shells() if mode == "pass" else super().open(mode)

    def open_for_shells(self) -> Source:
        """Return the payload as one of our own: its root can be an instance that was made before."""
        if isinstance(self.stream, NoPickle):
            raise _no_pickle(self.id)
        stream, _ = from_gc3pie(self.stream, id=self.id)
        return Source(stream)

    def inert(self) -> Inert:
        """Return the pickle itself: its references stand in the stream."""
        return Inert(self.stream, (), ())

    def check(self) -> None:
        """Raise `CorruptRecordError` if the pickle cannot be read to its end."""
        _summary(self.id, self.stream)


def _summary(id_: str, data: bytes, templates: Templates | None = None) -> Summary:
    if isinstance(data, NoPickle):
        raise _no_pickle(id_)
    try:
        return summary(data, templates=templates)
    except LoadError as error:
        raise corrupt(id_, str(error).rstrip(".")) from error


def _references(id_: str, data: bytes) -> tuple[str, ...]:
    if b"Q" not in data and b"P" not in data:  # the opcodes of persistent IDs
        return ()
    return _summary(id_, data).references


def _no_pickle(id_: str) -> LoadError:
    return corrupt(id_, "it holds a text or a number in place of the bytes of a pickle")
