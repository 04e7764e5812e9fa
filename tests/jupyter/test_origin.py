"""Where an object was saved: notebook, cell, source, and never a password."""

import sys
import types
import warnings

import pytest

from gc3store.jupyter.origin import SOURCE_LIMIT, notebook_name


@pytest.fixture
def stored(shell):
    shell.ok("%store_open sqlite:///test.db")
    return shell


def origin_of(shell, name):
    shell.user_ns["__name"] = name
    return dict(shell.ok("__store = %store_open\n__store.describe(__store.find(__name)[0]).origin"))


def test_what_is_recorded(stored, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/project/analysis.ipynb")
    count = stored.execution_count
    stored.ok("x = 1\n%store_save x")
    origin = origin_of(stored, "x")
    assert origin["notebook"] == "analysis.ipynb"
    assert origin["cell"] == count
    assert origin["source"] == "x = 1\n%store_save x"
    for key in ("user", "host", "python", "packages"):
        assert origin[key], key
    assert "IPython" in origin["packages"]


def test_the_source_of_a_later_version_is_its_own(stored):
    stored.ok("x = 1\n%store_save x")
    stored.ok("x = 2; %store_save x" if False else "x = 2\n%store_save x")
    assert origin_of(stored, "x")["source"] == "x = 2\n%store_save x"


def test_what_python_saves_has_an_origin_too(stored):
    stored.ok("st = %store_open\n_ = st.save([1], name='x')")
    assert origin_of(stored, "x")["source"].endswith("name='x')")


def test_many_saves_in_a_cell_share_one_description(stored, tmp_path):
    stored.ok("# the only copy\nst = %store_open\nfor n in range(100): st.save(n)\nst.close()")
    assert (tmp_path / "test.db").read_bytes().count(b"# the only copy") == 1


def test_modules_that_warn_when_asked_for_their_version(stored, monkeypatch):
    shy = types.ModuleType("shy")
    shy.__getattr__ = lambda name: warnings.warn(f"do not ask for {name}", DeprecationWarning, stacklevel=2)
    monkeypatch.setitem(sys.modules, "shy", shy)
    stored.ok("x = 1\n%store_save x")
    assert "shy" not in origin_of(stored, "x")["packages"]


def test_it_can_be_switched_off(stored, monkeypatch):
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/analysis.ipynb")
    stored.ok("%config StoreMagics.origin = False\nx = 1\n%store_save x")
    assert not {"notebook", "cell", "source"} & set(origin_of(stored, "x"))


def test_the_source_alone_can_be_switched_off(stored):
    stored.ok("%config StoreMagics.source = 'never'\nx = 1\n%store_save x")
    origin = origin_of(stored, "x")
    assert "source" not in origin
    assert "cell" in origin


class Server:
    """A store elsewhere: its URL is no file's."""

    url = "postgresql://me@db.example/jobs"


class Directory:
    url = "file:///home/me/jobs"


class Unknown:
    url = None


@pytest.mark.parametrize(
    ("rule", "recorded"),
    [
        ("embedded", {Server: False, Directory: True, Unknown: False}),
        ("always", {Server: True, Directory: True, Unknown: True}),
        ("never", {Server: False, Directory: False, Unknown: False}),
    ],
)
def test_which_stores_get_the_source(shell, rule, recorded):
    from gc3store.jupyter.origin import cell_origin

    for store, expected in recorded.items():
        shell.user_ns["ask"] = lambda store=store: cell_origin(shell, store, rule=rule)
        assert ("source" in shell.ok("ask()")) is expected


def test_the_source_is_capped(stored):
    stored.ok(f"x = 1\n%store_save x\n# {'long ' * 5000}")
    source = origin_of(stored, "x")["source"]
    assert SOURCE_LIMIT <= len(source) <= SOURCE_LIMIT + 50
    assert source.endswith("characters more")


def test_no_password_in_the_source(stored):
    stored.ok("x = 1\nurl = 'postgresql://me:tiger@host/db'\nTOKEN = 'abc123'\n%store_save x")
    source = origin_of(stored, "x")["source"]
    assert "tiger" not in source
    assert "abc123" not in source
    assert "me:***@host" in source


def test_a_password_that_was_used_is_hidden_wherever_it_occurs(stored):
    stored.run("%store_open nonsense://me:Tr0ub4dor@host/db")
    stored.ok("x = 1  # Tr0ub4dor, that is\n%store_save x")
    assert "Tr0ub4dor" not in origin_of(stored, "x")["source"]


def test_notebook_name(shell, monkeypatch):
    monkeypatch.delenv("JPY_SESSION_NAME", raising=False)
    assert notebook_name(shell) is None
    shell.user_ns["__vsc_ipynb_file__"] = "C:\\Users\\me\\fit.ipynb"
    assert notebook_name(shell) == "fit.ipynb"
    monkeypatch.setenv("JPY_SESSION_NAME", "a-console-1")
    shell.user_ns.clear()
    assert notebook_name(shell) is None
