"""How far inspection goes: copies, colliding keys and streams that resemble others without being whole or alone."""

import pickle
import struct
import types

import pytest

from gc3store import inspection
from gc3store.errors import CorruptRecordError
from tests.raw_streams import KINDS, RawStore, called, named, short

MEGABYTE = 1 << 20


@pytest.fixture(params=KINDS)
def raw(request, tmp_path):
    raw = RawStore(tmp_path, request.param)
    yield raw
    raw.close()


def long_text(size):
    """Return the opcodes of a long text that are told apart by nothing, which is memo 0 afterwards."""
    return b"X" + struct.pack("<I", size) + b"x" * size + b"\x94"


def copies(function, count, *, more=b""):
    """Return a stream that calls a function with one long text, many times."""
    head = b"\x80\x04" + long_text(MEGABYTE) + b"0" + function + b"\x940"
    return head + b"(" + (b"h\x01h\x00" + (b"\x85" if not more else more + b"\x86") + b"R") * count + b"t."


MAKERS = {
    "bytes": (named("_codecs", "encode"), short("latin1"), bytes),
    "bytearray": (named("builtins", "bytearray"), short("latin-1"), bytearray),
}


@pytest.mark.parametrize("maker", MAKERS)
def test_few_copies_of_a_long_text_are_made(raw, maker):
    function, codec, kind = MAKERS[maker]
    shown = raw.inspect(copies(function, 5, more=codec))
    assert [(type(value), len(value)) for value in shown] == [(kind, MEGABYTE)] * 5


@pytest.mark.parametrize("maker", MAKERS)
def test_many_copies_of_a_long_text_are_not(raw, maker):
    function, codec, kind = MAKERS[maker]
    shown = raw.inspect(copies(function, 2000, more=codec))
    made = [value for value in shown if isinstance(value, kind)]
    assert 5 < len(made) < 100
    assert {len(value) for value in made} == {MEGABYTE}
    # The others are the calls that they are, with the one text.
    others = shown[len(made) :]
    assert all(isinstance(value, inspection.Inert) for value in others)
    assert len({id(inspection.parts(value).args[0]) for value in others}) == 1
    assert len(inspection.text(shown)) < MEGABYTE


def test_the_longest_text_that_is_copied(raw):
    for size, kind in ((16 * MEGABYTE, bytes), (16 * MEGABYTE + 1, inspection.Inert)):
        stream = b"\x80\x04" + called(named("_codecs", "encode"), long_text(size), short("latin1")) + b"."
        shown = raw.inspect(stream)
        assert isinstance(shown, kind)
        if kind is bytes:
            assert len(shown) == size


@pytest.mark.parametrize("kind", ["collections.deque", "builtins.set", "builtins.frozenset", "builtins.list"])
def test_many_containers_of_the_items_of_one_list(raw, kind):
    items = b"](" + b"".join(b"M" + struct.pack("<H", n) for n in range(1000)) + b"e\x94"
    module, _, name = kind.rpartition(".")
    head = b"\x80\x04" + items + b"0" + named(module, name) + b"\x940"
    shown = raw.inspect(head + b"(" + b"h\x01h\x00\x85R" * 500 + b"t.")
    made = [value for value in shown if not isinstance(value, inspection.Inert)]
    assert 5 < len(made) < 400
    assert {len(value) for value in made} == {1000}
    assert {inspection.class_path(value) for value in shown} == {kind}


# Keys whose hashes are all the same would make a table slow.

PRIME = (1 << 61) - 1
COLLIDING = {
    "integers": [PRIME * n for n in range(1, 301)],
    "small and large integers": [*range(100), *(PRIME * n for n in range(1, 301))],
}
SPREAD = {
    "integers": list(range(300)),
    "large integers": [PRIME * n + n for n in range(300)],
    "few that collide": [PRIME * n for n in range(1, 61)],
    "texts": [f"key {n}" for n in range(300)],
}


@pytest.mark.parametrize("keys", COLLIDING)
def test_keys_that_collide_are_looked_up_one_by_one(store, keys):
    keys = COLLIDING[keys]
    id_ = store.save([{key: n for n, key in enumerate(keys)}, set(keys), frozenset(keys)])
    table, elements, frozen = store.inspect(id_)
    for found, kind in ((table, "dict"), (elements, "set"), (frozen, "frozenset")):
        assert isinstance(found, inspection.Pairs)
        assert inspection.class_path(found) == f"builtins.{kind}"
        assert sorted(found) == sorted(keys)
        assert keys[-1] in found
        assert -5 not in found
    assert table[keys[7]] == 7
    assert dict(table.items()) == store.load(id_)[0]


@pytest.mark.parametrize("keys", SPREAD)
def test_other_keys_are_those_of_a_dictionary(store, keys):
    keys = SPREAD[keys]
    id_ = store.save([{key: n for n, key in enumerate(keys)}, set(keys), frozenset(keys)])
    table, elements, frozen = store.inspect(id_)
    assert isinstance(table, dict)
    assert isinstance(elements, set)
    assert isinstance(frozen, frozenset)
    assert dict(table) == store.load(id_)[0]
    assert set(elements) == set(frozen) == set(keys)


# Streams that resemble others.


def job(number, **more):
    return types.SimpleNamespace(size=number, label=f"run {number}", ratio=number / 4, **more)


@pytest.fixture
def similar(raw):
    """Twenty records that differ in their values alone."""
    return raw, [raw.put(pickle.dumps(job(n), 4)) for n in range(20)]


COLUMNS = [".size", "label", "ratio"]
TAILS = {
    "another": lambda stream: stream + pickle.dumps(job(99), 4),
    "itself": lambda stream: stream * 2,
    "its end": lambda stream: stream + stream[-30:],
    "a byte": lambda stream: stream + b".",
    "zeros": lambda stream: stream + bytes(600),
}


@pytest.mark.parametrize("tail", TAILS)
def test_what_comes_after_the_end_is_not_read(similar, tail):
    raw, ids = similar
    ids += [raw.put(TAILS[tail](pickle.dumps(job(n), 4))) for n in range(20, 30)]
    ids.append(raw.put(pickle.dumps(job(30), 4)))
    store = raw.open()
    table = store.table(columns=COLUMNS).loc[ids]
    assert table.values.tolist() == [[n, f"run {n}", n / 4] for n in range(31)]
    for n, id_ in enumerate(ids):
        shown = store.inspect(id_)
        assert (shown.size, shown.label, shown.ratio) == (n, f"run {n}", n / 4)


@pytest.mark.parametrize("cut", [1, 2, 3, 8, 20, 40, 60])
def test_what_is_cut_off_is_not_read_at_all(similar, cut):
    raw, ids = similar
    bad = [raw.put(pickle.dumps(job(n), 4)[:-cut]) for n in range(20, 25)]
    good = raw.put(pickle.dumps(job(25), 4))
    store = raw.open()
    table = store.table(columns=COLUMNS)
    assert table.loc[bad].isna().all(axis=None)
    assert table.loc[[*ids, good]].values.tolist() == [[n, f"run {n}", n / 4] for n in [*range(20), 25]]
    for id_ in bad:
        with pytest.raises(CorruptRecordError):
            store.inspect(id_)


def test_an_end_that_comes_too_early(similar):
    # The rest is as in all others, so that the ends of both are the same.
    raw, ids = similar
    whole = pickle.dumps(job(20), 4)
    early = whole.index(b"\x8c\x05label")
    ids += [raw.put(whole[:early] + b"." + whole[early + 1 :]), raw.put(whole)]
    table = raw.open().table(columns=COLUMNS).loc[ids]
    assert table.iloc[20].isna().all()
    assert table.iloc[21].tolist() == [20, "run 20", 5.0]


def test_values_of_other_lengths_and_kinds(similar):
    raw, ids = similar
    values = [None, True, 300, -1, 2**40, 1.5, "", "é" * 70, b"x", [1], None, "run 21"]
    ids = [
        raw.put(pickle.dumps(types.SimpleNamespace(size=value, label="x", ratio=0.5), 4)) for value in values
    ]
    store = raw.open()
    cells = store.table(columns=[".size", "label"]).loc[ids]
    for value, (shown, label) in zip(values, cells.values.tolist(), strict=True):
        assert label == "x"
        assert shown == value or (value is None and shown != shown)
    counted = store.attributes().set_index("path")
    assert counted.loc["size", "count"] == 20 + len(values)
    assert set(counted.loc["size", "types"].split(", ")) == {
        *("None", "bool", "int", "float", "str", "bytes", "list")
    }
