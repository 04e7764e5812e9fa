"""Looking at a database in a file changes nothing (C9), and is right whatever others do meanwhile."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from gc3store import ObjectNotFoundError, StoreUnavailableError, make_store
from gc3store.ids import number_of
from gc3store.testing import FreshProcess, Node, in_fresh_process
from tests.unprivileged import as_nobody

LOOKS = {
    "list": lambda store: store.list(),
    "sorted": lambda store: store.list(order="-size"),
    "search": lambda store: store.list(query="name1"),
    "count": lambda store: (len(store), store.count()),
    "facets": lambda store: store.facets("cls"),
    "find": lambda store: store.find("name1"),
    "describe": lambda store: store.describe("list.1"),
    "records": lambda store: list(store.records()),
    "table": lambda store: store.table(),
    "columns": lambda store: store.table(columns=["value", "size"]),
    "attributes": lambda store: store.attributes(),
    "inspect": lambda store: store.inspect("Node.4").value,
    "imports": lambda store: store.imports("Node.4"),
    "references": lambda store: (store.references("Node.4"), store.referrers("Node.5"), store.orphans()),
    "verify": lambda store: store.verify("list.1"),
    "export": lambda store: store.export("list.1"),
    "load": lambda store: (store.load("list.1"), store.load("Node.4"), store.load("ndarray.3")),
    "load_many": lambda store: list(store.load_many(["list.1", "Node.4", "ndarray.3"])),
    "shown": lambda store: (repr(store), store._repr_html_()),
    "browse": lambda store: _browse(store),
}


def _browse(store):
    from gc3store import browse

    return browse(store).table()


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "database" / "x.db"
    path.parent.mkdir()
    with make_store(f"sqlite:///{path}") as store:
        store.save([1], name="name1")
        store.save({"value": 2})
        store.save(np.zeros(200_000))  # in chunks
        store.save(Node("root", Node("leaf")))
    return path


def seen(path):
    """What is to be seen of a database: each file's bytes and time."""
    return {p.name: (p.read_bytes(), p.stat().st_mtime_ns) for p in path.parent.iterdir()}


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("how", LOOKS)
def test_no_trace_is_left(path, how, read_only):
    before = seen(path)
    with make_store(f"sqlite:///{path}", read_only=read_only) as store:
        LOOKS[how](store)
        while_open = seen(path)
        assert while_open["x.db"] == before["x.db"]
        assert set(while_open) <= {"x.db", "x.db-wal", "x.db-shm"}
    assert seen(path) == before


def test_a_store_that_looked_can_write(path):
    with make_store(f"sqlite:///{path}") as store:
        old = store.list()
        new = store.save("new")
        assert store.list() == [*old, new]
        assert store.load(new) == "new"
        store.remove(new)
    assert sorted(p.name for p in path.parent.iterdir()) == ["x.db"]


def test_what_a_killed_writer_left_is_seen_and_left_by_readers(path):
    code = f"""
        import os, signal
        from gc3store import make_store
        store = make_store("sqlite:///{path}")
        store.save("left behind")
        os.kill(os.getpid(), signal.SIGKILL)
    """
    done = subprocess.run([sys.executable, "-c", textwrap.dedent(code)])
    assert done.returncode == -signal.SIGKILL
    left = {name: path.with_name(name).read_bytes() for name in ("x.db", "x.db-wal")}
    assert left["x.db-wal"]
    for _ in range(2):
        with make_store(f"sqlite:///{path}", read_only=True) as store:
            assert store.load(store.list()[-1]) == "left behind"
            assert len(store.table()) == 6
        assert {name: path.with_name(name).read_bytes() for name in left} == left
    with make_store(f"sqlite:///{path}") as store:
        store.save("the next")
        assert store.load(store.list()[-2]) == "left behind"
    assert not path.with_name("x.db-wal").exists()


@pytest.mark.parametrize("read_only", [False, True])
def test_what_others_write_is_seen_at_once(path, read_only):
    with make_store(f"sqlite:///{path}", read_only=read_only) as looking:
        assert len(looking) == 5
        for i in range(5):
            with make_store(f"sqlite:///{path}") as writing:
                new = writing.save(i)
                assert looking.list()[-1] == new  # while it has the file open
                again = writing.save(i)
            assert looking.list()[-2:] == [new, again]  # after it has closed it
            assert looking.load(again) == i


@pytest.mark.parametrize("read_only", [False, True])
def test_readers_are_right_while_processes_come_write_and_go(path, read_only):
    """Each of them takes what it has written into the file when it ends, under the eyes of the readers."""
    finished = path.parent.parent / "finished"
    writer = FreshProcess(_come_and_go, str(path), str(finished))
    while not finished.exists():
        with make_store(f"sqlite:///{path}", read_only=read_only) as store:
            for _ in range(5):
                _look(store)
    assert writer.result() == 10


def _look(store):
    ids = store.list()
    records = list(store.records())
    assert [r.id for r in records[: len(ids)]] == ids
    assert sorted(set(ids)) == sorted(ids)
    root = store.load("Node.4")
    assert len(root.links) == 1
    assert root.value == "root" or root.value == root.links[0].value
    array = store.load("ndarray.3")
    assert (array == array[0]).all()
    for id_, obj in zip(ids[5:], store.load_many(ids[5:]), strict=True):
        assert obj == [id_.rpartition(".")[2]] * 5000


def _come_and_go(path, finished):
    try:
        for times in range(10):
            with make_store(f"sqlite:///{path}", durable=False) as store:
                for _ in range(5):
                    last = int(store.list()[-1].rpartition(".")[2])
                    store.save([str(last + 1)] * 5000)
                store.replace("ndarray.3", np.full(200_000, times))
                root = store.load("Node.4")
                root.value = root.links[0].value = times
                store.save(root)
            time.sleep(0.03 * (times % 4))
    finally:
        Path(finished).touch()
    return times + 1


@pytest.fixture
def closed_path():
    """A database in a directory that an ordinary user can read and cannot write."""
    if os.geteuid() != 0:
        pytest.skip("only the superuser can be another user for a while")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        closed = folder / "closed"
        closed.mkdir(mode=0o755)
        (folder / "open").mkdir()
        (folder / "open").chmod(0o777)
        with make_store(f"sqlite:///{closed}/x.db") as store:
            store.save([1], name="name1")
            store.save({"value": 2})
            store.save(np.zeros(200_000))
            store.save(Node("root", Node("leaf")))
        (closed / "x.db").chmod(0o644)
        yield closed / "x.db"


@pytest.mark.parametrize("read_only", [False, True])
@pytest.mark.parametrize("how", LOOKS)
def test_looking_where_the_directory_cannot_be_written(closed_path, how, read_only):
    with make_store(f"sqlite:///{closed_path}") as store:
        LOOKS[how](store)  # imports what an ordinary user may not read here
    before = seen(closed_path)
    answer = as_nobody(lambda: LOOKS[how](make_store(f"sqlite:///{closed_path}", read_only=read_only)))
    assert "Error" not in answer
    assert seen(closed_path) == before


def test_nothing_is_written_where_the_directory_cannot_be(closed_path):
    assert as_nobody(lambda: make_store(f"sqlite:///{closed_path}").save(1)).startswith("ReadOnlyError")


def test_what_is_committed_is_seen_where_the_directory_cannot_be_written(closed_path):
    writer = FreshProcess(_save_on_request, str(closed_path), 3)

    def look():
        store = make_store(f"sqlite:///{closed_path}")
        counts = [len(store.list())]
        for i in range(3):
            request(closed_path, i)
            counts.append(len(store.list()))
            counts.append(len(store.table()))
        return counts

    assert as_nobody(look) == "returned [5, 6, 6, 7, 7, 8, 8]"
    assert writer.result() == 3


def test_a_listing_that_a_change_interrupts_says_so(closed_path):
    with make_store(f"sqlite:///{closed_path}", durable=False) as store:
        store.save_many([i] for i in range(3000))
    writer = FreshProcess(_save_on_request, str(closed_path), 1)

    def look():
        store = make_store(f"sqlite:///{closed_path}")
        records = store.records()
        next(records)
        request(closed_path, 0)
        try:
            list(records)
        except StoreUnavailableError as error:
            return str(error)

    assert "was changed by another process while it was being read; try again" in as_nobody(look)
    assert writer.result() == 1


def request(path, number):
    """Ask the writer for a change, and wait until it is made."""
    folder = path.parent.parent / "open"
    (folder / f"{number}.wanted").touch()
    while not (folder / f"{number}.done").exists():
        time.sleep(0.005)


def _save_on_request(path, count):
    folder = Path(path).parent.parent / "open"
    for number in range(count):
        while not (folder / f"{number}.wanted").exists():
            time.sleep(0.005)
        with make_store(f"sqlite:///{path}") as store:
            store.save(number)
        (folder / f"{number}.done").touch()
    return count


def test_readers_of_a_closed_directory_are_right_while_processes_come_write_and_go(closed_path):
    finished = closed_path.parent.parent / "open" / "finished"
    writer = FreshProcess(_come_and_go, str(closed_path), str(finished))

    def look():
        looked = 0
        store = make_store(f"sqlite:///{closed_path}")
        while not finished.exists() or not looked:
            try:
                _look(store)
                looked += 1
            except StoreUnavailableError:  # in the middle of a change
                continue
        return looked > 0

    assert as_nobody(look) == "returned True"
    assert writer.result() == 10


def test_a_log_that_others_write_is_read_where_the_directory_cannot_be_written(closed_path):
    with make_store(f"sqlite:///{closed_path}") as store:
        new = store.save("new")
        for file in closed_path.parent.iterdir():
            file.chmod(0o644)
        answer = as_nobody(lambda: make_store(f"sqlite:///{closed_path}").load(new))
        assert answer == "returned 'new'"


def test_a_log_that_cannot_be_read_is_an_error_that_says_so(closed_path):
    with make_store(f"sqlite:///{closed_path}") as store:
        store.save("new")
        copies = {p.name: p.read_bytes() for p in closed_path.parent.iterdir() if not p.name.endswith("-shm")}
    for name, data in copies.items():
        closed_path.with_name(name).write_bytes(data)
    assert copies["x.db-wal"]
    for read_only in (False, True):
        answer = as_nobody(lambda r=read_only: make_store(f"sqlite:///{closed_path}", read_only=r).list())
        assert answer.startswith("StoreUnavailableError: The write-ahead log")


def _save_elsewhere(url):
    with make_store(url) as store:
        return store.save("elsewhere")


@pytest.mark.parametrize("first", ["store", "load_many", "path", "gc3pie"])
def test_looking_takes_no_locks_away(path, first):
    """Closing a file takes away all locks of the process on it: others would think that nobody is there."""
    url = f"sqlite:///{path}"
    with make_store(url) as store:
        if first == "load_many":
            for _ in range(20):
                store.save({"value": 2})
            store.close()
    with make_store(url) as store:
        if first == "load_many":
            list(store.load_many([id_ for id_ in store.list() if id_.startswith("dict")]))
            thread = threading.Thread(target=store.list)
            thread.start()
            thread.join()
        else:
            store.save("begun")
            looking = make_store(str(path) if first == "path" else url)
            looking.list()
            looking.close()
        others = [in_fresh_process(_save_elsewhere, url)]
        mine = store.save("mine")
        others.append(in_fresh_process(_save_elsewhere, url))
        assert len({number_of(id_) for id_ in (*others, mine)}) == 3
        assert in_fresh_process(_list, url) == store.list()
        assert {*others, mine} <= set(store.list())


def _list(url):
    with make_store(url) as store:
        return store.list()


@pytest.mark.parametrize("data", [b"", b"hello" * 1000, b"SQLite format 4\0" * 100])
def test_a_file_that_is_not_a_database(tmp_path, data):
    file = tmp_path / "file"
    file.write_bytes(data)
    with pytest.raises(StoreUnavailableError, match="neither a directory"):
        make_store(str(file)).list()
    assert file.read_bytes() == data


def test_a_damaged_database_is_one(path):
    data = path.read_bytes()
    path.write_bytes(data[:100] + b"\xff" * 4000)
    with pytest.raises(StoreUnavailableError, match="damaged"):
        make_store(str(path)).list()


def test_an_undo_puts_back_what_was_there_last(path):
    url = f"sqlite:///{path}"
    with make_store(url) as store, make_store(url) as other:
        assert len(store) == 5
        other.replace("dict.2", {"value": "new"})
        data = store.export("dict.2")
        store.remove("dict.2")
        assert store.restore(data) == "dict.2"
        assert store.load("dict.2") == {"value": "new"}


@pytest.mark.parametrize("count", [3, 1500])
@pytest.mark.parametrize("idle", [True, False])
def test_what_happens_between_two_records_hinders_no_looking(tmp_path, count, idle):
    url = f"sqlite:///{tmp_path}/x.db"
    with make_store(url, durable=False) as store:
        ids = store.save_many([i] for i in range(count))
    others = [] if idle else [make_store(url)]
    if others:
        others[0].save("in use")
        ids = others[0].list()
    for act in (
        lambda store, id_: store.update(id_, tags=["seen"]),
        lambda store, id_: in_fresh_process(_save_elsewhere, url),
        lambda store, id_: list(store.load_many(store.list(limit=50))),
    ):
        with make_store(url, durable=False) as store:
            seen = []
            for record in store.records():
                seen.append(record.id)
                if record.id == ids[1]:
                    act(store, record.id)
            assert seen == ids
            ids = store.list()
    for other in others:
        other.close()


def test_a_link_to_a_database(path, tmp_path):
    link = tmp_path / "link.db"
    link.symlink_to(path)
    with make_store(f"sqlite:///{path}") as store, make_store(f"sqlite:///{link}") as other:
        for _ in range(3):
            id_ = store.save("by the other way")
            assert other.list()[-1] == id_
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith("link")] == ["link.db"]


def test_a_database_that_is_gone_stays_so(path):
    with make_store(f"sqlite:///{path}") as store:
        assert len(store) == 5
        store.pre_fork()
        path.unlink()
        with pytest.raises(StoreUnavailableError, match="no file"):
            store.list()
        assert not path.exists()


def test_a_number_alone_is_not_the_id_of_a_record(path):
    with make_store(f"sqlite:///{path}") as store:
        assert "3" not in store
        with pytest.raises(ObjectNotFoundError):
            store.describe("3")
        with pytest.raises(ObjectNotFoundError):
            store.remove("3")
