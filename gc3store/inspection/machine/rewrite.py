"""Turn a pickle stream into a tree of tuples and lists, running nothing that it names.

*The scheme.* A pickle is a program for a small stack machine. Reading one in pure
Python is fifty times slower than the interpreter's C implementation; letting the C
implementation read a stranger's program means that every opcode is a question: what
does ``BUILD`` do to this object, what does an extension code fetch from a process-wide
table, what does a dictionary do with a million keys of one hash, or with a key that is
a tuple of tuples of tuples shared at every level? Here those questions do not arise,
because the C implementation never sees that program. The stream is first *rewritten*
into a harmless sublanguage, and only the rewritten stream is run:

* constants, tuples, marks and the memo stay as they are;
* what would look up, call, build, hash or set an attribute becomes "make a tuple of
  the operands, hand it to `list`": ``REDUCE`` of a callable and its arguments becomes
  ``(callable, arguments, CALL)``, ``EMPTY_DICT`` becomes ``(None, None, DICT)``, and
  so on. What is done to an object later (``APPENDS``, ``BUILD``, ``SETITEMS``) is
  appended to that list in order.

`list` is handed over as the unpickler's ``persistent_load``, the sublanguage's only way
out of the machine; the stream's own persistent IDs are rewritten too. No opcode that
reaches ``find_class``, the extension registry, a dictionary, a set, an instance or a
callable is left, so from any bytes, all that can happen is that tuples and
lists are made. What they mean is worked out afterwards, in Python, by
`gc3store.inspection.building`, or only for the few values that a table asks for.

*Why rewriting is exact.* Pickles have no jumps: opcodes are executed in the order in
which they stand, and the length of each follows from its own bytes. So a lexer finds
the same opcodes as the machine does, and a replacement with the same effect on the
stack and none on the memo can be put in place of any of them. The lexer is a regular
expression, which runs at some 40 ns an opcode; it passes over what stays as it is and
stops at the rest. Opcodes with long or textual arguments are taken apart in Python.

*Bounds.* Declared lengths are compared with what is there before anything is
allocated; memo indices may not exceed the length of the stream; texts of digits are
not turned into integers beyond 4300 digits; large byte strings are not copied but
become views of the input. Each byte of input makes at most one object, so memory is
proportional to the input, and so is time. Sharing (``[x, x]`` nested a hundred times)
is kept as sharing; only walking it as if it were a tree would take for ever, which
nothing in this package does.
"""

from __future__ import annotations

import pickle
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from typing import Any, Final

from gc3store.errors import CorruptRecordError, InspectionError
from gc3store.inspection.machine.arguments import HANDLERS, node
from gc3store.inspection.machine.nodes import (
    CALL,
    DICT,
    EFFECT,
    FROZENSET,
    ITEMS,
    LIST,
    NAME,
    NAME2,
    NEW,
    NEW_EX,
    OBJ,
    PAIRS,
    PERSISTENT,
    SET,
    SETTER,
    STATE,
    Node,
)

__all__ = ["RewrittenPickle", "rewrite", "run"]

# Replacements that depend on nothing but the opcode. Each leaves the stack as the opcode
# itself would, with a Node where an object would be.
_REPLACEMENTS: Final[dict[bytes, bytes]] = {
    b"": b"",
    b"]": node(LIST, b"NN"),
    b"l": node(LIST, b"tN"),
    b"}": node(DICT, b"NN"),
    b"d": node(DICT, b"tN"),
    b"s": node(PAIRS, b"\x86N") + b"a",
    b"u": node(PAIRS, b"tN") + b"a",
    b"\x8f": node(SET, b"NN"),
    b"\x90": node(ITEMS, b"tN") + b"a",
    b"\x91": node(FROZENSET, b"tN"),
    b"R": node(CALL),
    b"R0": node(EFFECT) + b"0",
    b"\x81": node(NEW),
    b"\x92": node(NEW_EX, b"\x87N"),
    b"o": node(OBJ, b"tN"),
    b"b": node(STATE, b"N") + b"a",
    b"\x93": node(NAME),
    b"Q": node(PERSISTENT, b"N"),
}


_OLD_REPLACEMENTS: Final = {**_REPLACEMENTS, b"\x93": node(NAME2)}
_DISCARDED: Final = _REPLACEMENTS[b"R0"]


@cache
def _lexer() -> re.Pattern[bytes]:
    """Return the expression that splits a stream into what stays and what is replaced.

    Group 1 is a run of opcodes that stay, group 2 the opcode after it: one of
    `_REPLACEMENTS`, or, from any other opcode on, all the rest.
    """

    def counted(lengths: range, zeros: int = 0) -> bytes:
        # A length and as many bytes; regular expressions cannot count, but they can choose.
        choices = (re.escape(bytes([n])) + b"\0" * zeros + (b".{%d}" % n if n else b"") for n in lengths)
        return b"(?:" + b"|".join(choices) + b")"

    # Possessive repetition is a third faster; before 3.11.5 it had a bug (bpo 106052).
    repeat = b"*+" if sys.version_info >= (3, 11, 5) else b"*"
    stays = b"|".join(
        (
            rb"\x8c" + counted(range(256)) + rb"\x94?",  # SHORT_BINUNICODE, usually memoized
            rb"[\x94N()\x85-\x87\x88\x89012eta]+",  # constants, tuples, lists, MARK, POP, DUP, MEMOIZE
            rb"[hKq].",  # BINGET, BININT1, BINPUT
            rb"G.{8}",  # BINFLOAT
            rb"M..",  # BININT2
            rb"[Jj].{4}",  # BININT, LONG_BINGET
            rb"r..[\0-\x0f]\0",  # LONG_BINPUT below 2**20
            rb"X" + counted(range(256), zeros=3),  # BINUNICODE
            rb"[CU]" + counted(range(256)),  # SHORT_BINBYTES, SHORT_BINSTRING
            rb"\x8a" + counted(range(17)),  # LONG1
            rb"[gp](?:0|[1-9][0-9]{0,4})\n",  # GET, PUT
        )
    )
    # An R at the end of a window waits for what follows, which may be a 0.
    replaced = rb"R0|R(?=.)|[\x81}usb\]l\x93Q\x8fd\x90\x91\x92o]"
    return re.compile(rb"((?:" + stays + rb")" + repeat + rb")(" + replaced + rb"|.*)", re.DOTALL)


class RewrittenPickle:
    """A stream rewritten into the sublanguage.

    Attributes
    ----------
    body : bytes
        The rewritten stream.
    buffers : list of memoryview
        What its NEXT_BUFFER opcodes stand for, in order: views of large byte strings
        in the input, and out-of-band buffers. Read-only.
    effects : bool
        Whether there are calls whose result is thrown away.
    length : int
        Bytes of the input.
    protocol : int
        The protocol that the input says it has; 0 where it says nothing.
    size : int
        Bytes of the input up to and including STOP.
    """

    __slots__ = ("_data", "_foreign", "body", "buffers", "effects", "length", "protocol", "size")

    def __init__(self, data: bytes | memoryview, buffers: Iterable[Any] | None) -> None:
        self._data = data
        self.length = len(data)
        self._foreign: Iterator[Any] = iter(buffers or ())
        self.protocol = 0
        self.buffers: list[memoryview] = []
        self.effects = False
        self.size = 0
        self.body = b"".join(self._pieces())

    def _pieces(self) -> Iterator[bytes]:
        data, length = self._data, self.length
        lex = _lexer().findall
        at = 0
        if length > 11 and data[0] == 0x80 and data[2] == 0x95 and data[1] <= pickle.HIGHEST_PROTOCOL:
            self.protocol = data[1]
            at = 11  # PROTO and the first FRAME
        # A window keeps what an opcode that is not in the expression throws away small.
        window = 1 << 14
        while True:
            if at >= length:
                raise CorruptRecordError(
                    f"The pickle ends after {length} bytes without a STOP opcode; it was cut off."
                )
            tokens = lex(data, at, at + window)
            replacements = _REPLACEMENTS if self.protocol > 2 else _OLD_REPLACEMENTS
            if tokens[-1] == (b"", b""):
                tokens.pop()  # an empty match at the very end
            run_, rest = tokens[-1]
            if rest in replacements:
                rest = b""
            else:
                tokens[-1] = (run_, b"")
            piece = b"".join([run_ + replacements[opcode] for run_, opcode in tokens])
            if _DISCARDED in piece:
                self.effects = True
            yield piece
            end = min(at + window, length)
            if not rest:
                at = end
                window = min(window * 4, 1 << 20)
                continue
            at = end - len(rest)
            opcode = rest[:1]
            if opcode == b".":
                self.size = at + 1
                yield b"."
                return
            handler = HANDLERS.get(opcode)
            if handler is not None:
                piece, at = handler(self, at + 1)
                yield piece
                window = max(window // 2, 1 << 11)
            elif opcode not in _KNOWN:
                raise CorruptRecordError(
                    f"Byte {at} of the pickle, {opcode!r}, is not an opcode: this is not a pickle, or it is damaged."
                )
            elif end == length:
                raise CorruptRecordError(f"The pickle ends within an opcode at byte {at}; it was cut off.")
            # else the window cut an opcode in two: go on from its start, and no window is shorter than it

    # Arguments of opcodes.

    def take(self, at: int, count: int) -> tuple[bytes, int]:
        """Return `count` bytes from `at`, and where they end."""
        end = at + count
        if count < 0 or end > self.length:
            raise CorruptRecordError(
                f"The pickle announces {count} bytes at byte {at}, where {self.length - at} are left; "
                "it was cut off or is damaged."
            )
        return bytes(self._data[at:end]), end

    def number(self, at: int, width: int) -> tuple[int, int]:
        """Return the unsigned integer of `width` bytes at `at`, and where it ends."""
        raw, end = self.take(at, width)
        return int.from_bytes(raw, "little"), end

    def line(self, at: int) -> tuple[bytes, int]:
        """Return the text at `at` up to the end of the line, and where the next begins."""
        match = _LINE.match(self._data, at)
        if match is None:
            raise CorruptRecordError(f"The pickle ends within a line of text at byte {at}; it was cut off.")
        return match[1], match.end()

    def view(self, at: int, count: int) -> tuple[bytes, int]:
        """Return NEXT_BUFFER for the `count` bytes at `at`, and where they end."""
        end = at + count
        if end > self.length:
            self.take(at, count)
        self.buffers.append(memoryview(self._data)[at:end].toreadonly())
        return b"\x97", end

    def foreign(self) -> bytes:
        """Return NEXT_BUFFER for the next out-of-band buffer."""
        try:
            buffer = next(self._foreign)
        except StopIteration:
            raise InspectionError(
                "The pickle needs out-of-band buffers that were not given; read the record as a whole."
            ) from None
        try:
            view = memoryview(buffer)
            if not view.nbytes:
                view = memoryview(b"")
            elif not view.c_contiguous:
                view = memoryview(view.tobytes(order="A"))
            self.buffers.append(view.cast("B").toreadonly())
        except TypeError as error:
            raise InspectionError(
                f"An out-of-band buffer is a {type(buffer).__name__}, which holds no bytes."
            ) from error
        return b"\x97"


_LINE: Final = re.compile(rb"([^\n]*)\n")
#: Opcodes that the expression knows in every form, and so finds whole wherever the stream goes on.
_KNOWN: Final = frozenset(bytes([byte]) for byte in rb"hKqGMJjrXCUgpR" + b"\x8c\x8a")


def rewrite(data: bytes | bytearray | memoryview, buffers: Iterable[Any] | None = None) -> RewrittenPickle:
    """Rewrite a pickle stream; see the module's text.

    Raises
    ------
    CorruptRecordError
        If it is cut off or is not a pickle.
    InspectionError
        If it asks for what only a hostile stream needs, or for buffers that are not there.
    """
    view = data if isinstance(data, bytes) else memoryview(data).cast("B").toreadonly()
    return RewrittenPickle(view, buffers)


class _Frame:
    """A file of one frame, which the machine reads in one piece and without a copy."""

    __slots__ = ("_parts",)

    def __init__(self, body: bytes) -> None:
        self._parts = iter((b"\x95", len(body).to_bytes(8, "little"), body))

    def read(self, size: int, /) -> bytes:
        return next(self._parts, b"")

    def readline(self) -> bytes:
        return b""


class _Machine(pickle.Unpickler):
    """The C unpickler, for streams that a `RewrittenPickle` has rewritten."""

    def find_class(self, module: str, name: str) -> Any:
        raise InspectionError(f"Reading inertly never looks up {module}.{name}.")  # pragma: no cover


def run(rewritten: RewrittenPickle, *, observe: Callable[[tuple[Any, ...]], Node] | None = None) -> Any:
    """Return what a rewritten stream makes: constants, tuples, lists and nodes.

    Parameters
    ----------
    rewritten : RewrittenPickle
        The rewritten stream.
    observe : callable, optional
        Called in place of `list`, for a look at nodes that the result may not contain.
    """
    machine = _Machine(
        _Frame(rewritten.body),
        # Strings of Python 2 may be text or binary data; this keeps both.
        encoding="utf-8",
        errors="surrogateescape",
        buffers=rewritten.buffers or None,
    )
    watched = observe is not None or rewritten.effects
    machine.persistent_load = _observer(observe) if watched else list  # type: ignore[method-assign]
    try:
        return machine.load()
    except InspectionError:
        raise
    except MemoryError as error:
        raise InspectionError("There is not enough memory to read the pickle.") from error
    except Exception as error:
        raise CorruptRecordError(f"The pickle is damaged, or no pickle: {error}.") from error


def _observer(observe: Callable[[tuple[Any, ...]], Node] | None) -> Callable[[tuple[Any, ...]], Node]:
    make = observe or list

    def persistent_load(operands: tuple[Any, ...]) -> Node:
        node = make(operands)
        if operands[2] == EFFECT and type(operands[1]) is tuple and operands[1]:
            # What pickle calls a state setter: function(object, state).
            target = operands[1][0]
            if type(target) is list:
                target.append([operands[0], operands[1], SETTER])
        return node

    return persistent_load
