"""What a catalogue says of an object, from its pickle, as fast as may be.

For stores that keep no catalogue of their own: a directory or table of GC3Pie holds one
pickle per job, and listing a hundred thousand of them reads each. `summary` looks at the
few values that a list shows and converts nothing else.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from gc3store.inspection.nodes import CALL, DICT, NEW, PAIRS, PERSISTENT, STATE, Node
from gc3store.inspection.standard import callee
from gc3store.inspection.stream import run, transcribe
from gc3store.inspection.tree import persistent_text

__all__ = ["Summary", "raw_attributes", "raw_class", "summary"]

_FACTORIES: Final = frozenset(
    {
        "copyreg.__newobj__",
        "copyreg.__newobj_ex__",
        "gc3store.persistable.new",
        "gc3store.persistable.construct",
        "copyreg._reconstructor",
    }
)


@dataclass(frozen=True, slots=True)
class Summary:
    """What a pickle's root object is.

    Attributes
    ----------
    cls : str
        Its class, as ``module.Class``.
    state : str or None
        The state of a job: its ``execution.state``, or its ``state``.
    references : tuple of str
        The persistent IDs in it, in the order of their first use.
    """

    cls: str
    state: str | None
    references: tuple[str, ...]


def summary(stream: bytes | bytearray | memoryview, buffers: Iterable[Any] | None = None) -> Summary:
    """Return class, job state and references of a pickle's root object.

    Raises
    ------
    CorruptRecordError, InspectionError
        As `gc3store.inspection.read`.
    """
    transcript = transcribe(stream, buffers)
    references: dict[str, None] = {}
    if b"K\x0b\x87Q" in transcript.body:  # there may be persistent IDs

        def observe(operands: tuple[Any, ...]) -> Node:
            if operands[2] == PERSISTENT:
                text = persistent_text(operands[0])
                if text is not None:
                    references[text] = None
            return list(operands)

        root = run(transcript, observe=observe)
    else:
        root = run(transcript)
    return Summary(raw_class(root), _job_state(root), tuple(references))


def raw_class(raw: Any) -> str:
    """Return the class of what a stream makes, before it is converted."""
    kind = type(raw)
    if kind is not list:
        return "" if raw is None else f"builtins.{kind.__name__}"
    if raw[2] in (CALL, NEW):
        name = callee(raw[0])
        if name in _FACTORIES and type(raw[1]) is tuple and raw[1]:
            return callee(raw[1][0])
        return name
    return _BUILTIN.get(raw[2], "")


_BUILTIN: Final = {
    1: "builtins.dict",
    2: "builtins.set",
    3: "builtins.frozenset",
    13: "builtins.bytes",
    19: "builtins.list",
}


def raw_attributes(raw: Any) -> dict[str, Any]:
    """Return an object's attributes, or a dictionary's items with text keys, before they are converted."""
    found: dict[str, Any] = {}
    if type(raw) is not list:
        return found
    if raw[2] == DICT:
        _pairs(raw, found)
        return found
    for chunk in raw[3:]:
        if type(chunk) is list and chunk[2] == STATE:
            state = chunk[0]
            for part in state if type(state) is tuple and len(state) == 2 else (state,):
                if type(part) is list and part[2] == DICT:
                    _pairs(part, found)
    return found


def _pairs(raw: Node, found: dict[str, Any]) -> None:
    if raw[0] is not None:
        _flat(raw[0], found)
    for chunk in raw[3:]:
        if type(chunk) is list and chunk[2] == PAIRS:
            _flat(chunk[0], found)


def _flat(flat: tuple[Any, ...], found: dict[str, Any]) -> None:
    items = iter(flat)
    found.update([pair for pair in zip(items, items, strict=False) if type(pair[0]) is str])


def _job_state(root: Any) -> str | None:
    own = raw_attributes(root)
    execution = raw_attributes(own.get("execution"))
    for names in (execution, own):
        for key in ("state", "_state"):
            value = names.get(key)
            if type(value) is str:
                return value
    return None
