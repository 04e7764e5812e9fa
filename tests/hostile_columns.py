"""Arrays, types and columns that stand for far more than is stored of them."""

import struct

START = b"\x80\x04"


def text(value):
    """Return the opcodes that push a text."""
    raw = value.encode()
    return b"X" + struct.pack("<I", len(raw)) + raw


def number(value):
    """Return the opcodes that push a number."""
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def put(place):
    """Return the opcodes that remember what is on top."""
    return b"r" + struct.pack("<I", place)


def get(place):
    """Return the opcodes that push what was kept."""
    return b"j" + struct.pack("<I", place)


def dtype(code):
    """Return the opcodes that make a type of numbers."""
    return b"cnumpy\ndtype\n(" + text(code) + b"\x89\x88tR(K\x03" + text("<") + b"NNNI-1\nI-1\nK\0tb"


def array(code="f8", data=bytes(8)):
    """Return the opcodes that make an array of one element."""
    raw = b"B" + struct.pack("<I", len(data)) + data
    return b"cnumpy._core.numeric\n_frombuffer\n(" + raw + dtype(code) + b"(K\x01t" + text("C") + b"tR"


def index(kind, **fields):
    """Return the opcodes that make labels."""
    state = b"".join(text(name) + value for name, value in fields.items())
    return b"cpandas.core.indexes.base\n_new_Index\n(cpandas\n" + kind + b"\n}(" + state + b"utR"


def record(size, *fields):
    """Return the opcodes that make a type of records: names, types and offsets."""
    names = b"(" + b"".join(text(name) for name, _, _ in fields) + b"t"
    table = b"}(" + b"".join(text(name) + b"(" + made + number(at) + b"t" for name, made, at in fields) + b"u"
    end = number(size) + b"K\x01K\0tb"
    return (
        b"cnumpy\ndtype\n(" + text(f"V{size}") + b"\x89\x88tR(K\x03" + text("|") + b"N" + names + table + end
    )


def chain(first, link, length):
    """Return a stream of a tuple of things, each made by `link` of the one before."""
    steps = b"".join(link(get(place)) + put(place + 1) for place in range(length))
    return START + first + put(0) + b"0(" + steps + b"t."


def buffer(raw):
    """Return the opcodes that make a buffer of Arrow."""
    return b"cpyarrow.lib\npy_buffer\nB" + struct.pack("<I", len(raw)) + raw + b"\x85R"


def alias(name):
    """Return the opcodes that make a type of Arrow."""
    return b"cpyarrow.lib\ntype_for_alias\n" + text(name) + b"\x85R"


def arrow(type_, length, buffers=(), children=b"", dictionary=b"N"):
    """Return the opcodes that make the parts of an array of Arrow."""
    held = b"](N" + b"".join(map(buffer, buffers)) + b"e"
    return b"(" + type_ + number(length) + b"K\0K\0" + held + b"](" + children + b"e" + dictionary + b"t"


def restored(parts):
    """Return the opcodes that make an array of Arrow."""
    return b"cpyarrow.lib\n_restore_array\n" + parts + b"\x85R"


def series(values, labels):
    """Return the opcodes that make a Series."""
    place = b"cbuiltins\nslice\n(K\0K\x01K\x01tR"
    block = b"cpandas._libs.internals\n_unpickle_block\n(" + values + place + b"K\x01tR"
    manager = b"cpandas.core.internals.managers\nSingleBlockManager\n(" + block + b"\x85](" + labels + b"etR"
    return b"cpandas\nSeries\n)\x81}(" + text("_mgr") + manager + text("_name") + b"Nub"


def interval(ends):
    """Return the opcodes that make intervals whose ends are the same."""
    fields = text("_left") + ends + text("_right") + ends + text("_closed") + text("right")
    return b"cpandas.arrays\nIntervalArray\n)\x81}(" + fields + b"ub"


def sparse(values, length=1):
    """Return the opcodes that make a sparse array with one value."""
    places = b"cpandas._libs.sparse\nIntIndex\n(" + number(length) + array("i8") + b"tR"
    fields = text("_sparse_index") + places + text("_sparse_values") + values
    return b"cpandas.arrays\nSparseArray\n)\x81}(" + fields + b"ub"


def categorical(categories):
    """Return the opcodes that make labels in categories."""
    kind = b"cpandas\nCategoricalDtype\n)\x81}" + text("categories") + categories + b"sb"
    made = (
        b"cpandas._libs.arrays\n__pyx_unpickle_NDArrayBacked\n(cpandas.core.arrays.categorical\nCategorical\n"
    )
    return index(b"Index", data=made + b"K\x01NtR(" + kind + array("i8") + b"}tb")


def columns():
    """Yield names and streams."""
    # Types in types, of which each is five times the one before.
    step = START + dtype("u1") + put(0) + b"0"
    for level in range(12):
        parts = [(f"f{n}", get(level), 0) for n in range(5)]
        step += record(10**9 + level, *parts) + put(level + 1) + b"0"
    empty = b"cnumpy._core.numeric\n_frombuffer\n(C\0" + get(12) + b"(K\0t" + text("C") + b"tR"
    yield "types in types", step + empty + b"."
    yield "types in types as keys", step + b"}(" + get(12) + b"N" + get(11) + b"N" + b"u."
    deep = START + dtype("f8") + put(0) + b"0"
    for level in range(1200):
        deep += record(4000 + level, ("f", get(level), 0)) + put(level + 1) + b"0"
    full = b"B" + struct.pack("<I", 5199) + bytes(5199)
    yield (
        "records in records",
        deep + b"cnumpy._core.numeric\n_frombuffer\n(" + full + get(1200) + b"(K\x01t" + text("C") + b"tR.",
    )
    # Columns of columns.
    labels = index(b"Index", data=array())
    for length in (9, 1200):
        yield f"{length} intervals of intervals", chain(array(), interval, length)
        yield f"{length} sparse arrays of sparse arrays", chain(array(), sparse, length)
        yield f"{length} categories of categories", chain(labels, categorical, length)
        yield (
            f"{length} labels of labels",
            chain(
                labels,
                lambda level: index(
                    b"MultiIndex",
                    levels=b"](" + level * 6 + b"e",
                    codes=b"](" + array("i8") * 6 + b"e",
                    names=b"](" + b"N" * 6 + b"e",
                ),
                length,
            ),
        )
    # Arrays of Arrow in arrays of Arrow.
    byte = alias("int8")
    for name, link in (
        (
            "dictionaries",
            lambda inner: arrow(
                b"cpyarrow.lib\ndictionary\n(" + byte * 2 + b"\x89tR", 1, [b"\0"], b"", inner
            ),
        ),
        (
            "lists",
            lambda inner: arrow(
                b"cpyarrow.lib\nlist_\n(" + byte + b"tR", 1, [struct.pack("<2i", 0, 1)], inner
            ),
        ),
    ):
        nested = START + arrow(byte, 1, [b"\0"]) + put(0) + b"0"
        for level in range(1200):
            nested += link(get(level)) + put(level + 1) + b"0"
        yield f"{name} of Arrow in {name}", nested + restored(get(1200)) + b"."
    numbers = arrow(byte, 100_000, [bytes(100_000)])
    one = arrow(
        b"cpyarrow.lib\nlist_\n(" + byte + b"tR", 1, [struct.pack("<2i", 0, 100_000)], children=numbers
    )
    words = arrow(alias("string"), 1, [struct.pack("<2i", 0, 1 << 20), b"x" * (1 << 20)])
    for name, values in (("lists", one), ("texts", words)):
        kind = b"cpyarrow.lib\ndictionary\n(" + byte * 2 + b"\x89tR"
        made = restored(arrow(kind, 100_000, [bytes(100_000)], dictionary=values))
        yield f"a hundred thousand times one of the {name}", START + made + b"."
    # More labels than atoms, none of which is what is looked for.
    count = 1 << 59
    nothing = (
        b"cpandas.arrays\nArrowExtensionArray\n)\x81}"
        + text("_pa_array")
        + restored(arrow(alias("null"), count))
    )
    counted = index(b"RangeIndex", start=b"K\0", stop=number(count), step=b"K\x01", name=b"N")
    yield "a series without end", START + series(nothing + b"sb", counted) + b"."
    yield (
        "a sparse series without end",
        START + series(sparse(array(), count), index(b"Index", data=sparse(array(), count))) + b".",
    )
    half = restored(arrow(alias("null"), (1 << 59) + 1))
    yield (
        "a series of many endless parts",
        START + b"cpyarrow.lib\nchunked_array\n](" + half * 16 + b"e\x85R.",
    )
    # Places that are no whole numbers.
    odd = array("f8", struct.pack("<d", 0.5))
    yield (
        "labels at half a place",
        START
        + index(b"MultiIndex", levels=b"](" + labels + b"e", codes=b"](" + odd + b"e", names=b"](Ne")
        + b".",
    )
    kind = b"cpandas\nCategoricalDtype\n)\x81}" + text("categories") + labels + b"sb"
    made = (
        b"cpandas._libs.arrays\n__pyx_unpickle_NDArrayBacked\n(cpandas.core.arrays.categorical\nCategorical\n"
    )
    yield "categories at half a place", START + made + b"K\x01NtR(" + kind + odd + b"}tb."
    halves = arrow(
        b"cpyarrow.lib\ndictionary\n(" + alias("double") + byte + b"\x89tR",
        1,
        [struct.pack("<d", 0.5)],
        dictionary=arrow(byte, 1, [b"\0"]),
    )
    yield "a dictionary at half a place", START + restored(halves) + b"."


def calm_values():
    """Yield streams that are harmless, with which the libraries of arrays are imported."""
    yield START + array() + b"."
    yield START + restored(arrow(alias("int8"), 1, [b"\0"])) + b"."
    yield START + b"cpandas\nPeriod\n(Ncpandas._libs.tslibs.offsets\nDay\nK\x01\x85RK\x01tR."
