"""What a stream makes, before it is converted: classes, attributes and paths in it."""

from __future__ import annotations

from typing import Any, Final

from gc3store.inspection.building import unpacked
from gc3store.inspection.machine.names import callee, new_with_keywords
from gc3store.inspection.machine.nodes import (
    BYTES,
    CALL,
    DICT,
    FROZENSET,
    INST,
    LIST,
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
from gc3store.inspection.types import BUILDERS
from gc3store.paths import MISSING

__all__ = ["RawTree", "Steps", "raw_attributes", "raw_class"]

Steps = tuple[tuple[str, Any], ...]  #: those of a `gc3store.paths.Path`


class RawTree:
    """What a stream makes, before it is converted, and what was found in it.

    Attributes
    ----------
    root : Any
        Constants, tuples and nodes.
    large : set of int
        Which parts turned out to be large; see `gc3store.inspection.machine.templates`.
    """

    __slots__ = ("_attributes", "_found", "large", "root")

    def __init__(self, root: Any) -> None:
        self.root = root
        self.large: set[int] = set()
        self._attributes: dict[int, dict[str, Any]] = {}
        self._found: dict[Steps, tuple[Any, int, bool]] = {}

    def attributes(self, raw: Any) -> dict[str, Any]:
        """Return an object's attributes or a dictionary's items, as `raw_attributes` does."""
        names = self._attributes.get(id(raw))
        if names is None:
            names = self._attributes[id(raw)] = raw_attributes(raw)
        return names

    def find(self, steps: Steps) -> tuple[Any, int, bool]:
        """Return what a path leads to, how many of its steps could be taken, and whether there may be more.

        There may be more where attributes and items are known only once the value is converted.
        """
        found = self._found.get(steps)
        if found is None:
            raw, taken, more = self.root, 0, False
            for sort, key in steps:
                below = self._attribute(raw, key) if sort == "." else self._item(raw, key)
                if below is MISSING:
                    more = not _is_complete(raw, sort, key)
                    break
                raw = below
                taken += 1
            found = self._found[steps] = (raw, taken, more)
        return found

    def _attribute(self, raw: Any, name: str) -> Any:
        if type(raw) is not list:
            return MISSING
        names = self.attributes(raw)
        found = names.get(name, MISSING)
        return found if found is not MISSING or raw[2] == DICT else names.get(f"_{name}", MISSING)

    def _item(self, raw: Any, key: Any) -> Any:
        items: tuple[Any, ...] = ()
        if type(raw) is tuple:
            items = raw
        elif type(raw) is list and raw[2] == DICT and type(key) is str:
            return self.attributes(raw).get(key, MISSING)
        elif type(raw) is list and raw[2] == LIST and not _is_changed(raw):
            items = (*(raw[0] or ()), *raw[3:])
        return items[key] if type(key) is int and -len(items) <= key < len(items) else MISSING


def _is_changed(node: Node) -> bool:
    """Whether more than appending was done to a list."""
    return any(type(c) is list and c[2] >= STATE for c in node[3:])


def _is_complete(raw: Any, sort: str, key: Any) -> bool:
    """Whether what is not found in `raw` is not in what it is converted to either."""
    if type(raw) is tuple:
        return sort == "." or type(key) is int
    if type(raw) is not list:
        return True
    if raw[2] == DICT:
        plain = all(type(c) is list and c[2] == PAIRS for c in raw[3:])
        return plain and (sort == "." or type(key) is str)
    if raw[2] == LIST:
        return not _is_changed(raw) and (sort == "." or type(key) is int)
    # An instance of a class that has no meaning of its own, made without arguments, with attributes only.
    return sort == "." and _is_instance(raw) and all(_is_state(chunk) for chunk in raw[3:])


def _is_instance(raw: Node) -> bool:
    if raw[2] not in (CALL, NEW) or type(raw[1]) is not tuple:
        return False
    name = callee(raw[0])
    made = unpacked(name, raw[1]) if raw[2] == CALL else (raw[0], raw[1], None)
    if made is None or made[1] not in ((), (None,)) or made[2] is not None:
        return False
    name = _named(made[0])
    return bool(name) and name not in BUILDERS


def _is_state(chunk: Any) -> bool:
    if type(chunk) is not list or chunk[2] != STATE:
        return False
    state = chunk[0]
    parts = state if type(state) is tuple and len(state) == 2 else (state,)
    return all(type(p) is not tuple and (type(p) is not list or p[2] in (DICT, PERSISTENT)) for p in parts)


def raw_class(raw: Any) -> str:
    """Return the class of what a stream makes, before it is converted."""
    kind = type(raw)
    if kind is not list:
        return "" if raw is None else f"builtins.{kind.__name__}"
    kind, first = raw[2], raw[0]
    if kind in (CALL, NEW):
        name = callee(first)
        builder = BUILDERS.get(name)
        if builder is not None and builder.makes is not None and type(raw[1]) is tuple:
            return builder.makes(raw[1])
        made = unpacked(name, raw[1]) or (new_with_keywords(raw) if name == "" else None)
        return _named(made[0] if made is not None else first)
    if kind in (NEW_EX, OBJ):
        return _named(first[0]) if first else ""
    if kind == INST:
        return callee(raw[1])
    return _BUILTIN.get(kind, "")


def _named(raw: Any) -> str:
    """Return the path of a class that a stream names, or makes: one of a notebook is written into it."""
    name = callee(raw)
    if name or type(raw) is not list or raw[2] != CALL or type(raw[1]) is not tuple or len(raw[1]) < 4:
        return name
    maker, args = callee(raw[0]).rpartition(".")[2], raw[1]
    if maker == "_make_skeleton_class":  # see `gc3store.inspection.values.defined`
        module = raw_attributes(args[3]).get("__module__")
    elif maker == "_make_skeleton_enum" and len(args) > 4:
        module = args[4]
    else:
        return ""
    return f"{module}.{args[1]}" if type(module) is str and type(args[1]) is str else ""


_BUILTIN: Final = {
    DICT: "builtins.dict",
    SET: "builtins.set",
    FROZENSET: "builtins.frozenset",
    BYTES: "builtins.bytes",
    LIST: "builtins.list",
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
        if type(chunk) is list and chunk[2] in (STATE, SETTER):
            # A setter is called with the object and its state.
            state = chunk[0] if chunk[2] == STATE else chunk[1][1] if len(chunk[1]) == 2 else None
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
