"""Arrays and frames by inspection have the values that loading gives, and type and size without NumPy."""

import math
import pickle
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from gc3store.errors import InspectionError
from gc3store.inspection import Array, Frame, Inert, html, read, same, text

ARRAYS = {
    "integers": np.arange(6),
    "bytes": np.arange(6, dtype="u1"),
    "big endian": np.arange(6, dtype=">i4"),
    "matrix": np.arange(24.0).reshape(2, 3, 4),
    "in the order of Fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
    "transposed": np.arange(24).reshape(2, 3, 4).transpose(1, 2, 0),
    "every second": np.arange(20)[::2],
    "large": np.linspace(0, 1, 20_000),
    "nothing": np.zeros((0, 3)),
    "single": np.array(3.5),
    "truth": np.array([True, False]),
    "complex": np.array([1 + 2j, -1j]),
    "half": np.array([1.5, -2], dtype="f2"),
    "long": np.array([1.5, -2, math.inf], dtype="g"),
    "texts": np.array(["a", "bcd", "é"]),
    "byte strings": np.array([b"a", b"bcd"]),
    "objects": np.array([1, None, "x", [1]], dtype=object),
    "records": np.array([(1, 2.5, b"x"), (2, 3.5, b"y")], dtype=[("a", "i4"), ("b", "f8"), ("c", "S3")]),
    "nested records": np.zeros(2, dtype=[("a", [("b", "i2", (2,))]), ("c", "f4")]),
    "moments": np.array(["2026-01-02T03:04:05", "NaT"], dtype="M8[us]"),
    "days": np.array(["2026-01-02", "1969-12-31"], dtype="M8[D]"),
    "durations": np.array([1, 90], dtype="m8[s]"),
}


def expected(array):
    if array.dtype.kind in "Mm":
        return (
            array.astype(array.dtype.str.replace("[D]", "[us]")).tolist()
            if array.dtype != "m8[s]"
            else array.tolist()
        )
    if array.dtype == np.longdouble:
        return array.astype(float).tolist()
    return in_lists(array.tolist())


def in_lists(value):
    """Arrays within records stay arrays in what NumPy calls a list."""
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, (list, tuple)):
        return type(value)(map(in_lists, value))
    return value


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("name", ARRAYS)
def test_arrays(name, protocol):
    array = ARRAYS[name]
    shown = read(pickle.dumps(array, protocol))
    check(array, shown)
    if protocol == 5:
        buffers = []
        stream = pickle.dumps(array, 5, buffer_callback=buffers.append)
        check(array, read(stream, buffers=buffers))


def check(array, shown):
    assert isinstance(shown, Array)
    assert shown.shape == array.shape
    if array.dtype.kind not in "SUV":
        assert str(shown.dtype) == (
            str(array.dtype.newbyteorder("=")) if array.dtype != np.longdouble else "float128"
        )
    assert same(shown.tolist(), expected(array))
    assert (
        same(shown.head(2), np.array(array, order="C").reshape(-1)[:2].tolist())
        or array.dtype.kind in "MmgfV"
    )
    text(shown), html(shown)
    if array.dtype.kind in "iufbc" and array.size:
        assert np.array_equal(np.asarray(shown), array)
        assert shown[-1] == array[-1] if array.ndim == 1 else True


@pytest.mark.parametrize("protocol", range(6))
def test_scalars(protocol):
    for value in (np.float64(1.5), np.int8(-3), np.bool_(True), np.str_("x"), np.float32(0.5)):
        assert read(pickle.dumps(value, protocol)) == value


def frames():
    index = pd.date_range("2026-01-01", periods=3, name="when")
    yield pd.DataFrame({"n": [1, 2, 3], "x": [0.5, None, 2], "s": ["a", None, "c"]})
    yield pd.DataFrame({"t": index, "z": index.tz_localize("UTC"), "d": index - index[0]}, index=index)
    yield pd.DataFrame({"c": pd.Categorical(["u", "v", None]), "i": pd.array([1, None, 3], dtype="Int64")})
    yield pd.DataFrame({"b": pd.array([True, None, False], dtype="boolean"), 7: [(1,), [2], None]})
    yield pd.DataFrame(
        np.arange(6).reshape(3, 2), index=pd.MultiIndex.from_tuples([(1, "a"), (1, "b"), (2, "a")])
    )
    yield pd.DataFrame()
    mixed = pd.DataFrame({"a": [1.0, 2], "b": ["x", "y"], "c": [3.0, 4]})
    mixed["d"] = [True, False]
    yield mixed[["d", "c", "b", "a"]]


def plain(value):
    if value is None or value is pd.NA or value is pd.NaT or (isinstance(value, float) and math.isnan(value)):
        return None
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    if isinstance(value, pd.Timedelta):
        return value.to_pytimedelta()
    return value.item() if isinstance(value, np.generic) else value


@pytest.mark.parametrize("protocol", [2, 4, 5])
@pytest.mark.parametrize("number", range(7))
def test_frames(number, protocol):
    frame = list(frames())[number]
    shown = read(pickle.dumps(frame, protocol))
    assert isinstance(shown, Frame), shown
    assert shown.shape == frame.shape
    assert list(shown.columns) == list(frame.columns)
    assert same([plain(v) for v in shown.index], [plain(v) for v in frame.index])
    for position, label in enumerate(frame.columns):
        found = [plain(value) for value in shown.column(position)]
        assert same(found, [plain(value) for value in frame[label]]), label
    assert len(html(shown)) < 20_000
    text(shown)


def test_series():
    series = pd.Series([1.5, 2.5], index=["a", "b"], name="energy")
    shown = read(pickle.dumps(series))
    assert list(shown) == [1.5, 2.5]
    assert (shown.name, shown.dtype, shown["b"]) == ("energy", "float64", 2.5)
    assert read(pickle.dumps(pd.Timestamp("2026-01-02 03:04"))) == pd.Timestamp("2026-01-02 03:04")
    assert read(pickle.dumps(pd.Timedelta("90s"))) == pd.Timedelta("90s")


def test_type_and_shape_without_numpy(tmp_path):
    (tmp_path / "arrays").write_bytes(
        pickle.dumps([ARRAYS["matrix"], ARRAYS["nested records"], ARRAYS["single"], ARRAYS["objects"]])
    )
    program = (
        "import sys; sys.modules['numpy'] = sys.modules['pandas'] = None\n"
        "from gc3store.errors import InspectionError\n"
        "from gc3store.inspection import html, read, same, text\n"
        "shown, again = (read(open(sys.argv[1], 'rb')) for _ in range(2))\n"
        "print(text(shown), same(shown, again), 'float64' in html(shown), 'float64' in html(shown[0]))\n"
        "for array in shown:\n"
        "    try:\n"
        "        print(array.tolist())\n"
        "    except InspectionError as error:\n"
        "        print(error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, tmp_path / "arrays"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    shown, *errors, objects = done.stdout.splitlines()
    assert "array 2 \N{MULTIPLICATION SIGN} 3 \N{MULTIPLICATION SIGN} 4 float64" in shown
    assert "b: (int16, (2,))" in shown
    assert shown.endswith("True True True")
    assert errors == ["These values cannot be shown without numpy, which is not installed."] * 3
    assert objects == "[1, None, 'x', [1]]"


def test_texts_that_are_no_texts():
    stream = pickle.dumps(np.array(["a", "b"]), 5)
    shown = read(stream.replace(b"b\0\0\0", b"\xff\xff\xff\x7f"))
    assert shown.shape == (2,)
    assert shown[0] == "a"
    with pytest.raises(InspectionError, match="decode"):
        shown.tolist()
    assert "'a'" in text(shown)
    assert "U1" in html(shown)


@pytest.mark.parametrize(
    "order", [(), (b"]",), (b"(K\x00K\x00t",), (b"(K\x00Nt",), (b"(K\x07t",), (b"()Nt",), (b"N", b"N")]
)
def test_orders_of_axes_that_are_none(order):
    dtype = b"cnumpy\ndtype\n(\x8c\x02u1\x89\x88tR"
    stream = b"\x80\x04cnumpy._core.numeric\n_frombuffer\n(C\x04abcd" + dtype + b"(K\x02K\x02t\x8c\x01K"
    assert isinstance(read(stream + b"".join(order) + b"tR."), Inert)
    assert read(stream + b"(K\x01K\x00t" + b"tR.").tolist() == [[97, 99], [98, 100]]


def test_arrays_that_are_not_understood_are_placeholders():
    shown = read(pickle.dumps(np.ma.array([1, 2], mask=[0, 1])))
    assert isinstance(shown, Inert)
    assert "MaskedArray" in text(shown)
