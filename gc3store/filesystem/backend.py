"""The backend that keeps records as files in a directory."""

from __future__ import annotations

import builtins
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from typing import Any, ClassVar

from gc3store.backend import (
    Backend,
    Changes,
    PendingRecord,
    PutBackError,
    StoredRecord,
    check_revision,
    corrupt,
    mark_stored,
    not_found,
)
from gc3store.errors import ClosedStoreError, SchemaVersionError, StoreError, StoreUnavailableError
from gc3store.filesystem.catalogue import DirectoryIndex
from gc3store.filesystem.layout import VERSION, Layout, path_of
from gc3store.filesystem.numbering import Numbers
from gc3store.filesystem.records import Records
from gc3store.filesystem.staging import Staging
from gc3store.format import Damaged, Head, record_from_json, unpack_head
from gc3store.ids import make_id, number_of
from gc3store.query import Query
from gc3store.record import Record
from gc3store.support.files import Staged, locked, sync_directory, unavailable
from gc3store.support.graph import components
from gc3store.support.urls import file_url

__all__ = ["FilesystemBackend"]


class FilesystemBackend(Backend):
    """Records as files in a directory; for the layout see `gc3store.filesystem`.

    Parameters
    ----------
    url : str or os.PathLike
        The directory, as a path or a ``file:`` URL; made by the first save.
    read_only, durable : bool
        As for `Backend`.

    Attributes
    ----------
    path : str
        The directory.
    layout : Layout
        Its files.
    staging : Staging
        Writes its records.
    numbers : Numbers
        The numbers that it gives out.
    """

    supports: ClassVar[frozenset[str]] = frozenset({"labels", "columns", "mapping"})

    def __init__(self, url: str | os.PathLike[str], *, read_only: bool = False, durable: bool = True) -> None:
        self.path = path_of(url)
        super().__init__(file_url(self.path), read_only=read_only, durable=durable)
        if os.path.exists(self.path) and not os.path.isdir(self.path):
            raise StoreUnavailableError(
                f"{self.path} is a file, and neither a directory nor an SQLite database.", path=self.path
            )
        self.layout = Layout(self.path, durable=durable)
        self.staging = Staging(self.layout)
        self._records = Records(self.layout)
        self.numbers = Numbers(self.layout, self._records)
        self._catalogue = DirectoryIndex(self.path, self._records.entry)
        self._closed = False
        self._has_references = False  # whether it is certain that some record refers to another, or did

    def locate(self) -> None:
        """Look for the store in the directory."""
        layout = self.layout
        layout.locate()
        if layout.uuid is not None:
            if layout.version > VERSION:
                self.read_only = True
                self.is_writable = False
            self.stored_columns = layout.read_columns()
            self.uuid = layout.uuid

    def check_writable(self) -> None:
        """Raise the error that says why nothing can be written, if that is so."""
        if self._closed:
            raise ClosedStoreError(f"{self!r} was closed; open it again with make_store.")
        if self.layout.version > VERSION:
            raise SchemaVersionError(
                f"{self.path} was written in version {self.layout.version} of the layout; "
                f"upgrade gc3store to write to it."
            )
        super().check_writable()

    def define_columns(self, definitions: Mapping[str, str | None]) -> None:
        """Let the store have these user columns, besides those that it has."""
        self.begin()
        self.layout.add_columns(definitions)
        self.stored_columns = {**self.stored_columns, **definitions}

    def close(self) -> None:
        """Forget what was read; a closed directory can still be read, not written."""
        self._closed = True
        self.is_writable = False
        self._catalogue.close()

    def after_fork(self) -> None:
        """Forget what belongs to the parent process."""
        self.layout.after_fork()
        self._catalogue.after_fork()

    # Transactions: each record is one of its own.

    def begin(self) -> None:
        """Make the directory a store if it is not one yet."""
        if self.uuid is None:
            self.layout.create()
            self.locate()

    def commit(self) -> None:
        """Do nothing: what was written is there already."""

    def rollback(self) -> None:
        """Do nothing: what was written stays."""

    # Writing.

    def write(self, records: Sequence[PendingRecord]) -> None:
        """Write records, those first that others refer to."""
        layout = self.layout
        new: builtins.list[PendingRecord] = []
        changed: builtins.list[PendingRecord] = []
        staged: builtins.list[tuple[PendingRecord, Staged]] = []
        is_complete = False
        try:
            for record in records:
                environment = record.entry["environment"]
                if environment is not None and environment not in layout.environments:
                    layout.add_environment(environment)
                if record.references and not self._has_references:
                    layout.note_references()
                    self._has_references = True
                if record.mode == "new":
                    new.append(record)
                elif record.mode == "changed":
                    changed.append(record)
            if new:
                for number, record in enumerate(new, self.numbers.allocate(len(new))):
                    record.id = make_id(record.prefix, number)
            if changed:
                self._replace(records, changed, staged)
            elif new:
                # What is referred to comes first: every reference that can be seen can be followed.
                self._publish(_referenced_first(new, {}) if len(new) > 1 else new, {}, staged)
            elif records:
                self._put_back(records[0], staged)
            is_complete = True  # an interrupt that comes later changes nothing any more
            for record in records:
                record.stored = True
        except BaseException as error:
            if is_complete:
                for record in records:
                    record.stored = True
            else:
                mark_stored([(record, stage.published) for record, stage in staged])
                self._take_back([record for record in new if not record.stored])
            if isinstance(error, OSError) and not isinstance(error, StoreError):
                raise unavailable(self.path, error, "written") from error
            raise

    def _replace(
        self,
        records: Sequence[PendingRecord],
        changed: Sequence[PendingRecord],
        staged: builtins.list[tuple[PendingRecord, Staged]],
    ) -> None:
        """Write records of which some are `changed`."""
        before: dict[str, Head] = {}
        with self._locked([str(record.id) for record in changed]):
            for record in changed:
                id_ = str(record.id)
                head = self._records.head(id_)
                check_revision(id_, record.expected, None if head is None else head.revision)
                assert head is not None
                before[id_] = head
                record.revision = head.revision + 1
            self._publish(_referenced_first(records, before) if len(records) > 1 else records, before, staged)
            for head in before.values():
                self.staging.delete_payload(head)

    def _publish(
        self,
        records: Iterable[PendingRecord],
        before: Mapping[str, Head],
        staged: builtins.list[tuple[PendingRecord, Staged]],
    ) -> None:
        """Write records, and let them take their places once all are complete.

        `staged` is filled with them, each with whether it has taken its place.
        """
        stages: builtins.list[Staged] = []
        try:
            for record in records:
                id_ = str(record.id)
                stage = Staged(self.layout.record_file(id_))
                stages.append(stage)
                staged.append((record, stage))
                self.staging.write(stage, record, before.get(id_))
            self.staging.publish(stages)
        except BaseException:
            for stage in stages:
                stage.discard()
            raise

    def _put_back(self, record: PendingRecord, staged: builtins.list[tuple[PendingRecord, Staged]]) -> None:
        id_ = str(record.id)
        number = number_of(id_)
        if not self.numbers.was_given(number):
            raise PutBackError(f"{id_} was never given out here, so nothing can be put back there.", id=id_)
        with locked(self.layout.lock_file(id_)):
            if any(number_of(other) == number for other in self.layout.ids()):
                raise PutBackError(f"The number of {id_} is taken, so nothing can be put back there.", id=id_)
            self._publish([record], {}, staged)

    def _take_back(self, records: Iterable[PendingRecord]) -> None:
        """Undo what was written of a batch that failed; the numbers are not given out again."""
        for record in records:
            if record.id is None:
                continue
            head = None
            with suppress(StoreError):
                head = self._records.head(record.id)
            with suppress(OSError):
                os.unlink(self.layout.record_file(record.id))
            if head is not None:
                self.staging.delete_payload(head)
            record.id = None

    @contextmanager
    def _locked(self, ids: Iterable[str]) -> Iterator[None]:
        """Keep other processes and threads from changing some records."""
        with ExitStack() as stack:
            for file in sorted({self.layout.lock_file(id_) for id_ in ids}):
                stack.enter_context(locked(file))
            yield

    def delete(self, ids: Sequence[str]) -> None:
        """Delete records, in this order."""
        layout = self.layout
        with layout.writing():
            if self.durable:
                # The numbers must not come again: that they were given out has to be
                # on stable storage before what shows it is gone.
                sync_directory(layout.private)
            for id_ in ids:
                with locked(layout.lock_file(id_)):
                    head = self._records.head(id_)
                    if head is None:
                        raise not_found(id_)
                    os.unlink(layout.record_file(id_))
                    self.staging.delete_payload(head)
                    if not head.end:  # it is damaged, and does not say where its payload is
                        for path in layout.payload_files(id_):
                            os.unlink(path)
            if self.durable:
                sync_directory(self.path)

    def update(self, changes: Mapping[str, Changes]) -> dict[str, bool]:
        """Change catalogue entries; each record is rewritten, large payloads are not."""
        changed: dict[str, bool] = {}
        staged: builtins.list[Staged] = []
        with self.layout.writing(), self._locked(changes):
            try:
                for id_, change in changes.items():
                    data = self.layout.read_file(self.layout.record_file(id_))
                    if data is None:
                        continue
                    head = unpack_head(data)
                    if change.expected not in (None, head.revision):
                        continue
                    old = head.entry()
                    new = change.apply_to(old)
                    changed[id_] = new != old
                    if changed[id_]:
                        staged.append(Staged(self.layout.record_file(id_)))
                        self.staging.rewrite(staged[-1], new, head, data)
                self.staging.publish(staged)
            except BaseException as error:
                for stage in staged:
                    stage.discard()
                if isinstance(error, Damaged):
                    raise corrupt(id_, str(error)) from error
                raise
        return changed

    # Reading.

    def read(self, ids: Sequence[str]) -> Iterator[StoredRecord]:
        """Yield the records with the given IDs, in this order, without those that do not exist."""
        for id_ in ids:
            stored = self._records.read(id_)
            if stored is not None:
                yield stored

    def read_one(self, id_: str) -> StoredRecord:
        """Return a record."""
        stored = self._records.read(id_)
        if stored is None:
            raise not_found(id_)
        return stored

    def revisions(self, ids: Sequence[str]) -> dict[str, int]:
        """Return the revisions of those records that exist, damaged or not."""
        heads = ((id_, self._records.head(id_)) for id_ in ids)
        return {id_: head.revision for id_, head in heads if head is not None}

    def raw(self, id_: str) -> bytes:
        """Return what there is of the payload of a record, damaged or not, as it is."""
        return self._records.raw(id_)

    # The catalogue.

    def entry(self, id_: str) -> Record | None:
        """Return the whole catalogue entry of a record, damaged or not; `None` if there is no such record."""
        entry = self._records.entry(id_)
        if entry is None:
            return None
        environment = self.layout.environment_text(entry.get("environment"))
        try:
            return record_from_json(entry, environment=environment, columns=self.columns, is_root=False)
        except (TypeError, ValueError, KeyError) as error:
            return Record(id=id_, error=f"damaged: {error}")

    def entries(self, query: Query) -> Iterator[Record]:
        """Yield the catalogue entries that `query` asks for."""
        return query.apply(self._catalogue.records(self.columns))

    def ids(self, query: Query) -> builtins.list[str]:
        """Return the IDs that `query` asks for."""
        return self._catalogue.ids() if query == Query() else super().ids(query)

    def values(self, query: Query, names: Sequence[str]) -> dict[str, builtins.list[Any]]:
        """Return fields and user columns of the entries that `query` asks for."""
        found = self._catalogue.fields(names) if query == Query() else None
        return super().values(query, names) if found is None else found

    def count(self, query: Query) -> int:
        """Return how many entries `query` asks for, its offset and limit aside."""
        if not query.conditions and not query.words:
            return len(self._catalogue.ids())
        return super().count(query)

    def roots(self) -> tuple[builtins.list[str], builtins.list[str]]:
        """Return the IDs of what was given to `save` itself, and of what was saved as a part."""
        return self._catalogue.roots()

    def referrers(self, ids: Sequence[str]) -> dict[str, builtins.list[str]]:
        """Return which records refer to each of `ids`."""
        if not self._has_references:
            if not self.layout.has_references():
                return {}
            self._has_references = True
        return self._catalogue.referrers(ids)

    def version(self) -> str | None:
        """Return a string that changes whenever a record does; `None` where it would not be reliable."""
        return self._catalogue.state()


def _referenced_first(
    records: Sequence[PendingRecord], existing: Mapping[str, Any]
) -> Sequence[PendingRecord]:
    """Return records in the order to publish them in; in a circle, those come last that replace others."""
    if not any(record.references for record in records):
        return records
    by_id = {str(record.id): record for record in records}
    graph = {id_: record.reference_ids() for id_, record in by_id.items()}
    order = [sorted(part, key=existing.__contains__) for part in components(graph, by_id)]
    return [by_id[id_] for part in order for id_ in part]
