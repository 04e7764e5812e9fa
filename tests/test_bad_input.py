"""Bad input: the error of the tree that says what to do, and nothing stored is changed."""

from __future__ import annotations

import os
import socket
import sqlite3
import threading

import pytest

import gc3store
from gc3store import (
    CorruptRecordError,
    FilesystemStore,
    InvalidQueryError,
    InvalidURLError,
    ObjectNotFoundError,
    OptionError,
    Persistable,
    ReadOnlyError,
    SchemaVersionError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    UnknownSchemeError,
    UnpicklableError,
    errors,
    make_store,
)
from gc3store.testing import Node, Point, in_fresh_process

from .conftest import place_in
from .unprivileged import as_nobody, mounted, remount


class TestLocations:
    @pytest.mark.parametrize("uri", ["nosuch://x", "flie:///tmp/x", "gopher+x://y", "s3://bucket/x"])
    def test_an_unknown_scheme_lists_the_known_ones(self, uri):
        with pytest.raises(UnknownSchemeError, match=r"did you mean|there are .*file:.*sqlite:") as caught:
            make_store(uri)
        assert isinstance(caught.value, ValueError)
        assert caught.value.scheme == uri.partition(":")[0].partition("+")[0]
        assert {"file", "sqlite", "postgresql"} <= set(caught.value.known)

    @pytest.mark.parametrize("uri", ["", "\0", "/tmp/a\0b", "file://", "sqlite://", "sqlite:///:memory:"])
    def test_what_is_no_location_is_refused(self, uri):
        with pytest.raises(InvalidURLError):
            make_store(uri)

    @pytest.mark.parametrize("uri", [None, 3, b"/tmp/x", ["/tmp"]])
    def test_what_is_no_text_is_refused(self, uri):
        with pytest.raises(InvalidURLError, match="URL or a path"):
            make_store(uri)

    def test_a_host_in_a_file_url_is_refused(self):
        with pytest.raises(InvalidURLError, match="three slashes"):
            make_store("file://tmp/x")

    def test_a_file_that_is_no_database(self, tmp_path):
        file = tmp_path / "notes.txt"
        file.write_text("dear diary " * 100)
        with pytest.raises(StoreUnavailableError, match="neither a directory nor"):
            make_store(file)
        with pytest.raises(StoreUnavailableError, match="is not a database"):
            make_store(f"sqlite:///{file}").save(1)
        assert file.read_text() == "dear diary " * 100
        assert os.listdir(tmp_path) == ["notes.txt"]

    def test_a_directory_is_no_database(self, tmp_path):
        with pytest.raises(StoreUnavailableError, match="is a directory"):
            make_store(f"sqlite:///{tmp_path}")

    def test_a_database_in_a_directory_that_is_not_there(self, tmp_path):
        with pytest.raises(StoreUnavailableError, match="create it"):
            make_store(f"sqlite:///{tmp_path}/missing/x.db")

    def test_a_directory_below_a_file(self, tmp_path):
        (tmp_path / "file").write_text("x")
        with pytest.raises(StoreUnavailableError):
            make_store(tmp_path / "file" / "below").save(1)
        with pytest.raises(StoreUnavailableError):
            make_store(f"sqlite:///{tmp_path}/file/x.db").save(1)

    def test_somebody_elses_database_is_left_alone_by_looking(self, tmp_path):
        file = tmp_path / "theirs.db"
        with sqlite3.connect(file) as connection:
            connection.execute("CREATE TABLE theirs (x)")
        connection.close()
        before = file.read_bytes()
        store = make_store(file)
        assert store.list() == []
        assert (len(store), "Point.1" in store) == (0, False)
        with pytest.raises(ObjectNotFoundError):
            store.load("Point.1")
        store.close()
        assert file.read_bytes() == before


class TestNothingIsCreated:
    def test_by_opening_and_looking(self, place):
        store = place.open()
        assert store.list() == []
        assert (len(store), list(store), "Point.1" in store, store.find("x")) == (0, [], False, [])
        assert store.table().empty
        assert store.facets("cls") == {}
        repr(store), store._repr_html_(), store.orphans()
        for call in (store.load, store.describe, store.verify, store.references, store.referrers):
            with pytest.raises(ObjectNotFoundError):
                call("Point.1")
        assert not place.path.exists()

    def test_by_changing_what_is_not_there(self, place):
        store = place.open()
        for call in (
            lambda: store.remove("Point.1"),
            lambda: store.replace("Point.1", 1),
            lambda: store.update("Point.1", name="x"),
            lambda: store.remove_many(["Point.1"]),
        ):
            with pytest.raises(ObjectNotFoundError):
                call()
        assert not place.path.exists()

    def test_by_an_unpicklable_first_object(self, place):
        with pytest.raises(UnpicklableError):
            place.open().save(x for x in "abc")
        assert not place.path.exists()

    def test_by_a_store_opened_read_only(self, place):
        store = place.open(read_only=True)
        assert store.list() == []
        with pytest.raises(ReadOnlyError, match="read_only"):
            store.save(1)
        assert not place.path.exists()


class TestReadOnly:
    def test_everything_but_looking_is_refused(self, place):
        with place.open() as writing:
            id_ = writing.save(Point(1), name="n")
        before = place.bytes()
        store = place.open(read_only=True)
        for call in (
            lambda: store.save(2),
            lambda: store.save_many([2]),
            lambda: store.replace(id_, 2),
            lambda: store.update(id_, name="x"),
            lambda: store.remove(id_),
            lambda: store.remove_many([id_]),
            lambda: store.transaction().__enter__(),
            lambda: store.restore(store.export(id_)),
        ):
            with pytest.raises(ReadOnlyError, match="read_only=True") as caught:
                call()
            assert isinstance(caught.value, PermissionError)
        assert store.load(id_) == Point(1)
        assert (store.list(), store.describe(id_).name) == ([id_], "n")
        store.close()
        assert place.bytes() == before

    def test_without_the_permission_to_create(self, tmp_path):
        tmp_path.chmod(0o755)
        for kind in ("directory", "sqlite"):
            folder = tmp_path / kind
            folder.mkdir(mode=0o755)
            place = place_in(folder, kind)
            answer = as_nobody(lambda place=place: make_store(place.url).save(1))
            assert answer.partition(":")[0] in ("ReadOnlyError", "StoreUnavailableError"), answer
            assert not place.path.exists()

    def test_without_the_permission_to_read(self, place):
        with place.open() as writing:
            id_ = writing.save(Point(1))
        target = place.path if place.kind == "sqlite" else place.path / f"{id_}.gc3"
        target.chmod(0)
        answer = as_nobody(lambda: make_store(place.url).load(id_))
        assert answer.partition(":")[0] in ("ReadOnlyError", "StoreUnavailableError"), answer
        assert "permission" in answer or "unable to open" in answer
        target.chmod(0o644)
        assert place.open().load(id_) == Point(1)

    @pytest.mark.parametrize("kind", ["directory", "sqlite"])
    def test_on_a_file_system_that_is_mounted_read_only(self, tmp_path, kind):
        with mounted(tmp_path / "disk", "size=4m") as disk:
            place = place_in(disk, kind)
            with place.open() as writing:
                id_ = writing.save(Point(1))
            remount(disk, "ro")
            for options in ({"read_only": True}, {}):
                with make_store(place.url, **options) as store:
                    assert (store.load(id_), store.list()) == (Point(1), [id_])
            store = place.open()
            for call in (
                lambda: store.save(2),
                lambda: store.replace(id_, 2),
                lambda: store.update(id_, name="x"),
                lambda: store.remove(id_),
            ):
                with pytest.raises(ReadOnlyError):
                    call()
            assert (store.load(id_), store.list()) == (Point(1), [id_])
            store.close()


class TestFullDisk:
    def test_a_transaction_that_an_error_has_undone_stays_undone(self, tmp_path):
        with mounted(tmp_path / "disk", "size=2m") as disk, place_in(disk, "sqlite").open() as store:
            kept = store.save(Point(1, 2))
            before, after = Node("before"), Node("after")
            undone = pytest.raises(StoreUnavailableError, match=r"undone this transaction.*no space left")
            with undone, store.transaction():
                store.save(before)
                with pytest.raises(StoreFullError):
                    store.save(Node("large", Node(os.urandom(5_000_000))))
                for call in (lambda: store.save(after), store.list, lambda: store.load(kept)):
                    with pytest.raises(StoreUnavailableError, match="undone this transaction"):
                        call()
            assert store.list() == [kept]
            assert not any(hasattr(node, "persistent_id") for node in (before, after))
            with store.transaction():  # nothing was done yet: nothing is undone by it
                with pytest.raises(StoreFullError):
                    store.save(Node("large", Node(os.urandom(5_000_000))))
                id_ = store.save(after)
            assert store.list() == [kept, id_]

    def test_who_wrote_it_is_known_also_where_the_first_try_failed(self, tmp_path):
        with mounted(tmp_path / "disk", "size=2m") as disk, place_in(disk, "sqlite").open() as store:
            with store.transaction():
                with pytest.raises(StoreFullError):
                    store.save(Node("large", Node(os.urandom(5_000_000))))
                id_ = store.save(Point(1, 2))
            assert store.describe(id_).origin["python"]
            assert store.describe(store.save(Point(3))).origin["python"]

    @pytest.mark.parametrize("kind", ["directory", "sqlite"])
    def test_what_was_stored_is_intact_and_work_goes_on(self, tmp_path, kind):
        with mounted(tmp_path / "disk", "size=2m") as disk:
            place = place_in(disk, kind)
            store = place.open()
            kept = store.save(Point(1, 2))
            node = Node(os.urandom(1000))
            node_id = store.save(node)
            ids = [kept, node_id]
            with pytest.raises(StoreFullError, match=r"no space left.*Make room") as caught:
                for _ in range(1000):
                    ids.append(store.save(os.urandom(50_000)))
            assert isinstance(caught.value, OSError)
            assert caught.value.cause is not None
            for large in (os.urandom(100_000), os.urandom(5_000_000)):
                unsaved = Point(large)
                with pytest.raises(StoreFullError):
                    store.save(unsaved)
                assert not hasattr(unsaved, "persistent_id")
                with pytest.raises(StoreFullError):
                    store.replace(kept, large)
                with pytest.raises(StoreFullError):
                    store.save_many([1, large])
                old, node.value = node.value, large
                with pytest.raises(StoreFullError):
                    store.save(node)
                node.value = old
            # In a directory each record is a step, so that those before the large one may be there.
            alone = [id_ for id_ in store.list() if id_.startswith("int.")] if kind == "directory" else []
            assert [store.load(id_) for id_ in alone] == [1] * len(alone)
            assert [id_ for id_ in store.list() if id_ not in alone] == ids
            ids += alone
            assert in_fresh_process(_load_all, place.url) == len(ids)
            if kind == "sqlite":
                remount(disk, "size=4m")  # a database must write in order to remove
            for id_ in ids[2:]:
                store.remove(id_)
            later = store.save("room again")
            assert store.save(node) == node_id
            assert store.load(kept) == Point(1, 2)
            assert int(later.rpartition(".")[2]) > int(ids[-1].rpartition(".")[2])
            store.close()


def _load_all(url):
    with make_store(url) as store:
        for id_ in store.list():
            store.verify(id_)
            store.load(id_)
        return len(store)


class TestUnpicklable:
    @pytest.mark.parametrize(
        ("make", "path"),
        [
            (lambda bad: bad, "obj"),
            (lambda bad: [1, bad], "obj[1]"),
            (lambda bad: {"raw": {"x": (bad,)}}, "obj['raw']['x'][0]"),
            (lambda bad: Point([Point(bad)]), "obj.x[0].x"),
            (lambda bad: Node({"log": bad}), "obj.value['log']"),
        ],
    )
    @pytest.mark.parametrize("bad", ["generator", "lock", "socket", "connection"])
    def test_the_path_of_the_culprit_is_named(self, store, make, path, bad):
        culprit = {
            "generator": lambda: (x for x in "abc"),
            "lock": threading.Lock,
            "socket": socket.socket,
            "connection": lambda: sqlite3.connect(":memory:"),
        }[bad]()
        with pytest.raises(UnpicklableError) as caught:
            store.save(make(culprit))
        assert caught.value.path == path
        assert f"{path} is a" in str(caught.value)
        assert type(culprit).__name__ in str(caught.value)
        assert store.list() == []
        if hasattr(culprit, "close"):
            culprit.close()

    def test_a_culprit_in_another_record_of_the_graph(self, store):
        root = Node("root", Node("child", Node(x for x in "abc")))
        with pytest.raises(UnpicklableError, match="generator") as caught:
            store.save(root)
        assert caught.value.path == "obj.links[0].links[0].value"

    def test_an_error_of_the_users_own_is_the_cause(self, store):
        class Own(Persistable):
            def __getstate__(self):
                raise ZeroDivisionError("their own mistake")

        with pytest.raises(UnpicklableError, match="their own mistake") as caught:
            store.save({"a": Own()})
        assert isinstance(caught.value.cause, ZeroDivisionError)

    def test_what_is_nested_too_deeply_says_what_to_do(self, store):
        deep = []
        for _ in range(200_000):
            deep = [deep]
        with pytest.raises(UnpicklableError, match="Persistable"):
            store.save(deep)
        while deep:
            deep = deep.pop()
        assert store.list() == []


class TestOptions:
    @pytest.mark.parametrize("ask", ["records", "count", "facets"])
    def test_what_is_no_query(self, store, ask):
        store.save([1])
        with pytest.raises(OptionError, match="'cls:list' is not a query; make one"):
            getattr(store, ask)(*["cls"] * (ask == "facets"), "cls:list")

    @pytest.mark.parametrize("options", [{"protcol": 3}, {"protocol": 0}, {"durabel": False}, {"timeout": 3}])
    def test_a_misspelt_or_inapplicable_option_of_a_directory(self, tmp_path, options):
        with pytest.raises(OptionError, match=next(iter(options))) as caught:
            make_store(tmp_path / "objects", **options)
        assert isinstance(caught.value, TypeError)
        with pytest.raises(TypeError):
            FilesystemStore(tmp_path / "objects", **options)

    @pytest.mark.parametrize(
        ("method", "arguments", "options", "said"),
        [
            ("save", (1,), {"nmae": "x"}, "unexpected keyword argument 'nmae'"),
            ("save_many", ([1],), {"name": "x"}, "unexpected keyword argument 'name'"),
            ("load", ("list.1",), {"frehs": True}, "unexpected keyword argument 'frehs'"),
            ("replace", ("list.1", 2), {"expectd": 1}, "unexpected keyword argument 'expectd'"),
            ("replace", ("list.1", 2), {"expected": "one"}, "number"),
            ("remove", ("list.1",), {"recursiv": True}, "unexpected keyword argument 'recursiv'"),
            ("update", ("list.1",), {"tag": "x"}, "unexpected keyword argument 'tag'"),
            ("restore", (3,), {}, "export"),
            ("remove", (), {}, "missing 1 required positional argument"),
        ],
    )
    def test_calls_that_do_not_fit_a_method(self, store, method, arguments, options, said):
        assert store.save([1]) == "list.1"
        with pytest.raises(TypeError, match=said):
            getattr(store, method)(*arguments, **options)
        assert store.list() == ["list.1"]
        assert store.load("list.1") == [1]
        assert store.describe("list.1").revision == 1

    def test_an_error_within_a_call_stays_what_it_is(self, store):
        def fail(obj):
            raise TypeError("of the object itself")

        class Odd(Persistable):
            __reduce__ = fail

        with pytest.raises(UnpicklableError) as caught:
            store.save(Odd())
        assert type(caught.value.cause) is TypeError

    def test_warnings_point_at_who_called(self, store):
        child = Node(1)
        store.save(Node(2, child))
        with pytest.warns(errors.DanglingReferenceWarning) as caught:
            store.remove(child.persistent_id)
        with pytest.warns(errors.StoreWarning) as more:
            store.table(columns=["nothing_like_it"])
        assert {warning.filename for warning in (*caught, *more)} == {__file__}

    @pytest.mark.parametrize("options", [{"durable": "no"}, {"read_only": 1}, {"read_only": None}])
    def test_what_is_neither_true_nor_false(self, place, options):
        with pytest.raises(OptionError, match="True or False"):
            place.open(**options)

    @pytest.mark.parametrize("timeout", ["soon", -1, None, float("nan")])
    def test_what_is_no_time(self, tmp_path, timeout):
        with pytest.raises(OptionError, match="number of seconds"):
            make_store(f"sqlite:///{tmp_path}/x.db", timeout=timeout)

    def test_a_misspelt_option_of_a_database(self, tmp_path):
        with pytest.raises(OptionError, match=r"tabel_name.*did you mean 'table_name'"):
            make_store(f"sqlite:///{tmp_path}/x.db", tabel_name="x")

    @pytest.mark.parametrize("name", ["x; DROP TABLE y", "", "1x", "x" * 80, 'a"b'])
    def test_table_names_are_checked(self, tmp_path, name):
        with pytest.raises(OptionError, match="table"):
            make_store(f"sqlite:///{tmp_path}/x.db", table_name=name)

    @pytest.mark.parametrize(
        "filters",
        [
            {"stat": "NEW"},
            {"limit": -1},
            {"limit": "x"},
            {"order": "nosuch"},
            {"query": "nosuch:1"},
            {"offset": -1},
        ],
    )
    def test_bad_filters(self, store, filters):
        store.save(1)
        for call in (store.list, store.table):
            with pytest.raises(InvalidQueryError) as caught:
                call(**filters)
            if "stat" in filters:
                assert isinstance(caught.value, OptionError)
                assert "did you mean 'state'" in str(caught.value)

    @pytest.mark.parametrize(
        "options",
        [
            {"name": 3},
            {"tags": "abc"},
            {"tags": [1]},
            {"tags": 3},
            {"origin": {"x": object()}},
            {"prefix": "a b"},
            {"prefix": "../x"},
            {"name": "\udc80"},
            {"tags": ["\udc80"]},
        ],
    )
    def test_bad_labels(self, store, options):
        with pytest.raises(errors.UsageError):
            store.save(Point(), **options)
        assert store.list() == []

    @pytest.mark.parametrize(
        "name", ["", " ", "a/b", "..", "x" * 5000, "Zürich \N{SNOWMAN}", "a\0b", "%_'\""]
    )
    def test_any_text_is_a_name(self, store, place, name):
        id_ = store.save(1, name=name, tags=[name])
        assert store.find(name) == ([id_] if name else [])
        assert store.list(tags=name) == store.list(name=name or None) == [id_]
        assert place.open().describe(id_).name == (name or None)


class TestDamage:
    """A truncated or foreign record: listed with the reason, in nobody's way (C10)."""

    @staticmethod
    def damaged(place, id_, how):
        if place.kind == "directory":
            file = place.path / f"{id_}.gc3"
            data = bytearray(file.read_bytes())
            file.write_bytes(how(data))
        else:
            with sqlite3.connect(place.path) as connection:
                number = int(id_.rpartition(".")[2])
                (data,) = connection.execute(
                    "SELECT data FROM gc3store_payload WHERE number = ?", (number,)
                ).fetchone()
                connection.execute(
                    "UPDATE gc3store_payload SET data = ? WHERE number = ?", (how(bytearray(data)), number)
                )
            connection.close()

    @pytest.mark.parametrize(
        "how",
        [
            lambda data: bytes(data) + b"x",
            lambda data: bytes(data[:-9]) + bytes([data[-9] ^ 1]) + bytes(data[-8:]),
        ],
        ids=["too long", "one bit flipped"],
    )
    def test_what_only_lengths_and_checksums_tell(self, place, how):
        with place.open() as writing:
            ids = writing.save_many([Point(1), {"damaged": list(range(99))}, Point(3)])
            refers = writing.save(Node("refers", Node("whole")))
        self.damaged(place, ids[1], how)
        store = place.open()
        assert store.list()[:3] == ids
        for call in (store.load, store.verify):
            with pytest.raises(CorruptRecordError) as caught:
                call(ids[1])
            assert caught.value.id == ids[1]
            assert ids[1] in str(caught.value)
        store.describe(ids[1])
        assert list(store.load_many([ids[0], ids[2]])) == [Point(1), Point(3)]
        assert store.load(refers).links[0].value == "whole"
        assert len(store.table()) == 5
        store.replace(ids[1], "whole again")
        assert store.load(ids[1]) == "whole again"
        self.damaged(place, ids[1], how)
        store.remove(ids[1])
        assert ids[1] not in store.list()

    @pytest.mark.parametrize(
        "how", [lambda d: bytes(d[:-1]), lambda d: bytes(d[:20]), lambda d: b"", lambda d: b"x" * 99]
    )
    def test_is_listed_with_the_reason_where_looking_can_tell(self, place, how):
        with place.open() as writing:
            id_ = writing.save({"a": list(range(99))})
        self.damaged(place, id_, how)
        store = place.open()
        if place.kind == "sqlite":
            pytest.skip("looking reads no payloads, and the catalogue is whole: verify() tells")
        assert "damaged" in store.describe(id_).error
        assert [r.error is not None for r in store.records()] == [True]
        assert store.table(columns=["error"]).notna().all().all()

    def test_a_large_payload_that_is_gone_or_damaged(self, place):
        with place.open() as writing:
            id_ = writing.save({"large": os.urandom(3_000_000)})
            other = writing.save("other")
        if place.kind == "directory":
            (file,) = (place.path / ".gc3store" / "data").iterdir()
            whole = file.read_bytes()
            spoil = [
                lambda: file.write_bytes(whole[:-1]),
                lambda: file.write_bytes(whole[:-1] + b"x"),
                file.unlink,
            ]
        else:

            def execute(statement):
                with sqlite3.connect(place.path) as connection:
                    connection.execute(statement)
                connection.close()

            spoil = [
                lambda: execute("UPDATE gc3store_chunk SET data = zeroblob(length(data)) WHERE position = 1"),
                lambda: execute("DELETE FROM gc3store_chunk WHERE position = 1"),
                lambda: execute("DELETE FROM gc3store_chunk"),
            ]
        for damage in spoil:
            damage()
            store = place.open()
            for call in (store.load, store.verify):
                with pytest.raises(CorruptRecordError) as caught:
                    call(id_)
                assert caught.value.id == id_
            assert store.load(other) == "other"
            store.describe(id_)
            store.close()
        store = place.open()
        store.remove(id_)
        assert store.list() == [other]

    def test_a_large_record_that_does_not_say_any_more_where_its_payload_is(self, tmp_path):
        with make_store(tmp_path) as store:
            id_, other = store.save_many([os.urandom(3_000_000), os.urandom(2_000_000)])
            (tmp_path / f"{id_}.gc3").write_bytes(b"lost")
            data = store.export(id_)
            assert len(data) > 3_000_000
            store.remove(id_)
            assert [name.partition("-")[0] for name in os.listdir(tmp_path / ".gc3store" / "data")] == [other]
            assert store.restore(data) == id_
            assert store.export(id_)[-3_000_000:] == data[-3_000_000:]
            assert "cut off" in store.describe(id_).error
            assert store.list() == [id_, other]

    def test_files_that_are_not_ours_are_ignored(self, tmp_path):
        with make_store(tmp_path) as store:
            id_ = store.save(1)
            for name in (
                "README",
                "x.gc3",
                "Point.1.gc3~",
                ".Point.1.gc3",
                "Point.01.gc3",
                "Point.1.pickle",
                "a b.1.gc3",
            ):
                (tmp_path / name).write_text("theirs")
            (tmp_path / "subfolder").mkdir()
            assert store.list() == [id_]
            assert len(store.table()) == 1
            assert (tmp_path / "README").read_text() == "theirs"

    def test_a_symbolic_link_out_of_the_store_is_not_followed_to_write(self, tmp_path):
        outside = tmp_path / "outside"
        outside.write_text("theirs")
        with make_store(tmp_path / "objects") as store:
            store.save(1)
            (tmp_path / "objects" / "Point.9.gc3").symlink_to(outside)
            store.replace("Point.9", 2)
            assert outside.read_text() == "theirs"
            assert store.load("Point.9") == 2

    def test_a_store_written_by_a_newer_release_is_refused_for_writing_only(self, place):
        with place.open() as writing:
            id_ = writing.save(Point(1))
        if place.kind == "directory":
            file = place.path / ".gc3store" / "store.json"
            file.write_text(file.read_text().replace('"version": 1', '"version": 99'))
        else:
            with sqlite3.connect(place.path) as connection:
                connection.execute("UPDATE gc3store_meta SET version = 99")
            connection.close()
        store = place.open()
        assert (store.load(id_), store.list()) == (Point(1), [id_])
        for call in (lambda: store.save(1), lambda: store.remove(id_), lambda: store.update(id_, name="x")):
            with pytest.raises(SchemaVersionError, match="upgrade"):
                call()

    def test_a_damaged_description_of_the_store(self, tmp_path):
        with make_store(tmp_path) as store:
            store.save(1)
        (tmp_path / ".gc3store" / "store.json").write_text("{")
        with pytest.raises(StoreUnavailableError, match=r"store\.json is damaged"):
            make_store(tmp_path)

    def test_a_record_with_a_damaged_entry_can_be_replaced(self, tmp_path):
        with make_store(tmp_path) as store:
            id_ = store.save([1], name="kept")
            file = tmp_path / f"{id_}.gc3"
            data = file.read_bytes()
            assert data.count(b'"name"') == 1
            file.write_bytes(data.replace(b'"name"', b"\xffname\xff"))  # no JSON any more
            store.replace(id_, [2])
            assert store.load(id_) == [2]
            assert store.describe(id_).error is None


def test_a_database_in_a_file_has_no_host(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for url in ("sqlite://jobs.db", "sqlite://somebody:secret@host/jobs.db"):
        with pytest.raises(gc3store.InvalidURLError, match="three slashes"):
            make_store(url)
    assert list(tmp_path.iterdir()) == []


def test_everything_in_all_is_there():
    for name in gc3store.__all__:
        assert getattr(gc3store, name) is not None
    tree = [getattr(errors, n) for n in errors.__all__ if n.endswith("Error")]
    assert all(issubclass(cls, StoreError) for cls in tree)
