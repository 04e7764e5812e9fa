"""A record of a directory whose head names a payload file outside of the store reaches nothing there."""

from __future__ import annotations

import os
from contextlib import suppress

import pytest

import gc3store
from gc3store import CorruptRecordError, StoreError, StoreWarning, make_store
from gc3store.testing import Point
from tests.record_files import change_entry, columns_to_json

LARGE = bytes(range(256)) * 5000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "objects"


@pytest.fixture
def outside(tmp_path):
    """A file that is not the store's, with just what the payload of the record should be."""
    return tmp_path / "outside"


NAMES = {
    "above": lambda folder, outside: os.path.relpath(outside, folder),
    "absolute": lambda folder, outside: str(outside),
    "from the folder itself": lambda folder, outside: f"./{os.path.relpath(outside, folder)}",
    "nowhere": lambda folder, outside: "../nothing/is/here",
    "the folder": lambda folder, outside: ".",
    "the folder above": lambda folder, outside: "..",
    "empty": lambda folder, outside: "",
}


@pytest.fixture(params=NAMES)
def record(request, path, outside):
    """The ID of a record whose head names a payload where none of the store's can be."""
    with make_store(path, durable=False, columns={"y": "y"}) as store:
        id_ = store.save(Point(LARGE, "text"), name="odd")
        store.save(Point(1, "text"), name="good")
    file, folder = path / f"{id_}.gc3", path / ".gc3store" / "data"
    (folder / columns_to_json(file)["data"]).rename(outside)
    change_entry(file, data=NAMES[request.param](folder, outside))
    return id_


def test_it_is_not_read(path, record):
    with make_store(path) as store:
        for read in (
            store.load,
            lambda id_: store.load(id_, fresh=True),
            lambda id_: store.load(id_, mapped="r"),
            lambda id_: store.load(id_, missing="placeholder"),
            lambda id_: list(store.load_many([id_])),
            store.verify,
            store.inspect,
            store.imports,
        ):
            with pytest.raises(CorruptRecordError) as caught:
                read(record)
            assert caught.value.id == record
        (good,) = store.find("good")
        assert store.list() == [record, good]
        assert list(store.table(columns=["x", "y"]).index) == [record, good]


def test_it_is_not_exported_or_copied(path, record, tmp_path):
    with make_store(path) as store, make_store(tmp_path / "target", durable=False) as target:
        data = b""
        with suppress(StoreError):
            data = store.export(record)
        assert LARGE[:1000] not in data
        with pytest.warns(StoreWarning, match="1 not copied"):
            gc3store.copy(store, target)
    for file in (tmp_path / "target").rglob("*"):
        assert not file.is_file() or LARGE[:1000] not in file.read_bytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda store, id_: store.remove(id_),
        lambda store, id_: store.remove_many([id_]),
        lambda store, id_: store.remove(id_, recursive=True),
        lambda store, id_: store.replace(id_, Point(2)),
        lambda store, id_: store.replace(id_, Point(LARGE[::-1])),
        lambda store, id_: store.update(id_, name="label"),
        lambda store, id_: store.fill_columns(["y"], again=True),
    ],
    ids=[
        "remove",
        "remove many",
        "remove parts",
        "replace",
        "replace by a large one",
        "update",
        "fill columns",
    ],
)
def test_it_is_not_removed(path, record, outside, change):
    before = outside.read_bytes()
    with make_store(path, durable=False) as store:
        (good,) = store.find("good")
        with suppress(StoreError):
            change(store, record)
        assert outside.read_bytes() == before
        assert store.load(good).x == 1
        store.save(Point(LARGE))
        store.remove_many(id_ for id_ in store.list() if id_ != good)
        assert store.list() == [good]
    assert outside.read_bytes() == before
