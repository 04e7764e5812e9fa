"""Large payloads in files of their own: written in pieces, read by copying or by mapping."""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from typing import IO, Any

import xxhash

from gc3store import format as record_format
from gc3store.engine.primitives import corrupt
from gc3store.pickling import STEP, Encoded, Source
from gc3store.support.large_files import open_large
from gc3store.support.memory import is_passing, room_for

__all__ = ["PayloadFile", "attached", "pieces"]


def attached(encoded: Encoded) -> list[Any]:
    """Return a small payload as it stands behind the head of its record."""
    parts: list[Any] = [encoded.stream]
    if not encoded.buffers:
        return parts
    position = encoded.stream_size
    sizes = [view.nbytes for view in encoded.buffers]
    for start, view in zip(record_format.offsets(encoded.stream_size, sizes), encoded.buffers, strict=True):
        parts += [bytes(start - position), view]
        position = start + view.nbytes
    return parts


def pieces(encoded: Encoded) -> Iterator[Any]:
    """Yield a payload as it stands in a file of its own, hashing each piece as it passes."""
    sizes = [view.nbytes for view in encoded.buffers]
    starts = iter([0, *record_format.offsets(encoded.stream_size, sizes)])
    position = 0
    for part in encoded.parts():
        gap = next(starts) - position
        if gap:
            yield bytes(gap)
            position += gap
        for piece in part:
            position += piece.nbytes
            yield piece


class PayloadFile:
    """A payload in a file of its own."""

    def __init__(self, path: str, id_: str, head: record_format.Head, sizes: Sequence[int]) -> None:
        self.path = path
        self.id = id_
        self.head = head
        self.sizes = sizes
        self.plain = bool(head.flags & record_format.PLAIN)

    def open(self, mode: str | None = None) -> Source:
        """Return the payload, copied and verified, or mapped into memory.

        Parameters
        ----------
        mode : {"r", "c"}, optional
            Map the file, read-only or copy-on-write; only its length is checked then.

        Raises
        ------
        CorruptRecordError
            If the file is missing or damaged.
        OSError
            If it cannot be read.
        """
        try:
            file = open_large(self.path, self.head.stream_size)  # a large stream is read from it later
        except FileNotFoundError:
            raise corrupt(self.id, f"the file {self.path} with its payload is missing") from None
        try:
            expected = record_format.payload_size(self.head.stream_size, self.sizes)
            length = os.fstat(file.fileno()).st_size
            if length != expected:
                raise corrupt(self.id, f"its payload is {length} bytes long and should be {expected}")
            if mode is not None:
                return self._map(file, mode)
            return self._verified(self._map(file, "r")) if is_passing() else self._copy(file)
        except BaseException:
            file.close()
            raise

    def _map(self, file: IO[bytes], mode: str) -> Source:
        access = mmap.ACCESS_READ if mode == "r" else mmap.ACCESS_COPY
        view = memoryview(mmap.mmap(file.fileno(), 0, access=access))
        file.close()  # the mapping stays
        places = zip(record_format.offsets(self.head.stream_size, self.sizes), self.sizes, strict=True)
        buffers = [view[start : start + size] for start, size in places]
        return Source(view[: self.head.stream_size], buffers, plain=self.plain)

    def _verified(self, source: Source) -> Source:
        encoded = Encoded(source.stream, len(source.stream), list(source.buffers or ()), [], False)
        if encoded.checksum != self.head.checksum:
            raise corrupt(self.id, "its checksum does not fit")
        return source

    def _copy(self, file: IO[bytes]) -> Source:
        hasher = xxhash.xxh3_128()
        stream: Any
        if self.head.stream_size <= 8 * STEP:
            stream = file.read(self.head.stream_size)
            hasher.update(stream)
        else:
            stream = file
            left = self.head.stream_size
            while left:
                piece = file.read(min(left, STEP))
                if not piece:
                    break
                hasher.update(piece)
                left -= len(piece)
        buffers = []
        for start, size in zip(
            record_format.offsets(self.head.stream_size, self.sizes), self.sizes, strict=True
        ):
            buffer = room_for(size)
            fill(buffer, size, lambda view, at: os.preadv(file.fileno(), [view], at), start, hasher)
            buffers.append(buffer)
        if hasher.digest() != self.head.checksum:
            raise corrupt(self.id, "its checksum does not fit")
        if stream is file:
            file.seek(0)
        else:
            file.close()
        return Source(stream, buffers or None, plain=self.plain)


def fill(buffer: Any, size: int, read: Callable[[memoryview, int], int], start: int, hasher: Any) -> None:
    """Fill memory by reading in steps, hashing each piece while it is in the cache."""
    view = memoryview(buffer)[:size]
    position = 0
    while position < size:
        piece = view[position : position + STEP]
        count = read(piece, start + position)
        if count <= 0:
            break  # the checksum will tell
        hasher.update(piece[:count])
        position += count
