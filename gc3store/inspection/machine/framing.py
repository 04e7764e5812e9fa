"""How a pickler divides a stream into frames."""

from __future__ import annotations

import pickle
import pickletools

__all__ = ["framed"]

#: A frame ends before the first object that begins this many bytes after it did; and data of as many
#: bytes stand outside of frames. As in CPython's ``_pickle.c``, like the next.
_TARGET = 64 * 1024
_MINIMUM = 4  #: smaller frames are left out

#: Opcodes with data of any length, and the bytes before the data.
_HEADERS = {"BINUNICODE": 5, "BINUNICODE8": 9, "BINBYTES": 5, "BINBYTES8": 9, "BYTEARRAY8": 9}
_CLOSING = {"TUPLE", "FROZENSET", "LIST", "DICT", "INST", "OBJ"}  #: what began with its MARK
_ADDING = {"APPENDS", "SETITEMS", "ADDITEMS"}  #: what adds to something that is there, from a MARK on
_LATER = {
    *_CLOSING,
    *_ADDING,
    *("APPEND", "SETITEM", "TUPLE1", "TUPLE2", "TUPLE3", "REDUCE", "NEWOBJ", "NEWOBJ_EX", "BUILD"),
    *("STACK_GLOBAL", "MEMOIZE", "READONLY_BUFFER", "POP", "POP_MARK", "STOP"),
}


def framed(body: bytes, protocol: int) -> bytes:
    """Return opcodes as a stream, in the frames in which the pickler would write them.

    Parameters
    ----------
    body : bytes
        All opcodes but PROTO and FRAME, from protocol 4 on.
    protocol : int
        The protocol.
    """
    head = pickle.PROTO + bytes([protocol])
    if len(body) < _TARGET:
        return head + _frame(body)
    ops = [(opcode.name, position or 0) for opcode, _, position in pickletools.genops(body)]
    ends = [position for _, position in ops[1:]] + [len(body)]
    added: set[int] = set()  # the MARKs of what adds
    marks: list[int] = []
    for i, (name, _) in enumerate(ops):
        if name == "MARK":
            marks.append(i)
        elif name in _ADDING:
            added.add(marks.pop())
        elif name in _CLOSING or name == "POP_MARK":
            marks.pop()
    parts = [head]
    begun = 0
    for i, ((name, position), end) in enumerate(zip(ops, ends, strict=True)):
        if name in _HEADERS and end - position - _HEADERS[name] >= _TARGET:
            parts += [_frame(body[begun:position]), body[position:end]]
            begun = end
        elif position - begun >= _TARGET and name not in _LATER and i not in added:
            parts.append(_frame(body[begun:position]))
            begun = position
    parts.append(_frame(body[begun:]))
    return b"".join(parts)


def _frame(part: bytes) -> bytes:
    return pickle.FRAME + len(part).to_bytes(8, "little") + part if len(part) >= _MINIMUM else part
