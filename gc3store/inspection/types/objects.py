"""Objects of classes that are not imported, names, and references to other stored objects."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import Reader, builds
from gc3store.inspection.machine.names import path_of
from gc3store.inspection.machine.nodes import Node
from gc3store.inspection.shape import (
    ARGUMENT,
    ATTRIBUTE,
    KEY,
    POSITION,
    UNPLACED,
    Entry,
    ScalarShape,
    Shape,
    counted,
    shaped,
)
from gc3store.inspection.values import Inert, Name, Reference, class_of, defined, parts, state_parts
from gc3store.support.text import clean


def _keywords(value: Inert) -> dict[Any, Any]:
    kwargs = parts(value).kwargs
    return kwargs if isinstance(kwargs, dict) else {}


class _Object(Shape):
    """Has what a pickle says of it: arguments, attributes and items."""

    walk = "object"
    kind = "object"

    def class_path(self, value: Inert) -> str:
        return class_of(value)

    def label(self, value: Inert) -> tuple[str, str]:
        path = clean(class_of(value) or "object")
        if defined(value) is not None:
            return "definition", "written into the pickle"
        return ("call" if parts(value).function else path.rpartition(".")[2]), path

    def title(self, value: Inert) -> tuple[str, str]:
        named = defined(value)
        return super().title(value) if named is None else ("", f"{clean(named.path)}, defined in the pickle")

    def count(self, value: Inert) -> int:
        known, named = parts(value), state_parts(value)
        states = sum(map(len, named)) if named else len(known.states)
        return len(known.args) + len(_keywords(value)) + states + len(known.items) + len(known.pairs)

    def facts(self, value: Inert) -> list[str]:
        return [counted(self.count(value), "attribute" if state_parts(value) else "part")]

    def brackets(self, value: Inert) -> tuple[str, str]:
        named = defined(value)
        if named is not None:
            return f"<{clean(named.path)} defined by ", ">"
        name = clean(class_of(value) or "object")
        if parts(value).function:
            return f"{name}(", ")"
        return f"<{name} " if self.count(value) else f"<{name}", ">"

    def is_labelled(self, value: Inert) -> bool:
        return defined(value) is None and not parts(value).function

    def separator(self, entry: Entry, value: Inert) -> str:
        return " " if entry.sort != KEY and entry.key and not parts(value).args else ", "

    def entries(self, value: Inert) -> Iterator[Entry]:
        known, named = parts(value), state_parts(value)
        yield from (Entry(ARGUMENT, i, arg) for i, arg in enumerate(known.args))
        yield from (Entry(ARGUMENT, str(name), arg) for name, arg in _keywords(value).items())
        for part in named:
            for name, child in part.items():
                yield Entry(ATTRIBUTE if isinstance(name, str) else KEY, name, child)
        if not named:
            yield from (Entry(UNPLACED, "state", state) for state in known.states)
        yield from (Entry(POSITION, i, item) for i, item in enumerate(known.items))
        yield from (Entry(KEY, key, child) for key, child in known.pairs)


class _Named(ScalarShape):
    def __init__(self, kind: str, about: str, start: str, end: str, attribute: str) -> None:
        def name(value: Any) -> str:
            return clean(getattr(value, attribute))

        super().__init__(lambda value: f"{start}{name(value)}{end}", name)
        self._label = kind, about

    def label(self, value: Any) -> tuple[str, str]:
        return self._label


shaped(_Object(), Inert)
shaped(_Named("name", "a class or function", "<", ">", "path"), Name)
shaped(_Named("stored", "another stored object", "→ ", "", "id"), Reference)


@builds("gc3store.persistable.reference", holds=True)
def _reference(args: tuple[Any, ...], _node: Node, reader: Reader) -> Reference:
    if len(args) != 1 or type(args[0]) is not int or not 0 <= args[0] < len(reader.references):
        raise CannotConvert
    return Reference(reader.references[args[0]], reader.follow)


@builds("builtins.getattr", holds=True, acts=True)
def _attribute(_args: tuple[Any, ...], node: Node, _reader: Reader) -> Name:
    found = path_of(node)
    if found is None:
        raise CannotConvert
    return Name(*found)
