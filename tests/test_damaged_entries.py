"""Entries of the catalogue that are damaged: each is listed with the reason, and hinders no other (C10)."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

import pytest
import sqlalchemy as sa

from gc3store import CorruptRecordError, InvalidIdError, StoreWarning, copy, make_store
from gc3store import format as record_format
from gc3store.ids import number_of
from gc3store.sql.url import parse
from gc3store.testing import Node
from tests.conftest import Place
from tests.servers import KINDS, database

#: What may stand in the entry of a file, checksum and all; nothing else in it changes.
ENTRIES = [
    ("name", 3), ("name", ["x"]), ("cls", None), ("cls", 5), ("state", []), ("tags", "abc"), ("tags", [3]),
    ("size", -1), ("size", "x"), ("size", None), ("size", 1.5), ("size", True), ("created", "x"),
    ("created", 10**18), ("modified", None), ("modified", -(10**18)), ("preview", {}), ("origin", 3),
    ("origin", "{"), ("environment", 5), ("columns", []), ("columns", {"x": []}), ("references", "x"),
    ("references", ["../x"]), ("buffers", 3), ("buffers", ["x"]), ("buffers", [-1]), ("error", 5),
]  # fmt: skip

#: What SQLite keeps in a column, whatever type that is of.
VALUES = [
    ("gc3store", "name", b"\xff"), ("gc3store", "cls", b"\xff"), ("gc3store", "state", b"\xff"),
    ("gc3store", "tags", "["), ("gc3store", "tags", "3"), ("gc3store", "tags", "[1]"), ("gc3store", "size", "x"),
    ("gc3store", "size", 1.5), ("gc3store", "created", "x"), ("gc3store", "created", 10**18),
    ("gc3store", "modified", b"x"), ("gc3store", "revision", "x"), ("gc3store", "revision", -1),
    ("gc3store", "explicit", "x"), ("gc3store", "columns", "{"), ("gc3store_payload", "flags", "x"),
    ("gc3store_payload", "checksum", 10**18), ("gc3store_payload", "stream_size", "x"),
    ("gc3store_payload", "buffers", "["), ("gc3store_payload", "buffers", '["x"]'),
    ("gc3store_payload", "data", "a text"), ("gc3store_payload", "preview", b"\xff"),
    ("gc3store_payload", "origin", "["), ("gc3store_payload", "origin", "3"),
]  # fmt: skip


#: What is not an ID.
GARBLED = ["a/b", "", "..", "int", "list/1", "list.1 ", "-1", "list.01"]


@pytest.fixture
def filled(place):
    with place.open() as store:
        odd, good = store.save([1], name="odd", tags=["t"]), store.save({"x": 1}, name="good")
    return odd, good


def check(place, odd, good, *, reason=None):
    """Look at everything in every way, and then replace, remove and put back the odd record."""
    with place.open() as store:
        assert store.list() == [odd, good] == list(store.table().index) == [r.id for r in store.records()]
        assert len(store) == 2
        assert "2 objects" in store._repr_html_()
        for field in ("cls", "state", "name", "tags", "size", "created", "error"):
            store.facets(field)
        assert good in store.list(query="good")
        for order in ("name", "-size", "cls", "created", "state", "tags"):
            assert set(store.list(order=order)) == {odd, good}
        assert list(store.table(columns=["x", "size"]).index) == [odd, good]
        assert (store.load(good), store.describe(good).error) == ({"x": 1}, reason)
        record = store.describe(odd)
        for look in (store.load, store.verify, store.inspect, store.references, store.referrers):
            with suppress(CorruptRecordError):
                look(odd)
        store.update(good, name="better")
        data = store.export(odd)
        store.remove(odd)
        assert store.restore(data) == odd
        assert store.list() == [odd, good]
        store.replace(odd, [2])
        assert store.load(odd) == [2]
        store.remove(odd)
        assert store.list() == [good]
    return record


@pytest.mark.parametrize("place", ["directory"], indirect=True)
@pytest.mark.parametrize(("field", "value"), ENTRIES)
def test_in_a_file(place, filled, field, value):
    odd, good = filled
    file = place.path / f"{odd}.gc3"
    data = file.read_bytes()
    head = record_format.unpack_head(data)
    changed = record_format.pack_head(
        {**head.entry(), field: value},
        **{name: getattr(head, name) for name in head._fields if name not in ("json", "end")},
    )
    file.write_bytes(changed + data[head.end :])
    record = check(place, odd, good)
    assert record.error is not None
    assert "damaged" in record.error


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize(("table", "column", "value"), VALUES)
def test_in_a_row(place, filled, table, column, value):
    odd, good = filled
    with closing(sqlite3.connect(place.path)) as connection, connection:
        connection.execute("PRAGMA ignore_check_constraints = 1")
        connection.execute(f"UPDATE {table} SET {column} = ? WHERE number = 1", (value,))
    record = check(place, odd, good)
    told = column != "explicit" if table == "gc3store" else column in ("preview", "origin")
    assert record.error is None or "damaged" in record.error
    assert record.error is not None or not told  # what is read only with the payload shows when it is


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize(
    ("table", "column"),
    [
        *(("gc3store", column) for column in ("name", "cls", "state", "tags", "columns")),
        *(("gc3store_payload", column) for column in ("buffers", "preview", "environment", "origin")),
        ("gc3store_environment", "description"),
    ],
)
def test_in_a_text_that_is_not_in_utf8(place, filled, table, column):
    odd, good = filled
    where = "" if table == "gc3store_environment" else "WHERE number = 1"
    with closing(sqlite3.connect(place.path)) as connection, connection:
        connection.execute(f"UPDATE {table} SET {column} = CAST(x'c3285b22fe' AS TEXT) {where}")
    for _ in range(2):  # also when a process knows already
        with place.open() as store:
            assert store.list(query="größe") == []
            assert store.describe(good).name == "good"
            with store.transaction():
                store.update(good, name="good")
    shared = "damaged: where it came from cannot be read" if table == "gc3store_environment" else None
    record = check(place, odd, good, reason=shared)
    if table == "gc3store" and column != "columns":
        assert "\ufffd" in f"{record.name} {record.cls} {record.state}" or "damaged" in record.error


@pytest.mark.parametrize("place", ["sqlite"], indirect=True)
@pytest.mark.parametrize("value", [*map(repr, GARBLED), "x'ff00'", "CAST(x'6c69ff742e31' AS TEXT)"])
def test_a_garbled_id_is_shown_and_hinders_nothing_else(place, value):
    odd, good, root = fill(place)
    with closing(sqlite3.connect(place.path)) as connection, connection:
        connection.execute(f"UPDATE gc3store SET id = {value} WHERE number = {number_of(odd)}")
    look_around_garbled(place, good, root)


@pytest.mark.parametrize("kind", KINDS)
def test_a_garbled_id_on_a_server(kind, tmp_path):
    with database(kind) as url:
        place = Place(kind, url, tmp_path, [])
        try:
            odd, good, root = fill(place)
            engine = sa.create_engine(parse(url)[0])
            with engine.begin() as connection:
                connection.execute(
                    sa.text("UPDATE gc3store SET id = :id WHERE number = :number"),
                    {"id": GARBLED[0], "number": number_of(odd)},
                )
            engine.dispose()
            look_around_garbled(place, good, root)
        finally:
            for store in place.opened:
                store.close()


def fill(place):
    with place.open() as store:
        odd = store.save(Node("odd"), name="odd", tags=["t"])
        good = store.save({"x": 1}, name="good")
        root = store.save(Node("root", store.load(odd), Node("leaf")))
    return odd, good, root


def look_around_garbled(place, good, root):
    with place.open() as store:
        shown, *others = store.list()
        assert others[:2] == [good, root]
        assert len(others) == 3
        entries = {record.id: record for record in store.records()}
        assert list(entries) == [shown, *others]
        assert "its ID is garbled" in entries[shown].error
        assert (entries[shown].name, entries[shown].tags) == ("odd", ("t",))
        with pytest.raises(InvalidIdError, match="is not an ID"):
            store.load(shown)
        assert store.list(order="-number") == [shown, *others][::-1]
        for columns in (None, ["x"], ["id", "size"]):
            assert store.table(columns=columns).index.tolist() == [shown, *others]
        assert store.table(columns=["x"])["x"].tolist()[1] == 1
        assert len(store.attributes()) > 0
        assert store.orphans() == []
        assert store.load(good) == {"x": 1}
        assert store.referrers(others[2]) == [root]
        with make_store(
            place.url + ".copy" if place.kind == "sqlite" else f"file://{place.path}/copy"
        ) as other:
            with pytest.warns(StoreWarning, match="garbled"):
                copied = copy(store, other, progress=False)
            assert shown in copied.failed
            assert good in copied.ids
        store.replace(good, [2])
        store.remove(root, recursive=True)
        assert store.list() == [shown, good]


def test_what_is_left_of_a_garbled_text_is_not_overwritten(tmp_path):
    path = tmp_path / "x.db"
    with make_store(f"sqlite:///{path}") as store:
        id_ = store.save(1, name="first")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE gc3store SET name = CAST(x'ff41' AS TEXT)")
    with make_store(f"sqlite:///{path}") as store:
        store.update(id_, tags=["t"])
        assert store.describe(id_).tags == ("t",)
    with closing(sqlite3.connect(path)) as connection:
        assert connection.execute("SELECT hex(name) FROM gc3store").fetchone() == ("FF41",)


def test_a_garbled_uuid_hinders_no_looking(tmp_path):
    path = tmp_path / "x.db"
    with make_store(f"sqlite:///{path}") as store:
        id_ = store.save(1, name="first")
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE gc3store_meta SET uuid = CAST(x'ff41' AS TEXT)")
    with make_store(f"sqlite:///{path}") as store:
        assert store.list() == [id_]
        assert store.load(id_) == 1
