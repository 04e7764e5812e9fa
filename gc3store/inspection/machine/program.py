"""A pickle stream as a program that can be read and edited, without being run.

The opcodes of a stream are executed on paper: instead of objects, the stack holds
`Node`s that say which opcodes made what. `Editor` then leaves out, inserts and
replaces opcodes, and keeps the stream consistent: what was left out and is used again
later is made there, and the memo is numbered anew.
"""

from __future__ import annotations

import pickle
import pickletools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from gc3store.inspection.machine.framing import framed
from gc3store.inspection.machine.opcodes import BY_NAME, Opcode

__all__ = ["Editor", "Entry", "Item", "MalformedError", "Node", "Program", "get", "put"]


class MalformedError(ValueError):
    """The stream is not a complete pickle, or has a form that no pickler writes."""


class Op(NamedTuple):
    """One opcode, with its argument and its bytes."""

    name: str
    arg: Any
    raw: bytes


class Node:
    """Something that the stream makes.

    Attributes
    ----------
    kind : str
        "atom" (a text, a number, `None`), "global", "tuple", "dict", "new" (NEWOBJ),
        "reduce" (REDUCE) or "other".
    value : Any
        The atom itself; for a global its module and name.
    parts : list of Entry
        Of a tuple, or the class or function and the arguments tuple.
    pairs : list of (Entry, Entry, int, int)
        Keys and values of a dictionary, for each the opcode after the value, and the
        opcode that puts the pair in.
    state : (Entry, int) or None
        What BUILD was called with, and where.
    at, mark, stored : int
        The opcode that made it, the MARK it began with, and the one that put it into the
        memo; -1 where there is none.
    last : int
        The last opcode that had an effect on it.
    """

    __slots__ = ("at", "kind", "last", "mark", "pairs", "parts", "state", "stored", "value")

    def __init__(self, kind: str, at: int, value: Any = None, parts: Sequence[Entry] = ()) -> None:
        self.kind = kind
        self.at = self.last = at
        self.value = value
        self.parts = list(parts)
        self.pairs: list[tuple[Entry, Entry, int, int]] = []
        self.state: tuple[Entry, int] | None = None
        self.mark = -1
        self.stored = -1


class Entry(NamedTuple):
    """A place on the stack: what is there, and the first opcode that it took."""

    node: Node
    first: int


class Item(NamedTuple):
    """Something to insert: bytes, or a use of the memo under a key of the caller's."""

    kind: str
    value: Any


def put(key: object) -> Item:
    """Return the instruction to keep the top of the stack as `key`."""
    return Item("put", key)


def get(key: object) -> Item:
    """Return the instruction to push what was kept as `key`."""
    return Item("get", key)


_MARK = Node("mark", -1)
#: Types of the constants whose value is kept.
_ATOMS = frozenset({"None", "bool", "int", "str"})
_TUPLES = {"EMPTY_TUPLE": 0, "TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Program:
    """A stream, executed on paper.

    Attributes
    ----------
    ops : list of Op
        The opcodes but PROTO and FRAME.
    protocol : int
        The protocol that it says it has.
    root : Entry
        What it makes.
    persistent : list of (Entry, int)
        The persistent IDs, and the opcodes that resolve them.
    calls : list of Node
        The nodes that REDUCE made.
    uses : dict of int to int
        For each opcode that gets something from the memo, the one that put it there.
    """

    def __init__(self, data: bytes | bytearray | memoryview) -> None:
        self.protocol = 0
        self.ops: list[Op] = []
        self.persistent: list[tuple[Entry, int]] = []
        self.calls: list[Node] = []
        self.uses: dict[int, int] = {}
        self.definitions: dict[int, Entry] = {}
        try:
            self._scan(bytes(data))
            self._run()
        except MalformedError:
            raise
        except (ValueError, IndexError, KeyError, UnicodeError) as error:
            raise MalformedError(f"it is not a complete pickle ({error})") from error

    def _scan(self, data: bytes) -> None:
        before: tuple[str, Any, int] | None = None
        end = 0
        for opcode, arg, position in pickletools.genops(data):
            assert position is not None
            if before is not None:
                self._add(before, data[before[2] : position])
            before = (opcode.name, arg, position)
            end = position
        if before is None or before[0] != "STOP":
            raise MalformedError("it ends before it is complete")
        self._add(before, data[end : end + 1])

    def _add(self, op: tuple[str, Any, int], raw: bytes) -> None:
        if op[0] == "PROTO":
            self.protocol = max(self.protocol, op[1])
        elif op[0] != "FRAME":
            self.ops.append(Op(op[0], op[1], raw))

    def _run(self) -> None:
        stack: list[Entry] = []
        memo: dict[int, tuple[Entry, int]] = {}

        def to_mark() -> tuple[list[Entry], int]:
            position = len(stack) - 1
            while stack[position].node is not _MARK:
                position -= 1
                if position < 0:
                    raise MalformedError("a MARK is missing")
            items, mark = stack[position + 1 :], stack[position].first
            del stack[position:]
            return items, mark

        for i, (name, arg, _) in enumerate(self.ops):
            opcode = BY_NAME[name]
            if opcode.is_put:
                top = stack[-1]
                memo[len(memo) if name == "MEMOIZE" else int(arg)] = (top, i)
                if top.node.stored < 0:
                    top.node.stored = i
                self.definitions[i] = top
            elif opcode.is_get:
                entry, where = memo[int(arg)]
                self.uses[i] = where
                stack.append(Entry(entry.node, i))
            elif opcode.makes in _ATOMS:
                stack.append(Entry(Node("atom", i, arg), i))
            elif name == "MARK":
                stack.append(Entry(_MARK, i))
            elif name == "GLOBAL":
                stack.append(Entry(Node("global", i, tuple(arg.split(" ", 1))), i))
            elif name == "STACK_GLOBAL":
                attribute, module = stack.pop(), stack.pop()
                node = Node("global", i, (module.node.value, attribute.node.value))
                stack.append(Entry(node, module.first))
            elif name in _TUPLES:
                count = _TUPLES[name]
                parts = stack[len(stack) - count :]
                if len(parts) != count:
                    raise MalformedError("its stack is empty")
                del stack[len(stack) - count :]
                stack.append(Entry(Node("tuple", i, parts=parts), parts[0].first if parts else i))
            elif name == "TUPLE":
                parts, mark = to_mark()
                node = Node("tuple", i, parts=parts)
                node.mark = mark
                stack.append(Entry(node, mark))
            elif name in ("NEWOBJ", "REDUCE"):
                arguments, function = stack.pop(), stack.pop()
                node = Node("new" if name == "NEWOBJ" else "reduce", i, parts=(function, arguments))
                if name == "REDUCE":
                    self.calls.append(node)
                stack.append(Entry(node, function.first))
            elif name == "EMPTY_DICT":
                stack.append(Entry(Node("dict", i), i))
            elif name in ("SETITEMS", "DICT"):
                items, mark = to_mark()
                if name == "DICT":
                    stack.append(Entry(Node("dict", i), mark))
                target = stack[-1].node
                target.last = i
                ends = [item.first for item in items[2::2]] + [i]
                target.pairs += zip(items[::2], items[1::2], ends, [i] * len(ends), strict=False)
            elif name == "SETITEM":
                value, key = stack.pop(), stack.pop()
                stack[-1].node.last = i
                stack[-1].node.pairs.append((key, value, i, i))
            elif name == "BUILD":
                state = stack.pop()
                stack[-1].node.state = (state, i)
                stack[-1].node.last = i
            elif name in ("PERSID", "BINPERSID"):
                entry = stack.pop() if name == "BINPERSID" else Entry(Node("atom", i, arg), i)
                self.persistent.append((entry, i))
                stack.append(Entry(Node("other", i), entry.first))
            elif name == "STOP":
                self.root = stack.pop()
            else:
                self._other(opcode, i, stack, to_mark)

    def _other(self, opcode: Opcode, i: int, stack: list[Entry], to_mark: Any) -> None:
        taken: list[Entry] = []
        first = i
        if opcode.marked:
            taken, first = to_mark()
        for _ in range(opcode.takes):
            taken.append(stack.pop())
            first = min(first, taken[-1].first)
        if opcode.is_adding or opcode.name == "APPEND":  # they give back what they were given
            target = taken[-1]
            target.node.last = i
            stack.append(target)
            return
        if opcode.name == "DUP":
            raise MalformedError("it duplicates its stack, as no pickler does")
        stack.extend(Entry(Node("other", i), first) for _ in range(opcode.leaves))


class Editor:
    """Makes an edited copy of a program's stream.

    Parameters
    ----------
    program : Program
        What to edit. It stays as it is.
    """

    def __init__(self, program: Program) -> None:
        self._program = program
        self._removed: set[int] = set()
        self._before: dict[int, list[bytes | Item]] = {}

    def remove(self, first: int, stop: int) -> None:
        """Leave out the opcodes from `first` up to, not including, `stop`."""
        self._removed.update(range(first, stop))

    def insert(self, at: int, *items: bytes | Item) -> None:
        """Insert before the opcode `at`, after what was inserted there already."""
        self._before.setdefault(at, []).extend(items)

    def stream(self) -> bytes:
        """Return the edited stream."""
        protocol = self._program.protocol
        out = list(self._emit_all(protocol))
        body = b"".join(out)
        if protocol >= 4:
            return framed(body, protocol)
        return (b"\x80" + bytes([protocol]) if protocol >= 2 else b"") + body

    def _emit_all(self, protocol: int) -> Iterator[bytes]:
        numbers: dict[Any, int] = {}
        program = self._program
        ops, uses, definitions = program.ops, program.uses, program.definitions
        making: set[int] = set()

        def store(key: Any) -> Iterator[bytes]:
            if key not in numbers:
                number = numbers[key] = len(numbers)
                if protocol >= 4:
                    yield pickle.MEMOIZE
                else:
                    yield b"q%c" % number if number < 256 else b"r" + number.to_bytes(4, "little")

        def fetch(key: Any) -> Iterator[bytes]:
            if key in numbers:
                number = numbers[key]
                yield b"h%c" % number if number < 256 else b"j" + number.to_bytes(4, "little")
                return
            if key not in definitions or key in making:
                raise MalformedError("something is used before it is made")
            making.add(key)  # its making was left out: make it here
            entry = definitions[key]
            for i in range(entry.first, max(key, entry.node.last) + 1):
                yield from emit(i)
            making.discard(key)

        def emit(i: int) -> Iterator[bytes]:
            name, _, raw = ops[i]
            if BY_NAME[name].is_put:
                yield from store(i)
            elif i in uses:
                yield from fetch(uses[i])
            else:
                yield raw

        for i in range(len(ops)):
            for item in self._before.get(i, ()):
                if isinstance(item, bytes):
                    yield item
                else:
                    yield from store(item.value) if item.kind == "put" else fetch(item.value)
            if i not in self._removed:
                yield from emit(i)
