"""Containers of the standard library, filled with what was to be put into them."""

from __future__ import annotations

import collections
from types import SimpleNamespace
from typing import Any

from gc3store.inspection.budget import CannotConvert
from gc3store.inspection.building import Reader, appended, builds, list_of, mapping_of, pairs_of, state_of
from gc3store.inspection.machine.nodes import PAIRS, Node
from gc3store.inspection.shape import (
    ContainerShape,
    Json,
    shape_of,
    shaped,
)
from gc3store.inspection.shown import (
    Counter,
    Deque,
    Dict,
    Elements,
    FrozenSet,
    List,
    Namespace,
    OrderedDict,
    Pairs,
    Set,
    Tuple,
)
from gc3store.inspection.values import Inert, Name

# How they are written.


class _Dict(ContainerShape):
    def brackets(self, value: Dict) -> tuple[str, str]:
        if value.factory is None:
            return super().brackets(value)
        return f"defaultdict({shape_of(value.factory).line(value.factory)}, {{", "})"


class _Set(ContainerShape):
    def brackets(self, value: set[Any]) -> tuple[str, str]:
        return super().brackets(value) if value else ("set(", ")")


class _Unhashed(ContainerShape):
    def class_path(self, value: Pairs) -> str:
        return f"builtins.{value.kind}"

    def brackets(self, value: Pairs) -> tuple[str, str]:
        return ("frozenset({", "})") if value.kind == "frozenset" else ("{", "}")


def _items(make: Any, name: str) -> Json:
    return Json(
        name,
        lambda value, write: [write(item) for item in value],
        lambda data, read: make(map(read, data)),
    )


def _write_dict(value: Dict, write: Any) -> Any:
    if value.factory is not None or not all(type(key) is str for key in value):
        return None
    return [list(value), [write(item) for item in value.values()]]


def _read_dict(data: Any, read: Any) -> Dict:
    keys, values = data
    return Dict(zip(keys, map(read, values), strict=True))


shaped(ContainerShape("sequence", "list", "[", "]"), list)
shaped(ContainerShape("sequence", "list", "[", "]", _items(List, "list")), List)
shaped(ContainerShape("sequence", "tuple", "(", ")"), tuple)
shaped(ContainerShape("sequence", "tuple", "(", ")", _items(Tuple, "tuple")), Tuple)
shaped(ContainerShape("sequence", "list", "deque([", "])"), collections.deque)
shaped(ContainerShape("mapping", "dict", "{", "}"), dict)
shaped(_Dict("mapping", "dict", "{", "}", Json("dict", _write_dict, _read_dict)), Dict)
shaped(ContainerShape("mapping", "dict", "Counter({", "})"), collections.Counter)
shaped(ContainerShape("mapping", "dict", "OrderedDict({", "})"), collections.OrderedDict)
shaped(_Unhashed("mapping", "dict", "{", "}"), Pairs)
shaped(_Set("set", "set", "{", "}"), set)
shaped(ContainerShape("set", "set", "frozenset({", "})"), frozenset)
shaped(_Unhashed("set", "set", "{", "}"), Elements)
shaped(ContainerShape("attributes", "namespace", "namespace(", ")"), SimpleNamespace)


# How they are built.


def _only(node: Node, kind: int) -> list[Any]:
    chunks = node[3:]
    if any(type(c) is not list or c[2] != kind for c in chunks):
        raise CannotConvert
    return [x for chunk in chunks for x in chunk[0]]


def _given(args: tuple[Any, ...], reader: Reader) -> Any:
    """Return the items of the one argument, if there is one."""
    if len(args) > 1:
        raise CannotConvert
    return list_of(args[0], reader.budget) if args else ()


@builds("builtins.set", holds=True)
def _set(args: tuple[Any, ...], _node: Node, reader: Reader) -> Any:
    return reader.elements(_given(args, reader), Set, "set")


@builds("builtins.frozenset", holds=True)
def _frozenset(args: tuple[Any, ...], _node: Node, reader: Reader) -> Any:
    return reader.elements(_given(args, reader), FrozenSet, "frozenset")


@builds("builtins.list", holds=True)
def _list(args: tuple[Any, ...], _node: Node, reader: Reader) -> List:
    # list((...)), as in subclasses of protocol 0 and in pickles that are made by hand
    (raw,) = args
    items, made = list_of(raw, reader.budget), List()
    reader.later(lambda: made.extend(reader.values(items)))
    return made


@builds("collections.deque", holds=True, changes=True)
def _deque(args: tuple[Any, ...], node: Node, reader: Reader) -> Deque:
    limit = args[1] if len(args) == 2 else None
    if limit is not None and (type(limit) is not int or limit < 0):
        raise CannotConvert
    first, more, made = _given(args[:1], reader), appended(node), Deque(maxlen=limit)
    reader.later(lambda: made.extend(reader.values([*first, *more])))
    return made


@builds("builtins.dict", holds=True, changes=True)
def _dict(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    if args:
        raise CannotConvert
    return reader.mapping(_only(node, PAIRS), Dict())


@builds("collections.defaultdict", holds=True, changes=True)
def _defaultdict(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    factory = reader.value(args[0]) if args else None
    if len(args) > 1 or (factory is not None and not isinstance(factory, (Name, Inert))):
        raise CannotConvert
    made = Dict()
    made.factory = factory
    return reader.mapping(_only(node, PAIRS), made)


def _standard(flat: list[Any], made: Any, reader: Reader) -> Any:
    keys = reader.keys(flat[::2])
    if keys is None or len(flat) % 2:
        raise CannotConvert
    reader.later(lambda: made.update(dict(zip(keys, reader.values(flat[1::2]), strict=True))))
    return made


@builds("collections.OrderedDict", holds=True, changes=True)
def _ordered(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    # protocols 0 and 1 give it a list of [key, value]
    flat = [x for pair in _given(args, reader) for x in list_of(pair, reader.budget)]
    return _standard([*flat, *_only(node, PAIRS)], OrderedDict(), reader)


@builds("collections.Counter", holds=True, changes=True)
def _counter(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    flat = _only(node, PAIRS)
    if args:
        (inner,) = args
        flat = [*pairs_of(inner, reader.budget), *flat]
    return _standard(flat, Counter(), reader)


@builds("types.SimpleNamespace", holds=True, changes=True)
def _namespace(args: tuple[Any, ...], node: Node, reader: Reader) -> Namespace:
    if args:
        raise CannotConvert
    state = state_of(node)
    fields = {} if state is None else mapping_of(state, reader.budget)
    made = Namespace()
    reader.later(lambda: vars(made).update((k, reader.value(v)) for k, v in fields.items()))
    return made
