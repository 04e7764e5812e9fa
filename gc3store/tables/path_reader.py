"""What paths lead to in payloads, read without the classes that they name.

A path may lead on into other records, by way of references. Those are read in batches as well,
each of them once for all the records of a batch that refer to it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from gc3store.backend import Inert
from gc3store.errors import LoadError, ObjectNotFoundError
from gc3store.inspection.jobs import JOB_RUN, derived
from gc3store.inspection.machine.names import callee
from gc3store.inspection.machine.nodes import CALL, PERSISTENT
from gc3store.inspection.machine.templates import LargePartError, TemplateMatch, Templates
from gc3store.inspection.raw_tree import RawTree, raw_class
from gc3store.inspection.reader import ValueReader, persistent_text
from gc3store.inspection.values import Reference
from gc3store.paths import MISSING, Path, evaluate, parse
from gc3store.support.batching import Batches
from gc3store.support.progress import Progress
from gc3store.tables.cell_values import GONE, Found
from gc3store.tables.source import TableSource

__all__ = ["Probe", "Row", "probes", "read_rows"]

#: A path leads through at most so many other records.
_HOPS: Final = 16

_EXECUTION: Final = parse("execution").steps


@dataclass(frozen=True, slots=True)
class _Elsewhere:
    """The rest of a path, to be looked for in another record."""

    id: str
    path: Path


class Probe:
    """Reads paths out of one payload; converts only what they lead to.

    Attributes
    ----------
    strayed : list of str
        The IDs of other records that had to be read on the way.
    """

    def __init__(self, store: TableSource, id_: str, payload: Inert, match: TemplateMatch) -> None:
        self._store = store
        self._id = id_
        self._payload = payload
        self._match = match
        self._converted: dict[int, Any] = {}  # by what the form has in the place, which lives as long
        self._reader: ValueReader | None = None
        self.strayed: list[str] = []

    @property
    def form(self) -> RawTree:
        """What the whole is, with nothing converted; the same for similar payloads."""
        return self._match.form

    @property
    def size(self) -> int:
        """Bytes of the payload."""
        return len(self._payload.stream) + sum(memoryview(b).nbytes for b in self._payload.buffers)

    def constant(self, raw: Any) -> Any:
        """Return what a part of the form is, with nothing converted but the constant that it may stand for."""
        return self._match.constant(raw)

    def filled(self, raw: Any) -> Any:
        """Return a part of the form with its constants; `LargePartError` if it is large."""
        return self._match.filled(raw)

    def get(self, path: Path) -> Any:
        """Return what a path leads to, converted; `MISSING` if it leads nowhere.

        Raises
        ------
        LoadError
            If what it leads to, in this record or another, cannot be read.
        """
        found = self.look(path)
        if type(found) is _Elsewhere:
            self.strayed.append(found.id)
            try:
                return evaluate(found.path, self._store.inspect(found.id))
            except ObjectNotFoundError:
                return MISSING
        return found

    def onward(self, path: Path) -> tuple[str, Path] | None:
        """Return the record that a path leads on into, and the rest of it; `None` if it ends in this one."""
        found = self.look(path)
        return (found.id, found.path) if type(found) is _Elsewhere else None

    def look(self, path: Path) -> Any:
        """Return what a path leads to, as `get` does; an `_Elsewhere` if it leads on into another record."""
        try:
            return self._look(path)
        except LargePartError:
            self._match = self._match.whole()
            self._converted.clear()
            return self._look(path)

    def _look(self, path: Path) -> Any:
        raw, taken, more = self._match.form.find(path.steps)
        if taken == len(path.steps):
            return self.value(raw)
        if more:
            rest = Path(path.text, path.steps[taken:])
            target = self._reference(raw)
            if target is not None:
                return _Elsewhere(target, rest)
            found = evaluate(rest, self.value(raw))
            if found is not MISSING:
                return found
        return derived(lambda text: self.get(parse(text)), path) if self.is_job else MISSING

    @property
    def is_job(self) -> bool:
        """Whether it is a task of GC3Pie."""
        raw, taken, _ = self._match.form.find(_EXECUTION)
        return taken == 1 and raw_class(raw) == JOB_RUN

    def _reference(self, raw: Any) -> str | None:
        """Return the ID of the record that a part of the form is a reference to."""
        if type(raw) is not list or len(raw) != 3:
            return None
        if raw[2] == PERSISTENT:
            return persistent_text(raw[0])
        if raw[2] == CALL and callee(raw[0]) == "gc3store.persistable.reference":
            found = self.value(raw)
            return found.id if isinstance(found, Reference) else None
        return None

    def value(self, raw: Any) -> Any:
        """Return what a part of the form means."""
        raw = self._match.constant(raw)
        if type(raw) is not list and type(raw) is not tuple:
            return raw
        found = self._converted.get(id(raw), MISSING)
        if found is MISSING:
            filled = self._match.filled(raw)
            if type(filled) is list or type(filled) is tuple:
                filled = self._made_reader().read(filled)
            found = self._converted[id(raw)] = filled
        return found

    def _made_reader(self) -> ValueReader:
        if self._reader is None:
            references = self._payload.references
            if references is None:
                record = self._store.backend.entry(self._id)
                references = () if record is None else tuple(record.references)
            store, strayed = self._store, self.strayed

            def follow(id_: str) -> Any:
                strayed.append(id_)
                return store.inspect(id_)

            self._reader = ValueReader(references, follow, size=len(self._payload.stream))
        return self._reader


def probes(
    store: TableSource, ids: Sequence[str], *, show: bool = True
) -> Iterator[tuple[str, Probe | None]]:
    """Yield each record, opened up; `None` for one that cannot be read."""
    templates = Templates()
    with Progress("looking inside", total=len(ids), show=show) as bar:
        batches = Batches(ids)
        for batch in batches:
            size = 0
            for id_, probe in _opened(store, batch, templates):
                size += probe.size if probe is not None else 0
                yield id_, probe
                bar.done()
            batches.report_size(size)


def _opened(
    store: TableSource, ids: Sequence[str], templates: Templates
) -> Iterator[tuple[str, Probe | None]]:
    for id_, payload in _payloads(store, ids):
        probe = None
        if payload is not None:
            try:
                match = templates.read(payload.stream, payload.buffers)
                probe = Probe(store, id_, payload, match)
            except LoadError:
                pass
        yield id_, probe


def _payloads(store: TableSource, ids: Sequence[str]) -> Iterator[tuple[str, Inert | None]]:
    left = dict.fromkeys(ids)
    try:
        for id_, payload in _inert(store, ids):
            del left[id_]
            yield id_, payload
    except LoadError:  # one of them is damaged; the others are not
        for id_ in left:
            try:
                yield from _inert(store, [id_])
            except LoadError:
                yield id_, None


def _inert(store: TableSource, ids: Sequence[str]) -> Iterator[tuple[str, Inert]]:
    return ((stored.id, stored.inert()) for stored in store.backend.read(ids))


@dataclass(slots=True)
class Row:
    """What was read of a record.

    Attributes
    ----------
    id : str
        Its ID.
    values : list
        What each path leads to: a value, `MISSING`, or `Found` where it was by way of other records.
    sound : bool
        Whether the record could be read.
    """

    id: str
    values: list[Any]
    sound: bool = True


def read_rows(
    store: TableSource,
    ids: Sequence[str],
    paths: Sequence[Path],
    current: Callable[[Iterable[str]], Mapping[str, str]],
) -> Iterator[Row]:
    """Read what paths lead to out of records.

    Parameters
    ----------
    store : TableSource
        The store.
    ids : sequence of str
        The records. Those that were removed meanwhile are as if they were empty.
    paths : sequence of Path
        The paths.
    current : callable
        Returns the stamps that records have now.
    """
    templates = Templates()
    with Progress("looking inside", total=len(ids)) as bar:
        batches = Batches(ids)
        for batch in batches:
            rows = {id_: Row(id_, [MISSING] * len(paths)) for id_ in batch}
            further: list[tuple[str, _Question]] = []
            size = 0
            for id_, probe in _opened(store, batch, templates):
                row = rows[id_]
                if probe is None:
                    row.sound = False
                    continue
                size += probe.size
                row.values = [_seen(probe, path) for path in paths]
                for at, found in enumerate(row.values):
                    if type(found) is _Elsewhere:
                        further.append((found.id, _Question(row, at, found.path)))
                if probe.strayed:
                    for at, found in enumerate(row.values):
                        row.values[at] = Found(found, _changing(probe))
            batches.report_size(size)
            for _ in range(_HOPS):
                if not further:
                    break
                # Before they are read: if one changes meanwhile, it has another stamp next time.
                stamps = current({id_ for id_, _ in further})
                asked: dict[str, list[_Question]] = {}
                for id_, question in further:
                    question.way += ((id_, stamps.get(id_, GONE)),)
                    question.answer(MISSING)
                    asked.setdefault(id_, []).append(question)
                further = _answered(store, asked, templates)
            bar.done(len(batch))
            yield from rows.values()


@dataclass(slots=True)
class _Question:
    """The rest of the path of a cell, to be looked for in another record, and the way there."""

    row: Row
    at: int
    path: Path
    way: tuple[tuple[str, str], ...] = ()

    def answer(self, value: Any) -> None:
        self.row.values[self.at] = Found(value, self.way)


def _answered(
    store: TableSource, asked: dict[str, list[_Question]], templates: Templates
) -> list[tuple[str, _Question]]:
    """Answer questions, by the record to look in; return those that lead on, with where to."""
    further: list[tuple[str, _Question]] = []
    batches = Batches(asked)
    for batch in batches:
        size = 0
        for id_, probe in _opened(store, batch, templates):
            if probe is None:
                continue
            size += probe.size
            for question in asked[id_]:
                found = _seen(probe, question.path)
                if type(found) is _Elsewhere:
                    question.path = found.path
                    further.append((found.id, question))
                else:
                    question.way += _changing(probe)
                    question.answer(found)
        batches.report_size(size)
    return further


def _seen(probe: Probe, path: Path) -> Any:
    try:
        return probe.look(path)
    except (LoadError, RecursionError):
        return MISSING


def _changing(probe: Probe) -> tuple[tuple[str, str], ...]:
    # What was read on the side has no stamp, and so counts as changed each time.
    return tuple((id_, "") for id_ in probe.strayed)
