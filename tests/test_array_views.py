"""Rows, fields and axes of arrays that are looked at in a store show what they show of the arrays themselves."""

import subprocess
import sys

import numpy as np
import pytest

from gc3store import inspection
from gc3store.errors import StoreError, StoreWarning
from tests.raw_streams import KINDS, RawStore, called, named, short

RECORDS = np.dtype(
    [("a", "i2"), ("b", [("x", "f8"), ("y", "i4")]), ("c", "f4", (2,)), ("d", "S3")], align=True
)


def records(*shape):
    """Return an array of records in which no two numbers are alike."""
    made = np.zeros(shape, RECORDS)
    count = made.size
    for start, name in ((0, "a"), (1, "d")):
        made[name] = (start * count + np.arange(count)).reshape(shape)
    made["b"]["x"] = (2.5 * count + np.arange(count)).reshape(shape)
    made["b"]["y"] = (3 * count + np.arange(count)).reshape(shape)
    made["c"] = (4 * count + np.arange(2 * count)).reshape((*shape, 2))
    return made


ARRAYS = {
    "a matrix": np.arange(12).reshape(3, 4),
    "three dimensions": np.arange(60.0).reshape(3, 4, 5),
    "the other byte order": np.arange(12, dtype=">i4").reshape(3, 4),
    "in the order of Fortran": np.asfortranarray(np.arange(12).reshape(3, 4)),
    "a pair transposed": np.arange(12).reshape(3, 4).T,
    "axes in a circle": np.arange(60).reshape(3, 4, 5).transpose(1, 2, 0),
    "axes in the other circle": np.arange(60).reshape(3, 4, 5).transpose(2, 0, 1),
    "the last pair of axes": np.arange(60).reshape(3, 4, 5).transpose(0, 2, 1),
    "large": np.arange(90_000).reshape(300, 300),
    "large and transposed": np.arange(90_000.0).reshape(300, 300).T,
    "large, axes in a circle": np.arange(90_000).reshape(30, 60, 50).transpose(1, 2, 0),
}


@pytest.fixture(params=KINDS)
def raw(request, tmp_path):
    raw = RawStore(tmp_path, request.param)
    yield raw
    raw.close()


def alike(shown, array):
    """Whether NumPy makes the same of both, and so does a list."""
    made = np.asarray(shown)
    return made.dtype == array.dtype and np.array_equal(made, array) and shown.tolist() == array.tolist()


@pytest.mark.parametrize("name", ARRAYS)
def test_rows_and_their_rows(store, name):
    array = ARRAYS[name]
    shown = store.inspect(store.save(array))
    assert alike(shown, array)
    for at in (0, 1, -1, len(array) - 1):
        assert alike(shown[at], array[at])
        assert shown[at].shape == array[at].shape
    if array.ndim == 3:
        assert alike(shown[1][2], array[1][2])
        assert alike(shown[2, 1], array[2, 1])
    last = tuple(n - 1 for n in array.shape)
    assert shown[last] == array[last]
    assert [row.tolist() for row in shown[1:3]] == array[1:3].tolist()
    with pytest.raises(IndexError):
        shown[len(array)]


def test_rows_of_objects(store):
    array = np.array([[1, "a"], [None, (2,)]], dtype=object)
    shown = store.inspect(store.save([array, array.T]))
    assert [row.tolist() for row in shown[0]] == [[1, "a"], [None, (2,)]]
    assert [row.tolist() for row in shown[1]] == [[1, None], ["a", (2,)]]


@pytest.mark.parametrize("shape", [(5,), (2, 3), (40, 60)])
@pytest.mark.parametrize("turned", [False, True])
def test_fields_are_views_of_every_record(store, shape, turned):
    array = records(*shape).T if turned else records(*shape)
    shown = store.inspect(store.save(array))
    assert alike(shown["a"], array["a"])
    assert alike(shown["b"]["x"], array["b"]["x"])
    assert alike(shown["b"]["y"], array["b"]["y"])
    assert shown["d"].tolist() == array["d"].tolist()
    assert shown["c"].tolist() == array["c"].tolist()
    if array.ndim == 2:
        assert alike(shown[1]["b"]["y"], array[1]["b"]["y"])
        assert alike(shown["b"]["y"][1], array["b"]["y"][1])
    with pytest.raises(KeyError):
        shown["e"]


def test_paths_lead_to_elements(store):
    array = ARRAYS["axes in a circle"]
    id_ = store.save({"array": array, "records": records(2, 3)})
    table = store.table(columns=["array[1][2][1]", "array[-1][0]", "records[1][2]"])
    cells = table.loc[id_]
    assert cells["array[1][2][1]"] == array[1, 2, 1]
    assert cells["array[-1][0]"].tolist() == array[-1, 0].tolist()
    assert cells["records[1][2]"][0] == 5


def dtype(code, *state):
    return called(named("numpy", "dtype"), short(code), b"\x89\x88") + (
        b"(" + b"".join(state) + b"tb" if state else b""
    )


def structured(offset, size=8, inner=None):
    """Return an array of two records of one field each, which begins at `offset` of so many bytes."""
    inner = inner or dtype("f8", b"K\x03", short("<"), b"NNN", number(-1), number(-1), b"K\x00")
    field = short("f") + inner + number(offset) + b"\x86"
    table = b"}" + field + b"s"
    record = dtype(
        f"V{size}", b"K\x03", short("|"), b"N", short("f") + b"\x85", table, number(size), b"K\x01", b"K\x00"
    )
    numbers = np.arange(1, 1 + 2 * size, dtype="u1").tobytes()
    data = b"C" + bytes([len(numbers)]) + numbers
    make = named("numpy._core.numeric", "_frombuffer")
    return b"\x80\x04" + called(make, data, record, b"K\x02\x85", short("C")) + b"."


def number(value):
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def test_a_field_within_its_record(raw):
    for offset, size in ((0, 8), (0, 12), (4, 12), (3, 11)):
        shown = raw.inspect(structured(offset, size))
        data = np.arange(1, 1 + 2 * size, dtype="u1").tobytes()
        there = np.dtype({"names": ["f"], "formats": ["<f8"], "offsets": [offset], "itemsize": size})
        assert shown["f"].tolist() == np.frombuffer(data, there)["f"].tolist()


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("offset", [-1, -8, -(2**40), 1, 8, 16, 2**31, 2**62, 2**63, 2**70])
def test_a_field_that_is_not_within_its_record_shows_nothing(raw, offset, nested):
    if nested:  # the outer record is sound
        one = structured(offset)
        start = one.index(named("numpy", "dtype"))
        stream = structured(0, inner=one[start : one.index(b"K\x02\x85" + short("C"))])
    else:
        stream = structured(offset)
    id_ = raw.put(stream)
    store = raw.open()
    try:
        shown = store.inspect(id_)
    except StoreError:
        shown = None
    assert not isinstance(shown, inspection.Array)
    with pytest.warns(StoreWarning, match="f"):
        assert store.table(columns=[".f"])[".f"].isna().all()


def test_shape_and_type_without_numpy(place):
    # Of a large array, of one in the stream, and of records.
    store = place.open()
    ids = [store.save(array) for array in (ARRAYS["large"], ARRAYS["a pair transposed"], records(2, 3))]
    program = (
        "import sys; sys.modules['numpy'] = sys.modules['pandas'] = None\n"
        "from gc3store import inspection, make_store\n"
        "store = make_store(sys.argv[1])\n"
        "for id_ in sys.argv[2:]:\n"
        "    shown = store.inspect(id_)\n"
        "    print(inspection.class_path(shown) or shown.cls, tuple(shown.shape), shown.dtype)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, place.url, *ids], capture_output=True, text=True, check=True
    )
    large, turned, structure = done.stdout.splitlines()
    assert "(300, 300) int64" in large
    assert "(4, 3) int64" in turned
    assert "(2, 3)" in structure
    assert "float64" in structure
