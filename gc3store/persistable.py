"""Objects that are stored as records of their own, and which record an object is.

`Persistable` marks a class whose instances are stored once, each as its own
record; an object that contains one holds a reference to it. An `Identity` says which
record a live object is.

Every function of this package that a payload may name stands in this module. These
names are part of the storage format, so they must stay where they are. `MOVED` has
the names that older payloads mention.
"""

from __future__ import annotations

import importlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

__all__ = [
    "IDENTITY",
    "MISSING",
    "MOVED",
    "CarriedIdentity",
    "Identity",
    "Persistable",
    "Reference",
    "construct",
    "current_name",
    "error",
    "named",
    "new",
    "provide",
    "reduced_store",
    "reference",
    "reopened",
    "unpickled",
]

#: The instance attribute in which a Persistable carries its identity.
IDENTITY = "_gc3store_identity"

#: Where names are now that older payloads mention: by module and name, the module and name of today.
#: An entry is never removed; what moves once more gets a new value here.
MOVED: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("gc3store.columns", "_unpickled"): ("gc3store.persistable", "unpickled"),
    ("gc3store.errors", "_rebuild"): ("gc3store.persistable", "error"),
    ("gc3store.paths", "MISSING"): ("gc3store.persistable", "MISSING"),
    ("gc3store.placeholder", "named"): ("gc3store.persistable", "named"),
    ("gc3store.primitives", "ReplacedError"): ("gc3store.backend", "ReplacedError"),
    ("gc3store.primitives", "reopened"): ("gc3store.persistable", "reopened"),
    ("gc3store.record", "Condition"): ("gc3store.query", "Condition"),
    ("gc3store.record", "Query"): ("gc3store.query", "Query"),
    ("gc3store.record", "Written"): ("gc3store.query", "Written"),
    ("gc3store.transfer", "Copied"): ("gc3store.copying", "Copied"),
    ("gc3store.trust", "Trust"): ("gc3store.pickling.trust", "Trust"),
}


def current_name(module: str, name: str) -> tuple[str, str]:
    """Return module and name of today for a name in a payload.

    >>> current_name("gc3store.primitives", "reopened")
    ('gc3store.persistable', 'reopened')
    >>> current_name("collections", "OrderedDict")
    ('collections', 'OrderedDict')
    """
    return MOVED.get((module, name), (module, name))


class Persistable:
    """A mix-in class to mark that an object should be persisted by its ID.

    Any instance is saved as an external reference when an object holding a
    reference to it is saved: it becomes a record of its own, stored once
    however many objects refer to it, and shared again after loading.

    Notes
    -----
    An instance that was saved or loaded knows which record it is, and tells a
    worker process to which it is pickled; a copy (`copy.copy`, `copy.deepcopy`,
    `dataclasses.replace`) does not, so saving a copy makes a new record.
    The class adds neither ``__eq__`` nor ``__hash__``: there is one live object per
    record, so identity serves.

    Examples
    --------
    >>> class Run(Persistable):
    ...     def __init__(self, temperature):
    ...         self.temperature = temperature
    >>> hasattr(Run(2.27), "persistent_id")  # it has none before it is saved
    False
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)

    @property
    def persistent_id(self) -> str:
        """The object's ID in the store that it was last saved to or loaded from.

        Raises
        ------
        AttributeError
            Before the first save, and for copies.
        """
        identity = self.__dict__.get(IDENTITY)
        if identity is None or not identity.is_of(self):
            raise AttributeError(f"this {type(self).__name__} is in no store")
        return identity.id  # type: ignore[no-any-return]

    _id = persistent_id

    def __copy__(self) -> Self:
        # What copy.copy does for any object, without the identity.
        function, args, state, items, pairs = (*self.__reduce_ex__(4), None, None, None)[:5]
        clone: Self = function(*args)
        if state is not None:
            if isinstance(state, dict):
                state = {key: value for key, value in state.items() if key != IDENTITY}
            set_state = getattr(clone, "__setstate__", None)
            if set_state is not None:
                set_state(state)
            else:
                attributes, slots = state if isinstance(state, tuple) and len(state) == 2 else (state, None)
                clone.__dict__.update(attributes or {})
                clone.__dict__.pop(IDENTITY, None)
                for name, value in (slots or {}).items():
                    setattr(clone, name, value)
        for item in items or ():
            clone.append(item)  # type: ignore[attr-defined]
        for key, value in pairs or ():
            clone[key] = value  # type: ignore[index]
        return clone


class Identity(weakref.ref[Any]):
    """Which record a live object is; a weak reference to that object.

    Attributes
    ----------
    store : str
        UUID of the store.
    id : str
        The record's ID.
    revision : int
        The record's revision that the object was last saved as or loaded from.
    checksum : bytes or None
        Checksum of the payload that the object would have if nothing had changed.
    references : tuple of str
        IDs of the records that this payload refers to.
    verified : bool
        Whether `checksum` was computed from this very object. After loading, an
        unchanged object may serialize to other bytes than those it came from
        (sets, shared strings, a ``__setstate__`` that fills in defaults).
    """

    __slots__ = ("checksum", "id", "references", "revision", "store", "verified")

    store: str
    id: str
    revision: int
    checksum: bytes | None
    references: tuple[str, ...]
    verified: bool

    def is_of(self, obj: object) -> bool:
        """Whether `obj` is that object, and not a copy that shares its attributes."""
        return self() is obj

    def __eq__(self, other: object) -> bool:
        # Not as the objects compare: they may do so by their attributes, of which this is one.
        if not isinstance(other, Identity):
            return NotImplemented
        return (self.store, self.id) == (other.store, other.id)

    def __hash__(self) -> int:
        return hash((self.store, self.id))

    def __reduce__(self) -> tuple[Any, ...]:
        return CarriedIdentity, (self.store, self.id, self.revision)

    def __reduce_ex__(self, protocol: object) -> tuple[Any, ...]:
        return self.__reduce__()

    def __copy__(self) -> None:
        return None

    def __deepcopy__(self, memo: object) -> None:
        return None


class CarriedIdentity:
    """Which record an object is that has come from another process by pickle."""

    __slots__ = ("id", "owner", "revision", "store")

    def __init__(self, store: str, id: str, revision: int) -> None:  # noqa: A002
        self.store = store
        self.id = id
        self.revision = revision
        self.owner: weakref.ref[Any] | None = None

    def is_of(self, obj: object) -> bool:
        """Whether `obj` is the object that this came with: the first that asks."""
        if self.owner is None:
            self.owner = weakref.ref(obj)
        return self.owner() is obj

    def __reduce__(self) -> tuple[Any, ...]:
        return CarriedIdentity, (self.store, self.id, self.revision)

    def __deepcopy__(self, memo: object) -> None:
        return None


def new(cls: type, *args: Any) -> Any:
    """Make an instance without initializing it; payloads of Persistables begin with this.

    Written in place of ``copyreg.__newobj__``, so that a reader that met the object in
    a cycle of references can hand out the instance it made before.

    >>> new(int, 3)
    3
    """
    return cls.__new__(cls, *args)


def construct(function: Callable[..., Any], *args: Any) -> Any:
    """Call `function`; as `new`, for classes that say themselves how to make instances.

    >>> construct(complex, 1, 2)
    (1+2j)
    """
    return function(*args)


class Reference:
    """A reference to another record, as a reader sees it that cannot follow it.

    Attributes
    ----------
    index : int
        Position in the list of references of the record.
    """

    __slots__ = ("index",)

    def __init__(self, index: int) -> None:
        self.index = index

    def __repr__(self) -> str:
        return f"<reference {self.index}>"


def reference(index: int) -> Reference:
    """Stand for the record at position `index` of the list of references.

    A store's reader puts the object itself in its place; a plain
    `pickle.Unpickler` gets this stand-in.
    """
    return Reference(index)


class _Missing:
    """What a path leads to where an object lacks it."""

    def __repr__(self) -> str:
        return "MISSING"

    def __bool__(self) -> bool:
        return False

    def __reduce__(self) -> str:
        return "MISSING"


#: What a path leads to where an object lacks it.
MISSING: Final = _Missing()

#: By the name of a function, the module of a higher layer that provides it when it is imported.
_PROVIDERS: Final = {
    "opener": "gc3store.registry",
    "placeholder_class": "gc3store.pickling.placeholders",
}
_provided: dict[str, Callable[..., Any]] = {}


def provide(name: str, function: Callable[..., Any]) -> None:
    """Register what a function of this module does, from the layer that can do it.

    Parameters
    ----------
    name : {"opener", "placeholder_class"}
        Which function it is.
    function : callable
        ``opener(kind, location, options)`` opens a store; ``placeholder_class(module, name)``
        returns a class that stands for a missing one.
    """
    _provided[name] = function


def _provider(name: str) -> Callable[..., Any]:
    if name not in _provided:
        importlib.import_module(_PROVIDERS[name])
    return _provided[name]


def reopened(kind: str | type, location: str, options: Mapping[str, Any]) -> Any:
    """Open a store again; pickled stores, those in payloads included, name this function.

    Parameters
    ----------
    kind : str or type
        The name of a store class of this package, or another store class itself.
    location : str
        Where the store is.
    options : mapping
        Further arguments of the class.

    Returns
    -------
    Store
        The store.
    """
    return _provider("opener")(kind, location, options)


def reduced_store(store: Any, location: str, options: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what the ``__reduce__`` of a store returns: a call of `reopened`.

    Parameters
    ----------
    store : Store
        The store that is pickled.
    location : str
        Where the store is.
    options : mapping
        Further arguments of the class.
    """
    cls = type(store)
    # The classes of this package may move; a class of another package is named where it is.
    kind = cls.__name__ if cls.__module__.startswith("gc3store.") else cls
    return reopened, (kind, location, options)


def unpickled(data: bytes) -> Any:
    """Return what cloudpickle has written: the function of a column."""
    import cloudpickle

    return cloudpickle.loads(data)


def named(module: str, name: str) -> Any:
    """Return the class that stands for a missing class of this name; pickled placeholders name this function."""
    return _provider("placeholder_class")(module, name)


def error(cls: type[BaseException], message: str, facts: Mapping[str, Any]) -> BaseException:
    """Return an error of this package; only older payloads name this function."""
    made = cls.__new__(cls, message)
    made.args = (message,)
    made.__dict__.update(facts)
    return made
