"""Containers of the standard library, filled with what was to be put into them.

Like the values of `gc3store.inspection.types.standard`, each is made from an exact name and arguments
of the expected form by a function of this module; other forms raise `NotPlainError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from gc3store.inspection.machine.names import path_of
from gc3store.inspection.machine.nodes import DICT, PAIRS, STATE, Node
from gc3store.inspection.types.standard import Builder, NotPlainError, list_of, mapping_of
from gc3store.inspection.values import (
    Counter,
    Deque,
    Dict,
    FrozenSet,
    Inert,
    List,
    Name,
    Namespace,
    OrderedDict,
    Reference,
    Set,
)

if TYPE_CHECKING:
    from gc3store.inspection.building import Reader

__all__ = ["CONTAINERS"]


def _reference(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    if (
        len(args) != 1
        or type(args[0]) is not int
        or not 0 <= args[0] < len(reader.references)
        or len(node) != 3
    ):
        raise NotPlainError
    return Reference(reader.references[args[0]], reader.follow)


def _attribute(_args: tuple[Any, ...], node: Node, _reader: Reader) -> Any:
    found = path_of(node)
    if found is None:
        raise NotPlainError
    return Name(*found)


def _only(node: Node, kind: int) -> list[Any]:
    chunks = node[3:]
    if any(type(c) is not list or c[2] != kind for c in chunks):
        raise NotPlainError
    return [x for chunk in chunks for x in chunk[0]]


def _set_called(args: tuple[Any, ...], node: Node, reader: Reader, *, frozen: bool = False) -> Any:
    if len(args) > 1 or len(node) != 3:
        raise NotPlainError
    items = list_of(args[0], reader.budget) if args else []
    return reader.elements(items, FrozenSet if frozen else Set, "frozenset" if frozen else "set")


def _frozenset_called(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    return _set_called(args, node, reader, frozen=True)


def _dict_called(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    if args:
        raise NotPlainError
    return reader.mapping([tuple(_only(node, PAIRS))], Dict())


def _ordered(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    pairs: Sequence[Any] = _only(node, PAIRS)
    if len(args) == 1:  # protocols 0 and 1: a list of [key, value]
        flat = [x for pair in list_of(args[0], reader.budget) for x in list_of(pair, reader.budget)]
        pairs = [*flat, *pairs]
    elif args:
        raise NotPlainError
    return _standard(reader, pairs, OrderedDict())


def _counter(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    pairs: list[Any] = _only(node, PAIRS)
    if len(args) == 1:
        inner = args[0]
        if (
            type(inner) is not list
            or inner[2] != DICT
            or any(type(c) is not list or c[2] != PAIRS for c in inner[3:])
        ):
            raise NotPlainError
        reader.budget.touch(inner, 256 * (len(inner[0] or ()) + sum(len(c[0]) for c in inner[3:])))
        pairs = [*(inner[0] or ()), *(x for c in inner[3:] for x in c[0]), *pairs]
    elif args:
        raise NotPlainError
    return _standard(reader, pairs, Counter())


def _defaultdict(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    if len(args) > 1:
        raise NotPlainError
    made = Dict()
    factory = reader.value(args[0]) if args else None
    if factory is not None and not isinstance(factory, (Name, Inert)):
        raise NotPlainError
    made.factory = factory
    return reader.mapping([tuple(_only(node, PAIRS))], made)


def _standard(reader: Reader, flat: Sequence[Any], made: Any) -> Any:
    keys = reader.keys(flat[::2])
    if keys is None or len(flat) % 2:
        raise NotPlainError
    reader.later(lambda: made.update(dict(zip(keys, reader.values(flat[1::2]), strict=True))))
    return made


def _deque(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    if len(args) > 2 or any(type(c) is list and c[2] >= STATE for c in node[3:]):
        raise NotPlainError
    first = list_of(args[0], reader.budget) if args else []
    limit = args[1] if len(args) == 2 else None
    if limit is not None and (type(limit) is not int or limit < 0):
        raise NotPlainError
    made = Deque(maxlen=limit)
    reader.later(lambda: made.extend(reader.values([*first, *node[3:]])))
    return made


def _namespace(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    states = [c for c in node[3:] if type(c) is list and c[2] == STATE]
    if args or len(states) != len(node) - 3 or len(states) > 1:
        raise NotPlainError
    fields = mapping_of(states[0][0], reader.budget) if states else {}
    made = Namespace()
    reader.later(lambda: vars(made).update((k, reader.value(v)) for k, v in fields.items()))
    return made


def _sequence(args: tuple[Any, ...], node: Node, reader: Reader) -> Any:
    # list((...)), tuple([...]), as in protocol 0 subclasses and hand-made pickles
    if len(args) != 1 or len(node) != 3:
        raise NotPlainError
    items = list_of(args[0], reader.budget)
    made = List()
    reader.later(lambda: made.extend(reader.values(items)))
    return made


#: What makes a container, by exact dotted name.
CONTAINERS: Final[dict[str, Builder]] = {
    "builtins.dict": _dict_called,
    "builtins.frozenset": _frozenset_called,
    "builtins.getattr": _attribute,
    "builtins.list": _sequence,
    "builtins.set": _set_called,
    "collections.Counter": _counter,
    "collections.OrderedDict": _ordered,
    "collections.defaultdict": _defaultdict,
    "collections.deque": _deque,
    "gc3store.persistable.reference": _reference,
    "types.SimpleNamespace": _namespace,
}
