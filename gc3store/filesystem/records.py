"""The records of a directory, read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from gc3store.backend import OpenMode, StoredRecord, corrupt, not_found, replaced
from gc3store.errors import CorruptRecordError, StoreError
from gc3store.filesystem.layout import SUFFIX, Layout
from gc3store.filesystem.payload_file import PayloadFile
from gc3store.format import DETACHED, PLAIN, Damaged, Head, payload_size, split_payload, unpack_head
from gc3store.ids import check_id
from gc3store.pickling import Source
from gc3store.support.files import unavailable

__all__ = ["Records"]


class Records:
    """The records of a directory.

    Parameters
    ----------
    layout : Layout
        The directory.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout

    def read(self, id_: str) -> StoredRecord | None:
        """Return a record, `None` if there is no such record.

        Raises
        ------
        CorruptRecordError
            If it is damaged.
        """
        layout = self._layout
        data = layout.read_file(f"{layout.path}/{id_}{SUFFIX}")  # as `record_file`
        if data is None:
            return None
        sizes: Sequence[int] = ()
        try:
            head = unpack_head(data)
            references: tuple[str, ...] = ()
            if head.n_references or head.n_buffers or head.flags & DETACHED:
                entry = head.entry()
                references = tuple([check_id(r) for r in entry.get("references", ())])
                if len(references) != head.n_references:
                    raise Damaged("its references are incomplete")
                sizes = entry.get("buffers", ())
                if head.flags & DETACHED:
                    file = PayloadFile(layout.payload_file(entry), id_, head, sizes)
                    return StoredRecord(
                        id_,
                        head.revision,
                        references,
                        None,
                        b"",
                        opener=lambda mode: self._open_file(file, mode),
                    )
            stop = head.end + (payload_size(head.stream_size, sizes) if sizes else head.stream_size)
            if len(data) != stop:
                raise Damaged(f"it is {len(data)} bytes long and should be {stop}")
        except Damaged as error:
            raise corrupt(id_, str(error)) from error
        view, plain = memoryview(data)[head.end :], head.flags & PLAIN != 0
        if not sizes:
            return StoredRecord(id_, head.revision, references, head.checksum, view, plain=plain)

        def copy(_: OpenMode) -> Source:
            buffers = [bytearray(buffer) for buffer in split_payload(view, head.stream_size, sizes)]
            return Source(view[: head.stream_size], buffers, plain=plain)

        return StoredRecord(id_, head.revision, references, head.checksum, view, opener=copy)

    def _open_file(self, file: PayloadFile, mode: OpenMode) -> Source:
        try:
            return file.open(mode)
        except CorruptRecordError as error:
            # When a record is replaced, the payload that it had is deleted.
            head = self.head(file.id)
            if head is not None and head.revision == file.head.revision:
                raise
            raise replaced(file.id) from error
        except OSError as error:
            if isinstance(error, StoreError):
                raise
            raise unavailable(self._layout.path, error, "read") from error

    def head(self, id_: str) -> Head | None:
        """Return the head of a record; for a damaged one, one that can be replaced or deleted."""
        data = self._layout.read_file(self._layout.record_file(id_))
        if data is None:
            return None
        try:
            return unpack_head(data)
        except Damaged as error:
            entry = json.dumps({"id": id_, "error": f"damaged: {error}"}).encode()
            return Head(0, 0, 0, 0, 0, b"", entry, 0)

    def entry(self, id_: str) -> dict[str, Any] | None:
        """Return the catalogue entry of a record, damaged or not; `None` if there is no such record."""
        entry: dict[str, Any] = {}
        try:
            data = self._layout.read_file(self._layout.record_file(id_))
            if data is None:
                return None
            head = unpack_head(data)
            entry = head.entry()
            entry["id"], entry["revision"] = id_, head.revision
            if head.checksum:
                entry["checksum"] = head.checksum.hex()
            head.check_length(entry, len(data))
        except StoreError as error:
            return {"id": id_, "error": str(error)}
        except Damaged as error:
            return {**entry, "id": id_, "error": f"damaged: {error}"}
        return entry

    def raw(self, id_: str) -> bytes:
        """Return what there is of the payload of a record, damaged or not, as it is."""
        layout = self._layout
        data = layout.read_file(layout.record_file(id_))
        if data is None:
            raise not_found(id_)
        try:
            head = unpack_head(data)
            if head.is_detached:
                return layout.read_file(layout.payload_file(head.entry())) or b""
        except Damaged:
            return b"".join([data, *(layout.read_file(path) or b"" for path in layout.payload_files(id_))])
        return data[head.end :]
