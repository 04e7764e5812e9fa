"""What all tests share: an isolated environment, and each kind of store of ours."""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from gc3store import Store, make_store, registry
from tests import servers

#: Programs that tests run, with the folder they are in on their path.
collect_ignore = ["hostile_entries.py", "hostile_pickles.py", "hostile_sharing.py"]


@pytest.fixture(autouse=True)
def _isolated(monkeypatch, tmp_path_factory):
    """Keep caches, settings and registrations of the machine and of other tests out."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path_factory.mktemp("config")))
    monkeypatch.delenv("GC3STORE_URL", raising=False)
    registered = dict(registry._registered)
    yield
    registry._registered.clear()
    registry._registered.update(registered)


def pytest_sessionfinish():
    """Drop what the tests of this process left on servers for each other."""
    servers.drop_shared()


def pytest_terminal_summary(terminalreporter):
    """Print what tests have to tell, also when they ran in several processes."""
    reports = [
        report
        for outcome in ("passed", "failed")
        for report in terminalreporter.getreports(outcome)
        if report.when == "call"
    ]
    told = [f"{name}: {text}" for report in reports for name, text in report.user_properties]
    if told:
        terminalreporter.section("told by tests")
        for line in told:
            terminalreporter.write_line(line)


@dataclass
class Place:
    """Where a store of ours is, and how to open it.

    `open` may be called any number of times; what it opened is closed in the end.
    """

    kind: str
    url: str
    path: Path
    opened: list[Store]

    def open(self, **options: Any) -> Any:
        store = make_store(self.url, **options)
        self.opened.append(store)
        return store

    @property
    def folder(self) -> Path:
        """The folder that everything of the store is in."""
        return self.path if self.kind == "directory" else self.path.parent

    def bytes(self) -> dict[str, bytes]:
        """What is on disk, file by file."""
        if not self.folder.exists():
            return {}
        return {
            str(file.relative_to(self.folder)): file.read_bytes()
            for file in sorted(self.folder.rglob("*"))
            if file.is_file()
        }


def place_in(folder: Path, kind: str) -> Place:
    if kind == "directory":
        path = folder / "objects"
        return Place(kind, f"file://{path}", path, [])
    path = folder / "database" / "objects.db"
    path.parent.mkdir(exist_ok=True)
    return Place(kind, f"sqlite:///{path}", path, [])


@pytest.fixture(params=["directory", "sqlite"])
def place(request, tmp_path):
    """Each kind of store of ours, nothing created yet."""
    place = place_in(tmp_path, request.param)
    yield place
    for store in place.opened:
        store.close()


@pytest.fixture
def store(place):
    return place.open()


@pytest.fixture
def no_leaked_descriptors():
    """Fail if a test leaves files open."""
    before = descriptors()
    yield
    left = {k: v for k, v in descriptors().items() if before.get(k) != v}
    assert not left, f"left open: {left}"


def descriptors() -> dict[str, str]:
    found = {}
    for name in os.listdir("/proc/self/fd"):
        try:
            found[name] = os.readlink(f"/proc/self/fd/{name}")
        except OSError:
            continue
    return found


@pytest.fixture
def pickletester(monkeypatch):
    """CPython's own tests of pickle, with those of their classes that are to be found in the main module."""
    module = pytest.importorskip("test.pickletester")
    # A shell that another test started may have put another main module there.
    for cls in vars(module).values():
        if getattr(cls, "__module__", None) == "__main__":
            monkeypatch.setattr(sys.modules["__main__"], cls.__name__, cls, raising=False)
    return module
