"""What is cached of a catalogue in SQLite is never older than the catalogue."""

from __future__ import annotations

import subprocess
import sys
import threading
from array import array

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gc3store import make_store
from gc3store.query import Query
from gc3store.sql import query_cache
from gc3store.sql.query_cache import QueryCache, packed_numbers

ORDERS = [None, "-number", "name", "-name", "size", "cls"]


def look(store, order, offset, limit=3, times=3):
    """Ask for the same window as often as it takes for an order to be cached."""
    query = Query.build({}, order=order, offset=offset, limit=limit)
    found = [[record.id for record in store.records(query)] for _ in range(times)]
    assert found == [found[0]] * times
    return found[0]


def expected(store, order, offset, limit=3):
    return [record.id for record in Query.build({}, order=order).apply(store.records())][offset:][:limit]


@pytest.fixture
def url(tmp_path, monkeypatch):
    monkeypatch.setattr("gc3store.sql.catalogue.FAR", 0)  # so that a few entries are many
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("offset", [0, 4, 9, 50])
def test_a_cached_order_gives_the_same_windows(url, order, offset):
    with make_store(url) as store:
        for i in range(11):
            store.save(["x" * (i * 7 % 5)], name=f"run {i * 5 % 11}", tags=["a", "b"][: i % 3])
        store.remove(store.list()[3])
        assert look(store, order, offset) == expected(store, order, offset)
        assert [r.tags for r in store.records(Query.build({}, order="-number", limit=4))] == [
            store.describe(id_).tags for id_ in reversed(store.list()[-4:])
        ]


def test_an_order_is_cached(url, monkeypatch):
    """The second time an order is asked for, all of it is read, and nothing is sorted from then on."""
    with make_store(url) as store:
        store.save_many([[i] for i in range(5)])
        read = []
        monkeypatch.setattr(
            "gc3store.sql.catalogue.packed_numbers", lambda rows: read.append(1) or packed_numbers(rows)
        )
        look(store, "-size", 0)
        look(store, "-size", 2)
        assert len(read) == 1
        look(store, "size", 2, times=1)
        assert len(read) == 1


def change(store):
    store.update("list.1", name="name 4 and a half")
    store.remove("list.2")


@pytest.mark.parametrize("how", ["here", "by another store", "by another process", "by another thread"])
def test_a_change_is_seen_at_once(url, how):
    with make_store(url) as store, make_store(url) as other:
        ids = store.save_many([[i] for i in range(6)])
        for id_ in ids:
            store.update(id_, name=f"name {9 - int(id_.split('.')[1])}")
        assert look(store, "name", 1) == ["list.5", "list.4", "list.3"]
        assert [store.count() for _ in range(3)] == [6] * 3
        assert store.facets("name") == store.facets("name")
        if how == "here":
            change(store)
        elif how == "by another store":
            change(other)
        elif how == "by another process":
            code = f"from tests.test_answers import *; change(make_store({url!r}))"
            subprocess.run([sys.executable, "-c", code], check=True)
        else:
            thread = threading.Thread(target=change, args=(store,))
            thread.start()
            thread.join()
        assert look(store, "name", 1) == ["list.5", "list.1", "list.4"]
        assert store.count() == 5
        assert store.facets("name")["name 4 and a half"] == 1


def test_within_a_step_its_own_changes_are_seen_and_forgotten_if_undone(url):
    with make_store(url) as store:
        store.save_many([[i] for i in range(6)])
        assert look(store, "-number", 1) == ["list.5", "list.4", "list.3"]

        class Undo(Exception):
            pass

        with pytest.raises(Undo), store.transaction():
            store.remove("list.5")
            assert look(store, "-number", 1) == ["list.4", "list.3", "list.2"]
            assert store.count() == 5
            raise Undo
        assert look(store, "-number", 1) == ["list.5", "list.4", "list.3"]
        assert store.count() == 6


def test_values_that_are_equal_and_mean_something_else_are_kept_apart(tmp_path):
    with make_store(f"sqlite:///{tmp_path}/jobs.db", columns={"flag": "[0]"}) as store:
        store.save_many([[True], [1], [1.0], ["1"]])
        for value in (True, 1, "1", True, 1, "1"):
            query = store.query(flag=value, order="-number", limit=9)
            plain = [record.id for record in store.query(flag=value).apply(store.records())][::-1]
            assert [[r.id for r in store.records(query)] for _ in range(3)] == [plain] * 3
            assert store.count(query) == len(plain)


def test_what_takes_up_too_much_is_not_kept_and_the_oldest_goes_first(monkeypatch):
    monkeypatch.setattr(query_cache, "_ROOM", 20_000)
    cache = QueryCache(1)
    asked = []

    def ask(question, size):
        return len(cache.get(question, lambda: asked.append(question) or array("q", range(size))))

    assert [ask("a", 600), ask("b", 600), ask("a", 600)] == [600] * 3
    assert asked == ["a", "b"]
    ask("c", 1100)  # b was used before a
    ask("a", 600)
    ask("b", 600)
    assert asked == ["a", "b", "c", "b"]
    ask("huge", 2000)
    ask("huge", 2000)
    assert asked[4:] == ["huge", "huge"]
    ask("b", 600)
    assert asked[6:] == []


def test_an_order_of_too_many_is_not_kept(monkeypatch):
    monkeypatch.setattr(query_cache, "_LONGEST", 10)
    assert packed_numbers((i,) for i in range(10)) == array("q", range(10))
    assert packed_numbers((i,) for i in range(11)) is None


step = st.one_of(
    st.tuples(st.just("save"), st.integers(0, 1), st.integers(0, 3)),
    st.tuples(st.just("remove"), st.integers(0, 1), st.integers(0, 9)),
    st.tuples(st.just("name"), st.integers(0, 1), st.integers(0, 9)),
    st.tuples(st.just("look"), st.integers(0, 1), st.sampled_from(ORDERS), st.integers(0, 6)),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(step, max_size=25))
def test_any_history_of_two_stores_on_one_database(tmp_path_factory, steps):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gc3store.sql.catalogue.FAR", 0)
        url = f"sqlite:///{tmp_path_factory.mktemp('history')}/jobs.db"
        stores = [make_store(url, durable=False) for _ in range(2)]
        stores[0].save_many([[i] for i in range(4)])
        for kind, which, *values in steps:
            store, ids = stores[which], stores[1 - which].list()
            if kind == "save":
                store.save(["x" * values[0]])
            elif kind == "look":
                assert look(store, *values) == expected(store, *values)
                assert store.count() == len(ids)
            elif ids:
                id_ = ids[values[0] % len(ids)]
                if kind == "remove":
                    store.remove(id_)
                else:
                    store.update(id_, name=f"name {values[0] * 7 % 5}")
        for store in stores:
            store.close()
