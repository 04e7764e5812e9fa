"""Servers that die, disks of theirs that are full, lines that are cut in COMMIT: nothing is lost, torn or doubled."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
import traceback
from contextlib import contextmanager

import pytest

from gc3store import OutcomeUnknownError, StoreError, make_store
from gc3store.errors import OptionError, ReadOnlyError, StoreFullError, StoreUnavailableError
from gc3store.testing import FreshProcess, Node, Point, in_fresh_process
from tests.proxy import Proxy
from tests.servers import KINDS, connect, database, private_server, user

pytestmark = [
    pytest.mark.server,
    # A driver whose server is gone leaves its socket to the collector, which says so.
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"),
]

_count = iter(range(10**9))


@pytest.fixture(scope="module", params=KINDS)
def url(request):
    with database(request.param) as url:
        yield url


@pytest.fixture
def table():
    return f"t{next(_count)}"


class TestCutLines:
    @pytest.mark.parametrize("cut", ["before", "after"])
    def test_in_a_commit_it_is_found_out(self, url, table, cut):
        with Proxy(url) as proxy, make_store(proxy.url, table_name=table) as store:
            store.save([0])
            node = Node("value")
            proxy.cut = cut
            if cut == "before":
                with pytest.raises(StoreUnavailableError, match="nothing was changed"):
                    store.save(node)
            else:
                store.save(node)
            assert proxy.cuts == 1
            assert store.load(store.save(node)) is node
            assert [r.class_name for r in store.records()] == ["list", "Node"]

    @pytest.mark.parametrize("cut", ["before", "after"])
    def test_in_a_commit_and_nobody_answers_any_more(self, url, table, cut):
        with Proxy(url) as proxy, make_store(proxy.url, table_name=table, timeout=1) as store:
            kept = store.save([0])
            changed = Node("old")
            changed_id = store.save(changed)
            fresh, many = Node("fresh", changed), [Point(n) for n in range(3)]
            changed.value = "new"
            for call in (
                lambda: store.save(fresh),
                lambda: store.save_many(many),
                lambda: store.replace(kept, [1]),
            ):
                proxy.cut, proxy.then_away = cut, True
                with pytest.raises(OutcomeUnknownError, match="not be saved twice"):
                    call()
                with pytest.raises(StoreUnavailableError):  # as long as it is away
                    store.list()
                proxy.away = proxy.then_away = False
                call()
            assert proxy.cuts == 3
            assert [r.class_name for r in store.records()] == ["list", "Node", "Node", *["Point"] * 3]
            assert store.load(kept) == [1]
            loaded = in_fresh_process(_load, url, table, fresh.persistent_id)
            assert (loaded.value, loaded.links[0].value) == ("fresh", "new")
            assert loaded.links[0].persistent_id == changed_id


def _load(url, table, id_):
    with make_store(url, table_name=table) as store:
        return store.load(id_)


@pytest.mark.parametrize("kind", KINDS)
def test_a_server_that_dies_in_the_middle_of_a_save(kind):
    with private_server(kind) as server:
        store = make_store(server.url, timeout=2)
        kept = store.save(Node("kept"))
        before = len(store)
        errors = []

        def save(obj):
            try:
                store.save(obj)
            except StoreError as error:
                errors.append(error)

        for pause in (0.01, 0.05, 0.3):
            large = Point(os.urandom(60_000_000))
            failed = len(errors)
            thread = threading.Thread(target=save, args=(large,))
            thread.start()
            time.sleep(pause)
            server.kill()
            thread.join()
            server.start()
            if len(errors) > failed:
                assert not hasattr(large, "persistent_id")
                assert "s3cret" not in "".join(traceback.format_exception(errors[-1]))
            else:  # it was faster
                before += 1
            assert len(store) == before
        assert errors
        known = hasattr(large, "persistent_id")
        id_ = store.save(large)
        assert len(store) == before + (not known)
        store.verify(id_)
        assert store.load(id_) == large
        assert store.load(kept).value == "kept"
        rows = connect(server.url).execute("SELECT count(*) FROM gc3store_payload").fetchone()[0]
        assert rows == len(store)
        store.close()


def test_a_large_object_through_small_packets():
    """Payloads are cut to what the server takes at a time, and put together again."""
    with private_server("mariadb", "--max-allowed-packet=64K") as server:
        with make_store(server.url) as store:
            data = os.urandom(3_000_000)
            ids = store.save_many([data, Point(data[:70_000]), "x" * 30_000, {"n": list(range(40_000))}])
            id_ = store.save({"text": "Zürich \U0001f600" * 9000}, name="\U0001f600" * 500)
        assert in_fresh_process(_load_all, server.url, [*ids, id_])[0] == data
    with private_server("mariadb", "--max-allowed-packet=64K") as server, make_store(server.url) as store:
        with pytest.raises(StoreError, match="large"):
            store.save(1, name="x" * 100_000)  # what cannot be cut
        assert store.list() == []


def _load_all(url, ids):
    with make_store(url) as store:
        return list(store.load_many(ids))


@pytest.mark.soak
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("kind", KINDS)
def test_an_object_beyond_a_gigabyte(kind):
    """More than a row or a packet of any server holds."""
    np = pytest.importorskip("numpy")
    with private_server(kind) as server, make_store(server.url) as store:
        array = np.arange(1_200_000_000 // 8, dtype="f8")
        id_ = store.save({"array": array, "name": "large"})
        assert store.describe(id_).size > 1_200_000_000
        assert (store.load(id_)["array"] == array).all()
        store.remove(id_)
        assert len(store) == 0


class TestFullDisk:
    """The server's disk, not ours: a small file system for one database."""

    def test_postgresql(self):
        with private_server("postgresql") as server:
            small = server.directory / "small"
            small.mkdir()
            with mounted(server, small):
                admin = connect(server.url)
                admin.execute(f"CREATE TABLESPACE small LOCATION '{small}'")
                admin.execute("CREATE DATABASE tight TABLESPACE small")
                admin.close()
                self.fill(server.url.rpartition("/")[0] + "/tight", 20_000_000)

    def test_mariadb(self):
        with private_server("mariadb") as server:
            admin = connect(server.url)
            admin.execute("CREATE DATABASE tight")
            admin.close()
            options = (server.data / "tight" / "db.opt").read_text()
            with mounted(server, server.data / "tight"):
                (server.data / "tight" / "db.opt").write_text(options)
                # Where a table cannot grow by several megabytes at once, this server aborts (10.11).
                self.fill(server.url.rpartition("/")[0] + "/tight", 600_000)

    @staticmethod
    def fill(url, size):
        with make_store(url) as store:
            kept = store.save(Point(1, 2))
            node = Node(b"small")
            ids = [kept, store.save(node)]
            with pytest.raises(StoreFullError, match=r"no space left on the server.*Make room"):
                for _ in range(400):
                    ids.append(store.save(os.urandom(100_000)))
            for large in (os.urandom(size), os.urandom(size + size // 2)):
                unsaved = Point(large)
                with pytest.raises(StoreFullError):
                    store.save(unsaved)
                assert not hasattr(unsaved, "persistent_id")
                with pytest.raises(StoreFullError):
                    store.replace(kept, large)
            assert store.list() == ids
            assert store.load(kept) == Point(1, 2)
            for id_ in ids:
                store.verify(id_)
            store.remove_many(ids[2:])  # rows go, and leave room that is used again
            for _ in range(150):
                try:
                    again = store.save(b"room again")
                    break
                except StoreFullError:
                    time.sleep(0.2)  # a server gives the room of rows back in its own time
            assert store.load(again) == b"room again"


@contextmanager
def mounted(server, folder):
    """A file system of 24 MB at a folder of the server's."""
    status = os.stat(server.data)
    command = [
        "mount",
        "-t",
        "tmpfs",
        "-o",
        f"size=24m,uid={status.st_uid},gid={status.st_gid}",
        "none",
        folder,
    ]
    if subprocess.run(command, check=False).returncode:
        pytest.skip("file systems cannot be mounted here")
    try:
        os.chmod(folder, 0o700)
        yield
    finally:
        server.stop()
        subprocess.run(["umount", folder], check=True)


NAMES = [
    "Zürich", "Zu\u0308rich", "\U0001f600\U0001f680", "\u4f60\u597d", "\u0645\u0631\u062d\u0628\u0627", "nul\0nul",
    "a", "A", "a ", " a", "\u212b", "\xe5", "stra\xdfe", "STRASSE", "\ufffd", "\U0010ffff", "\ufdd1", "%_\\'\"`;--",
    "\u200b",
]  # fmt: skip


def test_names_in_any_script(url, table):
    """Each is itself, found in upper or lower case, and sorted by code points."""
    with make_store(url, table_name=table) as store:
        ids = {name: store.save(name, name=name, tags=[name]) for name in NAMES}
        store.save({"in": "a preview"})
        for name, id_ in ids.items():
            assert store.find(name) == [id_]
            assert store.list(tags=name) == [id_]
            assert store.describe(id_).name == name
            assert store.load(id_) == name
        assert [r.name for r in store.records(store.query(order="name", limit=len(NAMES)))] == sorted(
            NAMES, key=lambda n: n.replace("\0", "\ufdd0") if "postgresql" in url else n
        )
        assert store.list(query="ZÜRICH") == [ids["Zürich"]]
        assert store.list(query="\U0001f600") == [ids["\U0001f600\U0001f680"]]
        assert ids["stra\xdfe"] in store.list(query="STRA")
        assert store.facets("name")["Zu\u0308rich"] == 1


def test_columns_in_any_script(url, table):
    with make_store(url, table_name=table, columns={"größe": "größe", "Größe": "text"}) as store:
        ids = [store.save({"größe": n, "text": name}) for n, name in enumerate(NAMES)]
        for n, name in enumerate(NAMES):
            assert store.list(größe=n) == [ids[n]]
            assert ids[n] in store.list(Größe=name)
            assert store.describe(ids[n]).columns == {"größe": n, "Größe": name}


def _save_in_zone(url, table, zone):
    os.environ["TZ"] = zone
    time.tzset()
    with make_store(url, table_name=table) as store:
        record = store.describe(store.save([zone]))
        return record.created, record.modified, store.list(query="saved:<1h")


def test_time_zones_of_client_and_server(url, table):
    """A moment is a moment, wherever it is looked at from."""
    admin = connect(url)
    name = url.rpartition("/")[2]
    if "postgresql" in url:
        admin.execute(f"ALTER DATABASE {name} SET timezone = 'Asia/Kolkata'")
    else:
        admin.execute("SET GLOBAL time_zone = '+05:30'")
    try:
        begun = time.time()
        found = [
            FreshProcess(_save_in_zone, url, table, zone).result()
            for zone in ("Pacific/Kiritimati", "America/Los_Angeles", "UTC")
        ]
        for n, (created, modified, recent) in enumerate(found):
            assert created == modified
            assert begun - 1 < created.timestamp() < time.time() + 1
            assert len(recent) == n + 1
    finally:
        if "postgresql" not in url:
            admin.execute("SET GLOBAL time_zone = 'SYSTEM'")
        admin.close()


class TestTableNames:
    def test_any_name_is_quoted(self, url):
        for name in ("select", "Order", "user", "données", "_", "x" * 40, "table"):
            with make_store(url, table_name=name) as store, make_store(f"{url}#table={name}") as same:
                assert same.load(store.save([name])) == [name]
                assert same.uuid == store.uuid

    def test_what_is_no_name_is_refused(self, url):
        for name in ("x; DROP TABLE y", 'a"b', "a`b", "", "1a", "a b", "x" * 41, "é" * 21, "a--", "a.b"):
            for place, options in ((url, {"table_name": name}), (f"{url}#table={name}", {})):
                with pytest.raises(OptionError, match="name of a table"):
                    make_store(place, **options)

    def test_names_that_begin_alike_are_two_stores(self, url):
        with make_store(url, table_name="jobs") as one, make_store(url, table_name="jobs_2") as two:
            assert (one.save([1]), two.save([2])) == ("list.1", "list.1")
            assert (one.load("list.1"), two.load("list.1")) == ([1], [2])
        with make_store(url, table_name="jobs_payload") as clash:
            with pytest.raises(StoreUnavailableError, match="not one of a store"):
                clash.save(1)
            assert clash.list() == []


def test_who_may_not_create_tables_is_told_so(url, table):
    with user(url, "open-sesame", may="SELECT") as theirs, make_store(theirs, table_name=table) as store:
        assert store.list() == []
        with pytest.raises((ReadOnlyError, StoreUnavailableError), match="the right") as caught:
            store.save(1)
        assert "sesame" not in "".join(traceback.format_exception(caught.value))


def test_the_exit_of_a_process_leaves_no_connection(url, table):
    """Threads, forks, a pool of processes: when all are gone, so are their connections."""
    admin = connect(url)
    name = url.rpartition("/")[2]
    count = (
        f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{name}' AND application_name = 'gc3store'"
        if "postgresql" in url
        else f"SELECT count(*) FROM information_schema.processlist WHERE db = '{name}'"
    )
    before = admin.execute(count).fetchone()[0]
    script = f"""
import multiprocessing, os, threading
from gc3store import make_store
store = make_store({url!r}, table_name={table!r})
store.save([0])
threads = [threading.Thread(target=store.save, args=([n],)) for n in range(16)]
[t.start() for t in threads]; [t.join() for t in threads]
with multiprocessing.get_context("fork").Pool(3) as pool:
    pool.map(store.load, store.list()); pool.close(); pool.join()
pid = os.fork()
if pid == 0:
    store.save("child"); os._exit(0)
os.waitpid(pid, 0)
store.save("parent")
assert len(store) == 19, len(store)
store.close()
"""
    subprocess.run([sys.executable, "-W", "ignore", "-c", script], check=True, timeout=120)
    for _ in range(100):
        if admin.execute(count).fetchone()[0] == before:
            break
        time.sleep(0.1)
    assert admin.execute(count).fetchone()[0] == before
    admin.close()
