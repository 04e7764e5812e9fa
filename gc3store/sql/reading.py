"""Rows into records."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any, Final

import xxhash

from gc3store.backend import OpenMode, StoredRecord, corrupt, not_found, replaced
from gc3store.errors import CorruptRecordError
from gc3store.ids import number_of, numbers_of
from gc3store.pickling import SPOOL, Source
from gc3store.sql.dialect import Dialect
from gc3store.sql.session import Session, fetchone
from gc3store.sql.statements import CHUNKED, PLAIN, REFERS, Statements
from gc3store.support.large_files import open_spool
from gc3store.support.memory import allocate_buffer

__all__ = ["RecordReader"]

#: How many rows with payloads are in memory at a time, each of less than a megabyte.
_ROWS: Final = 16

_BYTES = (bytes, memoryview)


class RecordReader:
    """Reads records, and their payloads.

    Parameters
    ----------
    session : Session
        Where statements are run.
    dialect : Dialect
        The database.
    statements : Statements
        The statements on the store's tables.
    """

    def __init__(self, session: Session, dialect: Dialect, statements: Statements) -> None:
        self._session = session
        self._dialect = dialect
        self._statements = statements

    def read_one(self, id_: str) -> StoredRecord:
        """Return a record."""
        row = self._session.execute(self._statements.read_one, (number_of(id_),), fetchone)
        if row is None or row[0] != id_:
            raise not_found(id_)
        return self.stored(row)

    def read(self, ids: Sequence[str]) -> Iterator[StoredRecord]:
        """Yield the records with the given IDs, in any order, without those that do not exist."""
        numbers = self._dialect.numbers(numbers_of(ids))
        wanted = set(ids)
        for row in self._session.stream(self._statements.read_many, (numbers,), size=_ROWS):
            if row[0] in wanted:
                yield self.stored(row)

    def raw(self, id_: str) -> bytes:
        """Return what there is of the payload of a record, damaged or not, as it is."""
        number = number_of(id_)
        rows = self._session.execute(self._statements.read_one, (number,))
        if not rows:
            raise not_found(id_)
        flags, data = rows[0][2], rows[0][6]
        if type(flags) is not int or not flags & CHUNKED:
            return bytes(data) if isinstance(data, _BYTES) else str(data or "").encode("utf-8", "replace")
        return self._session.run(
            lambda connection: b"".join(
                chunk for (chunk,) in self._dialect.read_chunks(connection, self._statements, number)
            )
        )

    def stored(self, row: Any) -> StoredRecord:
        """Return a record out of its row."""
        id_, revision, flags, checksum, stream_size, buffers, data = row
        if flags is None:
            raise corrupt(id_, "its payload is missing")
        numbers = type(flags) is type(stream_size) is type(revision) is int and revision > 0
        if not numbers or not isinstance(data, _BYTES):
            raise corrupt(id_, "its row has values of other types")
        references = None if flags & REFERS else ()
        plain = bool(flags & PLAIN)
        if flags & CHUNKED:
            return StoredRecord(
                id_, revision, references, None, b"", opener=lambda mode: self._open_chunks(row, mode)
            )
        if buffers is None:
            if len(data) != stream_size:
                raise corrupt(id_, f"it is {len(data)} bytes long and should be {stream_size}")
            return StoredRecord(id_, revision, references, checksum, data, plain=plain)

        def open_(_mode: OpenMode) -> Source:
            position, parts = stream_size, []
            for size in _sizes(id_, buffers):
                parts.append(bytearray(data[position : position + size]))
                position += size
            if len(data) != position:
                raise corrupt(id_, f"it is {len(data)} bytes long and should be {position}")
            return Source(data[:stream_size], parts, plain=plain)

        return StoredRecord(id_, revision, references, checksum, data, opener=open_)

    def _open_chunks(self, row: Any, mode: OpenMode) -> Source:
        """Read a payload that is cut into chunks, in one state of the database."""
        id_, revision = row[:2]
        with self._session.snapshot():
            if self._revision(id_) != revision:
                raise replaced(id_)
            try:
                return self._session.run(lambda connection: self._read_chunks(connection, row, mode))
            except CorruptRecordError:
                if self._revision(id_) == revision:
                    raise
                # Within a transaction, what others do shows between two statements.
                raise replaced(id_) from None

    def _revision(self, id_: str) -> int | None:
        numbers = self._dialect.numbers([number_of(id_)])
        for found, revision in self._session.execute(self._statements.revisions, (numbers,)):
            if found == id_:
                return int(revision)
        return None

    def _read_chunks(self, connection: Any, row: Any, mode: OpenMode) -> Source:
        id_, _, flags, checksum, stream_size, buffers, _ = row
        sizes = _sizes(id_, buffers) if buffers else []
        hasher = xxhash.xxh3_128()
        chunks = iter(self._dialect.read_chunks(connection, self._statements, number_of(id_)))
        stream: Any
        if stream_size <= SPOOL:
            stream = bytearray(stream_size)
            _fill(stream, stream_size, chunks, hasher, id_)
        else:
            stream = open_spool()
            left = stream_size
            while left > 0:
                chunk = _next(chunks, id_)
                hasher.update(chunk)
                stream.write(chunk)
                left -= len(chunk)
            stream.seek(0)
        parts = []
        for size in sizes:
            part = allocate_buffer(size, on_disk=mode == "pass")
            _fill(part, size, chunks, hasher, id_)
            parts.append(part)
        if hasher.digest() != checksum:
            raise corrupt(id_, "its checksum does not fit")
        if isinstance(stream, bytearray):
            stream = memoryview(stream)
        return Source(stream, parts or None, plain=bool(flags & PLAIN))


def _sizes(id_: str, text: str) -> list[int]:
    try:
        sizes = json.loads(text)
        if type(sizes) is list and all(type(size) is int and size >= 0 for size in sizes):
            return sizes
    except (TypeError, ValueError):
        pass
    raise corrupt(id_, "the sizes of its buffers cannot be read")


def _next(chunks: Iterator[Any], id_: str) -> Any:
    for row in chunks:
        return row[0]
    raise corrupt(id_, "a part of its payload is missing")


def _fill(buffer: Any, size: int, chunks: Iterator[Any], hasher: Any, id_: str) -> None:
    view = memoryview(buffer)
    position = 0
    while position < size:
        chunk = _next(chunks, id_)
        if position + len(chunk) > size:
            raise corrupt(id_, "a part of its payload is too long")
        view[position : position + len(chunk)] = chunk
        hasher.update(chunk)
        position += len(chunk)
