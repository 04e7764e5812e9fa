"""Whole records as bytes, out of a store and into one, without unpickling them.

An export is one record in the layout of `gc3store.recordfile`, with the catalogue
entry, the description of where it was written, and the payload.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from typing import Any

import xxhash

from gc3store import recordfile
from gc3store.catalogue import columns_from_entry, to_microseconds
from gc3store.columns import entry_of
from gc3store.errors import CorruptRecordError, DanglingReferenceError, OptionError
from gc3store.ids import MAX_PREFIX, check_id
from gc3store.loading import Loading
from gc3store.primitives import Draft
from gc3store.saving import Saving
from gc3store.serialization import Encoded

__all__ = ["Exporting"]


class Exporting(Saving, Loading):
    """Moving records as they are; undo and copying are made of this."""

    def export(self, id_: str) -> bytes:
        """Return the record whole, catalogue entry and payload, not unpickled.

        Raises
        ------
        ObjectNotFoundError
            If there is no such object.
        CorruptRecordError
            If its bytes are damaged.
        """
        id_ = check_id(id_)
        with self._lock, self._snapshot():
            record = self.describe(id_)
            stored = self._fetch(id_)
            source = stored.open()
        entry: dict[str, Any] = {
            "id": id_,
            "store": self.uuid,
            "name": record.name,
            "cls": record.cls,
            "state": record.state,
            "tags": record.tags,
            "size": record.size,
            "created": None if record.created is None else to_microseconds(record.created),
            "modified": None if record.modified is None else to_microseconds(record.modified),
            "preview": record.preview,
            "references": record.references,
            "origin": json.dumps(dict(record.origin)),
            "columns": entry_of(record.columns),
            "explicit": True,
        }
        stream = source.file().read()
        sizes = [memoryview(buffer).nbytes for buffer in source.buffers or ()]
        if sizes:
            entry["buffers"] = sizes
        hasher = xxhash.xxh3_128(stream)
        for buffer in source.buffers or ():
            hasher.update(memoryview(buffer).cast("B"))
        head = recordfile.pack_head(
            {key: value for key, value in entry.items() if value not in (None, (), {})},
            flags=recordfile.PLAIN if source.plain else 0,
            revision=stored.revision,
            stream_size=len(stream),
            n_references=len(record.references),
            n_buffers=len(sizes),
            checksum=hasher.digest(),
        )
        out = io.BytesIO()
        out.write(head)
        out.write(stream)
        for start, buffer in zip(recordfile.offsets(len(stream), sizes), source.buffers or (), strict=True):
            out.seek(len(head) + start)
            out.write(buffer)
        return out.getvalue()

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
            If the bytes are damaged, or no exported record.
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
                draft.id = None
                draft.revision = 1
                self._write([draft])
                return str(draft.id)

    def _unpack(self, data: bytes) -> tuple[Draft, str | None]:
        try:
            head = recordfile.unpack_head(data)
            entry = head.entry()
            id_ = check_id(entry.get("id"))
            sizes: Sequence[int] = entry.get("buffers", ())
            if len(data) != head.end + recordfile.payload_size(head.stream_size, sizes):
                raise recordfile.Damaged(f"it is {len(data)} bytes long, which cannot be right")
        except recordfile.Damaged as error:
            raise CorruptRecordError(f"This is no exported record, or a damaged one: {error}.") from error
        view = memoryview(data)[head.end :]
        places = zip(recordfile.offsets(head.stream_size, sizes), sizes, strict=True)
        buffers = [view[start : start + size] for start, size in places]
        encoded = Encoded(
            bytes(view[: head.stream_size]), head.stream_size, buffers, [], not head.flags & recordfile.PLAIN
        )
        if encoded.checksum != head.checksum:
            raise CorruptRecordError(
                f"The exported record of {id_} is damaged: its checksum does not fit.", id=id_
            )
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
            "now": entry.get("modified") or 0,
            "created": entry.get("created") or 0,
            "name": entry.get("name"),
            "tags": tuple(entry.get("tags", ())),
            "origin": entry.get("origin"),
            "columns": columns_from_entry(columns := entry.get("columns") or {}, tuple(columns)),
            "explicit": bool(entry.get("explicit")),
            "plain": bool(head.flags & recordfile.PLAIN),
        }
        return draft, entry.get("store")
