"""Stores that an older version wrote are opened, listed, loaded and changed."""

from __future__ import annotations

import gzip
import hashlib
import importlib.util
import pickle
import shutil
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest

from gc3store import MissingClassError, ObjectNotFoundError, StoreError, UntrustedError, make_store
from gc3store.persistable import MOVED, current_name
from gc3store.testing import in_fresh_process
from tests.servers import KINDS, connect, database

GOLDEN = Path(__file__).parent / "data" / "golden"
STORES = GOLDEN / "stores"

#: What each of our stores holds: by name, the ID.
NAMES = {
    "small": "dict.1",
    "large": "ndarray.2",
    "cycle": "Run.3",
    "holder": "list.7",
    "point": "Point.9",
    "notebook object": "Sample.10",
    "notebook function": "function.11",
    "bound method": "method.12",
    "values": "dict.13",
    "array": "ndarray.14",
    "frame": "DataFrame.15",
    "stores": "list.17",
    "stores of gc3pie": "list.18",
    "error": "ObjectNotFoundError.19",
    "internal": "list.20",
    "record": "list.21",
    "trust": "Trust.22",
    "column": "Function.23",
    "copied": "Copied.24",
    "imports": "list.25",
    "missing changed": "Gone.27",
    "missing inside": "list.28",
    "missing inside unchanged": "list.29",
    "replaced": "str.30",
}


@pytest.fixture(autouse=True)
def _classes(monkeypatch):
    monkeypatch.syspath_prepend(str(GOLDEN))
    yield
    sys.modules.pop("shapes", None)


def test_nothing_writes_the_golden_files_again():
    lines = (GOLDEN / "SHA256SUMS").read_text().splitlines()
    expected = dict(reversed(line.split("  ", 1)) for line in lines)
    found = {
        str(file.relative_to(GOLDEN)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(STORES.rglob("*"))
        if file.is_file()
    }
    assert found == expected


@contextmanager
def copy_of(kind, folder):
    """Yield the URL of a copy of a golden store."""
    if kind in KINDS:
        statements = gzip.decompress((STORES / f"{kind}.sql.gz").read_bytes()).decode()
        with database(kind) as url:
            connection = connect(url)
            for statement in statements.split(";\n"):
                if statement.strip():
                    connection.execute(statement)
            connection.close()
            yield url
    else:
        source = STORES / kind
        target = folder / kind
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, target)
        yield str(target)


@pytest.fixture(
    params=["directory", "sqlite.db", *(pytest.param(kind, marks=pytest.mark.server) for kind in KINDS)]
)
def url(request, tmp_path):
    with copy_of(request.param, tmp_path) as url:
        yield url


@pytest.fixture(params=["gc3pie", "gc3pie.db"])
def gc3pie_url(request, tmp_path):
    with copy_of(request.param, tmp_path) as url:
        yield url


def one(store, name):
    (id_,) = store.find(name)
    return id_


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_in_the_catalogue(url, read_only):
    with make_store(url, read_only=read_only) as store:
        ids = store.list()
        assert len(ids) == len(store) == 30
        assert {name: one(store, name) for name in NAMES} == NAMES
        assert sorted(store.columns) == ["letters", "state_of", "temperature"]
        assert store.list(tags="graph") == ["Run.3"]
        assert store.list(cls="Run", order="-temperature", limit=2) == ["Run.8", "Run.3"]
        assert (
            store.list(state_of="TERMINATED") == store.list(state="TERMINATED") == ["Run.4", "Run.5", "Run.6"]
        )
        record = store.describe("dict.1")
        assert (record.name, sorted(record.tags), record.revision) == ("small", ["first", "plain"], 1)
        assert record.columns["letters"] == 4
        assert record.preview == "{'a': 1, 'b': [1.5, None, 'text']}"
        assert record.created is not None
        assert record.created.year == 2026
        origin = dict(record.origin)
        assert (origin["notebook"], origin["cell"], origin["host"]) == ("golden.ipynb", 7, "golden")
        assert origin["source"] == "store.save(study)"
        assert store.describe("str.30").revision == 2
        assert set(store.references("Run.3")) == {"Run.4", "Run.5", "Run.6"}
        assert set(store.referrers("Run.4")) == {"Run.3", "list.7"}
        for id_ in ids:
            store.verify(id_)
        table = store.table(columns=["temperature", "parts[0].temperature"], cls="Run")
        assert table.loc["Run.3", "parts[0].temperature"] == 0.0
        assert "str.31" not in store
        with pytest.raises(ObjectNotFoundError):
            store.describe("str.31")


@pytest.mark.parametrize("read_only", [True, False])
def test_what_is_loaded(url, read_only):
    np, pd = pytest.importorskip("numpy"), pytest.importorskip("pandas")
    import shapes

    with make_store(url, read_only=read_only) as store:
        loaded = {
            name: store.load(id_)
            for name, id_ in NAMES.items()
            if not name.startswith(("missing", "stores", "frame"))
        }
        if importlib.util.find_spec("pyarrow") is None:  # the names of the frame's columns are kept by Arrow
            with pytest.raises(MissingClassError, match="pyarrow"):
                store.load(NAMES["frame"])
        else:
            frame = store.load(NAMES["frame"])
            assert list(frame["n"]) == [1, 2, 3]
            assert frame["when"][2] == pd.Timestamp("2024-01-03")
        assert loaded["small"] == {"a": 1, "b": [1.5, None, "text"]}
        assert loaded["large"].shape == (140_000,)
        assert not loaded["large"].any()
        study = loaded["cycle"]
        assert type(study) is shapes.Run
        assert study.itself is study
        assert [part.temperature for part in study.parts] == [0, 0.5, 1]
        assert all(part.parent is study for part in study.parts)
        assert loaded["holder"][1] is study.parts[0]
        assert loaded["holder"][0].temperature == 9.5
        assert vars(loaded["point"])["x"] == 1
        assert loaded["notebook object"].twice() == 42
        assert loaded["notebook function"](5) == 2.5
        assert loaded["bound method"]() == (4, 5)
        assert loaded["values"] == {"set": {1, 2, 3}, "frozen": frozenset("ab"), "enum": shapes.Color.BLUE}
        assert (loaded["array"] == np.arange(12.0).reshape(3, 4)).all()
        assert loaded["replaced"] == "the second"


@pytest.mark.parametrize("read_only", [True, False])
def test_names_of_ours(url, read_only):
    """Whatever an older payload names of this package is found."""
    with make_store(url, read_only=read_only) as store:
        error = store.load(NAMES["error"])
        assert type(error) is ObjectNotFoundError
        assert (error.id, str(error)) == (
            "x.1",
            "There is no such object.",
        )
        replaced, missing = store.load(NAMES["internal"])
        assert isinstance(replaced, StoreError)
        assert replaced.id == "x.2"
        assert repr(missing) == "MISSING"
        assert not missing
        record, query = store.load(NAMES["record"])
        assert (record.id, record.name, query.limit) == ("Point.9", "point", 3)
        assert store.load(NAMES["trust"]).names == {"shapes"}
        assert store.load(NAMES["column"])(5) == 2.5
        assert store.load(NAMES["copied"]).ids == {"a.1": "a.2"}
        assert [entry.path for entry in store.load(NAMES["imports"])] == ["shapes.Point"]
        first, second = store.load(NAMES["stores"])
        assert first.x.url == "file:///tmp/golden/elsewhere"
        assert second.url == "sqlite:////tmp/gc3store-golden.db"
        for id_ in store.list():
            if id_ not in (NAMES["internal"], NAMES["trust"]):
                store.inspect(id_)
            names = [(entry.module, entry.name) for entry in store.imports(id_)]
            assert names == [current_name(*name) for name in names]
            ours = [entry for entry in store.imports(id_) if entry.module.startswith("gc3store")]
            assert not [entry for entry in ours if entry.found is False]
        assert "gc3store.persistable.reopened" in [entry.path for entry in store.imports(NAMES["stores"])]
        # With placeholders everything else is resolved too.
        assert store.load(NAMES["stores"], missing="placeholder", fresh=True)[1].url == second.url
    with make_store(
        url, read_only=read_only, trust=["gc3store.persistable.error", ObjectNotFoundError]
    ) as store:
        assert store.load(NAMES["error"]).id == "x.1"
        with pytest.raises(
            UntrustedError, match=r"gc3store\.persistable\.reopened|gc3store\.sql|gc3store\.files"
        ):
            store.load(NAMES["stores"])


def test_missing_classes(url):
    with make_store(url) as store:
        with pytest.raises(StoreError, match="vanished"):
            store.load("Gone.26")
        assert store.load("Gone.26", missing="placeholder").n == 1
        assert store.load("Gone.27", missing="placeholder").n == 20
        for name in ("missing inside", "missing inside unchanged"):
            assert store.load(NAMES[name], missing="placeholder")[0].n == 3
        assert store.describe("Gone.27").cls.rpartition(".")[2] == "Gone"
        data = store.export("Gone.26")
        store.remove("Gone.26")
        assert store.restore(data) == "Gone.26"


def test_what_is_changed(url):
    import shapes

    with make_store(url, columns={"letters": shapes.letters}) as store:
        store.update("dict.1", name="renamed", tags=["changed"])
        assert store.describe("dict.1").revision == 1
        study = store.load("Run.3")
        study.parts[0].temperature = 99.0
        study.parts.append(shapes.Run(3.5))
        assert store.save(study) == "Run.3"
        assert store.save({"new": study}, name="added") == "dict.33"
        store.replace("dict.13", {"another": 1})
        store.remove("str.30")
        with store.transaction():
            store.save([1], name="within")
        store.invalidate_cache()
    with make_store(url) as store:
        assert one(store, "renamed") == "dict.1"
        assert store.find("small") == []
        again = store.load("Run.3")
        assert [part.temperature for part in again.parts] == [99.0, 0.5, 1, 3.5]
        assert store.load("dict.33")["new"] is again
        assert store.load("dict.13") == {"another": 1}
        assert store.list(order="-temperature", limit=1) == ["Run.4"]
        assert "str.30" not in store
        assert len(store) == 32
        assert store.describe("Run.4").revision > 1
        for id_ in store.list():
            store.verify(id_)


@pytest.mark.parametrize("name", ["small", "large", "cycle", "notebook-object", "store"])
def test_exports(name, place):
    data = (STORES / "exports" / name).read_bytes()
    with place.open() as store:
        if name == "cycle":
            for id_ in ("one", "two", "three", "four"):
                store.save(id_)
            # What it refers to is in another store.
            with pytest.raises(StoreError):
                store.load(store.restore(data))
            return
        id_ = store.restore(data)
        record = store.describe(id_)
        assert record.name == name.replace("-", " ")
        assert dict(record.origin)["notebook"] == "golden.ipynb"
        found = store.load(id_)
        if name == "small":
            assert found == {"a": 1, "b": [1.5, None, "text"]}
        elif name == "large":
            assert found.shape == (140_000,)
        elif name == "notebook-object":
            assert found.twice() == 42
        else:
            assert found.url == "file:///tmp/golden/directory"


@pytest.mark.parametrize("read_only", [True, False])
def test_stores_of_gc3pie(gc3pie_url, read_only):
    import shapes

    with make_store(gc3pie_url, read_only=read_only) as store:
        ids = store.list()
        assert len(ids) == 3
        runs = {id_: store.load(id_) for id_ in ids}
        (point,) = [id_ for id_ in ids if type(runs[id_]) is shapes.Point]
        (root,) = [id_ for id_ in ids if getattr(runs[id_], "parts", None)]
        assert runs[root].temperature == 1.25
        assert runs[root].parts[0] is runs[store.references(root)[0]]
        assert store.describe(root).state == "TERMINATED"
        store.inspect(root)
        for id_ in ids:
            store.verify(id_)
        if read_only:
            return
        runs[root].temperature = 7.5
        store.save(runs[root])
        added = store.save(shapes.Run(8.5))
        store.remove(point)
    with make_store(gc3pie_url) as store:
        assert store.load(root).temperature == 7.5
        assert store.load(added).temperature == 8.5
        assert point not in store


def test_a_pickled_store_names_one_module(url):
    """Where its class is may change."""
    import shapes

    with make_store(url, columns={"letters": shapes.letters}) as store:
        data = pickle.dumps(store)
        names = [entry for entry in store.imports(store.save([store])) if entry.module.startswith("gc3store")]
        assert [entry.path for entry in names] == ["gc3store.persistable.reopened"]
        assert store.load(store.save([store]))[0].uuid == store.uuid
        assert in_fresh_process(_load_small, data) == {"a": 1, "b": [1.5, None, "text"]}


def _load_small(data):
    with pickle.loads(data) as store:
        return store.load("dict.1")


@pytest.mark.parametrize("name", sorted(set(MOVED.values())))
def test_names_that_moved_are_there(name):
    module, attribute = name
    __import__(module)
    assert hasattr(sys.modules[module], attribute)
    assert name not in MOVED
