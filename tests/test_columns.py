"""User columns: all stores answer alike, also under load; copying, GC3Pie's tables, the command line, magics."""

from __future__ import annotations

import json
import math
import multiprocessing
import pickle
import sqlite3
import sys
import threading
import time
import tracemalloc
import types
import warnings
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc3store import copy, make_store
from gc3store.cli import main
from gc3store.columns import plain
from gc3store.errors import ColumnWarning, NotSupportedError, OptionError, ReadOnlyError
from gc3store.query import Condition, Query
from gc3store.record import from_microseconds
from gc3store.testing import FreshProcess, Node
from tests.servers import KINDS, new_place

numbers = (
    st.integers(-3, 3)
    | st.sampled_from([2**53, 2**53 + 1, -(2**53) - 1, 2**63 - 1, -(2**63), 2**70 + 1])
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.sampled_from([0.5, -0.0, float(2**53), float(2**63), 1e300])
)
times = st.integers(-(2**51), 2**53).map(from_microseconds)
texts = st.sampled_from(["", "a", "B", "é", "\U0001f600", "z ", "12", "true", "2026-01-01"]) | st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=4
)
values = st.none() | st.booleans() | numbers | texts | times
wanted = values | st.lists(values, max_size=3)
conditions = st.tuples(
    st.sampled_from(["a", "b"]), st.sampled_from(["=", "!=", "<", "<=", ">", ">=", "in", ":"]), wanted
)
orders = st.lists(st.tuples(st.sampled_from(["a", "b", "size"]), st.booleans()), max_size=2)


def query_of(found, order, offset, limit):
    made = []
    for name, op, value in found:
        if op == "in":
            made.append(Condition(name, "in", tuple(value if isinstance(value, list) else [value])))
        elif op == ":":  # as a person filters
            made += Query.build({name: value}, columns=["a", "b"]).conditions
        else:
            made.append(Condition(name, op, value[0] if isinstance(value, list) and value else value))
    made = [c for c in made if not isinstance(c.value, list)]
    return Query(conditions=tuple(made), order=tuple(order), offset=offset, limit=limit)


@pytest.fixture(scope="module")
def stores(tmp_path_factory):
    opened = {"sqlite": make_store(f"sqlite:///{tmp_path_factory.mktemp('columns')}/x.db", columns=_AB)}
    yield opened
    for store in opened.values():
        store.close()


_AB = {"a": "a", "b": "b"}


def same_answers(store, objects, queries):
    with store.transaction():
        store.remove_many(store.list())
        store.save_many(objects)
    everything = list(store.records())
    for record, obj in zip(everything, objects, strict=True):
        assert record.columns == {"a": plain(obj["a"]), "b": plain(obj["b"])}
        assert all(type(record.columns[n]) is type(plain(obj[n])) for n in "ab")
    for query in queries:
        expected = [record.id for record in query.apply(everything)]
        assert [record.id for record in store.records(query)] == expected, query
        assert store.backend.ids(query) == expected
        assert store.count(query) == len(list(query.but(offset=0, limit=None).apply(everything)))


histories = given(
    st.lists(st.fixed_dictionaries({"a": values, "b": values}), min_size=1, max_size=12),
    st.lists(
        st.builds(
            query_of,
            st.lists(conditions, max_size=2),
            orders,
            st.sampled_from([0, 1]),
            st.sampled_from([None, 3]),
        ),
        min_size=1,
        max_size=8,
    ),
)
quick = settings(deadline=None, suppress_health_check=list(HealthCheck))


@settings(quick, max_examples=150)
@histories
def test_a_database_answers_as_a_directory_does(stores, objects, queries):
    same_answers(stores["sqlite"], objects, queries)


@pytest.mark.server
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_answers_as_a_directory_does(kind):
    with make_store(new_place(kind), columns=_AB) as store:

        @settings(quick, max_examples=60)
        @histories
        def check(objects, queries):
            same_answers(store, objects, queries)

        check()


def test_plain_values():
    import numpy as np
    import pandas as pd

    moment = datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=UTC)
    local = datetime(2026, 1, 2, 3, 4).astimezone()
    for value, expected in (
        (np.float64(1.5), 1.5),
        (np.int32(7), 7),
        (np.bool_(True), True),
        (np.array(2.5), 2.5),
        (pd.Timestamp(moment), moment),
        (pd.NaT, None),
        (math.nan, None),
        (Decimal("1.25"), 1.25),
        (timedelta(hours=1), 3600.0),
        (local.replace(tzinfo=None), local.astimezone(UTC)),
        (date(2026, 1, 2), datetime(2026, 1, 2).astimezone(UTC)),
        (2**63, float(2**63)),
    ):
        found = plain(value)
        assert found == expected
        assert type(found) is type(expected)
    for value in (math.inf, [1], {}, "x" * 1001, "\udc80", 10**400, object(), np.array([1.0])):
        with pytest.raises((ValueError, OverflowError)):
            plain(value)


def test_only_lookups_count_as_missing(store, place):
    """What an object lacks is missing; what its code raises is reported."""
    store = place.open(columns={"energy": "energy"})
    with pytest.warns(ColumnWarning, match="RuntimeError: not converged"):
        id_ = store.save(_Failing())
    assert store.load(id_)
    store.save(types.SimpleNamespace(other=1))
    assert store.list(energy=None) == store.list()


class _Failing:
    @property
    def energy(self):
        raise RuntimeError("not converged")


def test_a_reference_is_followed_alive_and_inert(place):
    """A path through another record gives the same when saving and when filling."""
    with place.open() as store:
        before = store.save(Node("run", Node("first part")))
    store = place.open(columns={"first": "links[0].value"})
    after = store.save(Node("run", Node("second part")))
    store.fill_columns()
    found = {record.id: record.columns["first"] for record in store.records()}
    assert (found[before], found[after]) == ("first part", "second part")


def define(url, name, start):
    store = make_store(url, columns={name: "x", "shared": "x"}, durable=False)
    while time.time() < start:
        time.sleep(0.001)
    ids = store.save_many([{"x": n} for n in range(5)])
    store.close()
    return ids


def test_processes_that_define_columns_at_once(place):
    start = time.time() + 1.0
    workers = [FreshProcess(define, place.url, f"column{n % 2}", start) for n in range(4)]
    ids = [id_ for worker in workers for id_ in worker.result()]
    store = place.open()
    assert store.columns == ("column0", "column1", "shared")
    assert sorted(store.list(query="shared:>=0"), key=ids.index) == ids


def replace_all(url, ids, stop):
    store = make_store(url, columns={"x": "x"}, durable=False)
    n = 0
    while not stop.is_set():
        n += 1
        for id_ in ids:
            store.replace(id_, {"x": n})
    store.close()


def test_filling_while_others_replace(place):
    """A column never shows what was in the object before: the value fits the content, always."""
    with place.open(durable=False) as store:
        ids = store.save_many([{"x": 0} for _ in range(20)])
    context = multiprocessing.get_context("fork")
    stop = context.Event()
    store = place.open(columns={"x": "x"}, durable=False)
    worker = context.Process(target=replace_all, args=(place.url, ids, stop))
    worker.start()
    try:
        for _ in range(6):
            store.fill_columns(again=True)
    finally:
        stop.set()
        worker.join()
    assert worker.exitcode == 0
    for id_, obj in zip(ids, store.load_many(ids), strict=True):
        assert store.describe(id_).columns == obj
        assert id_ in store.list(x=obj["x"])


def test_a_process_that_knows_no_columns_leaves_no_stale_ones(place):
    older = place.open()
    kept, gone = older.save({"x": 0}), older.save({"x": 0})
    with place.open(columns={"x": "x"}) as store:
        store.fill_columns()
        older.replace(kept, {"x": 5})
        older.remove(gone)
        assert (store.list(x=0), store.list(query="x:>=0"), store.list(x=None)) == ([], [], [kept])
        assert store.fill_columns() == 1
        assert store.list(x=5) == [kept]


def test_filling_is_interrupted_and_goes_on(place, monkeypatch):
    from gc3store.support import batching

    monkeypatch.setattr(batching, "MAX_COUNT", 10)
    with place.open(durable=False) as store:
        store.save_many([{"x": n} for n in range(40)])
    calls = []

    def interrupting(obj):
        calls.append(obj)
        if len(calls) == 25:
            raise KeyboardInterrupt
        return obj["x"]

    store = place.open(columns={"n": interrupting})
    with pytest.raises(KeyboardInterrupt):
        store.fill_columns()
    assert store.count(Query.build({"n": None}, columns=["n"])) == 20  # whole batches
    assert store.fill_columns() == 20
    assert len(calls) == 45
    assert store.list(order="-n", limit=2) == ["dict.40", "dict.39"]


def test_unreadable_records_hinder_no_filling(place, monkeypatch):
    with place.open() as store:
        good, lost = store.save({"x": 1}), store.save(_Lost())
    store = place.open(columns={"x": "x", "n": lambda obj: 2})
    with monkeypatch.context() as patch:
        patch.delattr(sys.modules[__name__], "_Lost")
        with pytest.warns(ColumnWarning, match=f"'n' of {lost} stays empty: MissingClassError"):
            assert store.fill_columns() == 2  # the path needs no class
    assert store.describe(good).columns == {"x": 1, "n": 2}
    assert store.describe(lost).columns == {"x": 7, "n": None}


class _Lost:
    def __init__(self):
        self.x = 7


def test_filling_needs_the_memory_of_one_object(place):
    with place.open(durable=False) as store:
        for n in range(30):
            store.save({"x": n, "fill": bytes(4_000_000)})
    store = place.open(columns={"x": "x"})
    tracemalloc.start()
    assert store.fill_columns(progress=False) == 30
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 45_000_000  # of 120


def test_a_progress_bar_shows_how_far_it_is(place, monkeypatch, capsys):
    from gc3store.support import progress

    monkeypatch.setattr(progress, "DELAY", 0)
    with place.open(durable=False) as store:
        store.save_many([{"x": n} for n in range(300)])
    store = place.open(columns={"x": "x"})
    assert store.fill_columns() == 300
    assert "filling columns" in capsys.readouterr().err


def test_columns_are_copied(place, tmp_path):
    source = place.open(columns={"energy": "energy", "n": len, "other": "energy"})
    source.save({"energy": -1, "when": 0})
    target = make_store(f"sqlite:///{tmp_path}/copy.db", columns={"other": "when"})
    copied = copy(source, target)
    (id_,) = copied.ids.values()
    with make_store(f"sqlite:///{tmp_path}/copy.db") as again:
        # The same name means something else there, and that is recorded by filling it.
        assert again.describe(id_).columns == {"energy": -1, "n": 2, "other": None}
        assert again.fill_columns() == 1
        assert again.list(other=0) == [id_]
        assert again.list(n=2) == [id_]
    target.close()


def test_columns_of_a_reader_must_be_there(place):
    place.open(columns={"x": "x"}).save({"x": 1})
    assert place.open(columns={"x": "x"}, read_only=True).list(x=1) == ["dict.1"]
    with pytest.raises(ReadOnlyError, match="'y'"):
        place.open(columns={"y": "y"}, read_only=True)
    with pytest.raises(ReadOnlyError):
        place.open(read_only=True).fill_columns()


def test_threads_that_save_see_their_own_failures(place):
    store = place.open(columns={"ratio": lambda obj: 1 / obj}, durable=False)
    threads = [threading.Thread(target=store.save, args=(n % 2,)) for n in range(10)]
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(caught) == 5
    assert {str(w.message).split()[4] for w in caught} == {i for i in store.list() if store.load(i) == 0}


# Stores of GC3Pie.


@pytest.fixture
def gc3pie_table(tmp_path):
    """A table as GC3Pie makes it, with further columns."""
    from gc3store.gc3pie.database import create_gc3pie_table

    sa = pytest.importorskip("sqlalchemy")
    url = f"sqlite:///{tmp_path}/gc3pie.db"
    columns = [sa.Column("energy", sa.Float), sa.Column("label", sa.String(20)), sa.Column("at", sa.DateTime)]
    create_gc3pie_table(url, None, columns)
    return url


def test_columns_of_a_table_of_gc3pie(gc3pie_table, tmp_path):
    """The columns it was made with can be filled by paths and functions, and there are no others."""
    when = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with make_store(gc3pie_table) as store:
        before = store.save(_Job(energy=-1.0))
    columns = {"energy": "result.energy", "label": lambda obj: f"{len(obj.result)} entries", "at": "at"}
    with make_store(gc3pie_table, columns=columns) as store:
        id_ = store.save(_Job(when, energy=-2.5, steps=7))
        with pytest.warns(ColumnWarning, match=f"'energy' of {int(id_) + 1} stays empty"):
            store.save(_Job(energy=[]))
        assert store.list(query="energy:<-2") == [id_]
        assert store.list(label="2 entries") == [id_]
        with pytest.warns(ColumnWarning, match="List is not a type"):
            assert store.fill_columns() == 1
        with pickle.loads(pickle.dumps(store)) as sent:
            assert sent.describe(sent.save(_Job(n=1))).columns["label"] == "1 entries"
        assert store.list(energy=-1.0) == [before]
    rows = sqlite3.connect(tmp_path / "gc3pie.db").execute(
        "SELECT id, energy, label, at FROM store ORDER BY id"
    )
    found = rows.fetchall()
    assert found[1][:3] == (int(id_), -2.5, "2 entries")
    assert datetime.fromisoformat(found[1][3]).astimezone(UTC) == when
    assert found[0][1:3] == (-1.0, "1 entries")
    with pytest.raises(OptionError, match=r"no column 'other'.*energy, label, at"):
        make_store(gc3pie_table, columns={"other": "x"})
    with make_store(gc3pie_table) as store, make_store(tmp_path / "copy") as target:
        ids = copy(store, target).ids
        assert target.list(query="energy:<-2") == [ids[id_]]


class _Job:
    def __init__(self, at=None, **result):
        self.at, self.result = at, result


def test_a_directory_of_gc3pie_has_no_columns(tmp_path):
    (tmp_path / "Job.1").write_bytes(pickle.dumps({"x": 1}, 2))
    with pytest.raises(OptionError, match="no place for columns"):
        make_store(tmp_path, columns={"x": "x"})
    store = make_store(tmp_path)
    assert not store.offers("fill_columns")
    with pytest.raises(NotSupportedError):
        store.fill_columns()


# Whoever else asks.


def test_the_command_line_filters_and_shows_them(place, capsys):
    with place.open(columns={"energy": "energy"}) as store:
        store.save_many([{"energy": -n / 2} for n in range(5)])
    assert main(["ls", place.url, "energy:<-1", "--order", "energy", "--columns", "id,energy"]) == 0
    assert capsys.readouterr().out.split() == ["id", "energy", "dict.5", "-2.0", "dict.4", "-1.5"]
    assert main(["ls", place.url, "energy:<-1.5", "--json"]) == 0
    (found,) = json.loads(capsys.readouterr().out)
    assert found["columns"] == {"energy": -2.0}


def test_magics_filter_and_show_them(place, tmp_path, monkeypatch):
    shell = pytest.importorskip("IPython.core.interactiveshell").InteractiveShell
    with place.open(columns={"energy": "energy"}) as store:
        store.save_many([{"energy": -n / 2} for n in range(5)])
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path))
    ip = shell()
    try:
        ip.run_line_magic("load_ext", "gc3store")
        ip.run_line_magic("store_open", place.url)
        listing = ip.run_line_magic("store_list", "energy:<-1 --sort=energy")
        assert listing.ids == ["dict.5", "dict.4"]
        assert "energy" in repr(listing)
        assert "-2.0" in repr(listing)
    finally:
        ip.run_line_magic("unload_ext", "gc3store")


def test_rows_with_and_without_what_is_optional_in_one_step(tmp_path):
    """Each is written by a statement of its own; none may be lost, or take another's place."""
    import numpy as np

    with make_store(f"sqlite:///{tmp_path}/x.db", columns={"x": "x"}) as store:
        objects = [{"x": n} if n % 3 == 0 else [n] if n % 3 == 1 else np.full(3, n) for n in range(30)]
        ids = store.save_many(objects)
        assert [record.columns["x"] for record in store.records()] == [
            n if n % 3 == 0 else None for n in range(30)
        ]
        for obj, loaded in zip(objects, store.load_many(ids), strict=True):
            assert np.array_equal(obj, loaded) if isinstance(obj, np.ndarray) else obj == loaded
        with store.transaction():  # the other way round
            for id_, obj in zip(ids, reversed(objects), strict=True):
                store.replace(id_, obj)
        assert [record.columns["x"] for record in store.records()] == [
            29 - n if (29 - n) % 3 == 0 else None for n in range(30)
        ]
        for obj, loaded in zip(reversed(objects), store.load_many(ids), strict=True):
            assert np.array_equal(obj, loaded) if isinstance(obj, np.ndarray) else obj == loaded
