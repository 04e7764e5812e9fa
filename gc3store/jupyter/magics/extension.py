"""Putting the magics into a shell, and taking them out again."""

from __future__ import annotations

import atexit
from typing import Any
from weakref import WeakKeyDictionary

from gc3store.jupyter.current import set_current_store
from gc3store.jupyter.magics.commands import StoreMagics
from gc3store.jupyter.magics.completion import Completer
from gc3store.jupyter.magics.looking import LookingMagics
from gc3store.jupyter.origin import running_origin
from gc3store.support.provenance import set_place

__all__ = ["load", "unload"]


class _Extension:
    """The magics in one shell, and what was there before under their names."""

    def __init__(self, shell: Any) -> None:
        self.shell = shell
        table = shell.magics_manager.magics
        self.magics = StoreMagics(shell)
        self.objects = (self.magics, LookingMagics(self.magics))
        self.functions: dict[tuple[str, str], Any] = {
            (kind, name): function
            for magics in self.objects
            for kind, functions in magics.magics.items()
            for name, function in functions.items()
        }
        self.before = {(kind, name): table[kind].get(name) for kind, name in self.functions}
        shell.register_magics(*self.objects)
        self.completer = Completer(self.magics, self.functions)
        self.completer.install()
        set_current_store(shell, self.magics.current)
        set_place(self.magics.place)
        atexit.register(self.magics.close)

    def unload(self) -> None:
        manager = self.shell.magics_manager
        for (kind, name), function in self.before.items():
            if manager.magics[kind].get(name) != self.functions[kind, name]:
                continue  # another magic has taken its place meanwhile
            if function is None:
                del manager.magics[kind][name]
            else:
                manager.magics[kind][name] = function
        for magics in self.objects:
            if manager.registry.get(type(magics).__name__) is magics:
                del manager.registry[type(magics).__name__]
        ours = {id(magics) for magics in self.objects}
        self.shell.configurables[:] = [c for c in self.shell.configurables if id(c) not in ours]
        self.completer.remove()
        set_current_store(self.shell, None)
        set_place(running_origin)
        self.magics.close()
        atexit.unregister(self.magics.close)


_loaded: WeakKeyDictionary[Any, _Extension] = WeakKeyDictionary()


def load(shell: Any) -> None:
    """Register the magics with `shell`, once."""
    if shell not in _loaded:
        _loaded[shell] = _Extension(shell)


def unload(shell: Any) -> None:
    """Leave `shell` as it was before `load`."""
    extension = _loaded.pop(shell, None)
    if extension is not None:
        extension.unload()
