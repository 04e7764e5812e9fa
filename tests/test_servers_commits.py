"""A commit whose answer never comes: the line is cut behind it, or Ctrl-C ends the waiting (C5).

The outcome is found out where that is possible; in any case the same call can be made again.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import threading
import time

import pytest

from gc3store import ObjectNotFoundError, OutcomeUnknownError, make_store
from gc3store.errors import StoreUnavailableError
from gc3store.testing import Node, Point, in_fresh_process
from tests.proxy import COMMIT, Proxy
from tests.servers import KINDS, database

pytestmark = [
    pytest.mark.server,
    # A driver whose line was cut leaves its socket to the collector, which says so.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

BEGIN = re.compile(rb"BEGIN|START TRANSACTION")

_count = iter(range(10**9))


@pytest.fixture(scope="module", params=KINDS)
def url(request):
    with database(request.param) as url:
        yield url
    gc.collect()  # sockets that a driver left are not to be found during another test


@pytest.fixture
def table():
    return f"t{next(_count)}"


class TestCutBehindACommit:
    """What took place is noticed as such: the call returns as if nothing had been."""

    def test_of_a_replacement(self, url, table):
        with Proxy(url) as proxy, make_store(proxy.url, table_name=table) as store:
            id_, node = store.save(Point(1), name="label"), Node("old")
            node_id = store.save(node)
            proxy.cut = "after"
            store.replace(id_, Point(2))
            proxy.cut = "after"
            node.value = "new"
            assert store.save(node) == node_id
            assert proxy.cuts == 2
            with make_store(url, table_name=table) as other:
                assert other.load(id_) == Point(2)
                assert other.load(node_id).value == "new"
                assert [record.revision for record in other.records()] == [2, 2]
                assert other.find("label") == [id_]
            assert store.load(node_id) is node
            node.value = "newer"
            assert store.save(node) == node_id  # and this is no conflict

    def test_of_a_removal(self, url, table):
        with Proxy(url) as proxy, make_store(proxy.url, table_name=table) as store:
            nodes = [Node(n) for n in range(3)]
            ids = store.save_many(nodes)
            proxy.cut = "after"
            store.remove(ids[0])
            proxy.cut = "after"
            store.remove_many(ids[1:])
            assert proxy.cuts == 2
            assert store.list() == []
            assert [getattr(node, "persistent_id", None) for node in nodes] == [None] * 3
            assert not set(store.save_many(nodes)) & set(ids)

    def test_of_a_transaction(self, url, table):
        with Proxy(url) as proxy, make_store(proxy.url, table_name=table) as store:
            kept, gone = store.save(Point(1)), store.save(Point(2))
            proxy.cut = "after"
            with store.transaction():
                store.remove(gone)
                store.replace(kept, Point(3))
                new = store.save(Node("new"))
            assert proxy.cuts == 1
            assert store.list() == [kept, new]
            assert store.load(kept) == Point(3)


class TestCutBeforeACommit:
    """What did not take place is an error that says so, and nothing has changed."""

    def test_of_a_replacement_and_a_removal(self, url, table):
        with Proxy(url) as proxy, make_store(proxy.url, table_name=table) as store:
            node = Node("old")
            id_ = store.save(node)
            node.value = "new"
            for call in (
                lambda: store.save(node),
                lambda: store.replace(id_, Point(1)),
                lambda: store.remove(id_),
            ):
                proxy.cut = "before"
                with pytest.raises(StoreUnavailableError, match="nothing was changed"):
                    call()
                with make_store(url, table_name=table) as other:
                    assert other.load(id_).value == "old"
                assert node.persistent_id == id_
            assert proxy.cuts == 3
            assert store.save(node) == id_
            store.remove(id_)
            assert store.list() == []


@pytest.mark.parametrize("cut", ["before", "after"])
def test_a_removal_of_which_the_outcome_is_unknown(url, table, cut):
    """It can be made again; if it took place, that says that there is nothing left to remove."""
    with Proxy(url) as proxy, make_store(proxy.url, table_name=table, timeout=0.2) as store:
        node = Node("value")
        id_ = store.save(node)
        proxy.cut, proxy.then_away = cut, True
        with pytest.raises(OutcomeUnknownError):
            store.remove(id_)
        proxy.away = proxy.then_away = False
        if cut == "before":
            store.remove(id_)
        else:
            with pytest.raises(ObjectNotFoundError):
                store.remove(id_)
        assert store.list() == []
        assert getattr(node, "persistent_id", None) is None
        assert store.save(node) != id_


class Interrupting:
    """Press Ctrl-C while this process waits for the answer of its server, and cut the line a moment later."""

    def __init__(self, proxy, how, at):
        self.proxy = proxy
        proxy.cut, proxy.at, proxy.passing, proxy.meanwhile = how, at, 0, self.press
        self.done = threading.Event()

    def press(self):
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(0.02)
        self.done.set()

    def __call__(self, function, *arguments, **options):
        with pytest.raises(KeyboardInterrupt):
            function(*arguments, **options)
        assert self.done.wait(60)
        self.proxy.meanwhile = None


def interrupt_commits(url, table, how):
    with (
        Proxy(url) as proxy,
        make_store(url, table_name=table) as other,
        make_store(proxy.url, table_name=table) as store,
    ):
        changed, gone, new = Node("old"), Node("gone"), Node("new")
        changed_id, gone_id = store.save_many([changed, gone])

        Interrupting(proxy, how, COMMIT)(store.save, new)
        new_id = store.save(new)
        assert other.list() == [changed_id, gone_id, new_id]
        assert store.load(new_id) is new

        changed.value = "changed"
        Interrupting(proxy, how, COMMIT)(store.save, changed)
        assert store.save(changed) == changed_id
        assert other.load(changed_id).value == "changed"

        Interrupting(proxy, how, COMMIT)(store.replace, changed_id, Point(1))
        store.replace(changed_id, Point(2))
        assert other.load(changed_id) == Point(2)

        Interrupting(proxy, how, COMMIT)(store.remove, gone_id)
        if how == "before":
            store.remove(gone_id)
        else:
            with pytest.raises(ObjectNotFoundError):
                store.remove(gone_id)
        assert store.list() == other.list() == [changed_id, new_id]
        assert proxy.cuts == 4


@pytest.mark.parametrize("how", ["before", "after"])
def test_an_interrupt_while_the_answer_to_a_commit_is_awaited(url, table, how):
    in_fresh_process(interrupt_commits, url, table, how)


def interrupt_begins(url, table, how):
    with (
        Proxy(url) as proxy,
        make_store(url, table_name=table) as other,
        make_store(proxy.url, table_name=table) as store,
    ):
        node = Node("old")
        id_ = store.save(node)
        for number, call in enumerate(
            (
                lambda: store.save(Point("next")),
                lambda: store.update(id_, name="label"),
                store.list,
            )
        ):
            node.value = number
            Interrupting(proxy, how, BEGIN)(store.save, node)
            call()
            # Nothing is kept to itself, and nothing keeps showing what was there before.
            assert other.list() == store.list()
            assert other.find("label") == store.find("label")
            later = other.save(Point("later"))
            assert store.load(later) == Point("later")
            assert store.save(node) == id_
            assert other.load(id_).value == number
        assert store.find("label") == [id_]
        assert proxy.cuts == 3


@pytest.mark.parametrize("how", ["before", "after"])
def test_an_interrupt_while_a_transaction_begins(url, table, how):
    in_fresh_process(interrupt_begins, url, table, how)
