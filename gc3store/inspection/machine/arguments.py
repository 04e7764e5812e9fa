"""Opcodes with long or textual arguments, each rewritten by a function of its own.

A handler is given the pickle that is being rewritten and the position after the opcode; it returns
what to write in its place, and where the next opcode begins.
"""

from __future__ import annotations

import codecs
import pickle
import re
import struct
from collections.abc import Callable
from typing import Any, Final, Protocol

from gc3store.errors import CorruptRecordError, InspectionError
from gc3store.inspection.machine.nodes import (
    BUFFER,
    BYTEARRAY,
    BYTES,
    DIGITS,
    EXTENSION,
    INST,
    NAME,
    NAME2,
    PERSISTENT,
    TEXT,
)
from gc3store.inspection.machine.opcodes import BY_NAME

__all__ = ["HANDLERS", "node"]

LARGE_BYTES: Final = 1024  #: byte strings of at least this length become views
LARGE_TEXT: Final = 1 << 20
MAX_DIGITS: Final = 4300  #: as in the interpreter's own limit for strings


def node(kind: int, operands: bytes = b"") -> bytes:
    """Return what makes a node of the topmost operands and `kind`; `operands` is run before."""
    # operands ... kind TUPLE3 BINPERSID
    return operands + b"K" + bytes([kind]) + b"\x87Q"


class Stream(Protocol):
    """A pickle stream that is being rewritten, as the functions here read it.

    Attributes
    ----------
    length : int
        Its length, in bytes.
    protocol : int
        The protocol that it says it has.
    """

    length: int
    protocol: int

    def take(self, at: int, count: int) -> tuple[bytes, int]:
        """Return `count` bytes, and where what follows begins."""

    def view(self, at: int, count: int) -> tuple[Any, int]:
        """Return `count` bytes without copying them, and where what follows begins."""

    def line(self, at: int) -> tuple[bytes, int]:
        """Return a line, and where what follows begins."""

    def number(self, at: int, width: int) -> tuple[int, int]:
        """Return a number of `width` bytes, and where what follows begins."""

    def foreign(self) -> bytes:
        """Return what stands for the next out-of-band buffer."""


Handler = Callable[["Stream", int], tuple[bytes, int]]
#: By the byte that the opcode is.
HANDLERS: dict[bytes, Handler] = {}


def _handles(*names: str) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for name in names:
            HANDLERS[bytes([BY_NAME[name].code])] = handler
        return handler

    return register


_Numbered = Callable[["Stream", int, int], tuple[bytes, int]]


def _handles_number(*names: str) -> Callable[[_Numbered], _Numbered]:
    """Register a function that is given the argument, or the number of bytes that follow, and where that ends."""

    def register(function: _Numbered) -> _Numbered:
        for name in names:
            opcode = BY_NAME[name]

            def handler(t: Stream, at: int, width: int = opcode.width) -> tuple[bytes, int]:
                return function(t, *t.number(at, width))

            _handles(name)(handler)
        return function

    return register


_OfLine = Callable[[bytes, int], bytes]


def _handles_line(*names: str) -> Callable[[_OfLine], _OfLine]:
    """Register a function that is given the argument, a line of text, and where that ends."""

    def register(function: _OfLine) -> _OfLine:
        def handler(t: Stream, at: int) -> tuple[bytes, int]:
            line, at = t.line(at)
            return function(line, at), at

        _handles(*names)(handler)
        return function

    return register


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return b"X" + len(raw).to_bytes(4, "little") + raw


def _integer(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + len(raw).to_bytes(4, "little") + raw


@_handles_number("PROTO")
def _proto(t: Stream, version: int, at: int) -> tuple[bytes, int]:
    if version > pickle.HIGHEST_PROTOCOL:
        raise InspectionError(
            f"The pickle says it is of protocol {version}; this Python reads up to {pickle.HIGHEST_PROTOCOL}."
        )
    t.protocol = version
    return b"", at


@_handles_number("FRAME")
def _frame(_t: Stream, _length: int, at: int) -> tuple[bytes, int]:
    return b"", at


@_handles_number("BINUNICODE", "BINUNICODE8")
def _counted_text(t: Stream, count: int, at: int) -> tuple[bytes, int]:
    if count >= LARGE_TEXT:
        piece, at = t.view(at, count)
        return piece + node(TEXT, b"N"), at
    raw, at = t.take(at, count)
    return b"X" + count.to_bytes(4, "little") + raw, at


@_handles_number("BINSTRING")
def _counted_string(t: Stream, count: int, at: int) -> tuple[bytes, int]:
    raw, at = t.take(at, count)
    return _python2_string(raw), at


def _python2_string(raw: bytes) -> bytes:
    # BINSTRING: decoded like the short form, which the unpickler's encoding is for.
    return b"T" + len(raw).to_bytes(4, "little") + raw


@_handles_number("BINBYTES", "BINBYTES8")
def _counted_bytes(t: Stream, count: int, at: int) -> tuple[bytes, int]:
    if count >= LARGE_BYTES:
        piece, at = t.view(at, count)
        return piece + node(BYTES, b"N"), at
    raw, at = t.take(at, count)
    return b"B" + count.to_bytes(4, "little") + raw, at


@_handles_number("BYTEARRAY8")
def _counted_bytearray(t: Stream, count: int, at: int) -> tuple[bytes, int]:
    piece, at = t.view(at, count)
    return piece + node(BYTEARRAY, b"N"), at


@_handles("NEXT_BUFFER")
def _next_buffer(t: Stream, at: int) -> tuple[bytes, int]:
    return t.foreign() + node(BUFFER, b"N"), at


@_handles("READONLY_BUFFER")
def _readonly_buffer(_t: Stream, at: int) -> tuple[bytes, int]:
    return b"", at


@_handles_number("LONG1", "LONG4")
def _counted_integer(t: Stream, count: int, at: int) -> tuple[bytes, int]:
    raw, at = t.take(at, count if count < 1 << 31 else -1)
    return b"\x8b" + count.to_bytes(4, "little") + raw, at


@_handles_number("LONG_BINPUT")
def _long_binput(t: Stream, index: int, at: int) -> tuple[bytes, int]:
    return _put(t, index), at


@_handles("PUT")
def _text_put(t: Stream, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    return _put(t, _decimal(line, at)), at


def _put(t: Stream, index: int) -> bytes:
    # The unpickler's memo is an array: an index is an allocation.
    if index > max(t.length, 1 << 20):
        raise InspectionError(
            f"The pickle numbers an object {index}, which a stream of {t.length} bytes has no need of."
        )
    return b"r" + index.to_bytes(4, "little")


@_handles_line("GET")
def _text_get(line: bytes, at: int) -> bytes:
    index = _decimal(line, at)
    if index >= 1 << 32:
        raise CorruptRecordError(f"The pickle refers to an object {index} that it has not made.")
    return b"j" + index.to_bytes(4, "little")


def _decimal(line: bytes, at: int) -> int:
    if not re.fullmatch(rb"[0-9]{1,20}", line):
        raise CorruptRecordError(f"The pickle holds {line[:20]!r} before byte {at} where a number should be.")
    return int(line)


@_handles_line("INT")
def _text_int(line: bytes, at: int) -> bytes:
    if line in (b"00", b"01"):
        return b"\x88" if line == b"01" else b"\x89"
    return _text_number(line, at)


@_handles_line("LONG")
def _text_long(line: bytes, at: int) -> bytes:
    return _text_number(line.removesuffix(b"L"), at)


def _text_number(line: bytes, at: int) -> bytes:
    digits = line.strip(b" \t\r\f\v")
    if not re.fullmatch(rb"[+-]?(?:[0-9]+|0[xX][0-9a-fA-F]+)", digits):
        raise CorruptRecordError(
            f"The pickle holds {line[:20]!r} before byte {at} where an integer should be."
        )
    if len(digits) > MAX_DIGITS:
        return _text(digits.decode()) + node(DIGITS, b"N")
    octal = re.fullmatch(rb"[+-]?0[0-7]+", digits)  # as C reads them
    return _integer(int(digits, 8 if octal else 16 if b"x" in digits.lower() else 10))


@_handles_line("FLOAT")
def _text_float(line: bytes, at: int) -> bytes:
    try:
        return b"G" + struct.pack(">d", float(line.replace(b"_", b"?")))  # Python would allow 1_000
    except ValueError as error:
        raise CorruptRecordError(
            f"The pickle holds {line[:20]!r} before byte {at} where a float should be."
        ) from error


@_handles_line("STRING")
def _text_string(line: bytes, at: int) -> bytes:
    line = line.strip()
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
        raise CorruptRecordError(f"The pickle holds a string without quotes before byte {at}.")
    try:
        return _python2_string(codecs.escape_decode(line[1:-1])[0])
    except ValueError as error:
        raise CorruptRecordError(
            f"The pickle holds a string with a broken escape before byte {at}."
        ) from error


@_handles_line("UNICODE")
def _text_unicode(line: bytes, at: int) -> bytes:
    try:
        return _text(codecs.raw_unicode_escape_decode(line, "strict")[0])  # by name, it imports a module
    except UnicodeDecodeError as error:
        raise CorruptRecordError(
            f"The pickle holds a string with a broken escape before byte {at}."
        ) from error


@_handles("GLOBAL")
def _global(t: Stream, at: int) -> tuple[bytes, int]:
    return _name_at(t, at)


@_handles("INST")
def _inst(t: Stream, at: int) -> tuple[bytes, int]:
    name, at = _name_at(t, at)
    return b"t" + name + node(INST), at


def _name_at(t: Stream, at: int) -> tuple[bytes, int]:
    module, at = t.line(at)
    name, at = t.line(at)
    try:
        texts = _text(module.decode()) + _text(name.decode())
    except UnicodeDecodeError as error:
        raise CorruptRecordError(f"A name in the pickle, before byte {at}, is not valid UTF-8.") from error
    return texts + node(NAME2 if t.protocol < 3 else NAME), at


@_handles_line("PERSID")
def _text_persid(line: bytes, at: int) -> bytes:
    try:
        return _text(line.decode("ascii")) + node(PERSISTENT, b"N")
    except UnicodeDecodeError as error:
        raise CorruptRecordError(f"A persistent ID in the pickle, before byte {at}, is not ASCII.") from error


@_handles_number("EXT1", "EXT2", "EXT4")
def _extension(_t: Stream, code: int, at: int) -> tuple[bytes, int]:
    return _integer(code) + node(EXTENSION, b"N"), at
