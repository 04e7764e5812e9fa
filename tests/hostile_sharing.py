"""Streams whose parts are shared so often, or nested so deep, that taking them at their word takes for ever."""

import struct


def shared():
    """Yield streams whose parts are shared so often that copying them would take quadratic time."""
    # What is shared times how often it is: a copy for each use takes more memory than the limit, or too long.
    many, often, start = 20_000, 5_000, b"\x80\x04"
    big_list = b"](" + b"K\x01" * many + b"e\x94"  # memo 0
    big_tuple = b"(" + b"K\x01" * many + b"t\x94"
    texts = b"".join(b"\x8c\x06" + b"%06d" % i + b"N" for i in range(many))
    big_dict = b"}(" + texts + b"u\x94"
    objects = b"](" + b"ca\nb\n)\x81" * (many // 5) + b"e\x94"

    def uses(first, name, then, count=often):
        module, _, attribute = name.rpartition(".")
        call = b"c" + module.encode() + b"\n" + attribute.encode() + b"\n\x94"  # memo 1
        return start + first + b"0" + call + b"0(" + then * count + b"t."

    for kind in ("collections.deque", "builtins.set", "builtins.frozenset", "builtins.list", "collections.Counter",
                 "collections.OrderedDict", "builtins.tuple", "builtins.dict", "collections.defaultdict"):  # fmt: skip
        for name, first in (
            ("list", big_list),
            ("tuple", big_tuple),
            ("dictionary", big_dict),
            ("objects", objects),
        ):
            yield f"{kind} of a shared {name}", uses(first, kind, b"h\x01h\x00\x85R")
    pairs = b"](" + b"".join(b"K\x01M" + struct.pack("<H", i) + b"\x86" for i in range(many)) + b"e\x94"
    yield "ordered dictionaries of shared pairs", uses(pairs, "collections.OrderedDict", b"h\x01h\x00\x85R")
    yield "Counters of a shared dictionary", uses(big_dict, "collections.Counter", b"h\x01h\x00\x85R")
    yield "namespaces with a shared state", uses(big_dict, "types.SimpleNamespace", b"h\x01)Rh\x00b")
    yield "UUIDs with a shared state", uses(big_dict, "uuid.UUID", b"h\x01)\x81h\x00b")
    yield "objects with a shared state", uses(big_dict, "a.b", b"h\x01)\x81h\x00b")
    yield "objects with shared slots", uses(big_dict, "a.b", b"h\x01)\x81Nh\x00\x86b")
    yield "objects with two shared states", uses(big_dict, "a.b", b"h\x01)\x81h\x00h\x00\x86b")
    yield "objects with many shared states", uses(big_dict, "a.b", b"h\x01)\x81" + b"h\x00b" * 5)
    yield "one object with a shared state, often", uses(big_dict, "a.b", b"h\x01)\x81" + b"h\x00b" * many, 1)
    yield "objects with shared arguments", uses(big_tuple, "a.b", b"h\x01h\x00\x81")
    yield "calls with shared arguments", uses(big_tuple, "a.b", b"h\x01h\x00R")
    yield "setters with shared arguments", uses(big_tuple, "a.b", b"h\x01h\x00R0")
    yield "made by shared arguments", uses(big_tuple, "copyreg.__newobj__", b"h\x01h\x00R")
    yield "persistent IDs that are shared", start + big_tuple + b"0(" + b"h\x00Q" * often + b"t."
    yield "keys that are shared tuples", start + big_tuple + b"0(" + b"}h\x00Ns" * often + b"t."
    wide = b"(" + b"h\x00" * many + b"t"
    yield "a tuple of shared tuples", start + big_tuple + b"0" + wide + b"."
    deep = (
        start
        + b"K\x01"
        + b"\x85\x94"
        + b"".join(b"(" + b"h" + bytes([i]) * 1 + (b"h" + bytes([i])) * 9 + b"t\x94" for i in range(100))
    )
    yield "persistent IDs that are nested", deep + b"cgc3libs\nId\nh\x64\x85\x81Q."
    yield "persistent IDs with huge numbers", start + b"cgc3libs\nId\nN" + _long4(1 << 20) + b"\x86\x81Q."
    number = start + _long4(1 << 18) + b"\x94"
    yield "dictionaries with a huge key", number + b"0(" + b"}h\x00Ns" * often + b"t."
    yield "tuples of a huge number as keys", number + b"0(" + b"}h\x00\x85Ns" * often + b"t."
    yield (
        "ranges of a huge number as keys",
        (number + b"0cbuiltins\nrange\nh\x00h\x00K\x01\x87R\x940(" + b"}h\x01Ns" * often + b"t."),
    )
    few = b"".join(_long(((1 << 61) - 1) * i) + b"\x94" for i in range(1, 200))
    refer = b"".join(b"h" + bytes([i]) + b"N" for i in range(199)) * 20
    yield (
        "small dictionaries of colliding keys",
        start + b"(" + few + b"1(" + (b"}(" + refer + b"u") * 40 + b"t.",
    )
    fraction = b"X" + struct.pack("<I", 8001) + b"7" * 4000 + b"/" + b"3" * 4000 + b"\x94"
    yield "fractions of shared digits", uses(fraction, "fractions.Fraction", b"h\x01h\x00\x85R")
    decimal = b"X" + struct.pack("<I", 10_000) + b"7" * 10_000 + b"\x94"
    yield "decimals of shared digits", uses(decimal, "decimal.Decimal", b"h\x01h\x00\x85R")
    path = b"X" + struct.pack("<I", 10_000) + b"x/" * 5000 + b"\x94"
    yield "paths of shared parts", uses(path, "pathlib.PosixPath", b"h\x01h\x00\x85R")
    yield (
        "paths of many parts",
        uses(b"(" + b"\x8c\x01x" * 1000 + b"t\x94", "pathlib.PosixPath", b"h\x01h\x00R"),
    )
    name = b"X" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20) + b"\x94"
    yield "long names", start + name + b"0(" + b"h\x00h\x00\x93)R" * often + b"t."
    yield "long attributes", uses(name, "builtins.getattr", b"h\x01cbuiltins\nobject\nh\x00\x86R", 5000)
    # Values made at once, within each other.
    nested = 2000
    yield (
        "getattr of getattr",
        start + b"cbuiltins\ngetattr\n" * nested + b"ca\nb\n" + b"\x8c\x01x\x86R" * nested + b".",
    )
    for opener, closer in (
        (b"cbuiltins\nfrozenset\n](", b"e\x85R"),
        (b"ccollections\nOrderedDict\n](", b"K\x01\x86e\x85R"),
        (b"cdatetime\ntimezone\n", b"\x85R"),
        (b"cdatetime\ndatetime\nC\x0a\x07\xd0\x01\x01\0\0\0\0\0\0", b"\x86R"),
        (b"cnumpy.core.multiarray\nscalar\ncnumpy\ndtype\n(S'O8'\nI00\nI01\ntR", b"\x86R"),
        (b"cbuiltins\nbytearray\n", b"\x85R"),
        (b"cpyarrow.lib\nchunked_array\n](", b"e\x85R"),
        (b"cpandas.core.indexes.base\n_new_Index\ncpandas\nIndex\n}(\x8c\x04data", b"u\x86R"),
        (b"cpandas.core.indexes.base\n_new_Index\ncpandas\nMultiIndex\n}(\x8c\x06levels](", b"eu\x86R"),
        (b"ccollections\ndefaultdict\n", b"\x85R"),
        (b"cpathlib\nPosixPath\n", b"\x85R"),
        (b"cuuid\nUUID\n)\x81}\x8c\x03int", b"sb"),
        (b"cgc3store.persistable\nconstruct\n", b"\x85R"),
    ):
        name = opener.partition(b"\n")[0].decode() + "." + opener.split(b"\n")[1].decode()
        yield f"{name} in itself", start + opener * nested + b"N" + closer * nested + b"."
    yield (
        "frozen set that is its own argument",
        (start + b"cbuiltins\nfrozenset\n]\x94\x85R\x94h\x00" + b"(" + b"h\x01" * 10 + b"e0h\x01."),
    )
    yield (
        "ordered dictionary that is its own key",
        (start + b"ccollections\nOrderedDict\n]\x94\x85R\x94h\x00(" + b"h\x01K\x01\x86" * 10 + b"e0h\x01."),
    )
    # Arrays and frames that are far more than what is stored of them.
    double = b"cnumpy\ndtype\n(S'f8'\nI00\nI01\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb\x94"
    zeros = b"B" + struct.pack("<I", 1 << 20) + bytes(1 << 20) + b"\x94"
    array = b"cnumpy.core.numeric\n_frombuffer\n(h\x01h\x00(J" + struct.pack("<i", 1 << 17) + b"tS'C'\ntR"
    yield "arrays of the same bytes", start + double + zeros + b"00(" + array * 2000 + b"t."
    yield (
        "arrays of nothing",
        (
            start
            + double
            + b"0("
            + b"cnumpy.core.numeric\n_frombuffer\n(C\0h\x00(L9999999999999L\nI0\ntS'C'\ntR" * 100
            + b"t."
        ),
    )
    inner = double
    for level in range(8):
        place = b"h" + bytes([level]) + b"I0\n\x86"
        names = b"(" + b"".join(b"S'f%d'\n" % i for i in range(20)) + b"t"
        table = b"(" + b"".join(b"S'f%d'\n" % i + place for i in range(20)) + b"d"
        inner += b"0cnumpy\ndtype\n(S'V8'\nI00\nI01\ntR(I3\nS'|'\nN" + names + table + b"I8\nI1\nI0\ntb\x94"
    yield (
        "fields that overlap in fields",
        (start + inner + b"0cnumpy.core.numeric\n_frombuffer\n(C\x08" + bytes(8) + b"h\x08(I1\ntS'C'\ntR."),
    )
    labels = b"cpandas.core.indexes.base\n_new_Index\ncpandas\nRangeIndex\n}("
    labels += b"\x8c\x05startK\0\x8c\x04stopL9999999999999L\n\x8c\x04stepK\x01\x8c\x04nameNu\x86R"
    yield "indexes without end", start + b"(" + labels * 100 + b"t."
    sparse = b"cpandas.arrays\nSparseArray\n)\x81}(\x8c\x0d_sparse_indexcpandas._libs.sparse\nIntIndex\n("
    sparse += (
        b"L9999999999999L\n"
        b"cnumpy.core.numeric\n_frombuffer\n(C\x08"
        + bytes(8)
        + double
        + b"(I1\ntS'C'\ntRtR\x8c\x0e_sparse_values"
    )
    sparse += b"cnumpy.core.numeric\n_frombuffer\n(C\x08" + bytes(8) + double + b"(I1\ntS'C'\ntRub"
    yield "sparse array without end", start + sparse + b"."
    frame = b"cpandas\nDataFrame\n)\x81}\x8c\x04_mgrcpandas.core.internals.managers\nBlockManager\n("
    frame += b"cpandas._libs.internals\n_unpickle_block\n(cnumpy.core.numeric\n_frombuffer\n(C\0" + double
    frame += b"(L1000000L\nI0\ntS'C'\ntRcbuiltins\nslice\n(I0\nI1000000\nI1\ntRI2\ntR\x85"
    frame += (
        b"]("
        + labels.replace(b"9999999999999", b"1000000")
        + labels.replace(b"9999999999999", b"0")
        + b"etRsb"
    )
    yield "frames of nothing", start + b"(" + frame * 200 + b"t."
    point = (
        b"(cpyarrow.lib\nstruct\n]("
        + b"cpyarrow.lib\nfield\n\x8c\x01xcpyarrow.lib\ntype_for_alias\n\x8c\x04null\x85R\x86R" * 10
    )
    leaf = b"(cpyarrow.lib\ntype_for_alias\n\x8c\x04null\x85RL9999999999L\nI0\nI0\n]]Nt\x94"
    tower = leaf
    for level in range(10):
        tower += point + b"e\x85RI1\nI0\nI0\n](Ne](" + (b"h" + bytes([level])) * 10 + b"eNt\x94"
    yield "structures of Arrow in structures", start + tower + b"0cpyarrow.lib\n_restore_array\nh\x0a\x85R."


def _long4(count):
    return b"\x8b" + struct.pack("<I", count) + b"\x7f" * count


def _long(value):
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw
