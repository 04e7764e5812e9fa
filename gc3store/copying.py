"""Copying records from one store to another, without the classes of the objects.

A record is copied as it is: payloads hold no IDs, so only the list of references is
written anew. What was copied is noted in two places, so that an interrupted copy goes on
where it stopped: in the user's cache directory, and in the origin of each copy, where the
target keeps one.
"""

from __future__ import annotations

import json
import sqlite3
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from typing import Any

from gc3store.backend import PendingRecord
from gc3store.engine.export import read_for_export
from gc3store.engine.record_store import RecordStore
from gc3store.errors import (
    NotSupportedError,
    ObjectNotFoundError,
    SaveError,
    StoreError,
    StoreUnavailableError,
    StoreWarning,
    UsageError,
)
from gc3store.ids import MAX_PREFIX, check_id, is_id, number_of
from gc3store.store import Store
from gc3store.support import batching
from gc3store.support.batching import split_by_size
from gc3store.support.cache import CacheDatabase
from gc3store.support.forking import no_fork_during
from gc3store.support.graph import components, dependents
from gc3store.support.progress import progress as with_progress
from gc3store.support.retrying import ROUNDS
from gc3store.support.stacklevel import caller_stacklevel

__all__ = ["Copied", "copy"]

_SCHEMA = "CREATE TABLE done (source TEXT PRIMARY KEY, target TEXT, revision INTEGER)"

#: Where the origin of a copy says what it is a copy of.
_KEY = "copy_of"


@dataclass(slots=True)
class Copied:
    """What `copy` did.

    Attributes
    ----------
    ids : dict of str to str
        For each ID in the source, the ID in the target, referenced objects included.
    new : int
        How many were copied now; the others were there from an earlier copy.
    failed : dict of str to str
        What could not be copied, with the reason.
    """

    ids: dict[str, str] = field(default_factory=dict)
    new: int = 0
    failed: dict[str, str] = field(default_factory=dict)


def copy(source: Store, target: Store, ids: Iterable[str] | None = None, *, progress: bool = True) -> Copied:
    """Copy objects, and all that they refer to, from one store to another.

    Parameters
    ----------
    source, target : Store
        Any two stores of this package, those that GC3Pie wrote included.
    ids : iterable of str, optional
        What to copy; by default everything.
    progress : bool
        Whether a bar shows how far it is, if it takes long.

    Returns
    -------
    Copied
        The new IDs.

    Raises
    ------
    ObjectNotFoundError
        If one of `ids` is not in the source.
    NotSupportedError
        If one of the stores does not keep records that can be copied.

    UsageError
        If both are the same store.
    StoreUnavailableError
        If another process is copying between them.

    Warns
    -----
    StoreWarning
        If records are damaged, or refused by a target that has no place for such objects, and were
        left out. What refers to something refused is left out too; what refers to something that
        is gone or damaged refers to nothing in the target as well.

    Notes
    -----
    Nothing is unpickled. The checksum of each payload is compared before it is written, and
    the copy is read back. Doing it again copies what was not copied yet, or has been
    changed since, as a new object; nothing in the target is overwritten. After an interruption the
    same call goes on. User columns come along, but for one that is another one in the target.

    Examples
    --------
    >>> import tempfile
    >>> from gc3store import make_store
    >>> source, target = make_store(tempfile.mkdtemp()), make_store(tempfile.mkdtemp())
    >>> source.save([1, 2, 3])
    'list.1'
    >>> copy(source, target)
    Copied(ids={'list.1': 'list.1'}, new=1, failed={})
    """
    for store in (source, target):
        if not isinstance(store, RecordStore):
            raise NotSupportedError(
                f"{store!r} has no records that can be copied as they are; load its objects and save them."
            )
    assert isinstance(source, RecordStore)
    assert isinstance(target, RecordStore)
    return _Copy(source, target).run(ids, progress)


class _Copy:
    """One run of `copy`."""

    def __init__(self, source: RecordStore, target: RecordStore) -> None:
        self.source = source
        self.target = target
        self.result = Copied()
        self.roots: frozenset[str] = frozenset()
        self.refused: set[str] = set()  # what the target has no place for, and what refers to that

    def run(self, ids: Iterable[str] | None, progress: bool) -> Copied:
        wanted = self._all() if ids is None else [check_id(id_) for id_ in ids]
        if not wanted:
            return self.result
        if ids is not None:
            _, graph = self._graph(wanted)
            for id_ in wanted:
                if id_ not in graph and id_ not in self.result.failed:
                    raise ObjectNotFoundError(f"There is no object {id_!r} in {self.source!r}.", id=id_)
        if self.source.uuid == self.target.uuid:
            raise UsageError(
                f"{self.source!r} and {self.target!r} are one store, or one is made of the other's files: "
                f"nothing can be copied between them."
            )
        # Those of a table of GC3Pie are filled from attributes of the same names.
        columns = {name: name for name in self.source.columns} | self.source.user_columns.definitions
        self.target.adopt_columns(columns)
        with self.target.transaction():
            pass  # makes the store, if there is none yet
        with closing(_Journal(str(self.source.uuid), str(self.target.uuid))) as journal:
            present = self._present(journal, progress)
            for _ in range(ROUNDS):
                if self._copy_changes(wanted, present, journal, progress):
                    break
            else:
                for id_ in self._graph(wanted)[1]:
                    if id_ not in self.result.ids:
                        self.result.failed.setdefault(id_, f"{id_} was changed again and again meanwhile.")
        if self.result.failed:
            some = "; ".join(self.result.failed.values())
            warnings.warn(
                f"{len(self.result.failed)} not copied: {some:.500}",
                StoreWarning,
                stacklevel=caller_stacklevel(),
            )
        return self.result

    def _all(self) -> list[str]:
        """Return the IDs of all that can be copied."""
        ids = self.source.list()
        garbled = [id_ for id_ in ids if not is_id(id_)]
        self.result.failed.update((id_, f"The ID {id_!r} is garbled.") for id_ in garbled)
        return [id_ for id_ in ids if is_id(id_)] if garbled else ids

    def _graph(self, wanted: Sequence[str]) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
        """Return revisions and references of all that is to be copied, damaged records left out."""
        try:
            nodes = self.source.backend.graph(wanted)
        except StoreError:
            return self._graph_with_damage(wanted)
        revisions = {id_: node.revision for id_, node in nodes.items()}
        return revisions, {id_: node.references for id_, node in nodes.items()}

    def _graph_with_damage(self, wanted: Sequence[str]) -> tuple[dict[str, int], dict[str, tuple[str, ...]]]:
        revisions: dict[str, int] = {}
        graph: dict[str, tuple[str, ...]] = {}
        queue = list(wanted)
        for id_ in queue:
            if id_ in graph or id_ in self.result.failed:
                continue
            try:
                found = list(self.source.backend.read([id_]))
                record = self.source.describe(id_) if found else None
            except StoreError as error:
                self.result.failed[id_] = str(error)
                continue
            if record is not None:
                revisions[id_] = found[0].revision
                graph[id_] = tuple(record.references)
                queue.extend(graph[id_])
        return revisions, graph

    def _present(self, journal: _Journal, progress: bool) -> dict[str, tuple[str, int]]:
        """Return what was copied before and is still there: the IDs in the target, and the revisions."""
        noted = journal.entries()
        newest = max((number_of(id_) for id_, _ in noted.values()), default=-1)
        there = [id_ for id_ in self.target.list() if is_id(id_)]
        later = [id_ for id_ in there if number_of(id_) > newest]  # there may have been no time to note it
        found: dict[str, tuple[str, int]] = {}
        for id_ in with_progress(later, "looking for earlier copies", show=progress):
            with suppress(ObjectNotFoundError):
                about = self.target.describe(id_).origin.get(_KEY)
                if isinstance(about, dict) and about.get("store") == self.source.uuid:
                    found[str(about.get("id"))] = (id_, int(about.get("revision", -1)))
        journal.note(found)  # now: what is noted later is newer, and these would not be looked at again
        noted.update(found)
        existing = set(there)
        return {id_: entry for id_, entry in noted.items() if entry[0] in existing}

    def _copy_changes(
        self, wanted: Sequence[str], present: dict[str, tuple[str, int]], journal: _Journal, progress: bool
    ) -> bool:
        """Copy what is not there yet; whether nothing was changed meanwhile."""
        revisions, graph = self._graph([id_ for id_ in wanted if id_ not in self.result.failed])
        self.roots = frozenset(self.source.backend.roots()[0])
        changed = {id_ for id_, revision in revisions.items() if present.get(id_, ("", -1))[1] != revision}
        todo = dependents(graph, changed)
        self.result.ids.update({id_: present[id_][0] for id_ in graph if id_ not in todo})
        parts = components({id_: graph[id_] for id_ in todo}, [id_ for id_ in graph if id_ in todo])
        late: set[str] = set()
        bar = with_progress(parts, "copying", total=len(todo), show=progress)
        parts_read = self._read_parts(bar, revisions, graph, late)
        for batch in split_by_size(parts_read, _size_of, max_count=batching.MAX_COUNT):
            for id_, copied in self._write(batch, journal).items():
                present[id_] = copied
                self.result.ids[id_] = copied[0]
        return not late

    def _read_parts(
        self,
        parts: Iterable[Sequence[str]],
        revisions: dict[str, int],
        graph: dict[str, tuple[str, ...]],
        late: set[str],
    ) -> Iterator[list[PendingRecord]]:
        """Yield records, those of a circle as one part, each part after what it refers to.

        What is in another revision by now is put into `late`, with all that refers to it.
        """
        for part in parts:
            records = []
            for id_ in part:
                try:
                    record = self._pending(id_)
                except ObjectNotFoundError:
                    late.add(id_)
                except StoreError as error:
                    self.result.failed[id_] = str(error)
                else:
                    records.append(record)
                    if record.revision != revisions[id_] or not late.isdisjoint(graph[id_]):
                        late.add(id_)
            if not late.isdisjoint(part):
                late.update(part)
                continue
            if records:
                yield records

    def _pending(self, id_: str) -> PendingRecord:
        record = read_for_export(self.source.backend, id_)
        record.entry["columns"] = self._same_columns(record.entry["columns"])
        if "." not in id_:  # a bare number, as in a table of GC3Pie
            name = str(record.entry["cls"]).rpartition(".")[2]
            record.prefix = "".join(c if c.isalnum() else "_" for c in name)[:MAX_PREFIX] or "object"
        return record

    def _same_columns(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the values of user columns that mean the same in the target."""
        here, there = (store.user_columns.definitions for store in (self.source, self.target))
        return {k: v for k, v in values.items() if k not in here or k not in there or here[k] == there[k]}

    def _write(self, batch: list[list[PendingRecord]], journal: _Journal) -> dict[str, tuple[str, int]]:
        """Write one batch; return the new IDs and the revisions that were copied, by ID in the source."""
        together = {str(record.id): record for part in batch for record in part}
        before = {id_: (record.revision, tuple(record.references)) for id_, record in together.items()}
        try:
            return self._write_together(together, journal)
        except SaveError as error:  # the target has no place for one of them
            if len(batch) > 1:
                for id_, (revision, references) in before.items():
                    record = together[id_]
                    record.id, record.revision, record.references = id_, revision, references
                found: dict[str, tuple[str, int]] = {}
                for part in batch:
                    written = self._write([part], journal)
                    found.update(written)
                    self.result.ids.update({id_: new for id_, (new, _) in written.items()})
                return found
            for id_ in together:
                self.result.failed[id_] = f"{id_} was refused: {error}"
                self.refused.add(id_)
            return {}

    def _write_together(
        self, together: dict[str, PendingRecord], journal: _Journal
    ) -> dict[str, tuple[str, int]]:
        revisions = {id_: record.revision for id_, record in together.items()}
        now = time.time_ns() // 1000
        for id_, record in together.items():
            record.references = [self._reference(str(other), together) for other in record.reference_ids()]
            fields = record.entry
            fields["modified"] = fields["modified"] or now
            fields["created"] = fields["created"] or fields["modified"]
            fields["is_root"] = id_ in self.roots
            origin = json.loads(fields["origin"] or "{}")
            origin[_KEY] = {"store": self.source.uuid, "id": id_, "revision": revisions[id_]}
            fields["origin"] = json.dumps(origin)
        for record in together.values():
            record.id = None
            record.revision = 1

        def note() -> None:  # it can be told afterwards which of these were written
            journal.note({id_: (str(record.id), revisions[id_]) for id_, record in together.items()})

        self.target.write_records(list(together.values()), reserved=note)
        written = {id_: (str(record.id), revisions[id_]) for id_, record in together.items()}
        journal.note(written)
        for new, _ in written.values():
            self.target.verify(new)
        self.result.new += len(written)
        return written

    def _reference(self, id_: str, together: dict[str, PendingRecord]) -> str | PendingRecord:
        if id_ in together:
            return together[id_]
        if id_ in self.result.ids:
            return self.result.ids[id_]
        if id_ in self.refused:
            raise SaveError(f"it refers to {id_}, which was refused.", id=id_)
        # It was gone, or is damaged: the copy refers to nothing as well.
        prefix, dot, _ = id_.rpartition(".")
        return f"{prefix}{dot}0"


def _size_of(part: Sequence[PendingRecord]) -> int:
    return sum(record.encoded.size for record in part)


class _Journal:
    """What was copied from one store to another, in the user's cache directory.

    It is locked as long as it is open: two processes that copy the same would copy it twice.
    """

    @no_fork_during()
    def __init__(self, source: str, target: str) -> None:
        file = CacheDatabase("copies", f"{source} {target}", _SCHEMA, keep=True)
        try:
            self._connection = file.open()
            self._connection.execute("PRAGMA locking_mode=EXCLUSIVE")
            self._connection.execute("BEGIN EXCLUSIVE")
            self._connection.execute("COMMIT")
        except (OSError, sqlite3.Error) as error:
            if "locked" in str(error):
                raise StoreUnavailableError(
                    "Another process is copying between these stores; wait until it has ended."
                ) from error
            warnings.warn(
                f"What is copied cannot be noted in {file.path} ({error}): to stores of GC3Pie, doing it again "
                f"would copy it again.",
                StoreWarning,
                stacklevel=caller_stacklevel(),
            )
            self._connection = sqlite3.connect(":memory:", isolation_level=None)
            self._connection.execute(_SCHEMA)

    @no_fork_during()
    def entries(self) -> dict[str, tuple[str, int]]:
        """Return, for each ID in the source, the ID in the target, and the revision that was copied."""
        rows = self._connection.execute("SELECT source, target, revision FROM done")
        return {source: (target, revision) for source, target, revision in rows}

    @no_fork_during()
    def note(self, entries: dict[str, tuple[str, int]]) -> None:
        """Add what is, or is about to be, in the target."""
        rows = [(source, target, revision) for source, (target, revision) in entries.items()]
        self._connection.execute("BEGIN")
        self._connection.executemany("INSERT OR REPLACE INTO done VALUES (?, ?, ?)", rows)
        self._connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()
