"""What a reader of a directory remembers between two lists must never hide a change that came after it."""

from __future__ import annotations

import os
import time

import pytest

from gc3store import make_store
from gc3store.testing import Node

#: More records than are needed for the catalogue to be cached on disk.
MANY = 600
#: So long ago that no clock can still show the same time, in nanoseconds.
LONG = 60_000_000_000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "objects"


@pytest.fixture
def writer(path):
    with make_store(path, durable=False) as store:
        yield store


@pytest.fixture
def reader(path):
    with make_store(path, read_only=True) as store:
        yield store


def set_time(file, nanoseconds):
    os.utime(file, ns=(nanoseconds, nanoseconds))


def labels(store):
    return [record.name for record in store.records()]


class TestTwoChangesInOneTick:
    """A clock that stood still is imitated: the time of a later change is set to that of the earlier one."""

    def test_of_the_directory(self, path, writer, reader):
        ids = [writer.save([1])]
        for change in (
            lambda: ids.append(writer.save([2])),
            lambda: writer.update(ids[0], name="label"),
            lambda: writer.remove(ids.pop()),
        ):
            now = time.time_ns()
            set_time(path, now)
            assert len(reader.list()) == len(labels(reader)) == len(reader)
            change()
            set_time(path, now)
            assert reader.list() == ids
            assert len(reader) == len(ids)
            assert labels(reader) == [writer.describe(id_).name for id_ in ids]

    def test_of_a_file_that_looks_as_it_did(self, path, writer, reader):
        """Replaced until it has the inode number that it had, with the same size and the same time."""
        id_ = writer.save([1], name="label 000")
        file = path / f"{id_}.gc3"
        before = file.stat()
        assert labels(reader) == ["label 000"]
        for number in range(1, 100):
            writer.update(id_, name=f"label {number:03}")
            if file.stat().st_ino == before.st_ino:
                break
        else:
            pytest.skip("this file system gives no inode number a second time so soon")
        set_time(file, before.st_mtime_ns)
        assert file.stat().st_size == before.st_size
        assert labels(reader) == [writer.describe(id_).name] == [f"label {number:03}"]

    def test_of_a_catalogue_that_is_cached_on_disk(self, path, writer):
        ids = writer.save_many(range(MANY))
        now = time.time_ns()
        set_time(path, now)
        with make_store(path, read_only=True) as reader:
            assert reader.list() == ids
        writer.remove(ids.pop())
        ids.append(writer.save("another"))
        set_time(path, now)
        with make_store(path, read_only=True) as reader:
            assert reader.list() == ids
            assert [record.id for record in reader.records()] == ids


class TestUnchangedDirectories:
    """Files that are repaired or completed in place leave the time of their directory as it was."""

    @pytest.mark.parametrize("reopened", [False, True])
    @pytest.mark.parametrize("count", [2, MANY])
    def test_a_damaged_entry_is_read_again(self, path, writer, count, reopened):
        ids = writer.save_many(Node(n) for n in range(count))
        long_ago = time.time_ns() - LONG
        for id_ in ids:
            set_time(path / f"{id_}.gc3", long_ago)
        file = path / f"{ids[1]}.gc3"
        whole = file.read_bytes()
        file.write_bytes(whole[:70])
        set_time(path, long_ago)
        reader = make_store(path, read_only=True)
        assert [record.id for record in reader.records() if record.error] == [ids[1]]
        file.write_bytes(whole)
        assert path.stat().st_mtime_ns == long_ago
        if reopened:
            reader.close()
            reader = make_store(path, read_only=True)
        assert [record.error for record in reader.records() if record.error] == []
        assert reader.list(cls="Node") == ids
        assert reader.facets("error") == {None: count}
        reader.close()

    def test_what_is_whole_is_read_once(self, path, writer):
        """The other side of it: a file whose entry is known, and that is as it was, is not opened again."""
        writer.save_many(range(MANY))
        long_ago = time.time_ns() - LONG
        for file in path.glob("*.gc3"):
            set_time(file, long_ago)
        set_time(path, long_ago)
        with make_store(path, read_only=True) as reader:
            expected = reader.list()
        for file in path.glob("*.gc3"):
            status = file.stat()
            file.write_bytes(bytes(status.st_size))
            set_time(file, status.st_mtime_ns)
        set_time(path, long_ago + 1)  # some file was replaced, and by the files' own times none of these
        with make_store(path, read_only=True) as reader:
            assert reader.list() == expected
            assert [record.error for record in reader.records() if record.error] == []
