"""Records into files."""

from __future__ import annotations

import builtins
import os
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from typing import Any

from gc3store import format as record_format
from gc3store.columns import columns_to_json, merged
from gc3store.engine.primitives import Draft, check_revision, corrupt, not_found
from gc3store.engine.settling import mark_staying
from gc3store.errors import (
    StoreError,
)
from gc3store.filesystem.numbering import Numbering
from gc3store.format import Damaged
from gc3store.ids import make_id, number_of
from gc3store.store import KEEP
from gc3store.support.files import (
    Staged,
    locked,
    sync_directory,
    sync_files,
    write_file,
)
from gc3store.support.graph import components
from gc3store.support.payload_file import attached, pieces

__all__ = ["DETACH", "Writing"]

#: Payloads of this size or more are kept in a file of their own, in bytes, so that
#: changing a label never copies them.
DETACH = 1024 * 1024

_UNLOCKED = nullcontext()


class Writing(Numbering):
    """How records get into a directory."""

    _referring = False  # whether it is certain that some record refers to another, or did

    def _note_references(self) -> None:
        """Let everybody know that records may refer to each other, before one is there that does."""
        with suppress(FileNotFoundError):
            os.unlink(f"{self._private}/no-references")
            if self.durable:
                sync_directory(self._private)
        self._referring = True

    def _write(self, drafts: builtins.list[Draft]) -> None:
        fresh = [draft for draft in drafts if draft.id is None]
        new = set(map(id, fresh))
        staged: builtins.list[tuple[Draft, Staged]] = []
        try:
            for draft in drafts:
                self._ensure_environment(draft.fields["environment"])
                if draft.references and not self._referring:
                    self._note_references()
            if fresh:
                first = self._allocate(len(fresh))
                for number, draft in enumerate(fresh, first):
                    draft.id = make_id(draft.prefix, number)
            self._write_batch(drafts, [draft for draft in drafts if id(draft) not in new], staged)
            self._kept += 1  # the last line: whatever is interrupted before it is dealt with below
        except BaseException as error:
            written = [(draft, stage.published) for draft, stage in staged]
            mark_staying(written, {str(draft.id) for draft in fresh})
            self._take_back([draft for draft in fresh if not draft.in_place])
            if isinstance(error, OSError) and not isinstance(error, StoreError):
                raise self._unavailable(error, "written") from error
            raise

    def _write_batch(
        self,
        drafts: builtins.list[Draft],
        existing: builtins.list[Draft],
        staged: builtins.list[tuple[Draft, Staged]],
    ) -> None:
        """Write records; `staged` is filled with them, each with whether it has taken its place."""
        before: dict[str, record_format.Head] = {}
        with self._locked([str(d.id) for d in existing]) if existing else _UNLOCKED:
            for draft in existing:
                head = self._head(str(draft.id))
                check_revision(str(draft.id), draft.expected, None if head is None else head.revision)
                assert head is not None
                before[str(draft.id)] = head
                draft.revision = head.revision + 1
            try:
                # What is referred to comes first: whoever sees a record can follow it.
                for draft in _referenced_first(drafts, set(before)):
                    stage = Staged(self._file(str(draft.id)))
                    staged.append((draft, stage))
                    self._stage(stage, draft, before.get(str(draft.id)))
                self._publish([stage for _, stage in staged])
            except BaseException:
                for _, stage in staged:
                    stage.discard()
                raise
            for head in before.values():
                self._discard_data(head)

    @contextmanager
    def _locked(self, ids: Iterable[str]) -> Iterator[None]:
        """Let nobody else change some records."""
        with ExitStack() as stack:
            for lock in sorted({self._lock_of(id_) for id_ in ids}):
                stack.enter_context(locked(lock))
            yield

    def _insert_as(self, draft: Draft) -> bool:
        id_ = str(draft.id)
        if self._next is None:
            self._next = self._find_next()
        if number_of(id_) >= max(self._next, self._floor):
            self._next = self._find_next()  # others may have gone on
            if number_of(id_) >= max(self._next, self._floor):
                return False
        if draft.references:
            self._note_references()
        with locked(self._lock_of(id_)):
            if any(number_of(other) == number_of(id_) for other in self._index.ids_in_directory()):
                return False
            try:
                stage = Staged(self._file(id_))
                try:
                    self._stage(stage, draft, None)
                    self._publish([stage])
                except BaseException:
                    stage.discard()
                    raise
            except OSError as error:
                raise self._unavailable(error, "written") from error
        return True

    def _publish(self, staged: Sequence[Staged]) -> None:
        """Let complete records take their places, in this order."""
        large = [stage for stage in staged if stage.data is not None]
        if self.durable:
            files = [stage.head for stage in staged] + [str(stage.data) for stage in large]
            sync_files(files)
        for stage in large:
            os.rename(str(stage.data), stage.data_target)
        if large and self.durable:
            sync_directory(os.path.join(self._private, "data"))
        for stage in staged:
            stage.publish()
        if self.durable:
            sync_directory(self.path)

    def _take_back(self, drafts: Sequence[Draft]) -> None:
        """Undo what was written of a batch that failed; the numbers are not given again."""
        for draft in drafts:
            if draft.id is None:
                continue
            head = None
            with suppress(StoreError):
                head = self._head(draft.id)
            with suppress(OSError):
                os.unlink(self._file(draft.id))
            if head is not None:
                self._discard_data(head)
            draft.id = None

    def _stage(self, stage: Staged, draft: Draft, before: record_format.Head | None) -> None:
        """Write a complete record under temporary names."""
        encoded = draft.encoded
        fields = draft.fields
        now = fields["now"]
        entry: dict[str, Any] = {
            "id": draft.id,
            "cls": fields["cls"],
            "size": fields["size"],
            "created": fields.get("created", now),
            "modified": now,
        }
        if fields.get("error"):  # of one that was damaged, more may be lost
            entry = {name: value for name, value in entry.items() if value is not None}
        if fields["environment"]:
            entry["environment"] = fields["environment"]
        for name in ("state", "preview", "origin", "error"):
            if fields.get(name) is not None:
                entry[name] = fields[name]
        if fields["explicit"]:
            entry["explicit"] = True
        old: Mapping[str, Any] = {}
        if before is not None:
            with suppress(Damaged):  # what is damaged can be replaced, and its labels are gone
                old = before.entry()
            entry["created"] = old.get("created", now)
            if old.get("explicit"):
                entry["explicit"] = True
        for name in ("name", "tags"):
            value = old.get(name) if fields[name] is KEEP else fields[name]
            if value:
                entry[name] = value
        if values := columns_to_json(self._user_columns.known(fields.get("columns"))):
            entry["columns"] = values
        references = draft.reference_ids()
        if references:
            entry["references"] = references
        sizes = [view.nbytes for view in encoded.buffers]
        if sizes:
            entry["buffers"] = sizes
        flags = record_format.PLAIN if fields["plain"] else 0
        payload: builtins.list[Any] = []
        if encoded.size >= DETACH or not isinstance(encoded.stream, bytes):
            flags |= record_format.DETACHED
            entry["data"] = name = f"{draft.id}-{secrets.token_hex(6)}"
            stage.data_target = os.path.join(self._private, "data", name)
            stage.data = self._temporary()
            write_file(stage.data, pieces(encoded))
        else:
            payload = attached(encoded)
        head = record_format.pack_head(
            entry,
            flags=flags,
            revision=draft.revision,
            stream_size=encoded.stream_size,
            n_references=len(references),
            n_buffers=len(sizes),
            checksum=encoded.checksum,
        )
        stage.head = self._temporary()
        write_file(stage.head, [head, *payload])

    def _delete(self, ids: Sequence[str]) -> None:
        try:
            if self.durable:
                # The numbers must not come again: that they were given out has to be
                # on stable storage before what shows it is gone.
                sync_directory(self._private)
            for id_ in ids:
                with locked(self._lock_of(id_)):
                    head = self._head(id_)
                    if head is None:
                        raise not_found(id_)
                    os.unlink(self._file(id_))
                    self._discard_data(head)
                    if not head.end:  # it is damaged, and does not say where its payload is
                        for path in self._data_files(id_):
                            os.unlink(path)
            if self.durable:
                sync_directory(self.path)
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._unavailable(error, "written") from error

    def _discard_data(self, head: record_format.Head) -> None:
        if head.flags & record_format.DETACHED:
            with suppress(OSError, Damaged):
                os.unlink(self._data_file(head.entry()))

    def _relabel(self, id_: str, changes: Mapping[str, Any]) -> bool:
        with self._written(), locked(self._lock_of(id_)):
            data = self._read_file(self._file(id_))
            if data is None:
                return False
            try:
                head = record_format.unpack_head(data)
                entry = head.entry()
            except Damaged as error:
                raise corrupt(id_, str(error)) from error
            new = {**entry, **changes}
            new = {k: v for k, v in new.items() if v not in (None, (), [], False)}
            if new == entry:
                return True
            stage = Staged(self._file(id_))
            try:
                self._restage(stage, new, head, data)
                self._publish([stage])
            except BaseException:
                stage.discard()
                raise
        return True

    def _restage(
        self, stage: Staged, entry: Mapping[str, Any], head: record_format.Head, data: bytes
    ) -> None:
        """Write a record under a temporary name whose catalogue entry alone is another one."""
        packed = record_format.pack_head(
            entry,
            flags=head.flags,
            revision=head.revision,
            stream_size=head.stream_size,
            n_references=head.n_references,
            n_buffers=head.n_buffers,
            checksum=head.checksum,
        )
        stage.head = self._temporary()
        write_file(stage.head, [packed, data[head.end :]])

    def _fill(self, values: Mapping[str, tuple[int, dict[str, Any]]], *, again: bool) -> dict[str, bool]:
        filled: dict[str, bool] = {}
        staged: builtins.list[Staged] = []
        with self._written(), self._locked(values):
            try:
                for id_, (revision, new) in values.items():
                    data = self._read_file(self._file(id_))
                    if data is None or (head := record_format.unpack_head(data)).revision != revision:
                        continue
                    entry = head.entry()
                    old = entry.get("columns") or {}
                    columns = columns_to_json(merged(old, new, again=again))
                    filled[id_] = columns != old
                    if filled[id_]:
                        staged.append(Staged(self._file(id_)))
                        self._restage(staged[-1], {**entry, "columns": columns}, head, data)
                self._publish(staged)
            except BaseException as error:
                for stage in staged:
                    stage.discard()
                if isinstance(error, Damaged):
                    raise corrupt(id_, str(error)) from error
                raise
        return filled


def _referenced_first(drafts: builtins.list[Draft], existing: set[str]) -> builtins.list[Draft]:
    """Return records in the order to publish them in; in a circle, those come last that replace others."""
    if len(drafts) == 1 or not any(draft.references for draft in drafts):
        return drafts
    by_id = {str(draft.id): draft for draft in drafts}
    graph = {id_: draft.reference_ids() for id_, draft in by_id.items()}
    order = [sorted(part, key=existing.__contains__) for part in components(graph, by_id)]
    return [by_id[id_] for part in order for id_ in part]
