"""What a pickle names, and what loading it would do with that.

The names are found by running the rewritten stream, so that names put together on the
stack, taken from the memo, used for a call whose result is thrown away, or hidden in an
extension code are found like any others. Nothing is imported in order to look: whether a
name can be found here is told from the files of modules, and from modules that are
imported already.
"""

from __future__ import annotations

import copyreg
import importlib.machinery
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Final

from gc3store.inspection.building import FACTORIES, MENTIONED
from gc3store.inspection.machine.names import MAX_NAME, callee, new_with_keywords, path_of
from gc3store.inspection.machine.nodes import CALL, EXTENSION, NAME, NAME2, PERSISTENT, Node, named_by
from gc3store.inspection.machine.rewrite import rewrite, run
from gc3store.inspection.types import BUILDERS
from gc3store.support.renaming import renamed

__all__ = ["KNOWN", "Global", "globals_of", "scan_names"]

#: Functions and classes whose calls inspection understands: they make values and do nothing else.
KNOWN: Final = frozenset(
    {*(name for name, builder in BUILDERS.items() if not builder.acts), *FACTORIES, *MENTIONED}
)

#: Modules of which anything that is called can act on the machine, or run code that it is given.
_ACTING: Final = frozenset(
    "_io _osx_support _pyrepl _posixsubprocess aiohttp antigravity asyncio bdb cProfile cmd code codeop commands "  # noqa: SIM905
    "concurrent ctypes dill distutils doctest ensurepip fcntl ftplib gc http idlelib imaplib importlib "
    "inspect io ipykernel joblib lib2to3 linecache logging mmap multiprocessing nntplib nt os pdb pip pkgutil "
    "platform poplib posix profile pty pydoc requests runpy sched select setuptools shelve shutil signal site "
    "smtplib socket socketserver sqlite3 ssl subprocess sys sysconfig tempfile test threading timeit tkinter "
    "torch trace turtle types urllib venv webbrowser xmlrpc zipapp zipimport".split()
)
_ACTING_BUILTINS: Final = frozenset(
    "__import__ apply breakpoint compile delattr dir eval exec execfile exit file filter getattr globals input "  # noqa: SIM905
    "locals map memoryview open print quit raw_input reduce setattr super type vars".split()
)


@dataclass(frozen=True, slots=True, order=True)
class Global:
    """One name that a pickle uses.

    Attributes
    ----------
    module, name : str
        Where it is imported from, and what it is called there.
    called : bool
        Whether the pickle calls it.
    found : bool or None
        Whether it can be found here and now; `None` where only importing the module could tell.
    kind : str
        ``known`` for what makes values and nothing else, ``class``, ``function``, ``acts`` for
        what can run code or reach the system, ``extension`` for a code that is not registered
        here, ``?`` where that cannot be told without importing.
    instead : str
        What `gc3store.rename` has put in its place, which `found` and `kind` are about; else empty.
    """

    module: str
    name: str
    called: bool = False
    found: bool | None = None
    kind: str = "?"
    instead: str = ""

    @property
    def path(self) -> str:
        """Both, as ``module.name``."""
        return f"{self.module}.{self.name}" if self.module else self.name

    def __str__(self) -> str:
        found = {True: "", False: ", not found here", None: ""}[self.found]
        instead = f", renamed to {self.instead}" if self.instead else ""
        return f"{self.path} ({self.kind}{found}{instead})"


def globals_of(stream: bytes | memoryview, buffers: Iterable[Any] | None = None) -> list[Global]:
    """Return the names that a pickle uses, in order; nothing is imported.

    Raises
    ------
    CorruptRecordError, InspectionError
        As `gc3store.inspection.read`.
    """
    return scan_names(stream, buffers)[0]


def scan_names(
    stream: bytes | memoryview, buffers: Iterable[Any] | None = None
) -> tuple[list[Global], list[str]]:
    """Return the names that a pickle uses, in order, and what it changes without having made it.

    A pickle can set attributes of anything that it can name or refer to: of a class, which
    changes all instances in the process, or of another stored object. None that pickle itself writes does.

    Raises
    ------
    CorruptRecordError, InspectionError
        As `gc3store.inspection.read`.
    """
    names: dict[tuple[str, str], bool] = {}
    nodes: dict[int, tuple[str, str]] = {}
    found: list[tuple[Node, str]] = []  # what is not made here, and what it is called

    def observe(operands: tuple[Any, ...]) -> Node:
        node: Node = list(operands)
        kind = node[2]
        if kind in (NAME, NAME2, EXTENSION):
            key = _key(node)
            names.setdefault(key, False)
            nodes[id(node)] = key
            found.append((node, ".".join(key)))
        elif kind == PERSISTENT:
            found.append((node, "another stored object"))
        elif kind < 32:
            # Everything that makes something of a callable has it among its operands.
            for operand in (node[0], node[1]) if kind != CALL else (node[0],):
                if type(operand) is list and id(operand) in nodes:
                    names[nodes[id(operand)]] = True
                elif type(operand) is tuple and operand and id(operand[0]) in nodes:
                    names[nodes[id(operand[0])]] = True
            if kind == CALL:
                keyed = new_with_keywords(node)
                if keyed is not None and id(keyed[0]) in nodes:
                    names[nodes[id(keyed[0])]] = True
                if (shared := _shared(node)) is not None:
                    found.append((node, shared))
        return node

    run(rewrite(stream, buffers), observe=observe)
    # Looking for a module reads directories; no honest pickle needs thousands of them.
    judged = [
        _judge(module, name, called, look=i < _MAX_LOOKS)
        for i, ((module, name), called) in enumerate(names.items())
    ]
    return sorted(judged), [name for node, name in found if len(node) > 3]


def _key(node: Node) -> tuple[str, str]:
    """Return what a node names."""
    if node[2] == EXTENSION:
        found: tuple[str, str] | None = getattr(copyreg, "_inverted_registry", {}).get(node[0])
        return found if found is not None else ("", f"extension code {node[0]}")
    if type(node[0]) is str and type(node[1]) is str:
        return named_by(node)
    return "", "a name that is not a string"


def _shared(call: Node) -> str | None:
    """Return what a call returns that it does not make: an attribute of something, another stored object."""
    path = path_of(call)
    if path is not None:
        return ".".join(path)
    name = callee(call[0])
    if name == "gc3store.persistable.reference":
        return "another stored object"
    return "what getattr returns" if name == "builtins.getattr" else None


#: So many names are looked for; of more it is not told whether they can be found.
_MAX_LOOKS: Final = 2000


def _judge(module: str, name: str, called: bool, *, look: bool) -> Global:
    if not module:
        return Global(module, name, called, False, "extension")
    new = renamed(module, name)
    found, kind = _judge_name(*new, look=look)
    return Global(module, name, called, found, kind, "" if new == (module, name) else ".".join(new))


def _judge_name(module: str, name: str, *, look: bool) -> tuple[bool | None, str]:
    path = f"{module}.{name}"
    found, obj = _found(module, name) if look and len(path) <= MAX_NAME else (None, None)
    if path in KNOWN:
        return found, "known"
    top = module.partition(".")[0]
    if top in _ACTING or (top in ("builtins", "__builtin__") and name.partition(".")[0] in _ACTING_BUILTINS):
        return found, "acts"
    if top in ("operator", "functools", "itertools", "_operator", "_functools"):
        return found, "acts"
    if isinstance(obj, type):
        kind = "class"
    elif obj is not None:
        kind = "function" if callable(obj) else "value"
    else:
        kind = "class" if name.rpartition(".")[2][:1].isupper() else "?"
    return found, kind


def _found(module: str, name: str) -> tuple[bool | None, Any]:
    """Whether a name can be found, and what it is where its module is imported already."""
    loaded = sys.modules.get(module)
    if isinstance(loaded, ModuleType):
        obj: Any = loaded
        for part in name.split("."):
            # Module-level __getattr__ and descriptors are code; they are not run.
            space = obj.__dict__ if isinstance(obj, (ModuleType, type)) else {}
            if part not in space:
                return (None if isinstance(obj, ModuleType) and "__getattr__" in space else False), None
            obj = space[part]
        return True, obj
    return (None if _module_exists(module) else False), None


def _module_exists(module: str) -> bool:
    # The finders look at file names; a parent package is not imported for that.
    path: Any = None
    exists = False
    parts = module.split(".")
    for i in range(len(parts)):
        name = ".".join(parts[: i + 1])
        loaded = sys.modules.get(name)
        if loaded is None and name in sys.modules:
            return False  # said not to be imported
        if loaded is not None:
            path = getattr(loaded, "__path__", None)
            if path is None and i + 1 < len(parts):
                return False
            exists = True
            continue
        if name in sys.builtin_module_names:
            exists, path = True, None
            continue
        if not name or any(ch in name for ch in "/\\\0"):
            return False
        found = importlib.machinery.PathFinder.find_spec(name, path)
        if found is None:
            return False
        exists, path = True, found.submodule_search_locations
    return exists
