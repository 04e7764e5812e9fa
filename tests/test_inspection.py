"""Inspection shows what loading would give, and runs nothing."""

import array
import collections
import contextlib
import copyreg
import dataclasses
import datetime as dt
import enum
import math
import pathlib
import pickle
import re
import types
import uuid
import zoneinfo
from html import unescape
from pathlib import Path
from typing import NamedTuple

import cloudpickle
import hypothesis.strategies as st
import pytest
import test.pickletester as pickletester
from hypothesis import HealthCheck, given, settings

from gc3store import inspection
from gc3store.errors import CorruptRecordError, InspectionError, LoadError
from gc3store.inspection import (
    Inert,
    Name,
    Pairs,
    Reference,
    class_path,
    differences,
    html,
    parts,
    read,
    same,
    text,
)
from gc3store.inspection.globals import globals_of
from gc3store.paths import MISSING, evaluate

DATA = Path(__file__).parent / "data" / "gc3pie"
PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)


class Colour(enum.Enum):
    RED = 1


class Mask(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: int
    y: int


@dataclasses.dataclass
class Result:
    energy: float
    trace: list


@dataclasses.dataclass(slots=True)
class Slotted:
    energy: float
    trace: list


class Table(dict):
    pass


class Stack(list):
    pass


class Count(int):
    pass


class Configured:
    """Is made with keyword arguments."""

    def __init__(self, *, size):
        self.size = size

    def __new__(cls, *, size):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return (), {"size": self.size}


def same_as(value, shown):
    """Whether inspection shows a plain value as itself."""
    if isinstance(value, memoryview):
        value = bytes(value)
    return same(shown, value)


# Values that inspection shows as themselves.

scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(min_value=-(2**300), max_value=2**300),
    st.floats(),
    st.complex_numbers(),
    st.text(alphabet=st.characters(codec="utf-8") | st.characters(categories=["Cs"])),
    st.binary(max_size=40),
    st.binary(min_size=1020, max_size=1030),
)
moments = st.one_of(
    st.dates(),
    st.times(),
    st.datetimes(),
    st.datetimes(timezones=st.just(dt.UTC)),
    st.timedeltas(),
    st.timedeltas(min_value=dt.timedelta(hours=-23), max_value=dt.timedelta(hours=23)).map(dt.timezone),
)
paths = st.lists(st.text(st.characters(categories=["L", "N"]), min_size=1), max_size=3).map(
    lambda p: pathlib.Path(*p)
)
plain = st.one_of(
    scalars,
    moments,
    st.decimals(allow_nan=False),
    st.fractions(),
    st.uuids(),
    paths,
    st.builds(range, st.integers(0, 9), st.integers(0, 9), st.integers(1, 3)),
    st.binary().map(bytearray),
)
keys = st.one_of(
    st.text(max_size=5), st.integers(), st.binary(max_size=5), st.none(), st.dates(), st.uuids(),
    st.tuples(st.integers(), st.text(max_size=3)), st.frozensets(st.integers(), max_size=3),
)  # fmt: skip
values = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4),
        st.lists(inner, max_size=4).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(keys, inner, max_size=4).map(collections.OrderedDict),
        st.dictionaries(keys, inner, max_size=4).map(lambda d: collections.defaultdict(list, d)),
        st.dictionaries(st.text(), inner, max_size=3).map(lambda d: types.SimpleNamespace(**d)),
        st.lists(inner, max_size=4).map(collections.deque),
        st.sets(keys, max_size=4),
        st.frozensets(keys, max_size=4),
        st.lists(keys, max_size=4).map(collections.Counter),
    ),
    max_leaves=20,
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values, st.sampled_from(PROTOCOLS))
def test_plain_values_are_shown_as_themselves(value, protocol):
    check_plain(value, protocol)


@pytest.mark.soak
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(values)
def test_thousands_of_plain_values_are_shown_as_themselves(value):
    for protocol in PROTOCOLS:
        check_plain(value, protocol)


objects = st.recursive(
    plain,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text(max_size=4), inner, max_size=3),
        st.builds(Result, inner, st.lists(inner, max_size=3)),
        st.builds(Point, inner, inner),
        st.dictionaries(st.text(max_size=4), inner, max_size=3).map(Table),
        st.lists(inner, max_size=3).map(Stack),
        st.lists(inner, max_size=2).map(lambda args: ValueError(*args)),
        st.builds(Colour, st.just(1)),
        st.integers(0, 3).map(Mask),
        st.integers(-5, 5).map(Count),
        st.builds(lambda size: Configured(size=size), inner),
    ),
    max_leaves=12,
)


def mirrors(value, shown):
    """Whether what inspection shows has everything that an object has."""
    if isinstance(value, enum.Enum):
        return isinstance(shown, Name) or (getattr(shown, "value", value.value) == value.value)
    if isinstance(value, BaseException):
        return class_path(shown) == "builtins.ValueError" and all(map(mirrors, value.args, parts(shown).args))
    if type(value) in (Result, Configured):
        return class_path(shown).endswith(f".{type(value).__qualname__}") and all(
            mirrors(part, getattr(shown, name)) for name, part in vars(value).items()
        )
    if type(value) in (Point, Stack, list):
        return len(value) == len(shown) and all(map(mirrors, value, shown))
    if isinstance(value, dict):
        return len(value) == len(shown) and all(mirrors(part, shown[key]) for key, part in value.items())
    if type(value) is Count:
        return class_path(shown).endswith("Count")
    return same_as(value, shown)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(objects, st.sampled_from(PROTOCOLS[2:]))
def test_objects_have_what_loading_gives(value, protocol):
    stream = pickle.dumps(value, protocol)
    shown = read(stream)
    assert mirrors(pickle.loads(stream), shown)
    assert same(shown, read(stream))


@pytest.mark.soak
@settings(max_examples=5000, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(objects)
def test_thousands_of_objects_have_what_loading_gives(value):
    for protocol in PROTOCOLS[2:]:
        stream = pickle.dumps(value, protocol)
        assert mirrors(pickle.loads(stream), read(stream))


def check_plain(value, protocol):
    shown = read(pickle.dumps(value, protocol))
    # What was shared because it was equal is shared once more by a second round.
    assert same_as(pickle.loads(pickle.dumps(value, protocol)), shown)
    if isinstance(value, (list, tuple, dict, set, frozenset, str, int, float, dt.datetime)):
        assert (
            isinstance(shown, type(value))
            or type(value) is collections.defaultdict
            or isinstance(shown, Pairs)
        )
    text(shown)
    html(shown)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_sharing_and_cycles_are_kept(protocol):
    ring = []
    ring.append((ring, {"ring": ring}))
    shown = read(pickle.dumps(ring, protocol))
    assert shown[0][0] is shown
    assert shown[0][1]["ring"] is shown
    nest = ([],)
    nest[0].append(nest)
    shown = read(pickle.dumps(nest, protocol))
    assert same(shown[0][0], shown)
    part = [1]
    shown = read(pickle.dumps([part, part], protocol))
    assert shown[0] is shown[1]
    assert same(read(pickle.dumps(ring, protocol)), read(pickle.dumps(ring, protocol)))
    assert "…" in text(read(pickle.dumps(ring, protocol)))


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize(
    "value",
    [Colour.RED, Mask.READ | Mask.WRITE, Point(1, 2), Result(1.5, [1]), Slotted(1.5, [1]), Table(a=1), Stack([1, 2]),
     Count(7), ValueError(2, "gone"), len, Colour],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_objects_of_any_class_are_shown_without_it(value, protocol):
    if protocol < 2 and isinstance(value, Slotted):
        pytest.skip("cannot be pickled")
    shown = read(pickle.dumps(value, protocol))
    if isinstance(value, type) or value is len:
        assert isinstance(shown, Name)
        assert shown.name == value.__qualname__
        return
    assert isinstance(shown, (Inert, Name))
    if isinstance(value, (Result, Slotted)):
        assert (shown.energy, shown.trace, shown.trace[0]) == (1.5, [1], 1)
        assert dir(shown) == ["energy", "trace"]
    if isinstance(value, Point):
        assert list(shown) == [1, 2]
        assert shown[1] == 2
    if isinstance(value, Table):
        assert shown["a"] == 1
        assert list(shown) == ["a"]
    if isinstance(value, Stack):
        assert list(shown) == [1, 2]
        assert len(shown) == 2
    if isinstance(value, Count):
        assert parts(shown).args == (7,)
    if isinstance(shown, Inert) and not isinstance(value, enum.Flag):
        assert class_path(shown) == f"{type(value).__module__}.{type(value).__qualname__}"


class Outer:
    class Inner(Configured):
        class innermost(Configured):
            def __new__(cls, *, size):
                return super().__new__(cls, size=size)


class Labelled(dict):
    def __new__(cls, *_, **keywords):
        return super().__new__(cls)

    def __getnewargs_ex__(self):
        return ("first",), {"label": "x"}


@pytest.mark.parametrize("dump", [pickle.dumps, pickle._dumps])
@pytest.mark.parametrize("protocol", range(2, 6))
@pytest.mark.parametrize("cls", [Configured, Outer.Inner, Outer.Inner.innermost])
def test_what_is_made_with_keywords_is_of_its_class(cls, protocol, dump):
    stream = dump(cls(size=3), protocol)
    shown = read(stream)
    assert (class_path(shown), parts(shown).function) == (f"{cls.__module__}.{cls.__qualname__}", False)
    assert (parts(shown).args, parts(shown).kwargs, shown.size) == ((), {"size": 3}, 3)
    assert inspection.summary(stream).cls == class_path(shown)
    assert shown == read(dump(cls(size=3), 5))
    assert {d.path for d in differences(shown, read(dump(cls(size=4), protocol)))} >= {"size"}


@pytest.mark.parametrize("protocol", range(2, 6))
def test_what_is_made_with_keywords_and_filled_is_of_its_class(protocol):
    made = Labelled(a=1)
    shown = read(pickle.dumps([made, made], protocol))
    assert shown[0] is shown[1]
    assert class_path(shown[0]).endswith(".Labelled")
    assert (parts(shown[0]).args, parts(shown[0]).kwargs) == (("first",), {"label": "x"})
    assert shown[0]["a"] == 1
    names = {entry.name: entry.called for entry in globals_of(pickle.dumps(made, protocol))}
    assert names["Labelled"] is True


@pytest.mark.parametrize(
    "state",
    [
        b"N",
        b"(h\x00h\x01}t",
        b"(h\x00)}Nt",
        b"(h\x00h\x01h\x01Nt",
        b"(h\x00h\x01}}t",
        b"(NNNNt",
        b"(h\x02h\x01}Nt",
    ],
)
def test_partial_functions_of_other_forms_are_calls(state):
    known = b"cbuiltins\ngetattr\n(ca\nB\nS'__new__'\ntR\x940ca\nB\n\x85\x940cos\nsystem\n\x940"
    shown = read(b"\x80\x04" + known + b"cfunctools\npartial\nh\x00\x85R" + state + b"b)R.")
    assert class_path(shown) == ""
    assert class_path(parts(shown).cls) == "functools.partial"
    text(shown), html(shown)


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_long_texts_keep_lone_surrogates(protocol):
    value = "\ud800x\udcff" * 400_000
    assert read(pickle.dumps(value, protocol)) == value


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_named_time_zones_are_themselves(protocol):
    zone = zoneinfo.ZoneInfo("Europe/Zurich")
    moment = dt.datetime(2026, 7, 1, 12, tzinfo=zone)
    shown = read(pickle.dumps([zone, moment], protocol))
    assert shown[0] is zone
    assert shown[1].utcoffset() == dt.timedelta(hours=2)
    elsewhere = pickle.dumps(zone, 4).replace(b"Europe/Zurich", b"Europe/Nowhere".ljust(13)[:13])
    assert "Europe/Nowher" in repr(read(elsewhere))


def test_members_of_enumerations_tell_their_value():
    shown = read(pickle.dumps(Colour.RED))
    assert shown.value == 1 if isinstance(shown, Inert) else shown.name.endswith("RED")


def test_a_missing_attribute_is_said():
    shown = read(pickle.dumps(Result(1.0, [])))
    with pytest.raises(AttributeError, match="has no attribute 'magnetization'"):
        _ = shown.magnetization
    with pytest.raises(AttributeError, match="cannot be changed"):
        shown.energy = 2
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(shown)


def test_what_has_attributes_and_no_items_has_no_length():
    shown = read(pickle.dumps(Result(1.0, [])))
    for ask in (len, iter, lambda value: 1 in value):
        with pytest.raises(TypeError, match="no items"):
            ask(shown)
    assert bool(shown)
    assert (len(read(pickle.dumps(Stack()))), len(read(pickle.dumps(Point(1, 2))))) == (0, 2)


def test_what_notebooks_define_is_shown_by_name():
    source = """
class Model:
    scale = 3
    def __init__(self, size):
        self.size = size
    def run(self):
        return self.size * self.scale
"""
    namespace = {"__name__": "__main__"}
    exec(source, namespace)
    shown = read(cloudpickle.dumps(namespace["Model"](4)))
    assert shown.size == 4
    assert class_path(shown) == "__main__.Model"
    function = read(cloudpickle.dumps(lambda x: x + 1))
    assert "defined by" in text(function)
    assert "<lambda>" in text(function)


def test_references_to_other_objects_are_ids():
    stream = b"\x80\x05cgc3store.persistable\nreference\nK\x01\x85R."
    assert read(stream, references=["A.1", "B.2"]) == Reference("B.2")
    beyond = read(stream, references=["A.1"])
    assert class_path(beyond) == "gc3store.persistable.reference"
    followed = read(
        stream, references=["A.1", "B.2"], follow=lambda id_: read(pickle.dumps(Result(2.5, [id_])))
    )
    assert followed.energy == 2.5
    assert followed.trace == ["B.2"]


@pytest.mark.parametrize("factory", [b"new", b"construct"])
def test_the_forms_that_make_stored_objects_are_unwrapped(factory):
    stream = (
        b"\x80\x05cgc3store.persistable\n" + factory + b"\n(cising\nIsingRun\nK\x05tR}X\x01\0\0\0xK\x07sb."
    )
    shown = read(stream)
    assert class_path(shown) == "ising.IsingRun"
    assert parts(shown).args == (5,)
    assert shown.x == 7


# The objects that CPython tests its own pickle with.


@pytest.mark.parametrize("number", [0, 1, 2, 3, 4])
def test_cpython_samples_are_read(number):
    stream = getattr(pickletester, f"DATA{number}", None)
    if stream is None:
        pytest.skip("not in this version of Python")
    # create_data() in test.pickletester: a list of numbers, shared tuples and an object
    expected = pickletester.create_data()
    shown = read(stream)
    assert len(shown) == len(expected)
    for left, right in zip(shown, expected, strict=True):
        if not isinstance(right, (tuple, list)) and type(right).__name__ != "C":
            assert left == right
    assert shown[-3] is shown[-2]
    assert shown[-2][2] is shown[-2][3]
    assert (shown[-2][2].foo, shown[-2][2].bar) == (1, 2)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("DATA_SET", {1, 2}),
        ("DATA_XRANGE", range(5)),
        ("DATA_SET2", {3}),
    ],
)
def test_cpython_samples_of_python_2_are_read(name, expected):
    if not hasattr(pickletester, name):
        pytest.skip("not in this version of Python")
    assert read(getattr(pickletester, name)) == expected


def test_every_bad_stream_of_cpython_ends_in_an_error_or_a_value():
    streams = [s for case in _streams_of(pickletester) for s in case]
    assert len(streams) > 50
    for stream in streams:
        try:
            shown = read(stream)
        except LoadError:
            continue
        text(shown)
        html(shown)


def _streams_of(module):
    import ast
    import inspect

    tree = ast.parse(inspect.getsource(module))
    yield [
        node.value
        for node in ast.walk(tree)
        if isinstance(node, ast.Constant) and isinstance(node.value, bytes)
    ]


# GC3Pie.


def test_a_job_is_walked_like_the_object():
    job = read((DATA / "fs" / "IsingRun.26").read_bytes())
    assert class_path(job) == "ising.IsingRun"
    assert job.execution.exitcode == 1
    assert job.execution.state == "TERMINATED"
    assert job.execution.timestamp["NEW"] < job.execution.timestamp["TERMINATED"]
    assert job.size == 8
    sweep = read((DATA / "fs" / "TemperatureSweep.25").read_bytes())
    assert sweep.tasks[3].id == "IsingRun.29"


@pytest.mark.parametrize("name", ["FiniteSizeStudy.24", "TemperatureSweep.25", "IsingRun.27"])
def test_the_summary_of_a_job(name):
    found = inspection.summary((DATA / "fs" / name).read_bytes())
    assert found.cls == f"ising.{name.partition('.')[0]}"
    assert found.state == "TERMINATED"
    assert len(found.references) == {"F": 2, "T": 10, "I": 0}[name[0]]


def test_ids_of_databases_are_numbers():
    import sqlite3

    with sqlite3.connect(f"file:{DATA / 'jobs.db'}?mode=ro&immutable=1", uri=True) as connection:
        stream = connection.execute("SELECT data FROM store WHERE id = 47").fetchone()[0]
    connection.close()
    assert inspection.summary(stream).references == ("48", "59")
    assert [task.id for task in read(stream).tasks] == ["48", "59"]


def test_two_jobs_are_compared():
    left, right = (read((DATA / "fs" / f"IsingRun.{n}").read_bytes()) for n in (27, 28))
    assert left != right
    found = {d.path: (d.left, d.right) for d in differences(left, right)}
    assert found["temperature"] == (1.5, 1.75)
    assert "execution._exitcode" not in found
    assert left == read((DATA / "fs" / "IsingRun.27").read_bytes())


def test_nothing_is_imported(tmp_path, monkeypatch):
    import sys

    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "ising.py").write_text("raise SystemExit('imported')")
    before = set(sys.modules)
    job = read((DATA / "fs" / "IsingRun.26").read_bytes())
    text(job), html(job), job == job, dir(job)
    assert not {name for name in set(sys.modules) - before if not name.startswith(("gc3store", "html"))}


@pytest.mark.parametrize("module", ["ising", "types"])
def test_what_libraries_ask_objects_for_is_not_answered_by_the_pickle(module):
    # NumPy would read from any address in memory that an object tells it.
    numpy = pytest.importorskip("numpy")
    address = pickle.dumps({"version": 3, "shape": (4,), "typestr": "<i8", "data": (8, True)}, 2)[2:-1]
    name = b"SimpleNamespace" if module == "types" else b"Run"
    stream = b"\x80\x02c" + module.encode() + b"\n" + name + b"\n)R}(X\x13\0\0\0__array_interface__" + address
    shown = read(stream + b"X\x01\0\0\0xK\x07ub.")
    assert shown.x == 7
    assert not hasattr(shown, "__array_interface__")
    assert numpy.asarray(shown, dtype=object).dtype == object
    assert vars(shown)["__array_interface__"]["data"] == (8, True)
    assert "__array_interface__" in text(shown)


# Damaged input.


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_truncation_anywhere_is_an_error_of_the_tree(protocol):
    value = [
        Result(1.5, [1, "é" * 30, 2**70]),
        {"k": {1, 2}, (1, 2): b"b" * 300},
        dt.date(2020, 1, 1),
        bytearray(b"x" * 20),
    ]
    value.append(value)
    stream = pickle.dumps(value, protocol)
    for end in range(len(stream)):
        with pytest.raises(CorruptRecordError):
            read(stream[:end])
    assert len(read(stream + b"trailing")) == 5


def test_damage_anywhere_is_an_error_of_the_tree_or_a_value():
    stream = (DATA / "fs" / "TemperatureSweep.25").read_bytes()
    for at in range(0, len(stream), 3):
        for flip in (0x01, 0x80, 0xFF):
            damaged = bytearray(stream)
            damaged[at] ^= flip
            with contextlib.suppress(LoadError):
                text(read(bytes(damaged)))


@pytest.mark.parametrize("opcode", range(256))
def test_any_byte_and_much_after_it_ends(opcode):
    # Longer than what is looked at at once, so that the end does not come into view.
    for filler in (b"x", b"N", b"\xff", b"\n", b"("):
        for size in (300, 70_000):
            for start in (b"\x80\x04", b"\x80\x02" + b"X\0\x01\0\0" + b"y" * 256):
                with contextlib.suppress(LoadError):
                    read(start + bytes([opcode]) + filler * size)


def test_missing_buffers_are_said():
    buffers = []
    stream = pickle.dumps(pickle.PickleBuffer(array.array("d", [1.5])), 5, buffer_callback=buffers.append)
    with pytest.raises(InspectionError, match="out-of-band buffers"):
        read(stream)
    assert bytes(read(stream, buffers=buffers)) == array.array("d", [1.5]).tobytes()


def test_names_of_python_2_are_those_of_python_3():
    assert read(b"\x80\x02c__builtin__\nxrange\n.") == Name("builtins", "range")
    assert read(b"\x80\x02X\x0b\0\0\0__builtin__X\x06\0\0\0xrange\x93.") == Name("builtins", "range")
    assert read(b"\x80\x04\x8c\x0b__builtin__\x8c\x06xrange\x93.") == Name("__builtin__", "xrange")


def test_extension_codes_are_named_and_leave_no_trace():
    copyreg.add_extension("no.such.module", "thing", 0xABC)
    try:
        cache = dict(copyreg._extension_cache)
        assert read(b"\x80\x02\x83\xbc\x0a.") == Name("no.such.module", "thing")
        assert copyreg._extension_cache == cache
    finally:
        copyreg.remove_extension("no.such.module", "thing", 0xABC)
    assert "2748" in text(read(b"\x80\x02\x83\xbc\x0a."))


def test_numbers_that_python_will_not_write_are_shown_by_size():
    assert "bits" in text(read(pickle.dumps(1 << 100_000, 2)))
    digits = b"9" * 5000
    assert parts(read(b"L" + digits + b"L\n.")).args == (digits.decode(),)
    assert math.isclose(read(b"F1.5e3\n."), 1500)
    for stream in (b"I0x1f\n.", b"I037\n.", b"L31L\n.", b"I31\n."):
        assert read(stream) == 31
    assert read(b"I01\n.") is True


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"S'a\\x00b'\n.", "a\0b"),
        (b"U\x03\xc3\xa9a.", "éa"),
        (b"T\x02\0\0\0\xff\xfe.", "\udcff\udcfe"),
        (b"V\\u20ac\n.", "€"),
    ],
)
def test_strings_of_python_2_are_texts(stream, expected):
    assert read(stream) == expected


def test_text_is_capped_and_escaped():
    shown = read(pickle.dumps({"<script>": ["<b>" * 1000] * 1000, "control": "\x1b[31m"}))
    assert len(text(shown)) < 5000
    page = html(shown)
    assert "<script>" not in page.replace("<style>", "")
    assert "<b>" not in page
    assert "\x1b" not in page + text(shown)
    assert len(page) < 200_000


@dataclasses.dataclass(frozen=True)
class Set:
    of: frozenset


class Hue(enum.Enum):
    RED, GREEN, BLUE, PINK = range(4)


def test_sets_in_keys_have_no_order():
    stream = pickle.dumps({Set(frozenset(list(Hue)[:n])): n for n in range(1, 5)})
    kept = [read(stream) for _ in range(50)]  # objects at different addresses, and so in different order
    assert all(same(kept[0], shown) for shown in kept)
    other = read(pickle.dumps({Set(frozenset(list(Hue)[:n])): -n for n in range(1, 5)}))
    assert not same(kept[0], other)


def test_a_key_that_is_there_twice_is_compared_twice():
    # A dictionary with a list for a key is shown as pairs, of which two may have the same key.
    def made(*numbers):
        return read(b"\x80\x04}(]N" + b"".join(b"\x8c\x01xK" + bytes([n]) for n in numbers) + b"u.")

    assert isinstance(made(1, 2), Pairs)
    assert made(1, 2) == made(1, 2)
    assert made(1, 2) != made(1, 3)
    assert made(1, 2) != made(1)
    assert made(1) != made(1, 2)


def test_labels_tell_the_path_to_what_they_label():
    job = read((DATA / "fs" / "IsingRun.26").read_bytes())
    deep = {"a b": [1, (2, Result(1.5, [Configured(size=3)]))], 7: {"x": Stack([1])}}
    for _ in range(30):
        deep = {"level": deep, "kind": Point(1, {"z": 2})}
    for shown, least in ((job, 50), (read(pickle.dumps(deep)), 10)):
        found = re.findall(r'<bdi class="k" title="([^"]*)">([^<]*)</bdi>', html(shown))
        assert len(found) >= least
        for path, label in found:
            assert evaluate(unescape(path), shown) is not MISSING, path
            assert unescape(path).endswith((f"[{unescape(label)}]", unescape(label))), (path, label)
    # Arguments and keywords are no attributes.
    page = html(read(pickle.dumps(Configured(size=3), 2)))
    assert page.count('title="size"') == 1


def test_same_is_not_fooled():
    pairs = [
        ([1], [2]),
        ({1: 2}, {1: 3}),
        ({1}, {2}),
        ((1,), [1]),
        ("1", 1),
        ([1], [1, 2]),
        ({1: 2}, {}),
        (b"a", "a"),
    ]
    for left, right in pairs:
        assert not same(left, right)
        assert not same(right, left)
    assert not same(read(pickle.dumps(Result(1, []))), read(pickle.dumps(Result(2, []))))
    assert same(float("nan"), float("nan"))
    assert same(uuid.UUID(int=1), uuid.UUID(int=1))
