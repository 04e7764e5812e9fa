"""Streams compared with a template give what they give when they are run."""

import datetime as dt
import pickle
import random
import re
import types
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gc3store import make_store
from gc3store.errors import CorruptRecordError, StoreError
from gc3store.inspection.machine.rewrite import rewrite, run
from gc3store.inspection.machine.templates import LargePartError, Templates
from gc3store.inspection.reader import ValueReader
from gc3store.inspection.summary import summary
from gc3store.paths import parse

DATA = Path(__file__).parent / "data" / "gc3pie"


class Run:
    """A job with everything that a job may have."""

    def __init__(self, **attributes):
        self.__dict__.update(attributes)


class Ran:
    """Another, of a name of the same length."""


class Outer:
    """Classes that old protocols name by way of `getattr`."""

    class One:
        size = 1

    class Two:
        size = 2


def outcome(stream, templates=None):
    """Return what a stream says, or how it fails."""
    try:
        if templates is None:
            raw = run(rewrite(stream))
        else:
            match = templates.read(stream)
            try:
                raw = match.filled(match.form.root)
            except LargePartError:
                raw = match.whole().form.root
        return re.sub("<memory at 0x[0-9a-f]+>", "<view>", repr(raw))
    except StoreError as error:
        return type(error), str(error)


leaves = st.one_of(
    st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=300), st.sampled_from("abc"),
    st.binary(max_size=300), st.binary(min_size=1000, max_size=1100), st.datetimes(),
    st.integers(min_value=-(2**300), max_value=2**300),
)  # fmt: skip
shapes = st.recursive(
    st.just(leaves),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda shape: st.tuples(*shape)),
        st.lists(inner, max_size=3).map(lambda shape: st.tuples(*shape).map(list)),
        st.dictionaries(st.sampled_from("abcd"), inner, max_size=3).map(st.fixed_dictionaries),
        st.dictionaries(st.sampled_from("abcd"), inner, max_size=3).map(
            lambda shape: st.fixed_dictionaries(shape).map(lambda values: Run(**values))
        ),
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data(), st.lists(shapes, min_size=1, max_size=2), st.integers(0, 5))
def test_similar_objects_are_read_as_if_each_were_run(data, family, protocol):
    templates = Templates()
    for _ in range(12):
        value = data.draw(data.draw(st.sampled_from(family)))
        stream = pickle.dumps(value, protocol)
        assert outcome(stream, templates) == outcome(stream)


def jobs(count, protocol=4):
    """Yield pickles of jobs of one class, with other values in each."""
    for n in range(count):
        numbers = random.Random(n)
        job = Run(
            name=f"run {n}",
            temperature=numbers.random(),
            exitcode=numbers.choice([None, 0, 1, 300, -1, 2**40]),
            ok=numbers.random() < 0.5,
            when=dt.datetime(2026, 1, 1 + n % 28, tzinfo=dt.UTC),
            results={"energy": -numbers.random(), "texts": ["é" * (n % 300), n]},
        )
        job.itself = job
        yield pickle.dumps(job, protocol)


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_most_of_many_are_not_run(protocol, monkeypatch):
    ran = []
    monkeypatch.setattr(
        "gc3store.inspection.machine.templates.run", lambda rewritten: ran.append(1) or run(rewritten)
    )
    templates = Templates()
    steps = [parse(p).steps for p in ("name", "exitcode", 'results["texts"][1]', "itself.itself.ok", "no")]
    for n, stream in enumerate(jobs(1000, protocol)):
        match = templates.read(stream)
        job = pickle.loads(stream)
        found = [match.get(path) for path in steps[:4]]
        assert found == [job.name, job.exitcode, n, job.ok]
        assert match.form.find(steps[4])[1:] == (0, False)
    assert len(ran) < 250


def test_what_names_something_must_be_the_same():
    templates = Templates()
    for n in range(5):
        templates.read(pickle.dumps(Run(size=n, kind="a")))
    other = Ran()
    other.__dict__ = {"size": 7, "kind": "a"}
    assert summary(pickle.dumps(other), templates=templates).cls.endswith(".Ran")
    stream = pickle.dumps(Run(tall=8, kind="size"))
    match = templates.read(stream)
    assert (match.get(parse("tall").steps), match.get(parse("kind").steps)) == (8, "size")
    assert match.form.find(parse("size").steps)[1] == 0


def test_classes_in_classes_are_names_too():
    templates = Templates()
    for cls in (Outer.One, Outer.Two) * 3:
        stream = pickle.dumps(cls(), 3)
        assert b"getattr" in stream
        assert summary(stream, templates=templates).cls.endswith(cls.__qualname__)


class Keyed:
    """Is made with keywords: in protocols 2 and 3 by a function that is put together."""

    def __new__(cls, *, size, unit=None):
        return super().__new__(cls)

    def __init__(self, *, size, unit=None):
        self.size, self.unit = size, unit

    def __getnewargs_ex__(self):
        return (), {"size": self.size, "unit": self.unit}


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_what_is_made_with_keywords_is_of_its_class(protocol):
    streams = [pickle.dumps(Keyed(size=n, unit=n or None), protocol) for n in range(6)]
    templates = Templates()
    for _ in range(2):
        for n, stream in enumerate(streams):
            assert outcome(stream, templates) == outcome(stream)
            assert summary(stream, templates=templates).cls == f"{__name__}.Keyed"
            assert templates.match(stream).get(parse("size").steps) == n
    # What the function is told besides is no constant like others.
    other = streams[1].replace(b"Nt", b"}t", 1)
    assert (other == streams[1]) == (protocol > 3)
    assert summary(other, templates=templates) == summary(other)


def test_long_byte_strings_are_read_as_if_each_were_run():
    templates = Templates()
    for size in (300, 400, 1000, 1023, 1024, 1030, 5000):
        stream = pickle.dumps([bytes(size), size])
        assert outcome(stream, templates) == outcome(stream)


def test_texts_that_are_keys_elsewhere_are_no_slots():
    # The second object names an attribute by a text that is a value of the first.
    templates = Templates()
    for name in ("abc", "xyz", "uvw"):
        stream = pickle.dumps([name, types.SimpleNamespace(**{name: 1}), {name: 2}])
        assert outcome(stream, templates) == outcome(stream)


def test_damage_is_found_as_if_each_were_run():
    numbers = random.Random(1)
    templates = Templates()
    streams = list(jobs(60))
    for stream in streams:
        templates.read(stream)
    good = streams[20]
    assert templates.match(good)
    for cut in range(len(good)):
        assert outcome(good[:cut], templates) == outcome(good[:cut])
    differ = 0
    for at in range(len(good)):
        for byte in (0, 255, good[at] ^ 1, numbers.randrange(256), *b"N(.Qb\x94"):
            damaged = good[:at] + bytes([byte]) + good[at + 1 :]
            expected = outcome(damaged)
            assert outcome(damaged, templates) == expected, (at, byte)
            differ += type(expected) is tuple
    assert differ > 500


def test_a_text_that_is_none_is_damage_wherever_it_is():
    templates = Templates()
    for n in range(20):
        templates.read(pickle.dumps(Run(name=f"run {n:05}", size=n)))
    stream = pickle.dumps(Run(name="run 00000", size=1)).replace(b"run 00000", b"run \xff\xfe000")
    with pytest.raises(CorruptRecordError):
        templates.read(stream)
    longer = pickle.dumps(Run(name="run 0000000", size=1)).replace(b"run 0000000", b"run \xff\xfe00000")
    with pytest.raises(CorruptRecordError):
        templates.read(longer)


def test_jobs_of_gc3pie_are_read_as_if_each_were_run():
    templates = Templates()
    matched = 0
    for file in sorted((DATA / "fs").glob("IsingRun.*")) * 3:
        stream = file.read_bytes()
        matched += templates.match(stream) is not None
        assert outcome(stream, templates) == outcome(stream)
        assert summary(stream, templates=templates) == summary(stream)
    assert matched > 30
    plain = ValueReader().read(run(rewrite(stream)))
    match = templates.match(stream)
    for path in ("temperature", "energy", "jobname", "execution.exitcode", "execution.signal"):
        assert match.get(parse(path).steps) == getattr_path(plain, path)


def getattr_path(value, path):
    for name in path.split("."):
        value = getattr(value, name)
    return value


def test_streams_that_are_all_different_are_given_up():
    templates = Templates()
    for n in range(300):
        stream = pickle.dumps({f"key {n} {m}": m for m in range(n % 40)})
        assert outcome(stream, templates) == outcome(stream)
    assert len(templates._templates) <= 64
    assert templates._learnt < 80
    # Integers of many sizes: so many parts that comparing them takes longer than running.
    for n in range(100):
        numbers = random.Random(n)
        stream = pickle.dumps([numbers.choice([1, 300, 2**20, None]) for _ in range(200)])
        assert outcome(stream, templates) == outcome(stream)
    assert all(len(t._any) < 64 for t in templates._templates)


def test_a_catalogue_is_the_same_with_templates(tmp_path):
    for n, stream in enumerate(sorted((DATA / "fs").glob("*"))):
        (tmp_path / stream.name).write_bytes(stream.read_bytes())
        if "." in stream.name and n:
            (tmp_path / f"IsingRun.{1000 + n}").write_bytes(stream.read_bytes())
    with make_store(tmp_path, read_only=True) as store:
        for record in store.records():
            alone = store.describe(record.id)
            assert (record.cls, record.state, record.size) == (alone.cls, alone.state, alone.size)
