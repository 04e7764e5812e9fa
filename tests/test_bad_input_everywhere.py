"""Bad input to every kind of store: an error of the tree that says what to do, and all that is stored as it was."""

from __future__ import annotations

import os
import pickle
import re
import sys
import warnings
from contextlib import contextmanager, suppress

import pytest

from gc3store import Store, make_store
from gc3store.errors import (
    CorruptRecordError,
    DanglingReferenceWarning,
    InvalidIdError,
    MissingDependencyError,
    ObjectNotFoundError,
    OptionError,
    StoreError,
    StoreFullError,
    StoreUnavailableError,
    UnknownSchemeError,
    UnpicklableError,
)
from gc3store.testing import Bomb, in_fresh_process
from tests.grounds import GROUNDS, ServerGround
from tests.servers import database
from tests.unprivileged import mounted

SERVERS = ("postgresql", "mariadb")
LOCAL = tuple(kind for kind in GROUNDS if kind not in SERVERS)


@pytest.fixture(scope="module")
def postgresql(tmp_path_factory):
    with database("postgresql") as url:
        ground = GROUNDS["postgresql"](tmp_path_factory.mktemp("server") / "place", url)
        yield ground
        ground.leave()


@pytest.fixture(scope="module")
def mariadb(tmp_path_factory):
    with database("mariadb") as url:
        ground = GROUNDS["mariadb"](tmp_path_factory.mktemp("server") / "place", url)
        yield ground
        ground.leave()


@pytest.fixture(params=[pytest.param(k, marks=[pytest.mark.server] * (k in SERVERS)) for k in GROUNDS])
def ground(request, tmp_path, monkeypatch):
    """Each kind of store, with something in it."""
    monkeypatch.setenv("GC3PIE_ID_FILE", str(tmp_path / "ids" / "next_id.txt"))
    monkeypatch.setenv("HOME", str(tmp_path))
    if request.param in SERVERS:  # where making tables takes longer than all else
        ground = request.getfixturevalue(request.param)
        ground.fill()
    else:
        ground = GROUNDS[request.param](tmp_path / "place")
    yield ground
    ground.close()


@contextmanager
def unchanged(ground):
    """Check that all that is stored is as before, and can be loaded."""
    before = ground.content()
    assert before
    yield
    assert ground.content() == before
    with make_store(ground.url) as store:
        for id_ in ground.ids:
            assert store.load(id_) is not None
    assert ground.content() == before


def calls_with(store, id_, ground):
    """Return all ways to name a record."""
    every = {
        "load": lambda: store.load(id_),
        "replace": lambda: store.replace(id_, ground.fresh(9)),
        "remove": lambda: store.remove(id_),
        "remove_many": lambda: store.remove_many([id_]),
        "load_many": lambda: list(store.load_many([id_])),
        "store[]": lambda: store[id_],
        "store[] =": lambda: store.__setitem__(id_, ground.fresh(9)),
        "del store[]": lambda: store.__delitem__(id_),
    }
    for name in (
        "describe",
        "export",
        "verify",
        "inspect",
        "references",
        "referrers",
        "imports",
    ):
        if hasattr(store, name) and (not hasattr(Store, name) or store.offers(name)):
            every[name] = lambda name=name: getattr(store, name)(id_)
    if store.offers("update"):
        every["update"] = lambda: store.update(id_, name="label")
    return every


def test_a_misspelt_scheme(ground):
    scheme, colon, rest = ground.url.partition(":")
    with unchanged(ground), pytest.raises(UnknownSchemeError, match=f"did you mean '{scheme}:'") as caught:
        make_store(f"{scheme[:-2]}{scheme[-1]}{scheme[-2]}{colon}{rest}")
    assert {scheme, "file", "sqlite"} <= set(caught.value.known)


def _without(module, url, call):
    """Return what a call raises where a module, and what depends on it here, is not there."""
    gone = (module, "gc3store.sql", "gc3store.gc3pie")
    for name in [n for n in sys.modules if n.startswith(gone)]:
        del sys.modules[name]
    sys.modules[module] = None
    try:
        call(url)
    except StoreError as error:
        return error


def test_a_package_that_is_not_installed(ground):
    if ground.url.startswith("minimal"):
        pytest.skip("what it needs is the business of its package; see the tests of entry points")
    module, call = ground.needed
    with unchanged(ground):
        error = in_fresh_process(_without, module, ground.url, call)
    assert type(error) is MissingDependencyError
    assert "pip install 'gc3store[" in str(error)


def test_a_store_that_cannot_be_reached(ground):
    store = ground.open()
    with unchanged(ground):
        with ground.out_of_reach() as said, pytest.raises(StoreUnavailableError, match=said):
            make_store(ground.url).save(ground.fresh(1))
        assert store.load(ground.ids[0]) is not None


def _remove(id_):
    def remove(store):
        with suppress_dangling():
            store.remove(id_)

    return remove


def test_without_the_right_to_write(ground):
    id_ = ground.ids[0]
    with unchanged(ground):
        assert ground.told(lambda store: store.load(id_) is not None) == "returned True"
        changes = [
            lambda store: store.save(ground.fresh(1)),
            lambda store: store.replace(id_, ground.fresh(1)),
            _remove(id_),
        ]
        if ground.open().offers("list"):
            assert ground.told(lambda store: id_ in store.list(), read_only=True) == "returned True"
            assert ground.told(lambda store: store.describe(id_).id) == f"returned {id_!r}"
        if ground.open().offers("update"):
            changes.append(lambda store: store.update(id_, name="label"))
        for change in changes:
            answer = ground.told(change)
            assert answer.startswith("ReadOnlyError: "), answer
            assert re.search("you lack the permission|ask its owner for the right", answer), answer


class TestSomethingElse:
    """At the place of a store there is something else: it is named, and left alone."""

    def test_a_file(self, ground, tmp_path):
        if isinstance(ground, ServerGround):
            pytest.skip("a server is no file")
        place = ground.url.partition("://")[2].replace("//", "/")
        with unchanged(ground):
            os.rename(place, tmp_path / "away")
            with open(place, "w") as file:
                file.write("dear diary " * 100)
            with pytest.raises(
                StoreUnavailableError, match=r"is a file|is not a database|File exists|Not a directory"
            ):
                make_store(ground.url).save(ground.fresh(1))
            with open(place) as file:
                assert file.read() == "dear diary " * 100
            os.unlink(place)
            os.rename(tmp_path / "away", place)

    def test_a_table(self, ground):
        if not hasattr(ground, "execute"):
            pytest.skip("there are no tables")
        with unchanged(ground):
            ground.execute("CREATE TABLE theirs (id INTEGER, colour VARCHAR(10))")
            with make_store(ground.url.partition("#")[0], table_name="theirs") as store:
                assert store.list() == []
                with pytest.raises(
                    StoreUnavailableError, match=r"'theirs' that is not one of a store.*table_name"
                ):
                    store.save(ground.fresh(1))
            assert ground.execute("SELECT * FROM theirs") == []
            ground.execute("DROP TABLE theirs")


BAD_IDS = [
    "",
    "..",
    "../x.1",
    "Point/1",
    "/etc/passwd",
    "Point.1\0",
    "x" * 300,
    "x" * 300 + ".1",
    "Point.x",
    1,
    None,
]


def test_what_cannot_be_an_id(ground):
    store = ground.open()
    outside = ground.folder.parent / "outside.1"
    outside.write_text("not theirs")
    with unchanged(ground):
        for bad in [*BAD_IDS, str(outside), f"../../{outside.name}"]:
            for name, call in calls_with(store, bad, ground).items():
                with pytest.raises(InvalidIdError, match=r"is not an ID: an ID reads like 'IsingRun\.26'"):
                    call()
                    pytest.fail(f"{name}({bad!r}) raised nothing")
    assert outside.read_text() == "not theirs"


def test_ids_of_nothing(ground):
    store = ground.open()
    with unchanged(ground):
        for missing in ("Point.987654321", "987654321"):
            for name, call in calls_with(store, missing, ground).items():
                with pytest.raises(
                    ObjectNotFoundError, match=r"There is no .*list\(\) gives the IDs"
                ) as caught:
                    call()
                    pytest.fail(f"{name}({missing!r}) raised nothing")
                assert (caught.value.id, isinstance(caught.value, KeyError)) == (missing, True)


def test_what_cannot_be_pickled(ground):
    store = ground.open()
    with unchanged(ground):
        calls = [
            lambda bad: store.save(bad),
            lambda bad: store.replace(ground.ids[0], bad),
            lambda bad: store.save_many([bad]),
        ]
        for call in calls:
            bad = ground.fresh([0, {"log": (x for x in "abc")}])
            with pytest.raises(UnpicklableError, match="leave it out") as caught:
                call(bad)
            assert caught.value.path == "obj.x[1]['log']"
            assert "obj.x[1]['log'] is a generator" in str(caught.value)
            assert not hasattr(bad, "persistent_id")


def test_misspelt_keywords(ground):
    store = ground.open()
    id_ = ground.ids[0]
    with unchanged(ground):
        for name in ("durabel", "protocol", "protcol"):
            with pytest.raises(OptionError, match=f"no option '{name}'"):
                make_store(ground.url, **{name: 0})
        calls = {
            "nmae": [
                lambda o: store.save(ground.fresh(1), **o),
                lambda o: store.replace(id_, ground.fresh(1), **o),
            ],
            "frehs": [lambda o: store.load(id_, **o)],
            "recursiv": [lambda o: store.remove(id_, **o)],
        }
        if store.offers("list"):
            calls["stat"] = [lambda o: store.list(**o), lambda o: store.table(**o)]
        for name, ways in calls.items():
            for call in ways:
                with pytest.raises((TypeError, StoreError), match=name) as caught:
                    call({name: True})
                # Python itself checks keywords; filters are data, and checked by the store.
                assert isinstance(caught.value, OptionError if name == "stat" else TypeError)


class TestDamage:
    """A truncated or foreign record is told with its ID and the reason, and hinders nothing else (C10)."""

    @pytest.mark.parametrize(
        "how",
        [lambda d: d[: len(d) // 2], lambda d: d[:-1], lambda d: b"", lambda d: b"a text of some length" * 9],
        ids=["cut in half", "last byte missing", "empty", "foreign"],
    )
    def test_a_damaged_record(self, ground, how):
        id_, *others = ground.ids
        ground.damage(id_, how)
        damaged = ground.content()
        store = ground.open()
        ways = [way for way in ("load", "verify", "inspect") if store.offers(way) or way == "load"]
        for way in ways:
            with pytest.raises(CorruptRecordError) as caught:
                getattr(store, way)(id_)
            assert way == "inspect" or (caught.value.id, id_ in str(caught.value)) == (id_, True)
            assert way == "inspect" or "restore it from a backup" in str(caught.value)
        for other in others:
            assert store.load(other) is not None
        if store.offers("list"):
            assert id_ in store.list()
            assert id_ in store.table().index
            assert store.describe(id_).id == id_
        assert ground.content() == damaged
        store.replace(id_, ground.fresh("whole again"))
        assert store.load(id_).x == "whole again"
        ground.damage(id_, how)
        with suppress_dangling():
            store.remove(id_)
        with pytest.raises(ObjectNotFoundError):
            store.load(id_)

    def test_a_planted_pickle_does_not_run(self, ground, tmp_path):
        id_ = ground.ids[0]
        mark = tmp_path / "exploded"
        ground.damage(id_, lambda data: pickle.dumps(Bomb(str(mark))))
        planted = ground.content()
        store = ground.open()
        if not store.offers("list"):
            pytest.skip("it can do nothing but load, and its payloads have no checksums")
        looks = calls_with(store, id_, ground)
        for name in ("describe", "export", "verify", "inspect", "references", "referrers", "imports"):
            with suppress(CorruptRecordError):
                looks[name]()
        assert id_ in store.table().index
        if "GC3Pie" not in type(store).__name__:  # where a pickle is all that there is of a record
            for call in (store.load, lambda id_: store.load(id_, fresh=True)):
                with pytest.raises(CorruptRecordError):
                    call(id_)
        assert not mark.exists()
        assert ground.content() == planted

    def test_a_record_whose_payload_is_missing(self, ground):
        if ground.kind not in ("sqlite", *SERVERS):
            pytest.skip("a record is one file, or one row")
        id_, *others = ground.ids
        table = "gc3store_payload" if ground.kind == "sqlite" else f"{ground.table}_payload"
        lose = f"DELETE FROM {table} WHERE number = {id_.rpartition('.')[2]}"
        ground.execute(lose)
        store = ground.open()
        assert (id_ in store.list(), id_ in store.table().index) == (True, True)
        assert "its payload is missing" in store.describe(id_).error
        assert "its payload is missing" in _reason(store, id_)
        store.replace(id_, ground.fresh("whole again"))
        assert store.load(id_).x == "whole again"
        ground.execute(lose)
        data = store.export(id_)
        store.remove(id_)
        assert id_ not in store.list()
        assert store.restore(data) == id_
        assert "damaged" in _reason(store, id_)
        store.remove(id_)
        assert [store.load(other).x for other in others] == [1, 2]

    @pytest.mark.parametrize("large", [False, True])
    def test_it_is_exported_and_put_back_as_it_was(self, ground, large):
        store = ground.open()
        if not store.offers("export"):
            pytest.skip("export() is not offered")
        id_ = store.save(ground.fresh(os.urandom(2_500_000))) if large else ground.ids[0]
        ground.damage(id_, lambda data: data[: len(data) // 2])
        for _ in range(2):
            before, known = _reason(store, id_), store.describe(id_)
            data = store.export(id_)
            with suppress_dangling():
                store.remove(id_)
            assert store.restore(data) == id_
            assert id_ in store.list()
            after = store.describe(id_)
            assert (after.cls, after.created, after.tags) == (known.cls, known.created, known.tags)
            assert after.error is None or "damaged" in after.error
            assert "damaged" in _reason(store, id_)
            with pytest.raises(CorruptRecordError, match="can only be put back where it was"):
                store.restore(data)  # it is there
            assert before
        store.replace(id_, ground.fresh("whole again"))
        assert store.load(id_).x == "whole again"
        store.verify(id_)
        assert store.describe(id_).error is None


def _reason(store, id_):
    with pytest.raises(CorruptRecordError) as caught:
        store.load(id_)
    return str(caught.value)


@contextmanager
def suppress_dangling():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DanglingReferenceWarning)
        yield


@pytest.mark.parametrize("kind", LOCAL)
def test_a_full_disk(kind, tmp_path, monkeypatch):
    """For servers it is their disk, see `tests.test_servers_trouble`."""
    monkeypatch.setenv("GC3PIE_ID_FILE", str(tmp_path / "ids" / "next_id.txt"))
    monkeypatch.setenv("HOME", str(tmp_path))
    with mounted(tmp_path / "disk", "size=1500k") as disk:
        ground = GROUNDS[kind](disk / "place")
        store = ground.open()
        with unchanged(ground):
            for call in (
                lambda large: store.save(large),
                lambda large: store.replace(ground.ids[0], large),
                lambda large: store.save_many([large]),
            ):
                large = ground.fresh(os.urandom(3_000_000))
                with pytest.raises(StoreFullError, match=r"no space left .*Make room and try again"):
                    call(large)
                assert not hasattr(large, "persistent_id")
        id_ = store.save(ground.fresh("small"))
        assert store.load(id_).x == "small"
        ground.close()
