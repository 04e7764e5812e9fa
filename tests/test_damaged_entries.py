"""Entries of the catalogue that are damaged: each is listed with the reason, and hinders no other (C10)."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress

import pytest

from gc3store import CorruptRecordError, recordfile

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


@pytest.fixture
def filled(place):
    with place.open() as store:
        odd, good = store.save([1], name="odd", tags=["t"]), store.save({"x": 1}, name="good")
    return odd, good


def check(place, odd, good):
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
        assert (store.load(good), store.describe(good).error) == ({"x": 1}, None)
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
    head = recordfile.unpack_head(data)
    changed = recordfile.pack_head(
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
