"""Large objects (C13): no second copy of a buffer in memory, and checksums where bytes are copied."""

from __future__ import annotations

import os
import resource

import pytest

from gc3store import CorruptRecordError, make_store
from gc3store.testing import in_fresh_process

MIB = 2**20


def _status(name):
    with open("/proc/self/status") as file:
        for line in file:
            if line.startswith(name):
                return int(line.split()[1]) * 1024
    raise LookupError(name)


def _peak(function):
    """Return what a call returns, and how much memory it needed at most beyond what was in use before."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")  # the peak is counted from now on
    before = _status("VmRSS")
    result = function()
    return result, _status("VmHWM") - before


def _measure(url, size):
    import numpy as np

    array = np.arange(size // 8, dtype="f8")
    with make_store(url, durable=False) as store:
        store.load(store.save({"warm": np.arange(300_000)}))
        id_, saving = _peak(lambda: store.save({"array": array}))
        loaded, loading = _peak(lambda: store.load(id_))
        assert (loaded["array"] == array).all()
        return saving, loading - size


@pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="memory is measured as Linux tells it"
)
@pytest.mark.parametrize("size", [96 * MIB, pytest.param(1024 * MIB, marks=pytest.mark.soak)])
def test_no_second_copy_of_a_buffer(place, size, record_property):
    pytest.importorskip("numpy")
    saving, loading = in_fresh_process(_measure, place.url, size, timeout=600)
    most = {"directory": 4, "sqlite": 8}[place.kind] * MIB
    record_property(
        f"memory beyond an array of {size // MIB} MiB, {place.kind}",
        f"saving {saving / MIB:.1f} MiB, loading {loading / MIB:.1f} MiB",
    )
    assert saving <= most, f"saving took {saving / MIB:.1f} MiB beyond the array"
    assert loading <= most, f"loading took {loading / MIB:.1f} MiB beyond the array"


def _stream(url, small, count, size, backwards):
    """Save and load many small objects and then large ones; what is beyond one large one at most."""
    import numpy as np

    def objects():
        yield from range(small)
        for number in range(count):
            yield {"array": np.full(size // 8, number, dtype="f8")}

    with make_store(url, durable=False) as store:
        store.load(store.save({"warm": np.arange(300_000)}))
        ids, saving = _peak(lambda: store.save_many(objects()))
    with make_store(url) as store:
        if backwards:
            ids.reverse()

        def load():
            return sum(obj["array"][-1] for obj in store.load_many(ids) if not isinstance(obj, int))

        total, loading = _peak(load)
        assert total == sum(range(count))
    return saving - size, loading - size


@pytest.mark.skipif(
    not os.path.exists("/proc/self/clear_refs"), reason="memory is measured as Linux tells it"
)
@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize(
    ("count", "size"),
    [
        (160, MIB - 4096),  # as large as an object may be that is kept in one piece
        (16, 20 * MIB),
        pytest.param(2000, MIB - 4096, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
        pytest.param(200, 20 * MIB, marks=[pytest.mark.soak, pytest.mark.timeout(1800)]),
    ],
)
def test_large_objects_after_many_small_ones(place, count, size, backwards, record_property):
    """How many are in memory together is a matter of what they weigh, not of what those before did."""
    pytest.importorskip("numpy")
    saving, loading = in_fresh_process(_stream, place.url, 2000, count, size, backwards, timeout=1500)
    record_property(
        f"memory beyond one of {count} arrays of {size / MIB:.1f} MiB after small ones, {place.kind}",
        f"saving {saving / MIB:.1f} MiB, loading {loading / MIB:.1f} MiB",
    )
    # A batch of 16 MiB: the objects, what they were read from, and what is being made ready.
    assert saving <= 64 * MIB, f"saving took {saving / MIB:.1f} MiB beyond one object"
    assert loading <= 64 * MIB, f"loading took {loading / MIB:.1f} MiB beyond one object"


def _limit(more):
    """Let this process have so much more memory than it has now, and none beyond."""
    limit = _status("VmSize") + more
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _save_within(url, size):
    import numpy as np

    with make_store(url, durable=False) as store:
        store.save(np.arange(300_000))
        array = np.arange(size // 8, dtype="f8")
        _limit(size // 4)
        return store.save({"array": array})


def _load_within(url, id_, size):
    import numpy as np

    with make_store(url) as store:
        store.load("ndarray.1")
        _limit(size + size // 4)
        array = store.load(id_)["array"]
        return bool(array[-1] == size // 8 - 1 and np.all(array[::4096] == np.arange(0, size // 8, 4096)))


@pytest.mark.parametrize(
    "size", [256 * MIB, pytest.param(3072 * MIB, marks=[pytest.mark.soak, pytest.mark.timeout(1800)])]
)
def test_an_object_larger_than_half_the_memory(place, size):
    """A second copy of it would not fit."""
    pytest.importorskip("numpy")
    id_ = in_fresh_process(_save_within, place.url, size, timeout=900)
    assert in_fresh_process(_load_within, place.url, id_, size, timeout=900)


def test_the_checksum_is_verified_on_every_load_that_copies(tmp_path):
    np = pytest.importorskip("numpy")
    with make_store(tmp_path / "objects") as store:
        id_ = store.save(np.zeros(500_000))
        (file,) = (tmp_path / "objects" / ".gc3store" / "data").iterdir()
        with open(file, "r+b") as raw:
            raw.seek(2_000_000)
            raw.write(b"x")
        with pytest.raises(CorruptRecordError):
            store.load(id_)
        with pytest.raises(CorruptRecordError):
            store.verify(id_)
        assert store.load(id_, mapped="r").shape == (500_000,)  # header and length are right
        with open(file, "r+b") as raw:
            raw.truncate(3_000_000)
        with pytest.raises(CorruptRecordError):
            store.load(id_, mapped="r")
