"""Payloads of GC3Pie as ours, and ours as those of GC3Pie, without unpickling them.

GC3Pie writes a plain pickle. What belongs to a store in it, and how we write the same:

==================================================  =======================================
GC3Pie                                              here
==================================================  =======================================
a reference: a persistent ID, itself a pickled      ``gc3store.persistable.reference(i)``,
``Id("IsingRun", 26)`` or ``IntId(None, 47)``       a position in the record's references
the root: its class and NEWOBJ, or a call           ``gc3store.persistable.new(cls, ...)`` or
                                                    ``construct(function, ...)``
its own ID, in the attribute ``persistent_id``      not in the payload
large buffers in the stream                         out of band
==================================================  =======================================
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gc3store.errors import CorruptRecordError, SaveError
from gc3store.inspection.machine.program import Editor, Item, MalformedError, Node, Program, get, put

__all__ = ["from_gc3pie", "to_gc3pie"]

_OURS = "gc3store.persistable"
_REFERENCE = (_OURS, "reference")
_NEW = (_OURS, "new")
_CONSTRUCT = (_OURS, "construct")
_TEXT_ID = ("gc3libs.persistence.idfactory", "Id")
_NUMBER_ID = ("gc3libs.persistence.sql", "IntId")
_ID = "persistent_id"


# From GC3Pie.


def from_gc3pie(data: bytes | memoryview, *, id: str) -> tuple[bytes, tuple[str, ...]]:  # noqa: A002
    """Return a payload of GC3Pie as one of ours, and the IDs that it refers to.

    Parameters
    ----------
    data : bytes
        The pickle.
    id : str
        The record's ID, for errors.

    Raises
    ------
    CorruptRecordError
        If it is damaged.
    """
    try:
        program = Program(data)
        editor = Editor(program)
        references = _make_references(program, editor)
        root = program.root.node
        if root.kind in ("new", "reduce"):
            _wrap_root(program, editor)
            _drop_id(program, editor)
        return editor.stream(), references
    except MalformedError as error:
        raise CorruptRecordError(
            f"The record of {id} is damaged: {error}; restore it from a backup.", id=id
        ) from error


def _make_references(program: Program, editor: Editor) -> tuple[str, ...]:
    """Write persistent IDs as calls of `gc3store.persistable.reference`."""
    references: dict[str, int] = {}
    for entry, at in program.persistent:
        id_ = _text_of(entry.node)
        editor.remove(entry.first, at + 1)
        if id_ in references:
            editor.insert(at, get((_REFERENCE, references[id_])))
            continue
        index = references[id_] = len(references)
        editor.insert(at, *((get(_REFERENCE),) if index else (_name(_REFERENCE), put(_REFERENCE))))
        editor.insert(at, _integer(index), b"\x85R", put((_REFERENCE, index)))
    return tuple(references)


def _text_of(node: Node) -> str:
    """Return the ID that a persistent ID means."""
    if node.kind == "atom" and type(node.value) in (str, int):
        return str(node.value)
    if node.kind in ("new", "reduce") and node.parts[1].node.kind == "tuple":
        values = [part.node.value for part in node.parts[1].node.parts if part.node.kind == "atom"]
        texts = [str(value) for value in values if value is not None]
        if texts and len(values) == len(node.parts[1].node.parts) <= 2:
            return ".".join(texts)
    raise MalformedError("it refers to something that is not by the ID of an object")


def _wrap_root(program: Program, editor: Editor) -> None:
    """Write how the root is made as a call of ours."""
    root = program.root.node
    function, arguments = root.parts
    made = arguments.node
    if made.kind != "tuple" or not function.first < arguments.first <= made.at < root.at:
        return  # its arguments come from elsewhere, which no pickler writes
    editor.insert(function.first, _name(_NEW if root.kind == "new" else _CONSTRUCT), b"(")
    _unmake(editor, made)
    editor.insert(root.at, b"tR")
    editor.remove(root.at, root.at + 1)


def _drop_id(program: Program, editor: Editor) -> None:
    state = _attributes(program.root.node)
    for key, _, end, at in state.pairs if state is not None else ():
        if key.node.value == _ID:
            editor.remove(key.first, end)
            if program.ops[at].name == "SETITEM":  # SETITEMS goes without any
                editor.remove(at, at + 1)


# To GC3Pie.


def to_gc3pie(
    stream: bytes | memoryview,
    *,
    id: str,  # noqa: A002
    references: Sequence[str] = (),
    buffers: Sequence[Any] = (),
    named: bool | None = True,
) -> bytes:
    """Return a payload of ours as GC3Pie writes it.

    Parameters
    ----------
    stream : bytes
        The pickle stream.
    id : str
        The record's ID, and so the object's ``persistent_id``: with a prefix as in
        directories, a bare number as in databases.
    references : sequence of str
        The IDs that it refers to, by position.
    buffers : sequence
        The buffers out of band.
    named : bool, optional
        Whether the object gets its ID as an attribute, as objects of GC3Pie have it;
        `None` for: if it has attributes.

    Raises
    ------
    CorruptRecordError
        If it is damaged.
    SaveError
        If the object has no attributes, and so cannot be told its ID.
    """
    try:
        program = Program(stream)
        editor = Editor(program)
        _make_persistent_ids(program, editor, references)
        _take_in(program, editor, buffers)
        _unwrap_root(program, editor)
        if named is not False and not _add_id(program, editor, id) and named:
            raise SaveError(
                "This object has no attributes of its own, and GC3Pie loads only objects that hold their ID; "
                "save it to a store of gc3store, for instance in another directory.",
                id=id,
            )
        return editor.stream()
    except MalformedError as error:
        raise CorruptRecordError(f"The payload of {id} is damaged: {error}.", id=id) from error


def _make_persistent_ids(program: Program, editor: Editor, references: Sequence[str]) -> None:
    for node in program.calls:
        function, arguments = node.parts
        if function.node.value != _REFERENCE or function.node.kind != "global":
            continue
        index = arguments.node.parts[0].node.value
        if not isinstance(index, int) or not 0 <= index < len(references):
            raise MalformedError("it refers to something that is not listed")
        editor.remove(function.first, node.at + 1)
        editor.insert(node.at, *_id_object(references[index]), b"Q")


def _take_in(program: Program, editor: Editor, buffers: Sequence[Any]) -> None:
    """Put the buffers into the stream."""
    left = iter(buffers)
    for i, (name, _, _) in enumerate(program.ops):
        if name != "NEXT_BUFFER":
            continue
        data = next(left, None)
        if data is None:
            raise MalformedError("a buffer is missing")
        frozen = program.ops[i + 1].name == "READONLY_BUFFER"
        editor.remove(i, i + 1 + frozen)
        length = memoryview(data).nbytes.to_bytes(8, "little")
        editor.insert(i, (b"\x8e" if frozen else b"\x96") + length + bytes(data))


def _unwrap_root(program: Program, editor: Editor) -> None:
    """Write how the root is made as a pickler does by itself."""
    root = program.root.node
    if root.kind != "reduce" or root.parts[0].node.value not in (_NEW, _CONSTRUCT):
        return
    function, arguments = root.parts
    made = arguments.node
    if made.kind != "tuple" or not made.parts or arguments.first <= function.first:
        raise MalformedError("its beginning is of a form that no pickler writes")
    editor.remove(function.first, made.parts[0].first)
    _unmake(editor, made)
    if len(made.parts) > 1:
        editor.insert(made.parts[1].first, b"(")
        editor.insert(root.at, b"t")
    else:
        editor.insert(root.at, b")")
    editor.insert(root.at, b"\x81" if function.node.value == _NEW else b"R")
    editor.remove(root.at, root.at + 1)


def _add_id(program: Program, editor: Editor, id_: str) -> bool:
    """Set the attribute `persistent_id`; whether the object has attributes."""
    root = program.root.node
    own = (_text(_ID), *_id_object(id_))
    if root.kind not in ("new", "reduce") and program.ops[root.at].name != "NEWOBJ_EX":
        return False
    if root.state is None:
        if root.kind == "reduce" and root.parts[0].node.value not in (_NEW, _CONSTRUCT):
            return False  # a state might mean something else to it, as to an array
        after = (root.stored if root.stored == root.at + 1 else root.at) + 1
        editor.insert(after, b"}", *own, b"sb")
        return True
    if _attributes(root) is None:
        return False
    state, at = root.state
    if state.node.kind == "tuple":
        at = state.node.parts[1].first
    editor.insert(at, *own, b"s")
    return True


def _id_object(id_: str) -> list[bytes | Item]:
    """Return how an ID of GC3Pie is pickled."""
    prefix, dot, number = id_.rpartition(".")
    cls = _TEXT_ID if dot else _NUMBER_ID
    first = _text(prefix) if dot else b"N"
    return [_name(cls), first, _integer(int(number)), b"\x86\x81"]


# Both ways.


def _attributes(root: Node) -> Node | None:
    """Return the dictionary of the root's attributes, `None` if its state is something else."""
    if root.state is None:
        return None
    node = root.state[0].node
    if node.kind == "tuple" and len(node.parts) == 2:
        node = node.parts[0].node
    return node if node.kind == "dict" else None


def _unmake(editor: Editor, made: Node) -> None:
    """Leave out what makes a tuple of entries that stay on the stack."""
    if made.mark >= 0:
        editor.remove(made.mark, made.mark + 1)
    editor.remove(made.at, made.at + 1)
    if made.stored == made.at + 1:
        editor.remove(made.stored, made.stored + 1)


def _name(name: tuple[str, str]) -> bytes:
    return f"c{name[0]}\n{name[1]}\n".encode()


def _text(text: str) -> bytes:
    data = text.encode("utf-8", "surrogatepass")
    return b"X" + len(data).to_bytes(4, "little") + data


def _integer(value: int) -> bytes:
    if value < 256:
        return b"K%c" % value
    if value < 2**31:
        return b"J" + value.to_bytes(4, "little")
    return b"\x8a\x08" + value.to_bytes(8, "little")
