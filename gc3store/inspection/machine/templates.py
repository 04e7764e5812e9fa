"""Streams that differ only in their constants, read by comparing instead of running them.

A hundred thousand jobs of one class are pickled by the same program: the same opcodes in
the same order, with other numbers and texts in some places. Such a program is run
once, with a *slot* in the place of each constant. What that makes is the form of all of
them: where in the tree which slot ends up. Of the next stream it is only
checked that it is the same program, by comparing bytes, and what a table asks for
is decoded from where it stands. That is ten times as fast as running it, and makes no
objects but those.

*Why it is exact.* The effect of an opcode on the machine's stack and memo does not depend
on the value of a constant, so a stream with the same opcodes, the same memo indices
and other constants makes the same tree with other constants. Constants that
are not mere values, because they name something or are the key of a dictionary, are
not slots: they must be as they were. Strings that are not UTF-8 do not fit, and the ordinary
reader says what is wrong with them.

*Why it is harmless.* The program that is run is one that `gc3store.inspection.machine.rewrite` has
rewritten, like any other. Comparing takes time in proportion to the stream for each of
a bounded number of templates, most of which differ in their last bytes already, and
learning is given up where it does not pay: there, each stream is run.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from hashlib import blake2b
from typing import Any, Final

from gc3store.inspection.machine.nodes import CALL, DICT, INST, NAME, NAME2, PAIRS, PERSISTENT, STATE
from gc3store.inspection.machine.opcodes import BY_CODE, end_of
from gc3store.inspection.machine.rewrite import rewrite, run
from gc3store.inspection.raw_tree import RawTree, Steps
from gc3store.paths import MISSING

__all__ = ["LargePartError", "TemplateMatch", "Templates"]

#: Templates that are kept at a time.
_MANY: Final = 64
#: Bytes of streams that there are templates for at a time: they may take a hundred times as much memory.
_BYTES: Final = 1 << 19
#: Templates are cut into so many parts at most: each takes as long as two hundred bytes.
_PARTS: Final = 64
#: Longer streams are not compared: running them costs little beside reading them.
_LONGEST: Final = 1 << 15
#: What is filled with constants in order to be converted has so many parts at most.
_LARGE: Final = 256

#: Opcodes that a stream may have. Streams with others have no template.
_SUPPORTED: Final = frozenset(
    b"\x94N()\x85\x86\x87\x88\x89012etadsul]}obR.\x81\x8f\x90\x91\x92\x93hqK\x80JjrG\x95Mc\x8cC\x8aXB"
)
#: Types of constants, in kinds that can stand for each other: what follows them differs.
_KIND_OF: Final = {
    **dict.fromkeys(("None", "bool", "int", "float"), b"number"),
    "str": b"text",
    "bytes": b"bytes",
}
_KINDS: Final = {code: _KIND_OF[BY_CODE[code].makes] for code in _SUPPORTED if BY_CODE[code].makes}
_FRAME: Final = 0x95
_LARGE_BYTES: Final = 1024  # byte strings from here on are not copied by the ordinary reader

#: So much of the end of a stream is compared first: memo indices differ there, if anywhere before.
_TAIL: Final = 512

_double = struct.Struct(">d").unpack_from
_from_bytes = int.from_bytes


def _constant(data: bytes, at: int) -> Any:
    """Return the constant whose opcode is at `at`."""
    opcode = data[at]
    if opcode == 0x8C:
        return str(data[at + 2 : at + 2 + data[at + 1]], "utf-8", "surrogatepass")
    if opcode == 0x47:  # G
        return _double(data, at + 1)[0]
    if opcode == 0x4E:  # N
        return None
    if opcode == 0x88:
        return True
    if opcode == 0x89:
        return False
    end = end_of(data, at)
    if opcode == 0x58:  # X
        return str(data[at + 5 : end], "utf-8", "surrogatepass")
    if opcode == 0x43:  # C
        return data[at + 2 : end]
    if opcode == 0x42:  # B
        return data[at + 5 : end]
    if opcode == 0x8A:
        return _from_bytes(data[at + 2 : end], "little", signed=True)
    return _from_bytes(data[at + 1 : end], "little", signed=opcode == 0x4A)  # K, M, J


def _opcodes(data: bytes) -> list[tuple[int, int]] | None:
    """Return where each opcode begins and ends; `None` where a stream can have no template."""
    found: list[tuple[int, int]] = []
    at = 0
    try:
        while True:
            end = end_of(data, at)
            opcode = data[at]
            if opcode not in _SUPPORTED or end > len(data):
                return None
            if opcode == 0x42 and end - at >= _LARGE_BYTES:
                return None
            found.append((at, end))
            if opcode == 0x2E:  # STOP
                return found if end == len(data) else None
            at = end
    except (LookupError, ValueError):
        return None


class TemplateMatch:
    """One stream, as far as it was looked at.

    Attributes
    ----------
    form : RawTree
        What it makes; shared with other streams where there is a template.
    """

    __slots__ = ("_data", "_starts", "_template", "form")

    def __init__(
        self, form: RawTree, template: _Template | None = None, data: bytes = b"", starts: Sequence[int] = ()
    ) -> None:
        self.form = form
        self._template = template
        self._data = data
        self._starts = starts

    def get(self, steps: Steps) -> Any:
        """Return the constant that a path leads to; `MISSING` if it leads nowhere, or to something else."""
        raw, taken, _ = self.form.find(steps)
        if taken != len(steps):
            return MISSING
        found = self.constant(raw)
        return found if type(found) is not list and type(found) is not tuple else MISSING

    def constant(self, raw: Any) -> Any:
        """Return the constant that a part of the form stands for; the part itself if it is more than that."""
        if type(raw) is list and self._template is not None and raw[2] == PERSISTENT:
            return _constant(self._data, self._template.place(raw[0], self._starts))
        return raw

    def filled(self, raw: Any) -> Any:
        """Return a part of the form with the constants of this stream in it.

        Raises
        ------
        LargePartError
            If it is so large that it is better to run the whole stream; see `whole`.
        """
        if self._template is None or (type(raw) is not list and type(raw) is not tuple):
            return raw
        large = self.form.large
        if id(raw) not in large:
            try:
                return self._fill(raw, {}, [_LARGE])
            except LargePartError:
                large.add(id(raw))
        raise LargePartError

    def whole(self) -> TemplateMatch:
        """Return the same without a template."""
        return self if self._template is None else TemplateMatch(RawTree(run(rewrite(self._data))))

    def _fill(self, raw: Any, made: dict[int, Any], left: list[int]) -> Any:
        if type(raw) is list and raw[2] == PERSISTENT:
            return self.constant(raw)
        copied = made.get(id(raw))
        if copied is not None:
            return copied
        left[0] -= 1 + len(raw)  # which bounds the recursion as well
        if left[0] < 0:
            raise LargePartError
        if type(raw) is list:
            copied = made[id(raw)] = []  # known before it is filled: it may contain itself
            copied.extend([self._fill(c, made, left) if type(c) in (list, tuple) else c for c in raw])
            return copied
        return tuple([self._fill(c, made, left) if type(c) in (list, tuple) else c for c in raw])


class LargePartError(Exception):
    """A part of a form is not worth filling."""


class _Template:
    """A program with slots for its constants.

    A slot is in one of three states, and passes from one to the next when a stream shows that it must:
    the constant was the same each time; it differed, its opcode and length were the same; any of its kind.
    Between slots of the third state a stream is compared as a whole, by way of an
    integer and a mask.
    """

    __slots__ = (
        "_any",
        "_examples",
        "_masked",
        "_parts",
        "_places",
        "_texts",
        "form",
        "size",
        "slots",
        "tail",
    )

    def __init__(self, form: RawTree, data: bytes, opcodes: list[tuple[int, int]], slots: list[int]) -> None:
        self.form = form
        self.size = len(data)
        self.slots = slots  # which opcodes they are
        self._examples = [data[slice(*opcodes[at])] for at in slots]
        # Numbers of eight bytes differ sooner or later.
        self._masked = {i for i, example in enumerate(self._examples) if example[0] == 0x47}
        self._any: set[int] = set()
        self._build(data, opcodes)

    def widen(self, data: bytes, opcodes: list[tuple[int, int]]) -> bool:
        """Take in a stream of the same program that did not fit; whether comparing still pays."""
        for i, at in enumerate(self.slots):
            start, end = opcodes[at]
            example = self._examples[i]
            if i in self._any or data[start:end] == example:
                continue
            same = data[start] == example[0] and end - start == len(example)
            (self._masked if same and BY_CODE[example[0]].width else self._any).add(i)
        if len(self._any) >= _PARTS:
            return False
        self._build(data, opcodes)
        return True

    def _build(self, data: bytes, opcodes: list[tuple[int, int]]) -> None:
        self._parts: list[tuple[int, int, int, bytes]] = []
        self._places: list[tuple[int, int]] = []  # of each slot: the part, and where in it
        self._texts = [i for i in sorted(self._masked - self._any) if _kind(self._examples[i]) == b"text"]
        numbers = {at: i for i, at in enumerate(self.slots)}
        start = 0
        mask = bytearray()
        for at, (begin, end) in enumerate(opcodes):
            i = numbers.get(at)
            if i is not None and i in self._any:
                self._part(data[start:begin], mask, _kind(data[begin:end]))
                self._places.append((len(self._parts) - 1, -1))
                start, mask = end, bytearray()
                continue
            if i is not None:
                self._places.append((len(self._parts), begin - start))
            free = end - begin - 1 if data[begin] == _FRAME else 0
            if i is not None and i in self._masked:
                opcode = BY_CODE[data[begin]]
                free = end - begin - 1 - opcode.width * opcode.counted  # the length must be the same
            mask += b"\xff" * (end - begin - free) + b"\0" * free
        self._part(data[start:], mask, b"")
        size, all_mask, expected, _ = self._parts[-1]
        cut = max(size - _TAIL, 0)
        self.tail = size - cut, all_mask >> 8 * cut, expected >> 8 * cut

    def _part(self, data: bytes, mask: bytearray, kind: bytes) -> None:
        number = _from_bytes(mask, "little")
        self._parts.append((len(data), number, _from_bytes(data, "little") & number, kind))

    def match(self, data: bytes) -> list[int] | None:
        """Return where the parts of a stream begin and end, if this is its program."""
        starts: list[int] = []
        at = 0
        try:
            for size, mask, expected, kind in self._parts:
                end = at + size
                if _from_bytes(data[at:end], "little") & mask != expected:
                    return None
                starts.append(at)
                starts.append(end)
                at = end
                if kind:
                    if _KINDS[data[end]] is not kind:
                        return None
                    at = end_of(data, end)
                    if at - end > _LARGE_BYTES:
                        return None
                    if kind == b"text":
                        _constant(data, end)
            for i in self._texts:
                _constant(data, self.place(i, starts))
        except (LookupError, UnicodeDecodeError):
            return None
        return starts if at == len(data) else None  # beyond, if it is cut off

    def place(self, slot: int, starts: Sequence[int]) -> int:
        """Return where the opcode of a slot is in a stream that matched."""
        part, offset = self._places[slot]
        return starts[2 * part] + offset if offset >= 0 else starts[2 * part + 1]


def _kind(example: bytes) -> bytes:
    return _KINDS[example[0]]


class Templates:
    """The templates of the streams that were read so far.

    Examples
    --------
    >>> import pickle
    >>> templates = Templates()
    >>> matches = [templates.read(pickle.dumps({"size": n, "name": f"run {n}"})) for n in range(3)]
    >>> [match.get(((".", "name"),)) for match in matches]
    ['run 0', 'run 1', 'run 2']
    """

    def __init__(self) -> None:
        self._templates: list[_Template] = []
        self._by_skeleton: dict[bytes, _Template | None] = {}
        self._unfit = 0
        self._learnt = 0

    def match(self, stream: Any) -> TemplateMatch | None:
        """Look at a stream that fits a template; `None` for others."""
        if len(stream) > _LONGEST:
            return None
        data = bytes(stream)
        templates = self._templates
        for at, template in enumerate(templates):
            size, mask, expected = template.tail
            if _from_bytes(data[-size:], "little") & mask == expected:
                starts = template.match(data)
                if starts is not None:
                    if at:  # what is met often moves to the front
                        templates[at - 1 : at + 1] = template, templates[at - 1]
                    return TemplateMatch(template.form, template, data, starts)
        return None

    def learn(self, stream: Any) -> None:
        """Make, or widen, a template for a stream that fits none and is sound."""
        self._unfit += 1
        if len(stream) <= _LONGEST and self._learnt < _MANY + self._unfit // 32:
            self._learnt += 1
            self._learn(bytes(stream))

    def read(self, stream: Any, buffers: Sequence[Any] = ()) -> TemplateMatch:
        """Look at a stream.

        Raises
        ------
        CorruptRecordError, InspectionError
            As `gc3store.inspection.read`.
        """
        if buffers:
            return TemplateMatch(RawTree(run(rewrite(stream, buffers))))
        match = self.match(stream)
        if match is None:
            match = TemplateMatch(RawTree(run(rewrite(stream))))
            self.learn(stream)
        return match

    def _learn(self, data: bytes) -> None:
        opcodes = _opcodes(data)
        if opcodes is None:
            return
        constants = [at for at, (begin, _) in enumerate(opcodes) if data[begin] in _KINDS]
        literal = _literal(
            _run(data, opcodes, constants), [_constant(data, opcodes[at][0]) for at in constants]
        )
        slots = [at for i, at in enumerate(constants) if i not in literal]
        skeleton = _skeleton(data, opcodes, slots)
        if skeleton in self._by_skeleton:
            known = self._by_skeleton[skeleton]
            if known is None:
                return
            if not known.widen(data, opcodes):
                self._templates.remove(known)
                self._by_skeleton[skeleton] = None  # nor does learning it again
            return
        left = self._templates
        while left and (len(left) == _MANY or sum(t.size for t in left) + len(data) > _BYTES):
            last = left.pop()
            self._by_skeleton = {key: t for key, t in self._by_skeleton.items() if t is not last}
        template = _Template(RawTree(_run(data, opcodes, slots)), data, opcodes, slots)
        self._by_skeleton[skeleton] = template
        self._templates.append(template)


def _pieces(data: bytes, opcodes: list[tuple[int, int]], slots: list[int], stand_in: Any) -> bytes:
    pieces: list[bytes] = []
    start = 0
    for i, at in enumerate(slots):
        begin, end = opcodes[at]
        pieces += data[start:begin], stand_in(i, data[begin])
        start = end
    return b"".join((*pieces, data[start:]))


def _run(data: bytes, opcodes: list[tuple[int, int]], slots: list[int]) -> Any:
    """Return what a stream makes with slots in it: persistent IDs, of which it has no others."""
    return run(rewrite(_pieces(data, opcodes, slots, lambda i, _: b"J" + i.to_bytes(4, "little") + b"Q")))


def _skeleton(data: bytes, opcodes: list[tuple[int, int]], slots: list[int]) -> bytes:
    """Return what tells programs apart: a digest, of which no two programs can have the same."""
    bare = _pieces(data, opcodes, slots, lambda _, opcode: _KINDS[opcode])
    if bare[2:3] == b"\x95":
        bare = bare[:3] + bare[11:]  # without the length of the frame
    return blake2b(bare, digest_size=16).digest()


def _literal(root: Any, constants: list[Any]) -> set[int]:
    """Return the numbers of the constants that name something or are keys."""
    found: set[int] = set()
    seen: set[int] = set()
    todo: list[tuple[Any, bool]] = [(root, False)]
    while todo:
        raw, literal = todo.pop()
        if (type(raw) is not list and type(raw) is not tuple) or 2 * id(raw) + literal in seen:
            continue
        seen.add(2 * id(raw) + literal)
        if type(raw) is tuple:
            todo += ((c, literal) for c in raw)
            continue
        kind = raw[2]
        if kind == PERSISTENT:
            if literal:
                found.add(raw[0])
            continue
        if kind in (DICT, PAIRS) and raw[0] is not None:
            todo += ((c, literal or not i % 2) for i, c in enumerate(raw[0]))
        else:
            todo.append((raw[0], literal or kind in (NAME, NAME2)))
        name = _name(raw[0], constants) if kind == CALL else None
        called = name == "getattr"  # as `callee` has it
        todo.append((raw[1], literal or called or kind in (NAME, NAME2, INST)))
        todo += ((c, literal) for c in raw[3:])
        if name == "partial":  # of whose state `new_with_keywords` looks at the end
            states = (c[0] for c in raw[3:] if type(c) is list and c[2] == STATE and type(c[0]) is tuple)
            todo += ((c, True) for state in states for c in state[2:] if _is_slot(c))
    return found


def _is_slot(raw: Any) -> bool:
    return type(raw) is list and raw[2] == PERSISTENT


def _name(raw: Any, constants: list[Any]) -> Any:
    if type(raw) is not list or raw[2] not in (NAME, NAME2):
        return None
    name = raw[1]
    return constants[name[0]] if type(name) is list and name[2] == PERSISTENT else name
