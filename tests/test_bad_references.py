"""References that can lead to no record: to everybody who follows them, something that is missing."""

from __future__ import annotations

import contextlib
import sqlite3
import warnings
from pathlib import Path

import pandas as pd
import pytest

from gc3store import LoadError, StoreError, make_store
from gc3store import format as record_format
from gc3store.copying import copy
from gc3store.ids import is_id, number_of
from gc3store.pickling import Encoded, Encoder
from gc3store.testing import Node

from .servers import KINDS, connect, new_place

pytestmark = pytest.mark.filterwarnings("ignore::gc3store.StoreWarning")


@pytest.fixture(params=["directory", "sqlite", *(pytest.param(k, marks=pytest.mark.server) for k in KINDS)])
def url(request, tmp_path):
    if request.param in KINDS:
        return new_place(request.param)
    return str(tmp_path / "own") if request.param == "directory" else f"sqlite:///{tmp_path}/own.db"


#: Persistent IDs as pickles have them: no ID, a path, a number that is none of ours, an object.
PERSISTENT = [
    b"\x8c\x01xQ",
    b"\x8c\x0d../etc/passwdQ",
    b"\x8c\x05Node.Q",
    b"\x8c\x19Node.12345678901234567890Q",
    b"\x8c\x031;2Q",
    b"J\xff\xff\xff\xffQ",
    b"\x8a\x09" + b"\x01" * 9 + b"Q",
    b"cgc3libs.persistence.idfactory\nId\n\x8c\x01x\x8c\x01y\x86\x81Q",
]
#: The same for references by number, in a record that has one.
NUMBERS = [b"J\xff\xff\xff\xff", b"K\x07", b"\x8a\x09" + b"\x01" * 9, b"\x8c\x01x", b"N"]
STREAMS = [b"\x80\x04}\x8c\x01a" + persistent + b"s." for persistent in PERSISTENT] + [
    b"\x80\x04}\x8c\x01a\x8c\x14gc3store.persistable\x8c\x09reference\x93" + number + b"\x85Rs."
    for number in NUMBERS
]


def save_stream(store, stream, monkeypatch):
    """Save a payload as somebody would who writes a store by hand."""
    with monkeypatch.context() as patch:
        patch.setattr(Encoder, "encode", lambda *_: Encoded(stream, len(stream), [], [], False))
        return store.save({"a": 1})


def look(store):
    """Look at everything in every way."""
    ids = store.list()
    table = store.table(columns=["cls", "a", "a.value", "a.value.more", "links[0].value", "value"])
    assert list(table.index) == ids
    store.attributes()
    with contextlib.suppress(LoadError):  # of a damaged record it is not known what it refers to
        store.orphans()
    for id_ in ids:
        for call in (
            store.describe,
            store.references,
            store.referrers,
            store.inspect,
            store.imports,
            store.verify,
        ):
            with contextlib.suppress(StoreError):
                call(id_)
        with contextlib.suppress(StoreError):
            assert all(map(is_id, store.references(id_)))
        with contextlib.suppress(StoreError, AttributeError, KeyError):
            _ = store.inspect(id_)["a"].value
    return table


def load(store):
    for id_ in store.list():
        for how in ({}, {"fresh": True}, {"missing": "placeholder"}):
            with contextlib.suppress(StoreError):
                store.load(id_, **how)
        with contextlib.suppress(StoreError):
            list(store.load_many([id_]))


def test_a_payload_that_refers_to_what_is_no_id(url, tmp_path, monkeypatch):
    with make_store(url) as store:
        # Three that look alike, since what is alike is read in another way.
        ids = [save_stream(store, stream, monkeypatch) for stream in STREAMS for _ in range(3)]
        good = store.save(Node(1, Node(2)))
        table = look(store)
        assert table["a.value"].isna().all()
        assert table.loc[good, "value"] == 1
        load(store)
        for id_ in ids[: 3 * len(PERSISTENT)]:
            with pytest.raises(LoadError):
                store.load(id_)
        with make_store(tmp_path / "copy") as other:
            assert not copy(store, other, progress=False).failed
            for id_ in ids:
                assert other.restore(store.export(id_))
            look(other)
        for id_ in ids:
            store.remove(id_, recursive=True)
        assert set(store.list()) == {good, *store.references(good)}


#: What may stand in the place of a list of IDs in the head of a file, and of a number in a row.
IN_FILES = [
    [one] for one in ("x", "../own/Node.1", "", 5, None, ["Node.1"], {"x": 1}, "Node." + "9" * 19, "Node.1\n")
]
IN_FILES += ["x", 5, {"Node.1": 1}]
IN_ROWS = [-5, 10**18, 2**63 - 1]
IN_ROWS_OF_SQLITE = ["x", b"\xff", 1.5, *IN_ROWS]


def damage_file(folder, id_, references):
    path = next(Path(folder).glob(f"{id_}.*"))
    data = path.read_bytes()
    head = record_format.unpack_head(data)
    fields = head._asdict()
    payload = data[fields.pop("end") :]
    fields.pop("json")
    path.write_bytes(record_format.pack_head({**head.entry(), "references": references}, **fields) + payload)


def damage_row(store, id_, target):
    table = store.backend.statements.schema.reference.name
    number = number_of(id_)
    if store.url.startswith("sqlite"):
        with (
            contextlib.closing(sqlite3.connect(store.url.removeprefix("sqlite:///"))) as connection,
            connection,
        ):
            connection.execute(f"UPDATE {table} SET target = ? WHERE number = ?", (target, number))
    else:
        with contextlib.closing(connect(store.url)) as connection:
            connection.execute(f"UPDATE {table} SET target = {target} WHERE number = {number}")


def test_a_record_that_is_said_to_refer_to_what_is_no_id(url, tmp_path):
    in_rows = "://" in url
    for value in IN_FILES if not in_rows else IN_ROWS_OF_SQLITE if url.startswith("sqlite") else IN_ROWS:
        with make_store(url) as store:
            good = store.save(Node(1, Node(2)))
            bad = store.save(Node(3, Node(4)))
            part = store.references(bad)[0]
            above = store.save(Node(5, store.load(bad)))
            if in_rows:
                damage_row(store, bad, value)
            else:
                damage_file(url, bad, value)
        with make_store(url) as store:
            expect_it_to_be_missing(store, tmp_path / f"copy of {good}", good, bad, part, above, in_rows)
            store.remove_many(store.list())


def expect_it_to_be_missing(store, target, good, bad, part, above, in_rows):
    table = look(store)
    assert pd.isna(table.loc[bad, "links[0].value"])
    assert table.loc[good, "links[0].value"] == 2
    assert store.load(good).links[0].value == 2
    load(store)
    for id_ in (bad, above):
        with pytest.raises(LoadError):
            store.load(id_)
    with make_store(target) as other:
        with warnings.catch_warnings(record=True):
            copied = copy(store, other, progress=False)
        assert set(copied.ids) >= {good, part, *store.references(good)}
        look(other)
    assert store.referrers(part) == []
    if in_rows:
        assert store.orphans() == [part]
        store.remove(above, recursive=True)
    else:
        for call in (store.orphans, lambda: store.remove(above, recursive=True)):
            with pytest.raises(LoadError, match=bad):
                call()
        with pytest.raises(LoadError, match=bad):
            store.verify(bad)
        assert store.describe(bad).error
        store.remove_many([above, bad])
    assert set(store.list()) == {good, part, *store.references(good)}
