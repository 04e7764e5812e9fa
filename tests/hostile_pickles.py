"""Pickles that attack whoever reads them, and a program that inspects them under guard.

Run as a program with the name of a group, and with two numbers to begin with that stream and take one in
so many, it inspects each stream of that group under limits
of memory and of the stack, with an audit hook that notes every import, call to the outside and
look-up of a class, and prints what happened as JSON. Streams of the group "small" are
below a kilobyte or so; those of "large" are generated and take megabytes.
"""

import itertools
import json
import pickle
import pickletools
import struct
import sys

from hostile_columns import calm_values, columns
from hostile_sharing import shared


def _call(module, name, *args):
    """Return a protocol-0 stream that calls a function with texts."""
    body = b"".join(b"S" + repr(a).encode() + b"\n" for a in args)
    return b"c%s\n%s\n(%stR." % (module.encode(), name.encode(), body)


def _stack_global(module, name, *args):
    out = (
        b"\x80\x04\x8c"
        + bytes([len(module)])
        + module.encode()
        + b"\x8c"
        + bytes([len(name)])
        + name.encode()
        + b"\x93("
    )
    for a in args:
        out += b"\x8c" + bytes([len(a)]) + a.encode()
    return out + b"tR."


COMMANDS = [
    ("os", "system", "touch /nonexistent/x"),
    ("posix", "system", "true"),
    ("nt", "system", "true"),
    ("subprocess", "Popen", "true"),
    ("subprocess", "check_output", "true"),
    ("builtins", "eval", "1/0"),
    ("builtins", "exec", "raise SystemExit"),
    ("builtins", "compile", "x", "x", "exec"),
    ("builtins", "open", "/etc/passwd"),
    ("builtins", "__import__", "antigravity"),
    ("builtins", "getattr", "x", "y"),
    ("__builtin__", "eval", "1/0"),
    ("__builtin__", "execfile", "/etc/passwd"),
    ("commands", "getoutput", "true"),
    ("importlib", "import_module", "antigravity"),
    ("runpy", "run_path", "/etc/passwd"),
    ("runpy", "_run_code", "x"),
    ("code", "interact"),
    ("pdb", "run", "1/0"),
    ("bdb", "Bdb.run", "1/0"),
    ("cProfile", "run", "1/0"),
    ("profile", "Profile.run", "1/0"),
    ("trace", "Trace.run", "1/0"),
    ("timeit", "timeit", "1/0"),
    ("doctest", "debug_script", "1/0"),
    ("idlelib.pyshell", "ModifiedInterpreter.runcommand", "1/0"),
    ("idlelib.run", "Executive.runcode", "1/0"),
    ("lib2to3.pgen2.grammar", "Grammar.loads", "x"),
    ("numpy.testing._private.utils", "runstring", "1/0"),
    ("numpy.f2py.crackfortran", "getlincoef", "1/0"),
    ("torch", "load", "x"),
    ("torch._dynamo.guards", "GuardBuilder.get", "x"),
    ("torch.utils.bottleneck.__main__", "run_cprofile", "x"),
    ("pandas.core.computation.eval", "eval", "@__import__('os')"),
    ("pandas", "read_pickle", "/etc/passwd"),
    ("joblib", "load", "/etc/passwd"),
    ("dill", "loads", "x"),
    ("cloudpickle.cloudpickle", "subimport", "antigravity"),
    ("cloudpickle.cloudpickle", "_make_function", "x"),
    ("socket", "create_connection", "x"),
    ("urllib.request", "urlopen", "http://localhost:1/"),
    ("http.client", "HTTPSConnection", "localhost"),
    ("requests.api", "get", "http://localhost:1/"),
    ("aiohttp.client", "ClientSession"),
    ("webbrowser", "open", "http://localhost:1/"),
    ("ctypes", "CDLL", "libc.so.6"),
    ("ctypes.util", "find_library", "c"),
    ("shutil", "rmtree", "/nonexistent"),
    ("pathlib", "Path.unlink", "/nonexistent"),
    ("pty", "spawn", "true"),
    ("platform", "popen", "true"),
    ("asyncio.unix_events", "_UnixSubprocessTransport._start", "true"),
    ("multiprocessing.util", "spawnv_passfds", "true"),
    ("distutils.file_util", "write_file", "/nonexistent/x"),
    ("logging.config", "dictConfig", "x"),
    ("logging.config", "_resolve", "os.system"),
    ("ensurepip", "_run_pip", "x"),
    ("pip", "main", "install"),
    ("pip._internal.cli.main", "main", "x"),
    ("venv", "create", "/nonexistent/x"),
    ("pydoc", "locate", "antigravity"),
    ("pydoc", "pipepager", "x", "true"),
    ("pkgutil", "resolve_name", "os:system"),
    ("test.support.script_helper", "assert_python_ok", "-c"),
    ("types", "CodeType", "x"),
    ("types", "FunctionType", "x"),
    ("functools", "partial", "x"),
    ("functools", "reduce", "x", "y"),
    ("operator", "attrgetter", "system"),
    ("operator", "methodcaller", "__class__"),
    ("itertools", "starmap", "x"),
    ("sys", "exit", "1"),
    ("sys", "modules"),
    ("signal", "raise_signal", "9"),
    ("os", "kill", "x"),
    ("os", "execv", "/bin/true"),
    ("os", "fork"),
    ("antigravity", "fly"),
    ("this", "s"),
    ("_io", "FileIO", "/etc/passwd"),
    ("sqlite3", "connect", "/nonexistent/x"),
    ("sqlalchemy", "create_engine", "sqlite:////nonexistent/x"),
    ("gc3libs.utils", "write_contents", "/nonexistent/x"),
    ("gc3store", "make_store", "/nonexistent/x"),
    ("gc3store.persistable", "construct", "x"),
    ("gc3store.persistable", "reference", "x"),
]


def small():
    """Yield names and streams."""
    for module, name, *args in COMMANDS:
        yield f"{module}.{name}", _call(module, name, *args)
        yield f"{module}.{name} by stack", _stack_global(module, name, *args)
    # The same effect by other opcodes.
    yield "INST", b"(S'true'\nios\nsystem\n."
    yield "OBJ", b"(cos\nsystem\nS'true'\no."
    yield "NEWOBJ", b"\x80\x02cos\nsystem\nX\x04\0\0\0true\x85\x81."
    yield "NEWOBJ_EX", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85}\x92."
    yield "result thrown away", b"cos\nsystem\n(S'true'\ntR0I1\n."
    yield "result thrown away, binary", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R0N."
    yield "result popped with its mark", b"\x80\x04(\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R1N."
    yield "result memoized", b"\x80\x04\x8c\x02os\x8c\x06system\x93\x8c\x04true\x85R\x940h\x00."
    yield "no STOP", b"cos\nsystem\n(S'true'\ntR"
    yield "damaged after the call", b"cos\nsystem\n(S'true'\ntR\xff\xfe"
    yield "two pickles", b"N.cos\nsystem\n(S'true'\ntR."
    yield "name from the memo", b"\x80\x04\x8c\x02os\x94\x8c\x06system\x940h\x00h\x01\x93\x8c\x04true\x85R."
    yield "name that is no text", b"\x80\x04K\x01K\x02\x93."
    yield "name that is a tuple", b"\x80\x04)\x85)\x93)R."
    yield "name with line breaks", b"\x80\x04\x8c\x05o\ns\x0a.\x8c\x08<script>\x93)R."
    yield "name with dots", b"\x80\x04\x8c\x08builtins\x8c\x10__class__.__mro__\x93."
    yield "empty names", b"c\n\n."
    # Extension codes go round find_class.
    for opcode, code in (
        (b"\x82", b"\x01"),
        (b"\x83", b"\x01\0"),
        (b"\x84", b"\x01\0\0\0"),
        (b"\x84", b"\xff\xff\xff\xff"),
    ):
        yield f"extension {opcode!r} {code!r}", b"\x80\x02" + opcode + code + b")R."
    # BUILD.
    state = b"}(\x8c\x0c__setstate__cos\nsystem\n\x8c\x09__class__cbuiltins\neval\n"
    state += b"\x8c\x08__dict__}\x8c\x08__call__cos\nsystem\nu"
    for target in (
        b"cos\nsystem\n",
        b"cbuiltins\nobject\n)\x81",
        b"}",
        b"]",
        b")",
        b"\x8f",
        b"N",
        b"K\x01",
        b"\x8c\x01x",
        b"C\x01x",
    ):
        yield f"BUILD {target!r}", b"\x80\x04" + target + state + b"b."
        yield f"BUILD twice {target!r}", b"\x80\x04" + target + state + b"b\x8c\x04trueb."
        yield f"BUILD slots {target!r}", b"\x80\x04" + target + b"N" + state + b"\x86b."
        yield f"BUILD None {target!r}", b"\x80\x04" + target + b"Nb."
        yield f"SETITEM {target!r}", b"\x80\x04" + target + b"K\x01K\x02s."
        yield f"SETITEMS {target!r}", b"\x80\x04" + target + b"(K\x01K\x02u."
        yield f"SETITEMS odd {target!r}", b"\x80\x04" + target + b"(K\x01u."
        yield f"APPEND {target!r}", b"\x80\x04" + target + b"K\x01a."
        yield f"APPENDS {target!r}", b"\x80\x04" + target + b"(K\x01K\x02e."
        yield f"ADDITEMS {target!r}", b"\x80\x04" + target + b"(K\x01]\x90."
        yield f"REDUCE of {target!r}", b"\x80\x04" + target + b")R."
        yield f"NEWOBJ of {target!r}", b"\x80\x04" + target + b")\x81."
        yield f"NEWOBJ_EX of {target!r}", b"\x80\x04" + target + b")}\x92."
        yield f"NEWOBJ_EX with no dictionary {target!r}", b"\x80\x04" + target + b")" + target + b"\x92."
        yield f"REDUCE with {target!r}", b"\x80\x04cos\nsystem\n" + target + b"R."
        yield f"BINPERSID {target!r}", b"\x80\x04" + target + b"Q."
        yield f"READONLY_BUFFER {target!r}", b"\x80\x05" + target + b"\x98."
        yield f"key {target!r}", b"\x80\x04}" + target + b"Ns."
        yield f"element {target!r}", b"\x80\x04\x8f(" + target + b"\x90."
        yield f"frozen element {target!r}", b"\x80\x04(" + target + b"\x91."
        yield f"STACK_GLOBAL of {target!r}", b"\x80\x04" + target + target + b"\x93."
        yield f"OBJ of {target!r}", b"\x80\x04(" + target + b"o."
        yield f"setter of {target!r}", b"\x80\x04" + target + b"\x940cos\nsystem\nh\0K\x01\x86R0h\0."
        yield f"reference {target!r}", b"\x80\x04cgc3store.persistable\nreference\n" + target + b"\x85R."
        yield f"new {target!r}", b"\x80\x04cgc3store.persistable\nnew\n" + target + b"\x85R."
        yield f"construct {target!r}", b"\x80\x04cgc3store.persistable\nconstruct\n" + target + b"\x85R."
        yield (
            f"__newobj_ex__ {target!r}",
            b"\x80\x02ccopyreg\n__newobj_ex__\n" + target + target + target + b"\x87R.",
        )
        yield (
            f"_reconstructor {target!r}",
            b"\x80\x02ccopyreg\n_reconstructor\n" + target + target + target + b"\x87R.",
        )
    yield "OBJ of nothing", b"(o."
    yield "setter with nothing below", b"cos\nsystem\nNN\x86R0N."
    yield "PERSID", b"Pany thing\n."
    yield "PERSID not ASCII", b"P\xff\xfe\n."
    yield "NEXT_BUFFER", b"\x80\x05\x97."
    # Memory.
    for name, stream in {
        "PUT": b"Np99999999999999\n.",
        "PUT negative": b"Np-1\n.",
        "LONG_BINPUT": b"Nr\xff\xff\xff\xff.",
        "LONG_BINPUT of 300 million": b"Nr\xff\xff\xff\x11.",
        "GET": b"g99999999999999\n.",
        "LONG_BINGET": b"j\xff\xff\xff\xff.",
        "BINGET of nothing": b"h\x05.",
        "BINUNICODE": b"X\xff\xff\xff\xff.",
        "BINUNICODE8": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f.",
        "BINUNICODE8 beyond": b"\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff.",
        "BINBYTES": b"\x80\x03B\xff\xff\xff\xff.",
        "BINBYTES8": b"\x80\x04\x8e\0\0\0\0\x01\0\0\0.",
        "BYTEARRAY8": b"\x80\x05\x96\0\0\0\0\x01\0\0\0.",
        "BYTEARRAY8 beyond": b"\x80\x05\x96\xff\xff\xff\xff\xff\xff\xff\xff.",
        "BINSTRING": b"T\xff\xff\xff\x7f.",
        "BINSTRING negative": b"T\xff\xff\xff\xff.",
        "LONG4": b"\x80\x02\x8b\xff\xff\xff\x7f.",
        "LONG4 negative": b"\x80\x02\x8b\xff\xff\xff\xff.",
        "FRAME": b"\x80\x04\x95\xff\xff\xff\xff\xff\xff\xff\x7fN.",
        "FRAME short": b"\x80\x04\x95\x01\0\0\0\0\0\0\0NN.",
        "protocol 255": b"\x80\xffN.",
        "bytes": b"cbuiltins\nbytes\n(I99999999999\ntR.",
        "bytearray": b"cbuiltins\nbytearray\n(I99999999999\ntR.",
        "list of range": b"cbuiltins\nlist\n(cbuiltins\nrange\n(I0\nI99999999999\nI1\ntRtR.",
        "Fraction": b"cfractions\nFraction\n(S'1e999999999'\ntR.",
        "Fraction of digits": b"cfractions\nFraction\n(S'" + b"1" * 400 + b"/" + b"7" * 400 + b"'\ntR.",
        "Decimal": b"cdecimal\nDecimal\n(S'1e999999999999999999'\ntR.",
        "Decimal as a key": b"}cdecimal\nDecimal\n(S'1e99999999999999999'\ntRNs.",
        "Decimal NaN as a key": b"}cdecimal\nDecimal\n(S'sNaN'\ntRNs.",
        "range with step 0": b"cbuiltins\nrange\n(I0\nI1\nI0\ntR.",
        "timedelta": b"cdatetime\ntimedelta\n(I999999999999\nI0\nI0\ntR.",
        "date": b"\x80\x04cdatetime\ndate\nC\x04\xff\xff\xff\xff\x85R.",
        "zone": b"\x80\x04cdatetime\ndatetime\nC\x0a\x07\xd0\x01\x01\0\0\0\0\0\0cos\nsystem\n)R\x86R.",
        "deque": b"ccollections\ndeque\n(]I-1\ntR.",
        "deque of maximal length": b"ccollections\ndeque\n(]L99999999999999999999L\ntR.",
        "Counter": b"ccollections\nCounter\n(I9999999\ntR.",
        "defaultdict": b"ccollections\ndefaultdict\n(cos\nsystem\ntR(S'x'\nI1\nu.",
        "ZoneInfo": b"czoneinfo\nZoneInfo._unpickle\n(S'../../etc/passwd'\nI1\ntR.",
        "Path": b"cpathlib\nPosixPath\n(S'/dev/stdin'\ntR.",
        "UUID": b"\x80\x04cuuid\nUUID\n)\x81}\x8c\x03intK\x01sb.",
        "UUID too large": b"\x80\x04cuuid\nUUID\n)\x81}\x8c\x03int\x8a\x12" + b"\x7f" * 18 + b"sb.",
        "encode by rot13": b"c_codecs\nencode\n(S'x'\nS'rot13'\ntR.",
        "encode by a codec to import": b"c_codecs\nencode\n(S'x'\nS'antigravity'\ntR.",
        "str of an object": b"cbuiltins\nstr\n(cos\nsystem\ntR.",
        "complex": b"cbuiltins\ncomplex\n(S'1'\nS'2'\ntR.",
    }.items():
        yield name, stream
    # Arrays.
    dtype = b"cnumpy\ndtype\n(S'f8'\nI00\nI01\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntb"
    for name, shape, data in (
        ("huge shape", b"(I999999999999\nt", b"C\x08" + b"\0" * 8),
        ("negative shape", b"(I-1\nt", b"C\x08" + b"\0" * 8),
        ("shape of texts", b"(S'x'\nt", b"C\x08" + b"\0" * 8),
        ("many dimensions", b"(" + b"I1\n" * 100 + b"t", b"C\x08" + b"\0" * 8),
        ("zeros", b"(I0\nL99999999999999999L\nt", b"C\x00"),
    ):
        yield f"array of {name}", b"cnumpy.core.numeric\n_frombuffer\n(" + data + dtype + shape + b"S'C'\ntR."
        yield (
            f"array by state of {name}",
            b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntC\x01btR(I1\n"
            + shape
            + dtype
            + b"I00\n"
            + data
            + b"tb.",
        )
    for code in (
        b"S0",
        b"V0",
        b"O8",
        b"f99999999",
        b"U999999999",
        b"x",
        b"",
        b"M8[ns]",
        b"i3",
        b"f2,f2",
        b"c1",
    ):
        odd = b"cnumpy\ndtype\n(S'" + code + b"'\nI00\nI01\ntR"
        yield (
            f"dtype {code!r}",
            b"cnumpy.core.numeric\n_frombuffer\n(C\x08" + b"\0" * 8 + odd + b"(I99999999\ntS'C'\ntR.",
        )
        yield f"scalar {code!r}", b"cnumpy.core.multiarray\nscalar\n(" + odd + b"C\x08" + b"\0" * 8 + b"tR."
    yield "frame without blocks", b"\x80\x04cpandas\nDataFrame\n)\x81}\x8c\x04_mgrNsb."
    yield "index of nothing", b"\x80\x04cpandas.core.indexes.base\n_new_Index\ncpandas\nIndex\n}\x86R."
    yield "index of a range", (
        b"\x80\x04cpandas.core.indexes.base\n_new_Index\ncpandas\nRangeIndex\n}(\x8c\x05startK\0\x8c\x04stop\x8a\x0a"
        + b"\xff" * 9 + b"\x00\x8c\x04stepK\x01\x8c\x04nameNu\x86R."
    )  # fmt: skip


def large():
    """Yield names and streams that are to be read, or refused, in bounded time and memory."""
    deep = 20_000  # deep enough to overflow a stack of the size that `main` sets
    yield "lists in lists", b"]" * deep + b"a" * (deep - 1) + b"."
    yield "tuples in tuples", b")" + b"\x85" * deep + b"."
    yield "dictionaries in dictionaries", b"\x80\x02" + b"}K\x01" * deep + b"N" + b"s" * deep + b"."
    yield "objects in objects", b"\x80\x02" + b"ca\nb\n)\x81" * 10_000 + b"N" + b"b" * 10_000 + b"."
    yield "calls in calls", b"\x80\x02" + b"ca\nb\n" * 10_000 + b")" + b"R\x85" * 10_000 + b"."
    yield "frozen sets in frozen sets", b"\x80\x04" + b"(" * 10_000 + b"\x91" * 10_000 + b"."
    yield "persistent IDs in persistent IDs", b"\x80\x02N" + b"Q" * 10_000 + b"."
    yield "marks", b"(" * 1_000_000 + b"N."
    yield "duplicates", b"N" + b"2" * 1_000_000 + b"."
    yield "empty sets", b"\x80\x04(" + b"\x8f" * 10_000 + b"t."
    yield "memos", b"N" + b"\x94" * 1_000_000 + b"."
    yield "names", b"(" + b"".join(b"cm%d\nn\n" % i for i in range(20_000)) + b"t."

    def laughs(first, step):
        return b"\x80\x04" + first + b"\x94" + step * 100 + b"."

    yield "laughing lists", laughs(b"]", b"](" + b"h\x00" * 10 + b"e\x940") + b""
    nested = [[1]]
    for _ in range(100):
        nested = [nested] * 10
    yield "shared lists", pickle.dumps(nested, 4)
    nest = (1,)
    for _ in range(100):
        nest = (nest, nest)
    shared = pickle.dumps(nest, 4)[:-1]
    yield "shared tuples", shared + b"."
    yield "shared tuples as a key", b"\x80\x04}" + shared[2:].replace(b"\x95", b"\x95") + b"Ns."
    yield "shared tuples in a set", b"\x80\x04\x8f(" + shared[2:] + b"\x90."
    yield "shared tuples as arguments of a date", b"\x80\x04cdatetime\ndate\n" + shared[2:] + b"R."
    twice = shared[2:]
    yield "two like keys", b"\x80\x04}(" + twice + b"N" + twice + b"Nu."
    yield "tuples in tuples as a key", b"\x80\x02})" + b"\x85" * deep + b"Ns."
    yield "tuples in tuples in a frozen set", b"\x80\x04()" + b"\x85" * deep + b"\x91."
    table = {"x": 1}
    for _ in range(100):
        table = {str(j): table for j in range(10)}
    yield "shared dictionaries", pickle.dumps(table, 4)
    # Keys whose hashes are all the same.
    prime = (1 << 61) - 1
    colliding = b"".join(_long(prime * i) + b"N" for i in range(1, 30_000))
    yield "colliding keys", b"\x80\x04}(" + colliding + b"u."
    yield (
        "colliding elements",
        b"\x80\x04\x8f(" + b"".join(_long(prime * i) for i in range(1, 30_000)) + b"\x90.",
    )
    floats = b"".join(
        b"G" + struct.pack(">d", float(2**61) * 2.0 ** (i % 900) * 1.0) + b"N" for i in range(30_000)
    )
    yield "like floats", b"\x80\x04}(" + floats + b"u."
    # One long string, copied by many short calls.
    text = b"X" + struct.pack("<I", 1 << 20) + b"x" * (1 << 20) + b"\x94"
    copies = b"\x80\x04" + text + b"0c_codecs\nencode\n\x94\x8c\x06latin1\x940" + b"("
    copies += b"h\x01h\x00h\x02\x86R" * 5_000 + b"t."
    yield "copies by encode", copies
    yield (
        "copies by bytearray",
        b"\x80\x05B" + text[1:-1] + b"\x94cbuiltins\nbytearray\n\x94(" + b"h\x01h\x00\x85R" * 5_000 + b"t.",
    )
    yield "digits", b"I" + b"9" * 1_000_000 + b"\n."
    yield "digits of L", b"L" + b"9" * 1_000_000 + b"L\n."
    yield "digits of F", b"F" + b"9" * 1_000_000 + b"\n."
    yield (
        "LONG4 of a million bytes",
        b"\x80\x02\x8b" + struct.pack("<I", 1 << 20) + b"\x7f" * (1 << 20) + b".",
    )
    yield "a line without end", b"S'" + b"x" * 1_000_000
    yield "escapes", b"S'" + b"\\x41" * 100_000 + b"'\n."
    yield "many short windows", b"(" + (b"X" + struct.pack("<I", 256) + b"y" * 256) * 5_000 + b"t."
    yield "no opcode, and much after it", b"\x80\x04\xff" + b"x" * 1_000_000
    yield "no opcode in the middle", b"\x80\x02(" + b"N" * 40_000 + b"!" + b"N" * 1_000_000 + b"t."
    yield "frames", b"\x80\x04" + b"\x95\0\0\0\0\0\0\0\0" * 20_000 + b"N."
    yield "protocols", b"\x80\x04" * 20_000 + b"N."
    yield "text opcodes", b"(" + b"I7\n" * 20_000 + b"t."
    yield "objects as keys", b"\x80\x02}(" + b"ca\nb\n)\x81N" * 10_000 + b"u."
    yield "many states", b"\x80\x02ca\nb\n)\x81" + b"}b" * 10_000 + b"."
    yield (
        "a job that is all states",
        b"\x80\x02ca\nb\n)\x81}(X\x01\0\0\0xN" + b"X\x01\0\0\0xN" * 50_000 + b"ub.",
    )


def _long(value):
    raw = value.to_bytes(value.bit_length() // 8 + 1, "little", signed=True)
    return b"\x8a" + bytes([len(raw)]) + raw


def _inspect(name, stream):
    from gc3store import inspection
    from gc3store.errors import InspectionError, StoreError
    from gc3store.paths import evaluate

    results = []
    for look in (inspection.read, inspection.summary, _columns):
        try:
            value = look(stream)
        except StoreError as error:
            results.append(type(error).__name__)
            continue
        if look is inspection.read:
            shown = [inspection.text(value), inspection.html(value)]
            if not isinstance(value, int):  # of which Python itself refuses to write very large ones
                shown.append(repr(value))
            assert max(map(len, shown)) < 1_000_000, "not capped"
            try:
                assert inspection.same(value, inspection.read(stream)), "differs from itself"
            except InspectionError:
                results.append("InspectionError")
            inspection.differences(value, 1)
            dir(value)
            for path in ("a", "energy", "execution.state"):
                evaluate(path, value)
            results.append("value")
    return results


def _columns(stream):
    """Look at a few paths, as a table does."""
    from gc3store.inspection.machine.templates import LargePartError

    for _ in range(2 if len(stream) < 1 << 15 else 1):  # the second time there may be a template
        match = TEMPLATES.read(stream)
        for steps in PATHS:
            raw, _, _ = match.form.find(steps)
            match.get(steps)
            try:
                match.filled(raw)
            except LargePartError:
                match.whole().form.find(steps)


def main(group, first=0, step=1):
    global TEMPLATES, PATHS
    import resource
    import time

    import gc3store.inspection.text  # noqa: F401 - so that no import is left to do
    from gc3store.inspection.machine.templates import Templates
    from gc3store.paths import parse

    TEMPLATES = Templates()
    PATHS = [parse(path).steps for path in ("a", "execution.state", "[0]", '["a"][0].x')]
    _inspect("", pickle.dumps([1]))
    for value in calm_values():
        _inspect("", value)
    megabyte = 1 << 20
    resource.setrlimit(resource.RLIMIT_AS, (1000 * megabyte, 1000 * megabyte))
    resource.setrlimit(resource.RLIMIT_STACK, (megabyte, megabyte))
    events = []
    calm = {"import", "exec", "compile", "open", "os.system", "subprocess.Popen", "pickle.find_class", "socket.connect",
            "os.exec", "os.fork", "ctypes.dlopen",
            "os.posix_spawn", "os.listdir", "os.mkdir", "shutil.rmtree"}  # fmt: skip

    def hook(event, args):
        if event in calm:
            events.append((event, repr(args)[:200]))

    sys.addaudithook(hook)
    out = []
    streams = {"small": small, "large": large, "shared": shared, "columns": columns}[group]()
    for name, stream in itertools.islice(streams, first, None, step):
        start = time.process_time()
        try:
            result = _inspect(name, stream)
        except BaseException as error:
            result = [f"raised {type(error).__name__}: {error}"[:300]]
        out.append((name, result, time.process_time() - start, list(events)))
        if sys.argv[-1] == "-v":
            print(*out[-1], file=sys.stderr, flush=True)
        events.clear()
    json.dump(out, sys.stdout)


if __name__ == "__main__":
    if sys.argv[1:2] == ["dis"]:
        for _name, _stream in small():
            if _name == sys.argv[2]:
                pickletools.dis(_stream)
    else:
        main(sys.argv[1], *(int(text) for text in sys.argv[2:4]))
