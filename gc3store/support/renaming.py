"""Classes that have moved since objects of them were saved."""

from __future__ import annotations

import threading

from gc3store.errors import OptionError

__all__ = ["names", "rename", "renamed"]

#: Old names and new ones, as `rename` was told.
names: dict[str, str] = {}
_lock = threading.Lock()


def rename(old: str, new: str | None) -> None:
    """Have objects saved as instances of `old` loaded as instances of `new`.

    Parameters
    ----------
    old : str
        The dotted name that stored objects have: ``old_module.Class``; or a module, which means all
        names in it.
    new : str or None
        The dotted name of the class that takes its place, in every store of this process; `None`
        forgets what was said before.

    Raises
    ------
    OptionError
        If either is not a dotted name, or renaming would go in a circle.

    Notes
    -----
    Nothing stored is changed; an object that is saved again is saved under its new name. What is
    trusted (``make_store(url, trust=...)``) is the new name.

    Examples
    --------
    >>> import gc3store
    >>> gc3store.rename("simulation.Run", "collections.OrderedDict")
    >>> gc3store.rename("simulation.Run", None)
    """
    for name in (old,) if new is None else (old, new):
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise OptionError(f"{name!r} is not a dotted name, such as 'module.Class'.")
    if new is not None and "." in old and "." not in new:
        raise OptionError(f"{new!r} is a module or lacks one; write the name as 'module.Class'.")
    with _lock:
        if new is None:
            names.pop(old, None)
            return
        table = {**names, old: new}
        if _has_circle(table):
            raise OptionError(f"Renaming {old} to {new} would go in a circle.")
        names[old] = new


def renamed(module: str, name: str) -> tuple[str, str]:
    """Return the module and the name that take the place of those stored."""
    if not names:
        return module, name
    table = dict(names)
    while (found := _next(table, module, name)) is not None:
        module, name = found
    return module, name


def _next(table: dict[str, str], module: str, name: str) -> tuple[str, str] | None:
    """Return what takes the place of a name in one step; `None` if nothing does."""
    path = f"{module}.{name}"
    if path in table:
        module, _, name = table[path].rpartition(".")
        return module, name
    return (table[module], name) if module in table else None


def _has_circle(table: dict[str, str]) -> bool:
    """Whether some name is renamed to itself in the end."""
    classes = (path.rpartition(".") for path in table)
    starts = [(module, name) for module, _, name in classes] + [(module, "") for module in table]
    for start in starts:
        seen = {start}
        found = _next(table, *start)
        while found is not None and found not in seen:
            seen.add(found)
            found = _next(table, *found)
        if found is not None:
            return True
    return False
