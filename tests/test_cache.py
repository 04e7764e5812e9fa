"""Files in the user's cache directory: what is damaged, of another version, or cannot be written."""

import os
import sqlite3

import pytest

from gc3store.support import cache
from gc3store.support.cache import CacheDatabase, CachedFile

SCHEMA = "CREATE TABLE word (word TEXT)"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def words(file):
    with file.connected() as connection:
        return [row[0] for row in connection.execute("SELECT word FROM word")]


def add(file, word):
    with file.connected() as connection:
        connection.execute("INSERT INTO word VALUES (?)", (word,))


class TestFiles:
    def test_content_is_read_again(self):
        assert CachedFile("kind", "a").read() is None
        CachedFile("kind", "a").write(b"one\ntwo")
        assert CachedFile("kind", "a").read() == b"one\ntwo"

    def test_other_keys_kinds_and_versions_have_nothing(self):
        CachedFile("kind", "a").write(b"one")
        for other in (CachedFile("kind", "b"), CachedFile("other", "a"), CachedFile("kind", "a", version=2)):
            assert other.read() is None

    def test_a_file_of_another_key_counts_as_missing(self):
        one, other = CachedFile("kind", "a"), CachedFile("kind", "b")
        one.write(b"one")
        os.rename(one.path, other.path)
        assert other.read() is None

    @pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data + b"x"])
    def test_a_damaged_file_counts_as_missing(self, damage):
        file = CachedFile("kind", "a")
        file.write(b"one")
        file.path.write_bytes(damage(file.path.read_bytes()))
        assert file.read() is None

    def test_without_a_place_nothing_is_kept(self, place):
        place.write_text("in the way")
        CachedFile("kind", "a").write(b"one")
        assert CachedFile("kind", "a").read() is None

    def test_a_failed_write_leaves_no_file(self):
        file = CachedFile("kind", "a")
        file.path.mkdir(parents=True)
        file.write(b"one")
        assert os.listdir(file.path.parent) == [file.path.name]

    def test_files_that_were_not_used_for_longest_make_room(self, monkeypatch):
        files = [CachedFile("kind", str(n)) for n in range(4)]
        for n, file in enumerate(files):
            file.write(b"x" * 1000)
            os.utime(file.path, (1e9 + n, 1e9 + n))
        assert files[0].read() is not None  # used again
        monkeypatch.setattr(cache, "MAX_BYTES", 3 * files[0].path.stat().st_size)
        CachedFile("kind", "new").write(b"x" * 1000)
        assert [file.path.exists() for file in files] == [True, False, False, True]


class TestDatabases:
    def test_rows_are_read_again(self):
        add(CacheDatabase("kind", "a", SCHEMA), "one")
        assert words(CacheDatabase("kind", "a", SCHEMA)) == ["one"]

    def test_a_file_of_another_version_is_deleted(self):
        add(CacheDatabase("kind", "a", SCHEMA), "one")
        assert words(CacheDatabase("kind", "a", SCHEMA, version=2)) == []

    def test_a_damaged_file_is_deleted(self):
        file = CacheDatabase("kind", "a", SCHEMA)
        add(file, "one")
        file.path.write_bytes(b"damaged" * 1000)
        assert words(file) == []

    def test_a_file_that_turns_out_damaged_is_deleted(self):
        file = CacheDatabase("kind", "a", SCHEMA)
        add(file, "one")
        with pytest.raises(ValueError, match="nonsense"), file.connected():
            raise ValueError("nonsense")
        assert not file.path.exists()

    def test_a_locked_file_is_an_error_and_stays(self):
        file = CacheDatabase("kind", "a", SCHEMA)
        add(file, "one")
        other = sqlite3.connect(file.path, isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            words(file)
        other.close()
        assert words(file) == ["one"]

    def test_without_a_place_it_is_an_error(self, place):
        place.write_text("in the way")
        with pytest.raises(OSError, match="cache"):
            CacheDatabase("kind", "a", SCHEMA).open()

    @pytest.mark.parametrize("keep", [False, True])
    def test_files_make_room_unless_they_are_kept(self, keep, monkeypatch):
        first = CacheDatabase("kind", "a", SCHEMA)
        add(first, "one")
        monkeypatch.setattr(cache, "MAX_BYTES", 1)
        add(CacheDatabase("kind", "b", SCHEMA, keep=keep), "two")
        assert first.path.exists() is keep
