"""Whole records as bytes, out of a store and into one, without unpickling them.

An export is one record in the layout of `gc3store.format`, with the catalogue
entry, the description of where it was written, and the payload. A damaged record is
exported too: its entry has the reason as ``error``, and the payload is what there is
of it, as it is. Put back where it was, it is as damaged as before.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence

from gc3store import format as record_format
from gc3store.backend import (
    Backend,
    PendingRecord,
    PutBackError,
    StoredRecord,
    corrupt,
    not_found,
    repeated,
    replaced,
)
from gc3store.columns import UserColumns
from gc3store.engine.transaction import Transaction
from gc3store.errors import CorruptRecordError, DanglingReferenceError, OptionError
from gc3store.ids import MAX_PREFIX, check_id
from gc3store.pickling import SPOOL, Encoded, Source
from gc3store.record import Record

__all__ = ["Exporter", "read_for_export"]


class Exporter:
    """Moves records as they are; undo and copying are made of this.

    Parameters
    ----------
    backend : Backend
        Where records are kept.
    transaction : Transaction
        How they are written.
    columns : UserColumns
        The user columns of the store.
    """

    def __init__(self, backend: Backend, transaction: Transaction, columns: UserColumns) -> None:
        self._backend = backend
        self._transaction = transaction
        self._columns = columns

    def pieces(self, id_: str) -> Iterator[bytes | memoryview]:
        """Yield an exported record piece by piece: however large it is, it needs no memory.

        What can go wrong goes wrong before the first piece.
        """
        with self._transaction.lock:
            try:
                record = read_for_export(self._backend, id_)
            except CorruptRecordError as error:
                record = self._read_damaged(id_, error)
        encoded, fields = record.encoded, record.entry
        sizes = [view.nbytes for view in encoded.buffers]
        yield record_format.pack_head(
            record_format.entry_to_json(
                fields,
                id=record.id,
                references=record.reference_ids(),
                store=self._backend.uuid,
                buffers=sizes,
            ),
            flags=record_format.PLAIN if fields["plain"] else 0,
            revision=record.revision,
            stream_size=encoded.stream_size,
            checksum=encoded.checksum,
        )
        yield from record_format.aligned(encoded.parts(), encoded.stream_size, sizes)

    def _read_damaged(self, id_: str, error: CorruptRecordError) -> PendingRecord:
        """Return what there is of a record that is damaged."""

        def read() -> tuple[Record, StoredRecord]:
            with self._backend.snapshot():
                entry = self._backend.entry(id_)
                if entry is None:
                    raise not_found(id_)
                return entry, StoredRecord(id_, entry.revision, None, None, self._backend.raw(id_))

        entry, stored = repeated(read)
        record = _pending(entry, stored, stored)
        record.entry["error"] = entry.error or str(error)
        return record

    def restore(self, data: bytes, references: Callable[[str], str] | None) -> str:
        """Put back an exported record, and return its ID; called with the store's lock held."""
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise OptionError(f"What export() returned can be restored, not {type(data).__name__}.")
        record, home = _unpack(data)
        self._transaction.check_writable()
        uuid = self._transaction.locate()
        if references is not None:
            record.references = [references(str(id_)) for id_ in record.reference_ids()]
        elif record.references and home != uuid:
            raise DanglingReferenceError(
                f"{record.id} comes from another store and refers to {record.reference_ids()[0]}, which is there.",
                id=record.id,
                missing=record.reference_ids()[0],
            )
        if "columns" in self._backend.supports:
            record.entry["columns"] = self._columns.known(record.entry["columns"])
        with self._transaction.run():
            if home == uuid and self._put_back(record):
                return str(record.id)
            if record.entry["error"]:
                raise CorruptRecordError(
                    f"{record.id} was damaged when it was exported, and can only be put back where it was.",
                    id=record.id,
                )
            record.mode, record.id, record.revision = "new", None, 1
            record.entry["is_root"] = True  # a record of its own, which nothing refers to
            self._transaction.write([record], [])
            return str(record.id)

    def _put_back(self, record: PendingRecord) -> bool:
        record.mode = "put back"
        try:
            self._transaction.write([record], [])
        except PutBackError:
            return False
        return True


def read_for_export(backend: Backend, id_: str) -> PendingRecord:
    """Return a record as one that could be written elsewhere, its checksum verified."""
    id_ = check_id(id_)

    def read() -> PendingRecord:
        with backend.snapshot():
            entry = backend.entry(id_)
            if entry is None:
                raise not_found(id_)
            stored = backend.read_one(id_)
            if entry.revision != stored.revision and entry.error is None:
                raise replaced(id_)
            source = stored.open("pass")
        return _pending(entry, stored, source)

    return repeated(read)


def _pending(entry: Record, stored: StoredRecord, source: Source) -> PendingRecord:
    stream = source.stream
    if hasattr(stream, "read"):
        size = stream.seek(0, os.SEEK_END)
    else:
        size = len(stream)
        if size <= SPOOL:
            stream = bytes(stream)
    buffers = [memoryview(buffer).cast("B") for buffer in source.buffers or ()]
    record = PendingRecord(id=stored.id, prefix=_prefix_of(stored.id))
    record.revision = stored.revision
    record.encoded = encoded = Encoded(stream, size, buffers, [], not source.plain)
    if stored.checksum is not None and encoded.checksum != stored.checksum:
        raise corrupt(stored.id, "its checksum does not fit")
    record.references = entry.references
    record.entry = {
        **record_format.entry_of_record(entry),
        "error": None,
        "size": encoded.size,
        "environment": None,
        "plain": source.plain,
    }
    return record


def _prefix_of(id_: str) -> str:
    return id_.rpartition(".")[0][:MAX_PREFIX] or "object"


def _unpack(data: bytes) -> tuple[PendingRecord, str | None]:
    """Return an exported record, and the UUID of the store that it comes from."""
    try:
        head = record_format.unpack_head(data)
        entry = head.entry()
        id_ = check_id(entry.get("id"))
        sizes: Sequence[int] = entry.get("buffers", ())
        head.check_length(entry, len(data))
    except record_format.Damaged as error:
        raise CorruptRecordError(f"This is not an exported record, or a damaged one: {error}.") from error
    view = memoryview(data)[head.end :]
    buffers = record_format.split_payload(view, head.stream_size, sizes)
    encoded = Encoded(bytes(view[: head.stream_size]), head.stream_size, buffers, [], not head.is_plain)
    if encoded.checksum != head.checksum:
        raise CorruptRecordError(
            f"The exported record of {id_} is damaged: its checksum does not fit.", id=id_
        )
    reason = entry.get("error")
    if reason:  # with a checksum that shows that it is damaged
        encoded = Encoded(encoded.stream, encoded.size, [], [], True, checksum=bytes(16))
    record = PendingRecord(id=id_, prefix=_prefix_of(id_))
    record.revision = head.revision
    record.encoded = encoded
    record.references = [check_id(reference) for reference in entry.get("references", ())]
    record.entry = {
        **record_format.entry_from_json(entry),
        "size": encoded.size,
        "environment": None,
        "plain": head.is_plain,
    }
    for name in ("created", "modified"):
        if not record.entry[name] and not reason:
            record.entry[name] = 0
    record.entry["cls"] = record.entry["cls"] or ""
    return record, entry.get("store")
