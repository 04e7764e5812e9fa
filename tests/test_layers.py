"""How the modules depend on each other: the layers, circles, late imports, private names, depth of classes.

Every exception stands in a table with its reason. These tables may only shrink: a test also
fails if an entry is not needed any more.
"""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from collections import defaultdict

from tests.layers import (
    LAYER_OF,
    LAYERS,
    ROOT,
    Module,
    circles,
    import_statements,
    imported_names,
    imports,
    modules,
    room_of,
)

PACKAGE = modules()
IMPORTS = imports(PACKAGE)

#: Imports of a higher layer.
UPWARD = {
    ("gc3pie.client", "registry"): "it makes GC3Pie open its stores through our `make_store`",
}

#: Imports that close a circle.
CIRCULAR: dict[tuple[str, str], str] = {}

_LIGHT = "`import gc3store` must stay light"
_WHEN_OPENED = "the kinds of stores are loaded when one is opened; SQLAlchemy may be missing"
_WIDGETS = "IPython and widgets are loaded when they are wanted"

#: Imports of our own modules in functions: who, what (a module, or a room with a star), and why.
LATE = {
    ("__init__", "jupyter.*"): _WIDGETS,
    ("jupyter", "jupyter.*"): _WIDGETS,
    ("jupyter.magics.looking", "jupyter.browser"): _WIDGETS,
    ("jupyter.current", "registry"): _LIGHT,
    ("jupyter.magics.completion", "registry"): _LIGHT,
    ("engine.record_store", "inspection.*"): "a script that only saves and loads does without inspection",
    ("engine.record_store", "tables.*"): "a script that only saves and loads does without tables",
    ("gc3pie", "gc3pie.client"): "GC3Pie may be missing",
    ("registry", "filesystem.*"): _WHEN_OPENED,
    ("registry", "gc3pie.*"): _WHEN_OPENED,
    ("registry", "sql.*"): _WHEN_OPENED,
    ("tables.table", "inspection.*"): "the summary of a store does without inspection",
    ("tables.table", "tables.*"): "the summary of a store does without reading payloads",
}

#: Packages that we always need, but that take long to import.
LATE_PACKAGES = {
    "cloudpickle": "only what a notebook defines needs it",
    "platformdirs": "only the caches need it",
    "tqdm": "only what takes long needs it",
}

#: Names with an underscore that others made public: named tuples, IPython, and an object's ID as GC3Pie has it.
PUBLIC = {"_asdict", "_fields", "_id", "_make", "_replace", "_repr_html_", "_repr_mimebundle_"}

#: Private names of other modules, used through ``self`` or across objects.
PRIVATE = {
    ("filesystem.store", "_load_copy"): "a kind of store that adds an option to `load`",
    ("gc3pie.directory", "_transaction"): "a kind of store that adds methods",
    ("gc3pie.directory", "_unsupported"): "a kind of store that adds methods",
    ("gc3pie.table", "_transaction"): "a kind of store that adds methods",
}

#: The most classes of ours in the MRO of a class, errors aside; and the classes that have more.
DEEPEST = 3
DEEPER = {
    "inspection.types.columns.Index": "an index is a column, which is an array",
}

#: The most modules directly in the package.
IN_ROOT = 14


def short(module: str) -> str:
    return module.partition(".")[2] or "__init__"


def check(found: set, allowed: set, rule: str) -> None:
    new, unneeded = sorted(found - allowed), sorted(allowed - found)
    assert not new, f"{rule}: {new}"
    assert not unneeded, f"these exceptions are not needed any more, delete them: {unneeded}"


def edges(*, without: object = ()) -> dict[str, set[str]]:
    graph: dict[str, set[str]] = {short(name): set() for name in PACKAGE}
    for each in IMPORTS:
        if (edge := (short(each.importer), short(each.imported))) not in without:
            graph[edge[0]].add(edge[1])
    return graph


def test_every_room_has_a_layer():
    assert {room_of(name) for name in PACKAGE} == set(LAYER_OF)
    assert len(LAYER_OF) == sum(len(rooms) for _, rooms in LAYERS), "a room is in two layers"


def test_modules_import_only_from_their_own_layer_and_lower_ones():
    upward = {
        (short(each.importer), short(each.imported))
        for each in IMPORTS
        if LAYER_OF[room_of(each.importer)] < LAYER_OF[room_of(each.imported)]
    }
    check(upward, set(UPWARD), "imports of a higher layer")


def test_no_imports_are_circular():
    """Those at import, those in functions and those for type checkers together."""
    assert circles(edges(without=CIRCULAR)) == []
    graph = edges()
    closing = {
        (importer, imported)
        for group in circles(graph)
        for importer in group
        for imported in graph[importer].intersection(group)
    }
    check(closing & set(CIRCULAR), set(CIRCULAR), "circular imports")


def test_rooms_are_not_circular():
    rooms: dict[str, set[str]] = {room: set() for room in LAYER_OF}
    for each in IMPORTS:
        if (short(each.importer), short(each.imported)) not in UPWARD:
            rooms[room_of(each.importer)] |= {room_of(each.imported)} - {room_of(each.importer)}
    assert circles(rooms) == []


def test_imports_in_functions_are_of_optional_packages_or_have_a_reason():
    with open(ROOT.parent / "pyproject.toml", "rb") as file:
        extras = tomllib.load(file)["project"]["optional-dependencies"]
    optional = {re.split(r"[\[>=<]", needed)[0].lower() for extra in extras.values() for needed in extra}
    optional |= {"numpy", "pyarrow"}  # pandas needs the one, and may use the other
    late_of_ours, late_of_others = set(), set()
    for module in PACKAGE.values():
        for node, when in import_statements(module.tree):
            if when != "in a function":
                continue
            for name in imported_names(node, module):
                top, _, rest = name.partition(".")
                if top == "gc3store":
                    target = rest if name in PACKAGE else rest.rpartition(".")[0]
                    exact = (short(module.name), target)
                    late_of_ours.add(exact if exact in LATE else (exact[0], f"{target.partition('.')[0]}.*"))
                elif top.lower() not in optional:
                    late_of_others.add(top)
    check(late_of_ours, set(LATE), "imports of our own modules in functions")
    check(
        late_of_others - {"vanishing_module"}, set(LATE_PACKAGES), "imports of needed packages in functions"
    )


def names_defined_in(module: Module) -> set[str]:
    found = set()
    for node in module.nodes:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            found.add(node.attr)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            found.add(node.id)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value.isidentifier():
            found.add(node.value)  # __slots__, and fields of named tuples
    return found


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__") and name not in PUBLIC and name != "_"


def test_private_names_are_used_only_where_they_are_defined():
    defined = {name: names_defined_in(module) for name, module in PACKAGE.items()}
    everywhere = set().union(*defined.values())
    foreign = set()
    for name, module in PACKAGE.items():
        for node in module.nodes:
            if isinstance(node, ast.Attribute) and is_private(node.attr):
                if node.attr in everywhere - defined[name]:
                    foreign.add((short(name), node.attr))
            elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gc3store"):
                foreign |= {(short(name), alias.name) for alias in node.names if is_private(alias.name)}
    check(foreign, set(PRIVATE), "private names of other modules")


def test_no_class_has_more_than_a_few_of_ours_above_it():
    classes: dict[str, ast.ClassDef] = {}
    scopes: dict[str, dict[str, str]] = defaultdict(dict)  # what a name means in a module
    for name, module in PACKAGE.items():
        for node in module.nodes:
            if isinstance(node, ast.ClassDef):
                classes[f"{name}.{node.name}"] = node
                scopes[name][node.name] = f"{name}.{node.name}"
        for statement, _ in import_statements(module.tree):
            for alias, full in zip(statement.names, imported_names(statement, module), strict=True):
                scopes[name].setdefault(alias.asname or alias.name, full)

    def resolved(name: str) -> str | None:
        for _ in range(5):  # a package passes on names of its modules
            if name in classes:
                return name
            module, _, last = name.rpartition(".")
            name = scopes.get(module, {}).get(last, "")
        return None

    def above(name: str) -> set[str]:
        found = {name}
        for base in classes[name].bases:
            written = ast.unparse(base.value if isinstance(base, ast.Subscript) else base)
            first, _, rest = written.partition(".")
            meant = scopes[name.rpartition(".")[0]].get(first, first)
            full = resolved(f"{meant}.{rest}".rstrip("."))
            if full is not None and full != name:
                found |= above(full)
        return found

    depths = {short(name): len(above(name)) for name in classes if not name.endswith(("Error", "Warning"))}
    assert max(depths.values()) > 1, "no class was found to have a base of ours"
    check({name for name, depth in depths.items() if depth > DEEPEST}, set(DEEPER), "classes with many bases")


def test_few_modules_are_directly_in_the_package():
    in_root = [name for name, module in PACKAGE.items() if name.count(".") == 1 and not module.is_package]
    assert len(in_root) <= IN_ROOT, sorted(in_root)


def test_modules_of_the_front_end_do_not_import_each_other_in_circles():
    source = ROOT / "jupyter" / "frontend" / "src"
    graph = {
        path.name: set(re.findall(r'^(?:import|export)\b[^;]*?"\./([^"]+)";', path.read_text(), re.MULTILINE))
        for path in source.glob("*.ts")
    }
    assert any(graph.values())
    assert circles(graph) == []


def test_every_import_is_seen(tmp_path):
    (tmp_path / "gc3store" / "sql").mkdir(parents=True)
    (tmp_path / "gc3store" / "__init__.py").touch()
    (tmp_path / "gc3store" / "ids.py").write_text(
        "from typing import TYPE_CHECKING\n"
        "from gc3store import sql\n"
        "if TYPE_CHECKING:\n    import gc3store.sql.session\n"
        "else:\n    from .sql.session import Session\n"
        "class Number:\n"
        "    from gc3store import something\n"
        "    def next(self):\n        if self:\n            from .sql import session\n"
    )
    (tmp_path / "gc3store" / "sql" / "__init__.py").write_text("from .session import Session")
    (tmp_path / "gc3store" / "sql" / "session.py").write_text("from .. import ids")
    found = imports(modules(tmp_path / "gc3store"))
    assert {(short(each.importer), short(each.imported), each.when) for each in found} == {
        ("ids", "sql", "at import"),
        ("ids", "sql.session", "for type checkers"),
        ("ids", "sql.session", "at import"),
        ("ids", "__init__", "at import"),
        ("ids", "sql.session", "in a function"),
        ("sql", "sql.session", "at import"),
        ("sql.session", "ids", "at import"),
    }


def test_circles_are_found():
    graph = {"a": {"b"}, "b": {"c"}, "c": {"a", "d"}, "d": {"e"}, "e": set(), "f": {"g"}, "g": {"f"}}
    assert circles(graph) == [("a", "b", "c"), ("f", "g")]


def test_the_picture_of_the_rooms_is_up_to_date():
    script = ROOT.parent / "docs" / "draw_architecture.py"
    done = subprocess.run([sys.executable, script, "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
