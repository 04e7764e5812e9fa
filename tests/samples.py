"""Classes whose objects are stored by tests, importable in any process."""

from __future__ import annotations

import dataclasses

from gc3store import Persistable


@dataclasses.dataclass
class Job(Persistable):
    name: str = ""
    state: str = "NEW"
    parts: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass(eq=True, frozen=True)
class Frozen(Persistable):
    x: int = 0


class WithoutInit(Persistable):
    def __init__(self, x):
        self.x = x  # does not call super().__init__


class Defaults(Persistable):
    """As classes do that have grown: fills in what older objects lack."""

    def __init__(self, x):
        self.x = x

    def __setstate__(self, state):
        self.__dict__.update({"added": "default", "seen": []}, **state)


class Recounts(Persistable):
    """Changes at each loading."""

    loads = 0

    def __setstate__(self, state):
        self.__dict__.update(state)
        self.loads += 1


class Ordered(Persistable):
    """Calls methods of its parts while it is loaded, as GC3Pie's collections do."""

    def __init__(self, *parts):
        self.parts = list(parts)

    def __getstate__(self):
        return {"parts": self.parts}

    def __setstate__(self, state):
        self.parts = state["parts"]
        self.total = sum(part.total_of() for part in self.parts)

    def total_of(self):
        return getattr(self, "total", 1) or 1


class Slotted(Persistable):
    __slots__ = ("x",)

    def __init__(self, x):
        self.x = x


class Arguments(Persistable):
    def __new__(cls, a, b=None):
        self = super().__new__(cls)
        self.a, self.b = a, b
        return self

    def __init__(self, *args):
        pass

    def __getnewargs__(self):
        return self.a, self.b


class Rebuilt(Persistable):
    def __init__(self, other=None):
        self.other = other

    def __reduce__(self):
        return Rebuilt, (), {"other": self.other}


class NeedsItsPart(Persistable):
    """Cannot be made without what it refers to."""

    def __init__(self, other=None):
        self.other = other

    def __reduce__(self):
        return NeedsItsPart, (self.other,)


class ListLike(Persistable, list):
    pass


class DictLike(Persistable, dict):
    pass


class OwnCopy(Persistable):
    def __init__(self, x):
        self.x = x

    def __deepcopy__(self, memo):
        return OwnCopy(self.x)


class Misfit(Exception):
    """Pickles, and cannot be unpickled."""

    def __init__(self, code, reason):
        super().__init__(f"{code}: {reason}")
        self.code = code


class NeedsArguments:
    """Made by a constructor whose argument pickle does not know."""

    def __new__(cls, value):
        made = super().__new__(cls)
        made.value = value
        return made


class SetOfOneKind(set):
    """A set that is made with more than its members."""

    def __init__(self, members, kind):
        super().__init__(members)
        self.kind = kind


class Delegating:
    """Looks for its own attributes by itself before it has any."""

    def __init__(self, inner):
        self.inner = inner

    def __getattr__(self, name):
        return getattr(self.inner, name)


class PersistableDelegating(Delegating, Persistable):
    """The same as a record of its own."""


class DelegatingWell(Delegating):
    """Knows that there may be nothing to look into yet."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)


class Unchangeable:
    """Refuses to have its slots set, also by pickle."""

    __slots__ = ("value",)

    def __init__(self, value):
        object.__setattr__(self, "value", value)

    def __setattr__(self, name, value):
        raise AttributeError(f"{name} cannot be changed")


class Counting(list):
    """Counts in an attribute, which pickle sets when the items are there."""

    def __init__(self, items):
        self.count = 0
        super().__init__()
        self.extend(items)

    def extend(self, items):
        self.count += len(items)
        super().extend(items)


class Filtering(dict):
    """Asks an attribute what it takes, which pickle sets when the items are there."""

    def __init__(self, items):
        self.refused = set()
        super().__init__(items)

    def __setitem__(self, key, value):
        if key not in self.refused:
            super().__setitem__(key, value)


class Slots:
    __slots__ = ("a", "b")


class DictWithoutWeakref:
    __slots__ = ("__dict__",)


class OwnSetattr:
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
