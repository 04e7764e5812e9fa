"""Columns read out of objects: references, what is cached of them, and what must not be."""

import datetime as dt
import decimal
import math
import os
import shutil
import sqlite3
import threading
import uuid
from contextlib import ExitStack
from pathlib import Path

import pandas as pd
import pytest

import gc3store
from gc3store import make_store
from gc3store.errors import OptionError, StoreWarning
from gc3store.inspection.values import Dict, List, Tuple
from gc3store.paths import MISSING
from gc3store.support import cache as cached_files
from gc3store.tables.attributes import texts
from gc3store.tables.cell_values import UNKNOWN, Found, decoded, encoded
from gc3store.testing import reads

DATA = Path(__file__).parent / "data" / "gc3pie"


class Task(gc3store.Persistable):
    def __init__(self, name, tasks=(), **attributes):
        self.jobname = name
        self.tasks = list(tasks)
        self.__dict__.update(attributes)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    place = tmp_path / "cache"
    monkeypatch.setenv("XDG_CACHE_HOME", str(place))
    return place / "gc3store" / "columns"


@pytest.fixture(params=["database", "directory"])
def store(request, tmp_path, cache):
    where = f"sqlite:///{tmp_path}/store.db" if request.param == "database" else tmp_path / "store"
    with make_store(where) as made:
        yield made


@pytest.fixture
def watched():
    """Return what writes down, from then on, which records of a store are read."""
    with ExitStack() as stack:
        yield lambda store: stack.enter_context(reads(store))


def settle(store):
    """Let a directory be old enough for its time to tell whether it has changed."""
    if hasattr(store, "path"):
        old = os.stat(store.path).st_mtime - 60
        os.utime(store.path, (old, old))


# References.


def test_paths_lead_on_into_other_records(store, watched):
    inner = [Task(f"inner {n}", size=n) for n in range(3)]
    middle = [Task(f"middle {n}", [inner[n % 3]]) for n in range(30)]
    root = Task("root", middle, first=middle[0])
    store.save(root)
    found = watched(store)
    table = store.table(columns=["tasks[0].tasks[0].size", "first.tasks[0].jobname", "tasks[0].jobname"])
    row = table.loc[root.persistent_id]
    assert row.tolist() == [0, "inner 0", "middle 0"]
    assert table.loc[middle[4].persistent_id, "tasks[0].jobname"] == "inner 1"
    assert pd.isna(table.loc[inner[0].persistent_id, "tasks[0].jobname"])
    # Each record once for itself, and once for all in a batch that lead to it.
    assert len(found) < 45


def test_what_was_found_elsewhere_counts_until_that_changes(store):
    part = Task("part")
    whole = Task("whole", [part])
    store.save(whole)
    columns = ["tasks[0].jobname"]
    for filters in ({}, {"name": None}):
        assert store.table(columns=columns, **filters).loc[whole.persistent_id].tolist() == [part.jobname]
        settle(store)
        store.table(columns=columns, **filters)
        with reads(store) as found:
            assert store.table(columns=columns, **filters).loc[whole.persistent_id].tolist() == [part.jobname]
            assert not found
        part.jobname += "!"
        store.save(part)
        only = store.table(columns=columns, query=whole.persistent_id)
        assert only[columns[0]].tolist() == [part.jobname]
        assert store.table(columns=columns, **filters).loc[whole.persistent_id].tolist() == [part.jobname]


def test_references_in_circles_and_to_nothing_end(store):
    one, two = Task("one"), Task("two")
    one.other, two.other = two, one
    store.save(one)
    table = store.table(columns=["other.other.jobname"])
    assert table.loc[one.persistent_id].tolist() == ["one"]
    with pytest.warns(StoreWarning):
        assert store.table(columns=["other." * 40 + "jobname"]).isna().all(axis=None)
    one.other = None
    store.save(one)
    with pytest.warns(StoreWarning):
        table = store.table(columns=["other.other.jobname", "other.jobname"])
    assert table["other.jobname"].notna().sum() == 1
    assert table["other.other.jobname"].isna().all()


def test_references_of_gc3pie_lead_on(cache):
    for where in (DATA / "fs", DATA / "jobs.db"):
        with make_store(where, read_only=True) as store:
            table = store.table(columns=["cls", "tasks[0].jobname", "tasks[1].tasks[0].temperature"])
            study = table[table["cls"].str.endswith("FiniteSizeStudy")]
            assert study["tasks[1].tasks[0].temperature"].notna().all()
            sweeps = table[table["cls"].str.endswith("TemperatureSweep")]
            assert sweeps["tasks[0].jobname"].str.startswith("ising-").all()


# Remembering.


COLUMNS = [".size", "label", "when", "ratio", "results"]


def fill(store, count=20):
    return [
        store.save(
            {
                "size": n if n % 3 else None,
                "label": f"run {n}",
                "when": dt.datetime(2026, 1, 1, n % 24, tzinfo=dt.UTC),
                "ratio": math.nan if n == 4 else n / 3,
                "results": {"energy": n, "parts": (n, [n])},
            }
        )
        for n in range(count)
    ]


def test_everything_is_cached_in_another_process_too(store, watched):
    fill(store)
    settle(store)
    first = store.table(columns=COLUMNS)
    with make_store(store.url, read_only=True) as again:
        found = watched(again)
        assert again.table(columns=COLUMNS).equals(first)
        assert again.table(columns=["name", *COLUMNS]).drop(columns="name").equals(first)
        assert again.table(columns=COLUMNS, order="-number").iloc[::-1].equals(first)
        assert again.table(columns=COLUMNS, limit=3).astype(first.dtypes).equals(first.iloc[:3])
        assert not found


def test_only_what_changed_is_read_again(store, watched):
    ids = fill(store)
    settle(store)
    store.table(columns=COLUMNS)
    store.replace(ids[3], {"size": 33})
    store.remove(ids[5])
    new = store.save({"size": 99})
    found = watched(store)
    table = store.table(columns=COLUMNS)
    assert sorted(found) == sorted([ids[3], new])
    assert table.loc[[ids[3], new], ".size"].tolist() == [33, 99]
    assert ids[5] not in table.index


def test_other_queries_keep_what_was_cached(store, watched):
    ids = fill(store)
    store.table(columns=COLUMNS, query=ids[8])
    store.table(columns=COLUMNS, query=ids[7])
    found = watched(store)
    assert len(store.table(columns=COLUMNS, query=ids[8])) == 1
    assert not found


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "text", "null", "directory", "other"])
def test_a_damaged_memory_is_none(store, cache, damage):
    fill(store)
    settle(store)
    first = store.table(columns=COLUMNS)
    files = list(cache.rglob("*.cache"))
    assert len(files) == len(COLUMNS)
    for file in files:
        data = file.read_bytes()
        if damage == "cut":
            file.write_bytes(data[: len(data) // 2])
        elif damage == "flip":
            at = data.index(b"\n") + 2
            file.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
        elif damage == "empty":
            file.write_bytes(b"")
        elif damage == "text":
            file.write_bytes(b"\xff\xfe nonsense\n\n\n")
        elif damage == "null":
            file.write_bytes(b"null\n[]\n[]\n[]")
        elif damage == "directory":
            file.unlink()
            file.mkdir()
        else:
            file.write_bytes(files[0].read_bytes())
    assert store.table(columns=COLUMNS).equals(first)


def test_a_store_in_the_place_of_another_is_not_taken_for_it(tmp_path, store, cache):
    fill(store)
    settle(store)
    store.table(columns=COLUMNS)
    store.close()
    other = f"sqlite:///{tmp_path}/other.db" if "sqlite" in store.url else tmp_path / "other"
    with make_store(other) as made:
        for n in range(20):
            made.save({"size": -n, "label": "other"})
    place = store.path if hasattr(store, "path") else tmp_path / "store.db"
    new = tmp_path / ("other" if hasattr(store, "path") else "other.db")
    shutil.rmtree(place) if os.path.isdir(place) else os.unlink(place)
    shutil.move(new, place)
    with make_store(store.url) as made:
        settle(made)
        assert set(made.table(columns=["label"])["label"]) == {"other"}


def test_a_replaced_store_of_gc3pie_is_not_taken_for_what_it_was(tmp_path, cache):
    place = tmp_path / "fs"
    place.mkdir()
    for number, name in enumerate(["IsingRun.27", "IsingRun.28"]):
        shutil.copy(DATA / "fs" / name, place / f"IsingRun.{number}")
    os.utime(place, (1e9, 1e9))
    with make_store(place, read_only=True) as store:
        before = store.table(columns=["temperature"])
    shutil.rmtree(place)
    place.mkdir()
    for number, name in enumerate(["IsingRun.33", "IsingRun.34"]):
        shutil.copy(DATA / "fs" / name, place / f"IsingRun.{number}")
    os.utime(place, (1e9 + 1, 1e9 + 1))
    with make_store(place, read_only=True) as store:
        after = store.table(columns=["temperature"])
        expected = [store.inspect(id_).temperature for id_ in after.index]
    assert after["temperature"].tolist() == expected != before["temperature"].tolist()


def test_a_cache_that_cannot_be_written_is_done_without(store, monkeypatch, tmp_path):
    fill(store)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    first = store.table(columns=COLUMNS)
    assert store.table(columns=COLUMNS).equals(first)


def test_many_at_once_get_the_same(store):
    fill(store, 100)
    settle(store)
    tables = []

    def look(n):
        with make_store(store.url, read_only=True) as own:
            for _ in range(5):
                tables.append(own.table(columns=COLUMNS, **({} if n % 2 else {"order": "number"})))

    threads = [threading.Thread(target=look, args=(n,)) for n in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(tables) == 30
    assert all(table.equals(tables[0]) for table in tables)


def test_memory_takes_a_bounded_space(store, cache, monkeypatch):
    fill(store, 50)
    store.table(columns=COLUMNS)
    sizes = {file: file.stat().st_size for file in cache.rglob("*.cache")}
    used = max(sizes, key=sizes.get)
    for file in sizes:
        os.utime(file, (1e9, 1e9))
    os.utime(used)
    most = sizes[used] + min(sizes.values()) * 2
    monkeypatch.setattr(cached_files, "MAX_BYTES", most)
    store.table(columns=["results.energy"])
    left = list(cache.rglob("*.cache"))
    assert used in left
    assert sum(file.stat().st_size for file in left) <= most < sum(sizes.values())


def test_a_damaged_record_hinders_nothing_else(tmp_path, cache):
    with make_store(tmp_path / "store") as store:
        ids = fill(store)
        file = next(Path(store.path).rglob(f"{ids[7]}.gc3"))
        good = file.read_bytes()
        file.write_bytes(good[:-40] + bytes(40))
        settle(store)
        for _ in range(2):
            table = store.table(columns=["label"])
            assert table["label"].notna().sum() == 19
        file.write_bytes(good)
        assert store.table(columns=["label"])["label"].notna().all()


def test_a_damaged_row_hinders_nothing_else(tmp_path, cache):
    with make_store(f"sqlite:///{tmp_path}/store.db") as store:
        fill(store)
    with sqlite3.connect(tmp_path / "store.db") as connection:
        connection.execute("UPDATE gc3store_payload SET data = substr(data, 1, 10) WHERE number = 3")
    connection.close()
    with make_store(f"sqlite:///{tmp_path}/store.db") as store:
        assert store.table(columns=["label"])["label"].notna().sum() == 19


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0, -5, 2**63, -(2**200), 1.5, -0.0, math.inf, -math.inf, "", "é\ud800", b"\0\xff", 1 - 2j,

        dt.datetime.fromisoformat("2026-01-02T03:04:05.000006"),
        dt.datetime(2026, 1, 2, tzinfo=dt.timezone(dt.timedelta(hours=2))),
        dt.date(2026, 1, 2), dt.timedelta(-1, 2, 3), decimal.Decimal("1E+400"), uuid.UUID(int=7), MISSING,
        List([1, List([2.5, MISSING])]), Tuple((1, "a")), Dict({"a": List([dt.date(2026, 1, 2)])}),
        Found(dt.timedelta(1), (("Task.1", "1.2.3"),)), Found(MISSING, ()),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_values_come_back_exactly(value):
    from gc3store.format import dump_json, load_json

    back = decoded(load_json(dump_json(encoded(value))))
    assert repr(back) == repr(value)
    assert type(back) is type(value)


@pytest.mark.parametrize(
    "value",
    [
        object(), Dict({1: 2}), List([object()]), dt.datetime.fromisoformat("2026-01-02").replace(fold=1),
        Found(object(), ()), 2**70_000,
        bytes(100_000), {"t": "int", "v": 1},
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_other_values_are_read_again(value):
    assert decoded(encoded(value)) is UNKNOWN


def test_times_that_pandas_has_not_stay_what_they_are(tmp_path):
    """One of them must not make a table impossible, or another time of itself."""
    east = dt.timezone(dt.timedelta(hours=2))
    rows = [
        {"length": dt.timedelta.max, "when": dt.datetime(1, 1, 1, tzinfo=east)},
        {
            "length": dt.timedelta.min,
            "when": dt.datetime(9999, 12, 31, 23, tzinfo=dt.timezone(-dt.timedelta(hours=2))),
        },
        {"length": dt.timedelta(1), "when": dt.datetime(2026, 1, 2, tzinfo=east)},
        {},
    ]
    with make_store(tmp_path) as store:
        store.save_many(rows)
        for _ in range(2):  # read, and cached
            table = store.table(columns=["length", "when"])
            assert list(table["length"])[:3] == [row["length"] for row in rows[:3]]
            assert list(table["when"])[:3] == [row["when"] for row in rows[:3]]
            assert table["when"].isna().tolist() == [False, False, False, True]
            assert "0001" in repr(table)


@pytest.mark.parametrize("columns", [[3], "energy", [None], ["x", b"y"]])
def test_columns_that_are_no_texts(tmp_path, columns):
    with make_store(tmp_path) as store:
        store.save({"energy": 1})
        with pytest.raises(OptionError, match="list of names and paths"):
            store.table(columns=columns)


@pytest.mark.parametrize("values", [["a", 1], ["a", math.nan], [b"a", "b"], ["a", None], []])
def test_texts_of_a_catalogue_that_are_none(values):
    """What a store of somebody else's has in its catalogue is shown as pandas shows it."""
    made = texts(values, lambda found, dtype: pd.Series(found, dtype=dtype))
    assert made.equals(pd.Series(values, dtype="str"))
