"""Large payloads in files of their own, read by copying or by mapping."""

from __future__ import annotations

import mmap
import os
from collections.abc import Sequence
from typing import IO, Any

import xxhash

from gc3store import format as record_format
from gc3store.backend import OpenMode, corrupt
from gc3store.pickling import STEP, Encoded, Source
from gc3store.support.large_files import open_large
from gc3store.support.memory import allocate_buffer

__all__ = ["PayloadFile"]


class PayloadFile:
    """A payload in a file of its own."""

    def __init__(self, path: str, id_: str, head: record_format.Head, sizes: Sequence[int]) -> None:
        self.path = path
        self.id = id_
        self.head = head
        self.sizes = sizes

    def open(self, mode: OpenMode) -> Source:
        """Return the payload.

        Parameters
        ----------
        mode : {"copy", "r", "c", "pass"}
            ``copy`` and ``pass`` verify the checksum; of what is mapped only the length is checked.

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
            if mode == "copy":
                return self._copy(file)
            return self._verified(self._map(file, "r")) if mode == "pass" else self._map(file, mode)
        except BaseException:
            file.close()
            raise

    def _map(self, file: IO[bytes], mode: str) -> Source:
        access = mmap.ACCESS_READ if mode == "r" else mmap.ACCESS_COPY
        view = memoryview(mmap.mmap(file.fileno(), 0, access=access))
        file.close()  # the mapping stays
        buffers = record_format.split_payload(view, self.head.stream_size, self.sizes)
        return Source(view[: self.head.stream_size], buffers, plain=self.head.is_plain)

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
            buffer = allocate_buffer(size)
            _fill(buffer, size, file.fileno(), start, hasher)
            buffers.append(buffer)
        if hasher.digest() != self.head.checksum:
            raise corrupt(self.id, "its checksum does not fit")
        if stream is file:
            file.seek(0)
        else:
            file.close()
        return Source(stream, buffers or None, plain=self.head.is_plain)


def _fill(buffer: Any, size: int, descriptor: int, start: int, hasher: Any) -> None:
    """Fill memory from a file in steps, hashing each piece while it is in the processor's cache."""
    view = memoryview(buffer)[:size]
    position = 0
    while position < size:
        piece = view[position : position + STEP]
        count = os.preadv(descriptor, [piece], start + position)
        if count <= 0:
            break  # the checksum will tell
        hasher.update(piece[:count])
        position += count
