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


class Slots:
    __slots__ = ("a", "b")


class DictWithoutWeakref:
    __slots__ = ("__dict__",)


class OwnSetattr:
    def __setattr__(self, name, value):
        object.__setattr__(self, name, value)
