"""Stores on database servers: what goes wrong with a server, and what must not."""

from __future__ import annotations

import gc
import os
import secrets
import signal
import socket
import threading
import time
import traceback
import weakref

import pytest

from gc3store import ConflictError, StoreError, make_store
from gc3store.errors import (
    OutcomeUnknownError,
    SchemaVersionError,
    StoreUnavailableError,
)
from gc3store.testing import FreshProcess, Node, in_fresh_process
from tests.servers import KINDS, connect, database, private_server

pytestmark = pytest.mark.server


@pytest.fixture(scope="module", params=KINDS)
def url(request):
    with database(request.param) as url:
        yield url


@pytest.fixture
def store(url, request):
    store = make_store(url, table_name=f"t{abs(hash(request.node.name)) % 10**12}", timeout=5)
    yield store
    store.close()


def kill_backends(store) -> None:
    """Let the server cut all connections of a store's thread."""
    raw = store.backend.session.link().connection.raw
    killer = connect(store.backend.reopening(with_password=True)[0])
    if "postgresql" in store.url:
        killer.execute("SELECT pg_terminate_backend(%s)", (raw.info.backend_pid,))
    else:
        killer.execute(f"KILL {raw.thread_id()}")
    time.sleep(0.2)
    killer.close()


class TestLostConnections:
    def test_between_two_calls_nobody_notices(self, store):
        id_ = store.save([1])
        kill_backends(store)
        assert store.load(id_) == [1]
        kill_backends(store)
        assert store.save([2]) == "list.2"
        kill_backends(store)
        store.remove(id_)
        assert store.list() == ["list.2"]

    def test_in_the_middle_of_a_transaction_nothing_is_changed(self, store):
        kept = store.save(Node(1))
        node = Node(2)
        with pytest.raises(StoreUnavailableError, match="nothing was changed"), store.transaction():
            store.save(node)
            kill_backends(store)
            store.save(Node(3))
        assert not hasattr(node, "persistent_id") or node.persistent_id is None
        assert store.list() == [kept]
        assert store.load(store.save(node)).value == 2

    def test_a_transaction_that_lost_its_connection_cannot_go_on(self, store):
        kept = store.save(Node(1))
        node, other = Node(2), Node(3)
        undone = pytest.raises(StoreUnavailableError, match=r"undone this transaction.*broke in the middle")
        with undone, store.transaction():
            store.save(node)
            kill_backends(store)
            with pytest.raises(StoreUnavailableError, match="nothing was changed"):
                store.save(other)
            with pytest.raises(StoreUnavailableError, match="undone this transaction"):
                store.save(other)
        assert store.list() == [kept]
        assert [store.load(store.save(n)).value for n in (node, other)] == [2, 3]
        assert len(store) == 3

    def test_objects_that_passed_through_a_transaction_are_not_kept_alive(self, store):
        with store.transaction():
            node = Node("large")
            store.save(node)
            node = weakref.ref(node)
            gc.collect()
            assert node() is None

    def test_during_a_commit_it_is_found_out(self, store, monkeypatch):
        store.save([0])
        commit = store.backend.dialect.commit

        def lose(connection, *, before):
            monkeypatch.setattr(store.backend.dialect, "commit", commit)
            if not before:
                commit(connection)
            kill_backends(store)
            connection.execute("SELECT 1")

        monkeypatch.setattr(store.backend.dialect, "commit", lambda c: lose(c, before=False))
        node = Node("committed")
        id_ = store.save(node)  # it was committed, only the answer was lost
        assert (store.list(), node.persistent_id) == (["list.1", id_], id_)
        node.value = "lost"
        monkeypatch.setattr(store.backend.dialect, "commit", lambda c: lose(c, before=True))
        with pytest.raises(StoreUnavailableError, match="nothing was changed"):
            store.save(node)
        assert store.load(id_, fresh=True).value == "committed"
        assert store.save(node) == id_
        assert store.load(id_, fresh=True).value == "lost"

    @pytest.mark.parametrize("committed", [True, False])
    def test_a_change_of_labels_whose_commit_is_not_answered_is_not_taken_for_made(
        self, store, monkeypatch, committed
    ):
        id_ = store.save([0])
        commit = store.backend.dialect.commit

        def lose(connection):
            monkeypatch.setattr(store.backend.dialect, "commit", commit)
            if committed:
                commit(connection)
            kill_backends(store)
            connection.execute("SELECT 1")

        monkeypatch.setattr(store.backend.dialect, "commit", lose)
        with pytest.raises(OutcomeUnknownError, match="Make the same change again"):
            store.update(id_, name="label")
        assert store.find("label") == ([id_] if committed else [])
        store.update(id_, name="label")
        assert store.find("label") == [id_]

    @pytest.mark.parametrize("committed", [True, False])
    def test_a_commit_in_doubt_can_be_repeated(self, store, monkeypatch, committed):
        store.save([0])
        dialect, commit, reach = (
            store.backend.dialect,
            store.backend.dialect.commit,
            store.backend.dialect.connect,
        )

        def lose(connection):
            if committed:
                commit(connection)
            kill_backends(store)
            monkeypatch.setattr(dialect, "commit", commit)
            monkeypatch.setattr(dialect, "connect", unreachable)
            connection.execute("SELECT 1")

        def unreachable():
            raise dialect.sqlalchemy.dbapi.OperationalError(2003, "cannot connect")

        monkeypatch.setattr(dialect, "timeout", 0.1)
        for obj in (Node(1), [1, 2]):
            before = store.list()
            monkeypatch.setattr(dialect, "commit", lose)
            with pytest.raises(OutcomeUnknownError, match="not be saved twice"):
                store.save(obj)
            monkeypatch.setattr(dialect, "connect", reach)
            id_ = store.save(obj)
            assert store.list() == [*before, id_]

    def test_two_processes_create_the_same_store(self, url):
        name = f"made_{time.time_ns()}"
        workers = [FreshProcess(_save_one, url, name) for _ in range(4)]
        ids = [worker.result() for worker in workers]
        with make_store(url, table_name=name) as store:
            assert sorted(store.list()) == sorted(ids)
            assert len(set(ids)) == 4


def _save_one(url, name):
    with make_store(url, table_name=name) as store:
        return store.save([os.getpid()])


class TestLocks:
    def test_a_lock_is_waited_for_and_then_reported(self, store):
        id_ = store.save([1])
        other = connect(store.backend.reopening(with_password=True)[0])
        other.execute("BEGIN")
        other.execute(f"UPDATE {store.backend.statements.schema.name} SET revision = revision")
        impatient = make_store(
            store.backend.reopening(with_password=True)[0],
            table_name=store.backend.statements.schema.name,
            timeout=1,
        )
        with pytest.raises(StoreUnavailableError, match="busy for more than 1 seconds"):
            impatient.replace(id_, [2])
        assert impatient.load(id_) == [1]  # readers wait for nobody
        timer = threading.Timer(0.5, lambda: other.execute("ROLLBACK"))
        timer.start()
        store.replace(id_, [3])
        timer.join()
        assert store.load(id_) == [3]
        impatient.close()
        other.close()

    def test_a_killed_process_keeps_no_lock(self, store):
        id_ = store.save([1])
        url = store.backend.reopening(with_password=True)[0]
        reader, writer = os.pipe()
        pid = os.fork()
        if pid == 0:
            child = make_store(url, table_name=store.backend.statements.schema.name)
            with child.transaction():
                child.replace(id_, [2])
                os.write(writer, b"x")
                time.sleep(60)
        os.read(reader, 1)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        os.close(reader)
        os.close(writer)
        store.replace(id_, [3])
        assert (store.load(id_), store.describe(id_).revision) == ([3], 2)

    def test_writers_that_cross_end_in_some_order(self, store):
        a, b = store.save([1]), store.save([2])
        url = store.backend.reopening(with_password=True)[0]
        second = make_store(url, table_name=store.backend.statements.schema.name, timeout=10)
        outcomes = []

        def swap(mine, first, then, barrier):
            try:
                with mine.transaction():
                    mine.replace(first, ["x"])
                    barrier.wait(10)
                    mine.replace(then, ["y"])
                outcomes.append("done")
            except ConflictError as error:
                outcomes.append(str(error))

        barrier = threading.Barrier(2)
        threads = [
            threading.Thread(target=swap, args=(mine, *order, barrier))
            for mine, order in ((store, (a, b)), (second, (b, a)))
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert "done" in outcomes
        assert sorted(store.load_many([a, b])) == [["x"], ["y"]]
        assert all(o == "done" or "repeat the change" in o for o in outcomes)
        second.close()


class TestBadInput:
    def test_a_missing_database_is_named(self, url):
        missing = url.rpartition("/")[0] + "/no_such_database"
        with pytest.raises(StoreUnavailableError, match=r"no database 'no_such_database'.*create it"):
            make_store(missing)

    def test_nobody_listens(self, url):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
            scheme = url.partition(":")[0]
            password = secrets.token_hex(8)
            with pytest.raises(StoreUnavailableError) as caught:
                make_store(f"{scheme}://user:{password}@127.0.0.1:{port}/db")
        assert password not in "".join(traceback.format_exception(caught.value))

    def test_a_newer_schema_is_read_and_not_written(self, store):
        id_ = store.save([1])
        url = store.backend.reopening(with_password=True)[0]
        connection = connect(url)
        connection.execute(f"UPDATE {store.backend.statements.schema.name}_meta SET version = 99")
        connection.close()
        newer = make_store(url, table_name=store.backend.statements.schema.name)
        assert newer.load(id_) == [1]
        for call in (lambda: newer.save(2), lambda: newer.remove(id_), lambda: newer.replace(id_, 2)):
            with pytest.raises(SchemaVersionError, match="99"):
                call()
        newer.close()

    def test_a_clock_that_jumps_back_changes_no_order(self, store, monkeypatch):
        first = store.save([1])
        real = time.time_ns
        monkeypatch.setattr(time, "time_ns", lambda: real() - 10**18)
        second = store.save([2])
        monkeypatch.undo()
        third = store.save([3])
        assert store.list() == [first, second, third]

    def test_the_fragment_of_gc3pie_names_the_table(self, url):
        with make_store(f"{url}#table=fragment") as one, make_store(url, table_name="fragment") as other:
            assert one.save([1]) in other


# A driver whose server is killed leaves its socket to the collector, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
@pytest.mark.parametrize("kind", KINDS)
def test_a_server_of_ones_own(kind):
    """Restarts, a wrong password, a server that stays away: on a server that nobody else uses."""
    with private_server(kind) as server:
        wrong = server.url.replace("s3cret", "wr0ng-pass")
        with pytest.raises(StoreUnavailableError, match="check user name and password") as caught:
            make_store(wrong)
        assert "wr0ng" not in "".join(traceback.format_exception(caught.value))

        store = make_store(server.url, timeout=3)
        id_ = store.save([1])
        server.stop()
        server.start()
        assert store.load(id_) == [1]  # restarted between two calls
        second = store.save([2])
        server.kill()
        with pytest.raises(StoreUnavailableError) as caught:
            store.save([3])
        shown = "".join(traceback.format_exception(caught.value))
        assert "s3cret" not in shown
        with pytest.raises(StoreError):
            store.load(id_)
        server.start()
        assert store.list() == [id_, second]
        third = store.save([3])
        assert third not in (id_, second)
        assert in_fresh_process(_load_all, server.url) == [[1], [2], [3]]
        store.close()


def _load_all(url):
    with make_store(url) as store:
        return list(store.load_many(store.list()))
