"""Whole records as bytes, out of a store and into one, without unpickling them.

An export is one record in the layout of `gc3store.format`, with the catalogue
entry, the description of where it was written, and the payload. A damaged record is
exported too: its entry has the reason as ``error``, and the payload is what there is
of it, as it is. Put back where it was, it is as damaged as before.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from gc3store import format as record_format
from gc3store.columns import columns_from_json, columns_to_json
from gc3store.engine.loading import Loading
from gc3store.engine.primitives import Draft, Stored, corrupt, repeated, replaced
from gc3store.engine.saving import Saving
from gc3store.errors import CorruptRecordError, DanglingReferenceError, OptionError
from gc3store.ids import MAX_PREFIX, check_id
from gc3store.pickling import SPOOL, Encoded, Source
from gc3store.record import Record, to_microseconds
from gc3store.support.memory import passing_through
from gc3store.support.payload_file import pieces

__all__ = ["Exporting"]


class Exporting(Saving, Loading):
    """Moving records as they are; undo and copying are made of this."""

    def export(self, id_: str) -> bytes:
        """Return the record whole, catalogue entry and payload, not unpickled.

        Of a damaged record these are all the bytes that there are, with the reason, so that
        it can be removed and put back, or be looked into by whoever can make sense of them.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        """
        return b"".join(self.export_pieces(id_))

    def export_pieces(self, id_: str) -> Iterator[bytes | memoryview]:
        """Yield what `export` returns piece by piece: however large it is, it needs no memory.

        What can go wrong goes wrong before the first piece.
        """
        try:
            draft = self._take_out(id_)
        except CorruptRecordError as error:
            draft = self._take_out_damaged(id_, error)
        encoded = draft.encoded
        sizes = [view.nbytes for view in encoded.buffers]
        fields = draft.fields
        entry: dict[str, Any] = {
            "id": draft.id,
            "store": self.uuid,
            **{name: fields[name] for name in ("name", "cls", "state", "tags", "size", "created")},
            "modified": fields["now"],
            "preview": fields["preview"],
            "references": draft.reference_ids(),
            "origin": fields["origin"],
            "columns": columns_to_json(fields["columns"]),
            "explicit": fields["explicit"],
            "buffers": sizes,
            "error": fields.get("error"),
        }
        yield record_format.pack_head(
            {key: value for key, value in entry.items() if value not in (None, (), {}, [])},
            flags=record_format.PLAIN if fields["plain"] else 0,
            revision=draft.revision,
            stream_size=encoded.stream_size,
            n_references=len(draft.references),
            n_buffers=len(sizes),
            checksum=encoded.checksum,
        )
        yield from pieces(encoded)

    def _take_out(self, id_: str) -> Draft:
        """Return a record as one that could be written elsewhere, its checksum verified."""
        id_ = check_id(id_)

        def read() -> Draft:
            with self._lock, self._snapshot():
                record = self.describe(id_)
                stored = self._fetch(id_)
                if record.revision != stored.revision and record.error is None:
                    raise replaced(id_)
                source = stored.open()
            return _draft(record, stored, source)

        with passing_through():
            return repeated(read)

    def _take_out_damaged(self, id_: str, error: CorruptRecordError) -> Draft:
        """Return what there is of a record that is damaged."""

        def read() -> tuple[Record, Stored]:
            with self._lock, self._snapshot():
                record = self.describe(id_)
                return record, Stored(id_, record.revision, None, None, self._remains(id_))

        record, stored = repeated(read)
        draft = _draft(record, stored, stored)
        draft.fields["error"] = record.error or str(error)
        return draft

    def restore(self, data: bytes, *, references: Callable[[str], str] | None = None) -> str:
        """Put back what `export` returned, and return its ID.

        Parameters
        ----------
        data : bytes
            An exported record.
        references : callable, optional
            Returns, for an ID that the record refers to, the ID here; needed for a
            record of another store that refers to others.

        Returns
        -------
        str
            The ID that it had, where this store gave out that ID and it is free;
            otherwise a new one.

        Raises
        ------
        CorruptRecordError
            If the bytes are damaged, or no exported record; or one that was damaged when it was
            exported and cannot be put back under its own ID.
        """
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise OptionError(f"What export() returned can be restored, not {type(data).__name__}.")
        draft, home = self._unpack(data)
        with self._lock:
            self._check_writable()
            if references is not None:
                draft.references = [references(str(id_)) for id_ in draft.reference_ids()]
            elif draft.references and home != self.uuid:
                raise DanglingReferenceError(
                    f"{draft.id} comes from another store and refers to {draft.reference_ids()[0]}, which is there.",
                    id=draft.id,
                    missing=draft.reference_ids()[0],
                )
            with self._step():
                if home == self.uuid and self._insert_as(draft):
                    return str(draft.id)
                if draft.fields["error"]:
                    raise CorruptRecordError(
                        f"{draft.id} was damaged when it was exported, and can only be put back where it was.",
                        id=draft.id,
                    )
                draft.id = None
                draft.revision = 1
                draft.fields["explicit"] = True  # a record of its own, which nothing refers to
                self._write([draft])
                return str(draft.id)

    def _unpack(self, data: bytes) -> tuple[Draft, str | None]:
        try:
            head = record_format.unpack_head(data)
            entry = head.entry()
            id_ = check_id(entry.get("id"))
            sizes: Sequence[int] = entry.get("buffers", ())
            if len(data) != head.end + record_format.payload_size(head.stream_size, sizes):
                raise record_format.Damaged(f"it is {len(data)} bytes long, which cannot be right")
        except record_format.Damaged as error:
            raise CorruptRecordError(f"This is no exported record, or a damaged one: {error}.") from error
        view = memoryview(data)[head.end :]
        places = zip(record_format.offsets(head.stream_size, sizes), sizes, strict=True)
        buffers = [view[start : start + size] for start, size in places]
        encoded = Encoded(
            bytes(view[: head.stream_size]),
            head.stream_size,
            buffers,
            [],
            not head.flags & record_format.PLAIN,
        )
        if encoded.checksum != head.checksum:
            raise CorruptRecordError(
                f"The exported record of {id_} is damaged: its checksum does not fit.", id=id_
            )
        reason = entry.get("error")
        if reason:  # with a checksum that shows that it is damaged
            encoded = Encoded(encoded.stream, encoded.size, [], [], True, checksum=bytes(16))
        draft = Draft(None, None)
        draft.id = id_
        draft.prefix = id_.rpartition(".")[0][:MAX_PREFIX] or "object"
        draft.revision = head.revision
        draft.encoded = encoded
        draft.references = [check_id(reference) for reference in entry.get("references", ())]
        draft.fields = {
            "cls": str(entry.get("cls", "")),
            "state": entry.get("state"),
            "size": encoded.size,
            "preview": entry.get("preview"),
            "environment": None,
            "now": entry.get("modified") or (None if reason else 0),
            "created": entry.get("created") or (None if reason else 0),
            "name": entry.get("name"),
            "tags": tuple(entry.get("tags", ())),
            "origin": entry.get("origin"),
            "columns": columns_from_json(columns := entry.get("columns") or {}, tuple(columns)),
            "explicit": bool(entry.get("explicit")),
            "plain": bool(head.flags & record_format.PLAIN),
            "error": reason,
        }
        return draft, entry.get("store")


def _draft(record: Record, stored: Stored, source: Source) -> Draft:
    stream = source.stream
    if hasattr(stream, "read"):
        size = stream.seek(0, os.SEEK_END)
    else:
        size = len(stream)
        if size <= SPOOL:
            stream = bytes(stream)
    buffers = [memoryview(buffer).cast("B") for buffer in source.buffers or ()]
    draft = Draft(None, None)
    draft.id = stored.id
    draft.prefix = stored.id.rpartition(".")[0][:MAX_PREFIX] or "object"
    draft.revision = stored.revision
    draft.encoded = encoded = Encoded(stream, size, buffers, [], not source.plain)
    if stored.checksum is not None and encoded.checksum != stored.checksum:
        raise corrupt(stored.id, "its checksum does not fit")
    draft.references = record.references
    draft.fields = {
        "cls": record.cls,
        "state": record.state,
        "size": encoded.size,
        "preview": record.preview,
        "environment": None,
        "now": None if record.modified is None else to_microseconds(record.modified),
        "created": None if record.created is None else to_microseconds(record.created),
        "name": record.name,
        "tags": record.tags,
        "origin": json.dumps(dict(record.origin)),
        "columns": dict(record.columns),
        "explicit": record.is_root,
        "plain": source.plain,
    }
    return draft
