"""Graphs of objects of all kinds, made from plans that Hypothesis draws, and what they look like.

Each node of a plan is an object with a number of its own, most of them records. `build`
makes the objects and `shape` describes what can be reached from some of them, so that two
graphs are alike exactly if their shapes are equal: which records there are, how they refer
to each other, and what is shared within a record.
"""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import numpy as np
from hypothesis import strategies as st

from gc3store import Persistable


class Plain(Persistable):
    def __init__(self, number):
        self.number, self.value, self.links = number, None, []


class Slotted(Persistable):
    __slots__ = ("links", "number", "value")

    def __init__(self, number):
        self.number, self.value, self.links = number, None, []


@dataclasses.dataclass(eq=False)
class Data(Persistable):
    number: int
    value: Any = None
    links: list = dataclasses.field(default_factory=list)


class Calls(Plain):
    """Calls its parts while its state is set, and keeps what they said."""

    def __getstate__(self):
        return [self.number, self.value, self.links]

    def __setstate__(self, state):
        self.number, self.value, self.links = state
        self.heard = [getattr(part, "number", None) for part in parts_of(self.links)]


class Items(Persistable, list):
    def __init__(self, number):
        super().__init__()
        self.number, self.value = number, None

    links = property(lambda self: self)


class Pairs(Persistable, dict):
    def __init__(self, number):
        super().__init__()
        self.number, self.value = number, None
        self.links = []


class Members(Persistable, set):
    """A set by which it is told apart from others: as records are, by identity."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__

    def __init__(self, number):
        super().__init__()
        self.number, self.value, self.links = number, None, []

    def __reduce__(self):
        return _empty, (Members,), {**self.__dict__, "members": list(self)}

    def __setstate__(self, state):
        self.update(state.pop("members"))
        self.__dict__.update(state)


def _empty(cls):
    return cls.__new__(cls)


class Reduced(Persistable):
    """Says how it is made, with items and pairs beside its state."""

    def __init__(self, number=None):
        self.number, self.value, self.links, self.pairs = number, None, [], {}

    def __reduce__(self):
        state = {"number": self.number, "value": self.value}
        return Reduced, (), state, iter(self.links), iter(self.pairs.items())

    def append(self, link):
        self.links.append(link)

    def __setitem__(self, key, value):
        self.pairs[key] = value


class Arguments(Persistable):
    """Cannot be made without some objects, given by keyword."""

    def __new__(cls, number, *, needs):
        self = super().__new__(cls)
        self.number, self.needs = number, needs
        return self

    def __init__(self, number, *, needs):
        self.value, self.links = None, []

    def __getnewargs_ex__(self):
        return (self.number,), {"needs": self.needs}

    def __getstate__(self):
        return {"value": self.value, "links": self.links}


class Part:
    """No record: stored again in each that refers to it."""

    def __init__(self, number):
        self.number, self.value, self.links = number, None, []


class SlottedPart:
    __slots__ = ("__weakref__", "links", "number", "value")

    def __init__(self, number):
        self.number, self.value, self.links = number, None, []


KINDS = {
    cls.__name__: cls
    for cls in (
        Plain,
        Slotted,
        Data,
        Calls,
        Items,
        Pairs,
        Members,
        Reduced,
        Arguments,
        Part,
        SlottedPart,
    )
}

WAYS = (
    "itself",
    "list",
    "tuple",
    "value of a dictionary",
    "key of a dictionary",
    "member of a set",
    "deep inside",
    "deque",
    "twice",
    "item or pair",
)

_values = st.one_of(
    st.none(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=5),
    st.sampled_from(["shared text", (1, (2, 3)), frozenset({1, "a"}), 10**40, b"x" * 70_000]),
    st.builds(lambda n: np.arange(n, dtype="u2"), st.sampled_from([3, 40_000])),
    st.recursive(
        st.integers(0, 3),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.text(max_size=2), inner, max_size=3)
            | st.tuples(inner, inner)
            | st.sets(st.integers(0, 9), max_size=4)
        ),
        max_leaves=6,
    ),
)


@st.composite
def plans(draw, most=9):
    """Draw what a graph is to be made of: for each node its kind, value and links."""
    count = draw(st.integers(1, most))
    return [
        {
            "kind": draw(st.sampled_from(sorted(KINDS))),
            "value": draw(_values),
            "links": draw(st.lists(st.tuples(st.integers(0, count - 1), st.sampled_from(WAYS)), max_size=4)),
            "needs": draw(st.lists(st.integers(0, count - 1), max_size=2)),
        }
        for _ in range(count)
    ]


def build(plan):
    """Make the objects of a plan."""
    nodes: list[Any] = []
    for number, node in enumerate(plan):
        cls = KINDS[node["kind"]]
        if cls is Arguments:
            needs = [nodes[i] for i in node["needs"] if i < number and isinstance(nodes[i], Persistable)]
            nodes.append(cls(number, needs=needs))
        else:
            nodes.append(cls(number))
        nodes[-1].value = node["value"]
    for node, planned in zip(nodes, plan, strict=True):
        for target, way in planned["links"]:
            _attach(node, nodes[target], way)
    return nodes


def _attach(node, other, way):
    hashable = type(other).__hash__ is not None
    match way:
        case "itself":
            link = other
        case "list":
            link = [other]
        case "tuple":
            link = (other, "and more")
        case "value of a dictionary":
            link = {"other": other}
        case "key of a dictionary" if hashable:
            link = {other: [other]}
        case "member of a set" if hashable:
            link = {other, 1}
        case "deep inside":
            link = [({"a": [(other, {"b": other})]},)]
        case "deque":
            link = collections.deque([other], maxlen=5)
        case "twice":
            shared = [other]
            link = [shared, shared, other]
        case "item or pair" if isinstance(node, (Pairs, Reduced)):
            node[other.number] = other
            return
        case "item or pair" if isinstance(node, Members) and hashable:
            node.add(other)
            return
        case _:
            link = [other]
    node.links.append(link)


def parts_of(obj):
    """Yield the nodes that an object contains, in some order, itself if it is one."""
    todo, seen = [obj], set()
    for one in todo:
        if id(one) in seen:
            continue
        seen.add(id(one))
        if type(one) in KINDS.values():
            yield one
        elif isinstance(one, dict):
            todo += [*one, *one.values()]
        elif isinstance(one, (list, tuple, set, frozenset, collections.deque)):
            todo += one


def shape(*roots):
    """Describe what can be reached: for each record, in order, what it holds."""
    records: dict[int, Any] = {}
    todo = []

    def describe(obj, known):
        """Describe a part of a record; `known` numbers what was met in it before."""
        cls = type(obj)
        if isinstance(obj, Persistable):
            if id(obj) not in records:
                records[id(obj)] = len(records)
                todo.append(obj)
            return ("record", records[id(obj)])
        if cls in (Part, SlottedPart, list, dict, set, collections.deque):
            if id(obj) in known:
                return ("again", known[id(obj)])
            known[id(obj)] = len(known)
        if cls in (Part, SlottedPart):
            return (cls.__name__, obj.number, describe(obj.value, known), describe(obj.links, known))
        if cls in (list, tuple, collections.deque):
            return (cls.__name__, [describe(item, known) for item in obj])
        if cls is dict:
            return ("dict", [(describe(k, known), describe(v, known)) for k, v in obj.items()])
        if cls in (set, frozenset):
            ordered = sorted(obj, key=lambda item: (getattr(item, "number", -1), repr(item)[:20]))
            return (cls.__name__, [describe(item, known) for item in ordered])
        return (cls.__name__, obj.tolist() if cls is np.ndarray else obj)

    tops = [describe(root, {}) for root in roots]
    found = []
    for obj in todo:
        known: dict[int, int] = {}
        parts: list[Any] = [type(obj).__name__, obj.number, describe(obj.value, known)]
        if type(obj) is not Items:
            parts.append(describe(obj.links, known))
        if type(obj) is Items:
            parts.append([describe(item, known) for item in obj])
        elif type(obj) is Pairs:
            parts.append([(describe(k, known), describe(v, known)) for k, v in obj.items()])
        elif type(obj) is Members:
            parts.append([describe(item, known) for item in sorted(obj, key=lambda item: item.number)])
        elif type(obj) is Reduced:
            parts.append(describe(obj.pairs, known))
        elif type(obj) is Arguments:
            parts.append(describe(obj.needs, known))
        found.append(tuple(parts))
    return tops, found


def links_of(node):
    """Return the nodes that a node leads to."""
    inside = (
        (dict(node) if isinstance(node, Pairs) else list(node))
        if isinstance(node, (dict, list, set))
        else None
    )
    held = [node.links if node.links is not node else None, getattr(node, "pairs", None)]
    return list(parts_of([inside, *held, getattr(node, "needs", None)]))


def nodes_of(*roots):
    """Return all nodes that can be reached, each with those that it leads to."""
    found: dict[int, tuple[Any, list[Any]]] = {}
    todo = list(parts_of(list(roots)))
    for node in todo:
        if id(node) not in found:
            found[id(node)] = node, links_of(node)
            todo += found[id(node)][1]
    return list(found.values())
