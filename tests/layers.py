"""The rooms of the package, the layers they are in, and what its modules import: read from the syntax trees.

`LAYERS` is the one place where it is written down which room is in which layer. The tests
of `tests/test_layers.py` hold the modules to it, and ``docs/draw_architecture.py`` draws it.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

ROOT = Path(__file__).parents[1] / "gc3store"

#: Rooms by layer, the lowest first. A room is a module or a package directly in ``gc3store/``;
#: a module imports from its own layer and from lower ones.
LAYERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("Errors", ("errors",)),
    ("Vocabulary", ("ids", "paths", "record", "query", "columns", "persistable", "support")),
    ("Reading pickles without running them", ("inspection", "format")),
    ("Objects to payloads and back", ("pickling",)),
    ("Interfaces", ("store", "backend")),
    ("The engine", ("engine", "tables")),
    ("Storage", ("filesystem", "sql", "gc3pie")),
    ("Opening and copying", ("registry", "copying")),
    ("The edge", ("jupyter", "cli", "testing", "__init__")),
)

#: The layer of each room.
LAYER_OF: Mapping[str, int] = {room: layer for layer, (_, rooms) in enumerate(LAYERS, 1) for room in rooms}


def room_of(module: str) -> str:
    """Return the room of a module: ``sql`` for ``gc3store.sql.session``."""
    return module.split(".")[1] if "." in module else "__init__"


@dataclass(frozen=True)
class Import:
    """An import of a module of the package."""

    importer: str
    imported: str
    when: str  #: "at import", "in a function" or "for type checkers"


@dataclass(frozen=True)
class Module:
    """A module of the package."""

    name: str
    path: Path

    @cached_property
    def tree(self) -> ast.Module:
        return ast.parse(self.path.read_text(encoding="utf-8"), str(self.path))

    @cached_property
    def nodes(self) -> list[ast.AST]:
        return list(ast.walk(self.tree))

    @property
    def is_package(self) -> bool:
        return self.path.name == "__init__.py"

    @property
    def title(self) -> str:
        """The first line of the docstring."""
        return (ast.get_docstring(self.tree) or "").partition("\n")[0]


def modules(root: Path = ROOT) -> dict[str, Module]:
    """Return the modules of a package by their names."""
    found = {}
    for path in sorted(root.rglob("*.py")):
        parts = [root.name, *path.relative_to(root).with_suffix("").parts]
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found[name] = Module(name, path)
    return found


def imports(package: Mapping[str, Module]) -> list[Import]:
    """Return the imports between the modules of a package."""
    return [
        Import(module.name, target, when)
        for module in package.values()
        for node, when in import_statements(module.tree)
        for target in _targets(node, module, package)
        if target != module.name
    ]


def import_statements(tree: ast.Module) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """Yield the import statements of a module, each with when it runs."""
    work: list[tuple[ast.AST, str]] = [(tree, "at import")]
    while work:
        node, when = work.pop()
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield node, when
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and when == "at import":
            when = "in a function"
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            work.extend((child, "for type checkers") for child in node.body)
            work.extend((child, when) for child in node.orelse)
            continue
        work.extend((child, when) for child in ast.iter_child_nodes(node))


def imported_names(node: ast.Import | ast.ImportFrom, module: Module) -> list[str]:
    """Return what a statement imports, as ``module`` or ``module.name``."""
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    base = node.module or ""
    if node.level:
        parts = module.name.split(".")[: None if module.is_package else -1]
        base = ".".join([*parts[: len(parts) - node.level + 1], *([base] if base else [])])
    return [f"{base}.{alias.name}" for alias in node.names]


def _targets(node: ast.Import | ast.ImportFrom, module: Module, package: Mapping[str, Module]) -> set[str]:
    found = set()
    for name in imported_names(node, module):
        target = name
        while target and target not in package:
            target = target.rpartition(".")[0]
        if target:
            found.add(target)
    return found


def circles(edges: Mapping[str, set[str]]) -> list[tuple[str, ...]]:
    """Return the groups of more than one node that can all reach each other."""

    def reached(start: str) -> set[str]:
        found: set[str] = set()
        work = [start]
        while work:
            for target in edges.get(work.pop(), set()) - found:
                found.add(target)
                work.append(target)
        return found

    all_reached = {node: reached(node) for node in edges}
    groups = {
        tuple(sorted(other for other in found if node in all_reached.get(other, set())))
        for node, found in all_reached.items()
        if node in found
    }
    return sorted(group for group in groups if len(group) > 1)
