"""From what a stream makes, constants, tuples and lists, to the values that it means.

The conversion visits each node once, without recursion: sharing and cycles come out as
they went in, and time is proportional to the stream, of any shape. Containers and
objects are made empty and filled when their turn comes; tuples and frozen sets, which
must be made full, can contain each other only finitely deep, and are made from the
inside out.
"""

from __future__ import annotations

import copyreg
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, Literal, TypeVar

from gc3store.ids import is_id
from gc3store.inspection.budget import Budget, CannotConvert
from gc3store.inspection.building import FACTORIES, MAX_BITS, REFUSALS, Reader, items_of, pairs_of, unpacked
from gc3store.inspection.machine.names import MAX_NAME, callee, new_with_keywords
from gc3store.inspection.machine.nodes import (
    BUFFER,
    BYTEARRAY,
    BYTES,
    CALL,
    DICT,
    DIGITS,
    EFFECT,
    EXTENSION,
    FROZENSET,
    INST,
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
    TEXT,
    Node,
    named_by,
)
from gc3store.inspection.types import BUILDERS
from gc3store.inspection.values import (
    Dict,
    Elements,
    FrozenSet,
    Inert,
    List,
    Name,
    Pairs,
    Parts,
    Reference,
    Set,
    Tuple,
)

__all__ = ["ValueReader", "persistent_text"]

_T = TypeVar("_T")

_MISSING: Final = object()
#: How deep values that are made at once, like keys or the zone of a time, are made within another.
_MAX_DEPTH: Final = 30
_SCALARS: Final = frozenset({str, bytes, int, float, bool, type(None), complex})


class ValueReader(Reader):
    """Converts what one stream makes.

    Parameters
    ----------
    references : sequence of str
        The record's list of references: what ``gc3store.persistable.reference(i)`` means.
    follow : callable, optional
        Given to each `Reference`.
    size : int
        Bytes of the stream: what may be copied out of it is in proportion.
    """

    def __init__(
        self,
        references: Sequence[str] = (),
        follow: Callable[[str], Any] | None = None,
        *,
        size: int = 0,
    ) -> None:
        self.references = references
        self.follow = follow
        self.budget = Budget(size)
        self._depth = 0
        self._making: set[int] = set()
        self._once: dict[tuple[Any, int], Any] = {}
        self._memo: dict[int, Any] = {}
        self._todo: list[tuple[Callable[..., None], tuple[Any, ...]]] = []
        self._raw: list[Any] = []  # what `_memo` is keyed by must stay alive

    def read(self, raw: Any) -> Any:
        """Return what `raw` means, whole."""
        value = self.value(raw)
        while self._todo:
            fill, args = self._todo.pop()
            fill(*args)
        return value

    def value(self, raw: Any) -> Any:
        """Return what `raw` means; what it contains is filled in by `read`."""
        kind = type(raw)
        if kind is not list and kind is not tuple:
            return raw
        found = self._memo.get(id(raw), _MISSING)
        if found is not _MISSING:
            return found
        if kind is list and raw[2] != FROZENSET:
            if id(raw) in self._making:
                raise CannotConvert  # it is an argument of itself
            return self._remember(raw, self._shell(raw))
        stack = [raw]
        while stack:
            top = stack[-1]
            if id(top) in self._memo:
                stack.pop()
                continue
            content = top if type(top) is tuple else top[0]
            waiting = [
                c
                for c in content
                if id(c) not in self._memo and (type(c) is tuple or (type(c) is list and c[2] == FROZENSET))
            ]
            if waiting:
                stack.extend(waiting)
                continue
            stack.pop()
            values = [self.value(c) if type(c) is list or type(c) is tuple else c for c in content]
            self._remember(top, Tuple(values) if type(top) is tuple else self._frozen(top, values))
        return self._memo[id(raw)]

    def _remember(self, raw: Any, value: Any) -> Any:
        self._memo[id(raw)] = value
        self._raw.append(raw)
        return value

    def later(self, fill: Callable[..., None], *args: Any) -> None:
        """Have `fill` called with `args` once what is being made can be filled."""
        self._todo.append((fill, args))

    def once(self, build: Callable[[Any, Reader], _T], raw: Any) -> _T:
        """Return what `build` makes of `raw`, made once however many ask for it."""
        key = (build, id(raw))
        if key not in self._once:
            self._once[key] = CannotConvert()  # also while it is made, of itself perhaps
            self._raw.append(raw)
            self._once[key] = build(raw, self)
        made = self._once[key]
        if isinstance(made, CannotConvert):
            raise CannotConvert
        return made  # type: ignore[no-any-return]

    def values(self, raws: Iterable[Any]) -> list[Any]:
        """Return what several raw values mean."""
        value = self.value
        return [value(c) if type(c) is list or type(c) is tuple else c for c in raws]

    # Nodes.

    def _shell(self, node: Node) -> Any:
        kind = node[2]
        if kind == LIST:
            return self._list(node)
        if kind == DICT:
            return self._dict(node)
        if kind in (CALL, NEW, EFFECT):
            return self._called(node, node[0], node[1])
        if kind in (NAME, NAME2):
            return self._name(node)
        if kind == PERSISTENT:
            return self._persistent(node)
        if kind == NEW_EX:
            cls, args, kwargs = node[0]
            return self._called(node, cls, args, kwargs)
        if kind == OBJ:
            return self._called(node, node[0][0] if node[0] else None, node[0][1:])
        if kind == INST:
            return self._called(node, node[1], node[0])
        if kind == SET:
            return self._set(node)
        if kind == EXTENSION:
            # Looked at, never looked up: the registry's cache holds objects, this holds names.
            names = getattr(copyreg, "_inverted_registry", {}).get(node[0])
            return Name(*names) if names else Name("", f"extension code {node[0]}")
        if len(node) == 3:
            if kind == BYTES:
                return bytes(node[0])
            if kind == BYTEARRAY:
                return bytearray(node[0])
            if kind == BUFFER:
                return node[0]
            if kind == TEXT:
                return _text(node[0])
        return self._inert(
            node, Parts(cls=Name("builtins", "int" if kind == DIGITS else "bytes"), args=(node[0],))
        )

    def _name(self, node: Node) -> Any:
        module, name = node[0], node[1]
        if type(module) is not str or type(name) is not str:
            inner = self.value((module, name))
            return self._inert(node, Parts(cls=Name("", "name"), args=inner, function=True))
        known = Name(*named_by(node))
        return known if len(node) == 3 else self._inert(node, Parts(cls=known, function=True))

    def _persistent(self, node: Node) -> Any:
        text = persistent_text(node[0])
        if text is not None and len(node) == 3:
            return Reference(text, self.follow)
        return self._inert(node, Parts(cls=Name("", "persistent_id"), function=True), (node[0],))

    def _inert(
        self, node: Node, parts: Parts, args: Iterable[Any] | None = None, kwargs: Any = None, cls: Any = None
    ) -> Inert:
        made = Inert(parts)
        self.later(self._fill_inert, node, parts, args, kwargs, cls)
        return made

    def _fill_inert(
        self, node: Node, parts: Parts, args: Iterable[Any] | None, kwargs: Any, cls: Any
    ) -> None:
        if cls is not None:
            parts.cls = self.value(cls)
        if args is not None:
            parts.args = self.value(args) if type(args) is tuple else Tuple(self.values(args))
        if kwargs is not None:
            parts.kwargs = self.value(kwargs)
        for chunk in node[3:]:
            kind = chunk[2] if type(chunk) is list else 0
            if kind == STATE:
                parts.states.append(self.value(chunk[0]))
            elif kind == SETTER:
                # The function itself is told by `imports`; what it was to set is told here.
                set_ = self.value(chunk[1])  # the object, and usually one state
                parts.states.append(set_[1] if len(set_) == 2 else set_)
            elif kind == PAIRS:
                flat = self.values(chunk[0])
                parts.pairs.extend(zip(flat[::2], flat[1::2], strict=False))
            elif kind == ITEMS:
                parts.items.extend(self.values(chunk[0]))
            else:
                parts.items.append(self.value(chunk))

    # Containers.

    def _list(self, node: Node) -> Any:
        try:
            items = items_of(node)
        except CannotConvert:
            return self._inert(node, Parts(cls=Name("builtins", "list")))
        made = List()
        self.later(lambda: made.extend(self.values(items)))
        return made

    def _dict(self, node: Node) -> Any:
        try:
            return self.mapping(pairs_of(node), Dict())
        except CannotConvert:
            return self._inert(node, Parts(cls=Name("builtins", "dict")))

    def mapping(self, flat: Sequence[Any], made: Any) -> Any:
        """Return `made` with these keys and values in turn, or `Pairs` where keys cannot be hashed."""
        if len(flat) % 2:
            raise CannotConvert
        # Which of the two it is has to be known before it is filled.
        keys = list(flat[::2]) if all(type(key) is str for key in flat[::2]) else self.keys(flat[::2])
        if keys is not None:
            self.later(lambda: made.update(zip(keys, self.values(flat[1::2]), strict=True)))
            return made
        pairs = Pairs()

        def fill() -> None:
            pairs.pairs.extend(zip(self.values(flat[::2]), self.values(flat[1::2]), strict=True))

        self.later(fill)
        return pairs

    def keys(self, raws: Sequence[Any]) -> list[Any] | None:
        """Return keys or elements that are safe to hash, in bounded time; else `None`.

        Texts and byte strings are: their hashes are salted. So are single objects and
        values of standard types. Tuples are when they are small and flat: the hash of a tuple
        visits everything in it, each time. Numbers are when they are not very long, and there
        are few of them or their hashes were not chosen to collide.
        """
        keys: list[Any] = []
        salted = True
        for raw in raws:
            kind = type(raw)
            if kind is str or kind is bytes:
                keys.append(raw)
                continue
            salted = False
            if kind in _SCALARS and kind is not int:
                keys.append(raw)
                continue
            key = self._key(raw)
            if key is _MISSING:
                return None
            keys.append(key)
        return keys if salted or len(keys) < 64 or _spreads(keys) else None

    def _key(self, raw: Any) -> Any:
        if type(raw) is tuple:
            if len(raw) > 64 or not all(map(_simple, raw)):
                flat = [c if type(c) is tuple else self._key(c) for c in raw[:64]]
                if len(raw) > 64 or any(c is _MISSING or type(c) is tuple for c in flat):
                    return self._nested(raw)
            return self.value(raw)
        if type(raw) is not list:
            return raw if _simple(raw) else _MISSING
        if raw[2] in (LIST, DICT, SET, BYTEARRAY, BUFFER, TEXT, DIGITS):
            return _MISSING
        value = self.value(raw)
        if isinstance(value, FrozenSet):
            simple = len(value) <= 64 and all(_simple(c) or isinstance(c, (Inert, Name)) for c in value)
            return value if simple else _MISSING
        try:
            hash(value) if not isinstance(value, (Inert, Pairs)) else None
        except TypeError:
            return _MISSING
        return value if not isinstance(value, Pairs) else _MISSING

    def _nested(self, raw: tuple[Any, ...]) -> Any:
        # A tuple in a tuple, as in the edges of a graph: still small.
        if len(raw) > 16 or not all(
            _simple(c) or (type(c) is tuple and len(c) <= 16 and all(map(_simple, c))) for c in raw
        ):
            return _MISSING
        return self.value(raw)

    def _set(self, node: Node) -> Any:
        raws: list[Any] = []
        for chunk in node[3:]:
            if type(chunk) is not list or chunk[2] != ITEMS:
                return self._inert(node, Parts(cls=Name("builtins", "set")))
            raws.extend(chunk[0])
        return self.elements(raws, Set, "set")

    def elements(
        self, raws: Sequence[Any], make: Callable[[Iterable[Any]], Any], kind: Literal["set", "frozenset"]
    ) -> Any:
        """Return a set, by `make`, or `Elements` where they cannot be hashed."""
        keys = self.keys(raws)
        if keys is not None:
            return make(keys)
        elements = Elements(kind)
        self.later(lambda: elements.pairs.extend((value, None) for value in self.values(raws)))
        return elements

    def _frozen(self, node: Node, values: list[Any]) -> Any:
        if len(node) != 3:
            return self._inert(node, Parts(cls=Name("builtins", "frozenset")), (node[0],))
        return self.elements(list(node[0]), FrozenSet, "frozenset")

    # Calls.

    def _called(self, node: Node, function: Any, args: Any, kwargs: Any = None) -> Any:
        if type(args) is not tuple:
            return self._inert(node, Parts(), (args,), kwargs, function)
        name = callee(function)
        is_class = node[2] not in (CALL, EFFECT)
        made = None
        if name in FACTORIES and self._affords(args):
            made = unpacked(name, args)
        elif kwargs is None and not name:
            keyed = new_with_keywords(node)
            made = keyed if keyed is not None and self._affords(keyed[1]) else None
        if made is not None:
            function, args, kwargs = made
            if type(args) is not tuple:
                return self._inert(node, Parts(), (args,), kwargs, function)
            name, is_class = callee(function), True
        if kwargs is None:
            value = self._special(name, args, node)
            if value is not _MISSING:
                return value
        is_function = not is_class and name.rpartition(".")[2][:1].islower()
        return self._inert(node, Parts(function=is_function), args, kwargs, function)

    def _affords(self, args: tuple[Any, ...]) -> bool:
        try:
            self.budget.touch(args, 64 * len(args))
        except CannotConvert:
            return False
        return True

    def _special(self, name: str, args: tuple[Any, ...], node: Node) -> Any:
        builder = BUILDERS.get(name)
        if builder is None or self._depth > _MAX_DEPTH or (len(node) > 3 and not builder.changes):
            return _MISSING
        self._making.add(id(node))
        self._depth += 1
        try:
            return builder.build(args, node, self)
        except REFUSALS:
            return _MISSING
        finally:
            self._depth -= 1
            self._making.discard(id(node))


def _text(data: memoryview) -> str:
    try:
        return str(data, "utf-8", "surrogatepass")  # as pickle does
    except UnicodeDecodeError:
        return str(data, "utf-8", "surrogateescape")


def _simple(raw: Any) -> bool:
    """Whether a raw value is a constant whose hash is cached, or costs next to nothing."""
    kind = type(raw)
    return kind in _SCALARS and (kind is not int or raw.bit_length() <= MAX_BITS)


def _spreads(keys: list[Any]) -> bool:
    # A table whose keys have one hash takes quadratic time. Where the hashes differ, so do
    # the places that a table tries, after a few.
    return 2 * len(set(map(hash, keys))) > len(keys)


def persistent_text(raw: Any) -> str | None:
    """Return the ID that a persistent ID means, if it is a string or a number of any class.

    GC3Pie writes its IDs as objects: ``Id("IsingRun", 26)``, a subclass of `str`, for files,
    and ``IntId(None, 47)``, a subclass of `int`, for databases. What no record can have as its ID
    refers to none.
    """
    if type(raw) is list and raw[2] in (NEW, CALL) and type(raw[1]) is tuple and len(raw[1]) <= 2:
        texts = [_short(arg) for arg in raw[1] if arg is not None]
        text = ".".join(texts) if texts and None not in texts else None  # type: ignore[arg-type]
    else:
        text = _short(raw)
    return text if text is not None and is_id(text) else None


def _short(raw: Any) -> str | None:
    if type(raw) is str:
        return raw if len(raw) <= MAX_NAME else None
    return str(raw) if type(raw) is int and raw.bit_length() < 1000 else None
