"""Opcodes with long or textual arguments, each rewritten by a function of its own.

A handler is given the transcript and the position after the opcode; it returns what to
write in its place, and where the next opcode begins.
"""

from __future__ import annotations

import codecs
import pickle
import re
import struct
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

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

if TYPE_CHECKING:
    from gc3store.inspection.machine.stream import Transcript

__all__ = ["HANDLERS", "node"]

LARGE_BYTES: Final = 1024  #: byte strings of at least this length become views
LARGE_TEXT: Final = 1 << 20
MAX_DIGITS: Final = 4300  #: as in the interpreter's own limit for texts


def node(kind: int, operands: bytes = b"") -> bytes:
    """Return what makes a node of the topmost operands and `kind`; `operands` is run before."""
    # operands ... kind TUPLE3 BINPERSID
    return operands + b"K" + bytes([kind]) + b"\x87Q"


Handler = Callable[["Transcript", int], tuple[bytes, int]]
HANDLERS: dict[bytes, Handler] = {}


def _handles(opcodes: bytes) -> Callable[[Handler], Handler]:
    def register(handler: Handler) -> Handler:
        for opcode in opcodes:
            HANDLERS[bytes([opcode])] = handler
        return handler

    return register


def _text(text: str) -> bytes:
    raw = text.encode("utf-8", "surrogatepass")
    return b"X" + len(raw).to_bytes(4, "little") + raw


def _integer(value: int) -> bytes:
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8b" + len(raw).to_bytes(4, "little") + raw


@_handles(b"\x80")
def _proto(t: Transcript, at: int) -> tuple[bytes, int]:
    version, at = t.number(at, 1)
    if version > pickle.HIGHEST_PROTOCOL:
        raise InspectionError(
            f"The pickle says it is of protocol {version}; this Python reads up to {pickle.HIGHEST_PROTOCOL}."
        )
    t._proto = version
    return b"", at


@_handles(b"\x95")
def _frame(t: Transcript, at: int) -> tuple[bytes, int]:
    return b"", t.number(at, 8)[1]


@_handles(b"X")
def _binunicode(t: Transcript, at: int) -> tuple[bytes, int]:
    return _counted_text(t, *t.number(at, 4))


@_handles(b"\x8d")
def _binunicode8(t: Transcript, at: int) -> tuple[bytes, int]:
    return _counted_text(t, *t.number(at, 8))


def _counted_text(t: Transcript, count: int, at: int) -> tuple[bytes, int]:
    if count >= LARGE_TEXT:
        piece, at = t.view(at, count)
        return piece + node(TEXT, b"N"), at
    raw, at = t.take(at, count)
    return b"X" + count.to_bytes(4, "little") + raw, at


@_handles(b"T")
def _binstring(t: Transcript, at: int) -> tuple[bytes, int]:
    count, at = t.number(at, 4)
    raw, at = t.take(at, count)
    return _python2_string(raw), at


def _python2_string(raw: bytes) -> bytes:
    # T: decoded like the short form, which the unpickler's encoding is for.
    return b"T" + len(raw).to_bytes(4, "little") + raw


@_handles(b"B")
def _binbytes(t: Transcript, at: int) -> tuple[bytes, int]:
    return _counted_bytes(t, *t.number(at, 4))


@_handles(b"\x8e")
def _binbytes8(t: Transcript, at: int) -> tuple[bytes, int]:
    return _counted_bytes(t, *t.number(at, 8))


def _counted_bytes(t: Transcript, count: int, at: int) -> tuple[bytes, int]:
    if count >= LARGE_BYTES:
        piece, at = t.view(at, count)
        return piece + node(BYTES, b"N"), at
    raw, at = t.take(at, count)
    return b"B" + count.to_bytes(4, "little") + raw, at


@_handles(b"\x96")
def _bytearray8(t: Transcript, at: int) -> tuple[bytes, int]:
    count, at = t.number(at, 8)
    piece, at = t.view(at, count)
    return piece + node(BYTEARRAY, b"N"), at


@_handles(b"\x97")
def _next_buffer(t: Transcript, at: int) -> tuple[bytes, int]:
    return t.foreign() + node(BUFFER, b"N"), at


@_handles(b"\x98")
def _readonly_buffer(_t: Transcript, at: int) -> tuple[bytes, int]:
    return b"", at


@_handles(b"\x8a")
def _long1(t: Transcript, at: int) -> tuple[bytes, int]:
    count, at = t.number(at, 1)
    raw, at = t.take(at, count)
    return b"\x8a" + bytes([count]) + raw, at


@_handles(b"\x8b")
def _long4(t: Transcript, at: int) -> tuple[bytes, int]:
    count, at = t.number(at, 4)
    raw, at = t.take(at, count if count < 1 << 31 else -1)
    return b"\x8b" + count.to_bytes(4, "little") + raw, at


@_handles(b"r")
def _long_binput(t: Transcript, at: int) -> tuple[bytes, int]:
    index, at = t.number(at, 4)
    return _put(t, index), at


@_handles(b"p")
def _text_put(t: Transcript, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    return _put(t, _decimal(line, at)), at


def _put(t: Transcript, index: int) -> bytes:
    # The unpickler's memo is an array: an index is an allocation.
    if index > max(t._length, 1 << 20):
        raise InspectionError(
            f"The pickle numbers an object {index}, which a stream of {t._length} bytes has no need of."
        )
    return b"r" + index.to_bytes(4, "little")


@_handles(b"g")
def _text_get(t: Transcript, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    index = _decimal(line, at)
    if index >= 1 << 32:
        raise CorruptRecordError(f"The pickle refers to an object {index} that it has not made.")
    return b"j" + index.to_bytes(4, "little"), at


def _decimal(line: bytes, at: int) -> int:
    if not re.fullmatch(rb"[0-9]{1,20}", line):
        raise CorruptRecordError(f"The pickle holds {line[:20]!r} before byte {at} where a number should be.")
    return int(line)


@_handles(b"I")
def _text_int(t: Transcript, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    if line in (b"00", b"01"):
        return (b"\x88" if line == b"01" else b"\x89"), at
    return _text_number(line, at), at


@_handles(b"L")
def _text_long(t: Transcript, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    return _text_number(line.removesuffix(b"L"), at), at


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


@_handles(b"F")
def _text_float(t: Transcript, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    try:
        return b"G" + struct.pack(">d", float(line.replace(b"_", b"?"))), at  # Python would allow 1_000
    except ValueError as error:
        raise CorruptRecordError(
            f"The pickle holds {line[:20]!r} before byte {at} where a float should be."
        ) from error


@_handles(b"S")
def _text_string(t: Transcript, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    line = line.strip()
    if len(line) < 2 or line[0] != line[-1] or line[:1] not in (b"'", b'"'):
        raise CorruptRecordError(f"The pickle holds a string without quotes before byte {at}.")
    try:
        return _python2_string(codecs.escape_decode(line[1:-1])[0]), at
    except ValueError as error:
        raise CorruptRecordError(
            f"The pickle holds a string with a broken escape before byte {at}."
        ) from error


@_handles(b"V")
def _text_unicode(t: Transcript, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    try:
        return _text(codecs.raw_unicode_escape_decode(line, "strict")[0]), at  # by name, it imports a module
    except UnicodeDecodeError as error:
        raise CorruptRecordError(f"The pickle holds a text with a broken escape before byte {at}.") from error


@_handles(b"c")
def _global(t: Transcript, at: int) -> tuple[bytes, int]:
    return _name_at(t, at)


@_handles(b"i")
def _inst(t: Transcript, at: int) -> tuple[bytes, int]:
    name, at = _name_at(t, at)
    return b"t" + name + node(INST), at


def _name_at(t: Transcript, at: int) -> tuple[bytes, int]:
    module, at = t.line(at)
    name, at = t.line(at)
    try:
        texts = _text(module.decode()) + _text(name.decode())
    except UnicodeDecodeError as error:
        raise CorruptRecordError(f"The pickle names something before byte {at} that is no text.") from error
    return texts + node(NAME2 if t._proto < 3 else NAME), at


@_handles(b"P")
def _text_persid(t: Transcript, at: int) -> tuple[bytes, int]:
    line, at = t.line(at)
    try:
        return _text(line.decode("ascii")) + node(PERSISTENT, b"N"), at
    except UnicodeDecodeError as error:
        raise CorruptRecordError(
            f"The pickle holds a persistent ID before byte {at} that is no text."
        ) from error


def _extension(width: int) -> Handler:
    def handler(t: Transcript, at: int) -> tuple[bytes, int]:
        code, at = t.number(at, width)
        return _integer(code) + node(EXTENSION, b"N"), at

    return handler


_handles(b"\x82")(_extension(1))
_handles(b"\x83")(_extension(2))
_handles(b"\x84")(_extension(4))
