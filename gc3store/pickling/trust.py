"""Which names of a pickle a store may import when it loads objects.

Unpickling runs what the bytes name. For your own store that is as it should be, and
the default; loading a file from another person is like running their program.
In between, you can name what is trusted. What these settings do and do not promise is said in
``docs/trust.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any, Final

from gc3store.errors import OptionError, UntrustedError

__all__ = ["EVERYTHING", "NOTHING", "Trust", "make_trust"]

#: What payloads name for the library's own sake; none of it does more than make an empty object,
#: or return a reference.
_OWN: Final = frozenset(
    {
        ("gc3store.persistable", "new"),
        ("gc3store.persistable", "construct"),
        ("gc3store.persistable", "reference"),
        ("copyreg", "__newobj__"),
        ("copyreg", "__newobj_ex__"),
        ("copyreg", "_reconstructor"),
        ("builtins", "object"),
    }
)

#: Plain values of the standard library, trusted wherever anything by name is.
_VALUES: Final = frozenset(
    {
        *(("builtins", name) for name in "bool bytearray bytes complex dict float frozenset int list range set "  # noqa: SIM905
          "slice str tuple".split()),
        *(("datetime", name) for name in "date datetime time timedelta timezone".split()),  # noqa: SIM905
        *(("collections", name) for name in "Counter OrderedDict defaultdict deque".split()),  # noqa: SIM905
        ("_codecs", "encode"),
        ("decimal", "Decimal"),
        ("fractions", "Fraction"),
        ("types", "SimpleNamespace"),
        ("uuid", "UUID"),
        *((module, name) for module in ("pathlib", "pathlib._local") for name in
          "Path PosixPath PurePath PurePosixPath PureWindowsPath WindowsPath".split()),  # noqa: SIM905
    }
)  # fmt: skip


class Trust:
    """A trust setting.

    Parameters
    ----------
    names : iterable of str, optional
        Exact names of classes and functions, ``ising.IsingRun``, and of modules, ``ising``, all of whose
        classes are meant; `None` for everything.

    Attributes
    ----------
    everything : bool
        Whether all names are trusted.
    """

    def __init__(self, names: Iterable[str] | None) -> None:
        self.names = None if names is None else frozenset(names)
        self.everything = self.names is None

    @property
    def nothing(self) -> bool:
        """Whether no object is to be loaded at all."""
        return self.names == frozenset()

    @property
    def option(self) -> str | list[str]:
        """The value of the option ``trust`` that means this."""
        if self.names is None:
            return "everything"
        return sorted(self.names) if self.names else "nothing"

    def allows(self, module: str, name: str, find: Callable[[str, str], Any] | None = None) -> bool:
        """Whether a name may be imported.

        Parameters
        ----------
        module, name : str
            What a pickle names.
        find : callable, optional
            Imports it, where it is in a trusted module: only then can it be told whether it is a class.
        """
        if self.names is None:
            return True
        if self.nothing:
            return False
        if (module, name) in _OWN or (module, name) in _VALUES or f"{module}.{name}" in self.names:
            return True
        if module not in self.names:
            return False
        if find is None:
            return True  # if it is a class, which importing it will tell
        found = find(module, name)
        # A module's functions are not implied by it, nor are classes that it has only imported.
        return isinstance(found, type) and found.__module__ == module

    def check(self, id_: str, module: str, name: str, find: Callable[[str, str], Any] | None = None) -> None:
        """Raise `UntrustedError` if a name may not be imported."""
        if self.allows(module, name, find):
            return
        path = f"{module}.{name}"
        if self.nothing:
            raise UntrustedError(
                f"{id_} is not loaded because this store is opened with trust='nothing'; "
                f"inspect({id_!r}) shows what is in it.",
                id=id_,
                name=path,
            )
        raise UntrustedError(
            f"{id_} is not loaded because it names {path}, which is not trusted here; inspect({id_!r}) shows "
            f"what is in it, trust=[{path!r}, ...] allows it.",
            id=id_,
            name=path,
        )

    def __repr__(self) -> str:
        return repr(self.option)

    def __reduce__(self) -> tuple[Any, ...]:
        return Trust, (self.names,)


#: All names are imported: for one's own stores, and the default.
EVERYTHING: Final = Trust(None)

#: Nothing is loaded, only looked at.
NOTHING: Final = Trust(())


def make_trust(value: Any) -> Trust:
    """Return the setting that a value of the option ``trust`` means.

    Parameters
    ----------
    value : {"everything", "nothing"} or iterable of str, class, function or module
        What is trusted.

    Raises
    ------
    OptionError
        If it is something else.

    Examples
    --------
    >>> make_trust(["ising", "gc3libs.Run"])
    ['gc3libs.Run', 'ising']
    >>> make_trust("nothing")
    'nothing'
    """
    if isinstance(value, Trust):
        return value
    if value is None or value == "everything":
        return EVERYTHING
    if value == "nothing":
        return NOTHING
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise OptionError(
            f"trust is 'everything', 'nothing' or a list of names such as ['ising.IsingRun'], not {value!r}."
        )
    names = []
    for item in value:
        if isinstance(item, ModuleType):
            names.append(item.__name__)
        elif isinstance(item, str) and item and all(part.isidentifier() for part in item.split(".")):
            names.append(item)
        elif hasattr(item, "__module__") and hasattr(item, "__qualname__"):
            names.append(f"{item.__module__}.{item.__qualname__}")
        else:
            raise OptionError(f"trust takes exact names, such as 'ising.IsingRun', not {item!r}.")
    return Trust(names)
