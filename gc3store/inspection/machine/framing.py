"""How a pickler divides a stream into frames."""

from __future__ import annotations

import pickle

from gc3store.inspection.machine.opcodes import BY_CODE, Opcode, end_of

__all__ = ["framed"]

#: A frame ends before the first object that begins this many bytes after it did; and data of as many
#: bytes stand outside of frames. As in CPython's ``_pickle.c``, like the next.
_TARGET = 64 * 1024
_MINIMUM = 4  #: smaller frames are left out

#: Data of any length.
_DATA = {"BINUNICODE", "BINUNICODE8", "BINBYTES", "BINBYTES8", "BYTEARRAY8"}


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
    ops: list[tuple[Opcode, int, int]] = []
    at = 0
    while at < len(body):
        end = end_of(body, at)
        ops.append((BY_CODE[body[at]], at, end))
        at = end
    added: set[int] = set()  # the MARKs of what adds
    marks: list[int] = []
    for i, (opcode, _, _) in enumerate(ops):
        if opcode.name == "MARK":
            marks.append(i)
        elif opcode.marked:
            mark = marks.pop()
            if opcode.is_adding:
                added.add(mark)
    parts = [head]
    begun = 0
    for i, (opcode, position, end) in enumerate(ops):
        begins = not (opcode.takes or opcode.marked) and i not in added  # an object, not more of one
        if opcode.name in _DATA and end - position - 1 - opcode.width >= _TARGET:
            parts += [_frame(body[begun:position]), body[position:end]]
            begun = end
        elif position - begun >= _TARGET and begins:
            parts.append(_frame(body[begun:position]))
            begun = position
    parts.append(_frame(body[begun:]))
    return b"".join(parts)


def _frame(part: bytes) -> bytes:
    return pickle.FRAME + len(part).to_bytes(8, "little") + part if len(part) >= _MINIMUM else part
