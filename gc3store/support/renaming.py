"""Classes that have moved since objects of them were saved."""

from __future__ import annotations

import threading

from gc3store.errors import OptionError

__all__ = ["rename", "renamed", "renaming"]

_names: dict[str, str] = {}
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
        If either is no dotted name, or renaming would go in a circle.

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
            raise OptionError(f"{name!r} is no dotted name, such as 'module.Class'.")
    if new is not None and "." in old and "." not in new:
        raise OptionError(f"{new!r} is a module or lacks one; write the name as 'module.Class'.")
    with _lock:
        if new is None:
            _names.pop(old, None)
            return
        table = {**_names, old: new}
        seen, name = {old}, new
        while name in table:
            name = table[name]
            if name in seen:
                raise OptionError(f"Renaming {old} to {new} would go in a circle.")
            seen.add(name)
        _names[old] = new


def renaming() -> bool:
    """Whether anything is renamed at all."""
    return bool(_names)


def renamed(module: str, name: str) -> tuple[str, str]:
    """Return the module and the name that take the place of those stored."""
    if not _names:
        return module, name
    for _ in range(len(_names) + 1):
        path = f"{module}.{name}"
        if path in _names:
            module, _, name = _names[path].rpartition(".")
        elif module in _names:
            module = _names[module]
        else:
            break
    return module, name
