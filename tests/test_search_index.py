"""The index for searching a large catalogue: right whatever happens, and never needed."""

from __future__ import annotations

import multiprocessing
import os
import random
import sqlite3
import threading

import pytest

from gc3store import make_store
from gc3store.jupyter.service import Service
from gc3store.query import Query
from gc3store.sql import search

SEVEN = '"run 7"'


@pytest.fixture(autouse=True)
def _worthwhile(monkeypatch):
    monkeypatch.setattr(search, "WORTHWHILE", 1)


@pytest.fixture
def url(tmp_path):
    return f"sqlite:///{tmp_path}/jobs.db"


@pytest.fixture
def store(url):
    with make_store(url) as store:
        yield store


def found(store, text):
    """The IDs that a search finds, once before the index is up to date and once after."""
    query = Query.parse(text)
    before = [record.id for record in store.records(query)]
    index = store._search
    for _ in range(3):  # a change may come to light while the index is brought up to date
        if index.candidates(query.words) is not None:
            break
        index.wait()
    else:
        pytest.fail("the index is not up to date")
    after = [record.id for record in store.records(query)]
    assert before == after
    assert store.count(query) == len(after)
    return after


def test_finds_what_going_through_all_finds(store):
    chance = random.Random(4)
    letters = "abAB1.-% _'\"\\äß😀"
    for _ in range(300):
        name = "".join(chance.choices(letters, k=chance.randrange(1, 12)))
        tags = ["".join(chance.choices(letters, k=5)) for _ in range(chance.randrange(3))]
        store.save(1, name=name.strip() or None, tags=[tag.strip() or "x" for tag in tags])
    records = list(store.records())
    hits = 0
    for _ in range(200):
        word = "".join(chance.choices("abAB1.-%_", k=chance.randrange(3, 5)))
        query = Query(words=(word,))
        expected = [record.id for record in query.apply(records)]
        hits += len(expected)
        store._search.candidates((word,))
        store._search.wait()
        assert [record.id for record in store.records(query)] == expected
    assert hits > 20


def test_catches_up_with_every_kind_of_change(store, url):
    a, b = store.save(1, name="zebra"), store.save([2], name="okapi", tags=["zebra"])
    assert found(store, "zebra") == [a, b]
    store.update(a, name="giraffe")
    assert found(store, "zebra") == [b]
    assert found(store, "giraffe") == [a]
    store.update(b, tags=["striped"])
    assert found(store, "zebra") == []
    store.replace(a, {"another": "class"})
    assert found(store, "dict") == [a]
    store.remove(b)
    assert found(store, "striped") == []
    with make_store(url) as other:
        c = other.save(3, name="by another")
    assert found(store, "by another") == [c]


def test_is_shared_and_kept(store, url):
    ids = [store.save(n, name=f"run {n}") for n in range(20)]
    assert found(store, SEVEN) == [ids[7]]
    stamp = store._search.path().stat().st_ino
    with make_store(url) as other:
        assert other._search.path() == store._search.path()
        assert found(other, SEVEN) == [ids[7]]
        other.save(0, name="run 77")
        assert len(found(other, SEVEN)) == 2
    assert len(found(store, SEVEN)) == 2
    assert store._search.path().stat().st_ino == stamp


def test_what_a_transaction_has_written_is_found_in_it(store):
    store.save(1, name="zebra")
    assert len(found(store, "zebra")) == 1
    with store.transaction():
        store.save(2, name="zebra too")
        assert store.count(Query.parse("zebra")) == 2
    assert len(found(store, "zebra")) == 2


def test_writes_nothing_beside_the_store(store, tmp_path):
    store.save(1, name="zebra")
    found(store, "zebra")
    store.close()
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with make_store(f"sqlite:///{tmp_path}/jobs.db", read_only=True) as reader:
        assert len(found(reader, "zebra")) == 1
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert tmp_path not in store._search.path().parents


def test_a_file_that_was_only_read_is_written_to(store, url):
    store.save(1, name="zebra")
    store.close()
    with make_store(url, read_only=True) as reader:
        assert len(found(reader, "zebra")) == 1
        with make_store(url) as writer:
            writer.save(2, name="zebra too")
            assert len(found(reader, "zebra")) == 2
        assert len(found(reader, "zebra")) == 2


def test_a_browser_prepares_it(store):
    """Without a search, and without holding up anything."""
    service = Service(store, {})
    count = {"kind": "count", "query": {"text": "", "filters": {}, "order": ""}}
    assert service.answer(count)["ok"]  # an empty store has nothing to prepare
    assert not store._search.path().exists()
    store.save(1, name="zebra")
    service = Service(store, {})
    assert service.answer(count)["ok"]
    store._search.wait()
    assert store._search.candidates(["zebra"]) == [1]
    store.save(2, name="zebra")
    assert service.answer(count)["ok"]  # once is enough: it need not follow every change
    assert store._search.candidates(["zebra"]) is None


def test_a_damaged_index_is_made_anew(store):
    store.save(1, name="zebra")
    found(store, "zebra")
    store.close()
    path = store._search.path()
    path.write_bytes(b"no database at all" * 1000)
    with make_store(store.url) as again:
        for _ in range(2):
            assert again.count(Query.parse("zebra")) == 1
            again._search.wait()
        assert found(again, "zebra") == ["int.1"]


def test_an_index_that_is_taken_away_is_no_loss(store):
    store.save(1, name="zebra")
    found(store, "zebra")
    for path in store._search.path().parent.iterdir():
        path.unlink()
    assert store.count(Query.parse("zebra")) == 1


def test_where_there_is_no_place_for_it_searches_do_without(store, monkeypatch, tmp_path):
    blocked = tmp_path / "blocked"
    blocked.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(blocked))
    store.save(1, name="zebra")
    for _ in range(3):
        assert store.count(Query.parse("zebra")) == 1
        store._search.wait()


def test_frequent_words_are_left_to_the_catalogue(store, monkeypatch):
    monkeypatch.setattr(search, "MOST", 5)
    ids = [store.save(n, name="same") for n in range(10)]
    store.count(Query.parse("same"))
    store._search.wait()
    assert store._search.candidates(["same"]) is None
    assert [record.id for record in store.records(Query.parse("same"))] == ids
    assert store._search.candidates([ids[7]]) is not None


def test_small_stores_have_none(store, monkeypatch):
    monkeypatch.setattr(search, "WORTHWHILE", 100)
    store.save(1, name="zebra")
    assert store.count(Query.parse("zebra")) == 1
    store._search.wait()
    assert not store._search.path().exists()


def test_indexes_that_nobody_uses_are_removed(store):
    folder = store._search.path().parent
    folder.mkdir(parents=True)
    old, new = folder / "search-0.db", folder / "search-1.db"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, 0))
    store.save(1, name="zebra")
    found(store, "zebra")
    assert not old.exists()
    assert new.exists()


def test_many_threads(store):
    for n in range(50):
        store.save(n, name=f"run {n:02}")
    failures = []

    def search_and_save(k):
        try:
            for n in range(50):
                assert store.count(Query.parse(f"run {n:02}")) >= 1
                if n % 10 == k:
                    id_ = store.save(n, name=f"thread {k} {n}")
                    assert [r.id for r in store.records(Query.parse(f'"thread {k} {n}"'))] == [id_]
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=search_and_save, args=(k,)) for k in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def _count_in_child(store, pipe):
    store.save(3, name="zebra of the child")
    pipe.send((store.count(Query.parse("zebra")), len(found(store, "zebra"))))


def test_a_forked_child_has_its_own(store):
    store.save(1, name="zebra")
    found(store, "zebra")
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    child = context.Process(target=_count_in_child, args=(store, there))
    child.start()
    assert here.recv() == (2, 2)
    child.join()
    assert len(found(store, "zebra")) == 2


def test_closing_stops_the_work(store):
    store.save(1, name="zebra")
    with sqlite3.connect(store._backend.path) as db:
        db.execute(
            "INSERT INTO gc3store (number, id, name, cls, size, created, modified, revision, explicit) "
            "WITH RECURSIVE n(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM n WHERE i < 200000) "
            "SELECT i, 'int.' || i, 'run ' || i, 'int', 1, 0, 0, 1, 1 FROM n"
        )
    db.close()
    assert store.count(Query.parse("zebra")) == 1
    store.close()
    assert not store._search._thread.is_alive()
