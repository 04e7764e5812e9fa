"""Schemes: registering them, those of other packages, and what paths mean."""

from __future__ import annotations

import os
import sys

import pytest

from gc3store import (
    FilesystemStore,
    InvalidURLError,
    MissingDependencyError,
    OptionError,
    Store,
    UnknownSchemeError,
    make_store,
    register,
    registry,
)
from gc3store.registry import known_schemes
from gc3store.testing import in_new_interpreter


class TestRegistry:
    def test_registering_replaces_built_in_schemes(self, tmp_path):
        class Mine(Store):
            def __init__(self, url, *args, **options):
                super().__init__(url)
                self.given = url, args, options

            save = load = replace = remove = None

        for scheme in ("file", "sqlite", "postgresql", "mine"):
            register(scheme, Mine)
            store = make_store(f"{scheme}://place/x?y=1", 1, two=2)
            assert type(store) is Mine
            assert store.given == (f"{scheme}://place/x?y=1", (1,), {"two": 2})
            assert type(store.given[0]) is str
        assert type(make_store("postgresql+psycopg://u@h/d")) is Mine
        assert make_store(tmp_path).given[0] == f"file://{tmp_path}"
        register("file", FilesystemStore)
        assert type(make_store(tmp_path)) is FilesystemStore

    @pytest.mark.parametrize("scheme", ["", "a", "my+scheme", "1x", "a b", "Zürich", "x/y", None, 3])
    def test_what_is_no_scheme(self, scheme):
        with pytest.raises(InvalidURLError, match=r"cannot be the scheme of a URL: take a letter"):
            register(scheme, FilesystemStore)

    def test_what_makes_no_store(self):
        with pytest.raises(OptionError, match="must be callable, not str"):
            register("mine", "gc3store.FilesystemStore")
        assert "mine" not in known_schemes()

    def test_a_path_means_a_directory_or_an_sqlite_file(self, tmp_path):
        assert type(make_store(tmp_path)).__name__ == "FilesystemStore"
        assert type(make_store(str(tmp_path / "new"))).__name__ == "FilesystemStore"
        with make_store(f"sqlite:///{tmp_path}/jobs.db") as store:
            id_ = store.save(1)
        with make_store(tmp_path / "jobs.db") as store:
            assert (type(store).__name__, store.load(id_)) == ("SqlStore", 1)

    def test_relative_and_absolute_sqlite_urls(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        with make_store("sqlite:///relative.db") as store:
            store.save(1)
            monkeypatch.chdir("/")
            assert store.load("int.1") == 1
        with make_store(f"sqlite:///{tmp_path}/absolute.db") as store:
            store.save(1)
        assert {"relative.db", "absolute.db"} <= set(os.listdir(tmp_path))

    def test_names_with_unusual_characters(self, tmp_path):
        for name in ("with space", "with%20percent", "with#hash", "with?question", "Zürich", "a+b", "a:b"):
            with make_store(tmp_path / name) as store:
                id_ = store.save(name)
                url = store.url
            assert (tmp_path / name).is_dir()
            with make_store(url) as store:
                assert store.load(id_) == name

    def test_a_name_that_is_no_text(self, tmp_path):
        name = os.fsdecode(b"x\xffy")
        for place in (tmp_path / name, f"{tmp_path}/{name}", f"file://{tmp_path}/{name}"):
            with make_store(place) as store, make_store(store.url) as again:
                id_ = store.save([1])
                assert again.load(id_) == [1]
        assert os.listdir(os.fsencode(tmp_path)) == [b"x\xffy"]
        with pytest.raises(InvalidURLError, match="rename"):
            make_store(f"sqlite:///{tmp_path}/{name}.db")


MODULE = """
from gc3store import Store

class Acme(Store):
    def __init__(self, url, *, colour="red"):
        super().__init__(url)
        self.colour = colour

    def save(self, obj): ...
    def load(self, id_): ...
    def replace(self, id_, obj): ...
    def remove(self, id_): ...

number = 3
"""

OFFERED = """
[gc3store.stores]
acme = acme_store:Acme
ACME-2 = acme_store:Acme
sqlite = acme_store:Acme
needy = acme_store_needy:Store
broken = acme_store_broken:Store
missing = acme_store:NoSuchName
number = acme_store:number
"""


@pytest.fixture
def acme(tmp_path, monkeypatch):
    """A package that offers stores, installed."""
    (tmp_path / "acme_store.py").write_text(MODULE)
    (tmp_path / "acme_store_needy.py").write_text("import no_such_driver")
    (tmp_path / "acme_store_broken.py").write_text("raise ValueError('unheard of')")
    about = tmp_path / "acme_store-1.0.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-store\nVersion: 1.0\n")
    (about / "entry_points.txt").write_text(OFFERED)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    for name in [name for name in sys.modules if name.startswith("acme_store")]:
        del sys.modules[name]


def _use_acme():
    import gc3store

    before = "acme_store" in sys.modules
    store = gc3store.make_store("acme://place", colour="blue")
    return before, repr(store), store.colour, type(gc3store.make_store("sqlite:///x.db")).__module__


@pytest.mark.usefixtures("acme")
class TestEntryPoints:
    def test_are_looked_up_when_first_used(self):
        assert in_new_interpreter(_use_acme) == (False, "<Acme 'acme://place'>", "blue", "acme_store")
        assert type(make_store("ACME+driver://place")).__name__ == "Acme"
        assert type(make_store("acme-2://place")).__name__ == "Acme"
        assert {"acme", "acme-2"} <= known_schemes()

    def test_what_is_registered_comes_first(self, tmp_path):
        register("acme", lambda url: FilesystemStore(tmp_path))
        assert type(make_store("acme://place")) is FilesystemStore

    def test_their_options_are_checked(self):
        with pytest.raises(OptionError, match=r"no option 'color'; did you mean 'colour'\?"):
            make_store("acme://place", color="blue")

    def test_a_misspelt_scheme(self):
        with pytest.raises(
            UnknownSchemeError, match=r"did you mean 'acme:'\? There are acme:, acme-2:, "
        ) as caught:
            make_store("acmee://place")
        assert "acme" in caught.value.known

    @pytest.mark.parametrize(
        ("scheme", "said"),
        {
            "needy": "needs a module that is not installed: install 'no_such_driver'",
            "broken": r"reinstall or upgrade it \(ValueError: unheard of\)",
            "missing": r"reinstall or upgrade it \(AttributeError: .*NoSuchName",
            "number": "reinstall or upgrade it .*acme_store:number is not callable",
        }.items(),
    )
    def test_those_that_cannot_be_imported(self, scheme, said):
        for _ in range(2):
            with pytest.raises(
                MissingDependencyError, match=f"{scheme}: .*the package acme-store.*{said}"
            ) as caught:
                make_store(f"{scheme}://place")
            assert caught.value.cause is not None
        assert scheme not in registry.schemes
