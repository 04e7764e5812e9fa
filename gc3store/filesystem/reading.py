"""Files into records."""

from __future__ import annotations

import builtins
import json
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from gc3store import format as record_format
from gc3store.engine.primitives import Stored, corrupt, not_found, replaced
from gc3store.errors import (
    CorruptRecordError,
    OptionError,
    StoreError,
)
from gc3store.filesystem.layout import Directory
from gc3store.format import Damaged
from gc3store.ids import check_id
from gc3store.pickling import Source
from gc3store.support.payload_file import PayloadFile

__all__ = ["Reading"]


class Reading(Directory):
    """How records get out of a directory."""

    def _fetch(self, id_: str) -> Stored:
        stored = self._read_one(id_)
        if stored is None:
            raise not_found(id_)
        return stored

    def _read(self, ids: Sequence[str]) -> Iterator[Stored]:
        for id_ in ids:
            stored = self._read_one(id_)
            if stored is not None:
                yield stored

    def _read_one(self, id_: str) -> Stored | None:
        data = self._read_file(self._file(id_))
        if data is None:
            return None
        try:
            head = record_format.unpack_head(data)
            references: tuple[str, ...] = ()
            entry: dict[str, Any] = {}
            if head.n_references or head.n_buffers or head.flags & record_format.DETACHED:
                entry = head.entry()
                references = tuple(check_id(r) for r in entry.get("references", ()))
                if len(references) != head.n_references:
                    raise Damaged("its references are incomplete")
            plain = head.flags & record_format.PLAIN != 0
            if head.flags & record_format.DETACHED:
                payload = PayloadFile(self._data_file(entry), id_, head, entry.get("buffers", ()))
                revision = head.revision
                return Stored(
                    id_,
                    revision,
                    references,
                    None,
                    b"",
                    opener=lambda: self._open_payload(payload, revision),
                )
            sizes = entry.get("buffers")
            stop = head.end + (
                record_format.payload_size(head.stream_size, sizes) if sizes else head.stream_size
            )
            if len(data) != stop:
                raise Damaged(f"it is {len(data)} bytes long and should be {stop}")
        except Damaged as error:
            raise corrupt(id_, str(error)) from error
        view = memoryview(data)[head.end :]
        if not sizes:
            return Stored(id_, head.revision, references, head.checksum, view, plain=plain)

        def open_() -> Source:
            places = zip(record_format.offsets(head.stream_size, sizes), sizes, strict=True)
            buffers = [bytearray(view[start : start + size]) for start, size in places]
            return Source(view[: head.stream_size], buffers, plain=plain)

        return Stored(id_, head.revision, references, head.checksum, view, opener=open_)

    def _remains(self, id_: str) -> bytes:
        data = self._read_file(self._file(id_))
        if data is None:
            raise not_found(id_)
        try:
            head = record_format.unpack_head(data)
            if head.flags & record_format.DETACHED:
                return self._read_file(self._data_file(head.entry())) or b""
        except Damaged:
            return b"".join([data, *(self._read_file(path) or b"" for path in self._data_files(id_))])
        return data[head.end :]

    def _open_payload(self, payload: PayloadFile, revision: int) -> Source:
        try:
            return payload.open(getattr(self._mapping, "mode", None))
        except CorruptRecordError as error:
            # Whoever replaces a record removes the payload that it had.
            if self._revisions([payload.id]).get(payload.id) == revision:
                raise
            raise replaced(payload.id) from error
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise self._unavailable(error, "read") from error

    def load(
        self,
        id_: str,
        *,
        fresh: bool = False,
        missing: str = "error",
        mapped: Literal["r", "c"] | None = None,
    ) -> Any:
        """Return the object with ID `id_`; see `RecordStore.load`.

        Parameters
        ----------
        id_ : str
            The ID.
        fresh : bool
            Return an independent copy of what is stored.
        missing : {"error", "placeholder"}
            What to do where a class cannot be found.
        mapped : {"r", "c"}, optional
            Map large arrays into memory instead of reading them: read-only, or
            copy-on-write (changes stay in memory). Takes no time, whatever their size; of
            the bytes only header and length are checked, `verify` checks the rest. The
            object is an independent copy then.
        """
        if mapped is None:
            return super().load(id_, fresh=fresh, missing=missing)
        if mapped not in ("r", "c"):
            raise OptionError(f"mapped is 'r' (read-only) or 'c' (copy-on-write), not {mapped!r}.")
        id_ = check_id(id_)
        with self._lock:
            self._mapping.mode = mapped
            try:
                return super().load(id_, fresh=True, missing=missing)
            finally:
                self._mapping.mode = None

    def _closure(
        self, roots: Sequence[str], *, whole: bool = False
    ) -> tuple[dict[str, int], dict[str, tuple[str, ...]], dict[str, Stored]]:
        # Not one state of the whole directory, but each record is read just once.
        records: dict[str, Stored] = {}
        graph: dict[str, tuple[str, ...]] = {}
        queue = builtins.list(dict.fromkeys(roots))
        for id_ in queue:
            if id_ not in records and (stored := self._read_one(id_)) is not None:
                records[id_] = stored
                graph[id_] = stored.references or ()
                queue.extend(r for r in graph[id_] if r not in records)
        return {id_: stored.revision for id_, stored in records.items()}, graph, records

    def _revisions(self, ids: Sequence[str]) -> dict[str, int]:
        found = {}
        for id_ in ids:
            head = self._head(id_)
            if head is not None:
                found[id_] = head.revision
        return found

    def _head(self, id_: str, *, forgiving: bool = True) -> record_format.Head | None:
        """Return the head of a record; for a damaged one, one that can be replaced or removed."""
        data = self._read_file(self._file(id_))
        if data is None:
            return None
        try:
            return record_format.unpack_head(data)
        except Damaged as error:
            if not forgiving:
                raise corrupt(id_, str(error)) from error
            entry = json.dumps({"id": id_, "error": f"damaged: {error}"}).encode()
            return record_format.Head(0, 0, 0, 0, 0, b"", entry, 0)
