"""Modules in a trust list, given as modules or by name; and what a payload must not import beside: codecs."""

import _codecs
import encodings
import itertools
import os
import pickle
import subprocess
import sys

import pytest

from gc3store.errors import LoadError, UntrustedError
from tests.raw_streams import KINDS, RawStore, called, named

_count = itertools.count()

PACKAGE = {
    "__init__.py": """
from {name}.inner import Inner, borrowed

class Top:
    class Nested:
        pass

def function():
    raise AssertionError("called")
""",
    "inner.py": """
import collections

class Inner:
    pass

def borrowed():
    raise AssertionError("called")
""",
}


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package of a name of its own, with a module in it."""
    name = f"trusted_package_{next(_count)}"
    folder = tmp_path / "modules" / name
    folder.mkdir(parents=True)
    for file, source in PACKAGE.items():
        (folder / file).write_text(source.replace("{name}", name))
    monkeypatch.syspath_prepend(folder.parent)
    made = __import__(name)
    yield made
    for module in [m for m in sys.modules if m.partition(".")[0] == name]:
        del sys.modules[module]


def forms(package):
    """Return ways to trust the package, and the module in it."""
    return {
        "package": [[package], [package.__name__], (package,), {package.__name__}],
        "module": [[package.inner], [f"{package.__name__}.inner"], iter([package.inner])],
    }


def test_a_module_means_the_classes_that_it_defines(place, package):
    store = place.open()
    made = {
        "Top": package.Top(),
        "Nested": package.Top.Nested(),
        "Inner": package.Inner(),
        "the class Top": [package.Top],
        "function": [package.function],
        "borrowed": [package.inner.borrowed],
        "both": [package.Top(), package.Inner()],
    }
    ids = {name: store.save(obj) for name, obj in made.items()}
    allowed = {"package": {"Top", "Nested", "the class Top"}, "module": {"Inner"}}
    for which, settings in forms(package).items():
        for trust in settings:
            careful = place.open(trust=trust)
            for name, id_ in ids.items():
                if name in allowed[which]:
                    assert type(careful.load(id_)) is type(made[name])
                    continue
                with pytest.raises(UntrustedError) as caught:
                    careful.load(id_)
                assert caught.value.id == id_
                assert caught.value.name.startswith(package.__name__)
    both = place.open(trust=[package, package.inner, package.function])
    with pytest.raises(UntrustedError):
        both.load(ids["borrowed"])
    for name in ids.keys() - {"borrowed"}:
        assert type(both.load(ids[name])) is type(made[name])


def test_a_store_that_is_sent_to_a_worker_trusts_no_more(place, package):
    store = place.open()
    top, inner = store.save(package.Top()), store.save(package.Inner())
    careful = place.open(trust=[package])
    sent = pickle.loads(pickle.dumps(careful))
    place.opened.append(sent)
    assert type(sent.load(top)) is package.Top
    with pytest.raises(UntrustedError):
        sent.load(inner)


def test_names_of_a_module_that_are_defined_elsewhere(tmp_path, package):
    # As it is only where a record was not written by pickle.
    name = package.__name__
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        raw = RawStore(folder, kind)
        ids = [
            raw.put(b"\x80\x04" + stream + b".")
            for stream in (
                called(named(name, "Inner")),
                called(named(name, "borrowed")),
                called(named(name, "function")),
                called(named(f"{name}.inner", "collections.OrderedDict")),
            )
        ]
        store = raw.open(trust=[package, package.inner])
        for id_ in ids:
            with pytest.raises(UntrustedError):
                store.load(id_)
        raw.close()


def test_what_is_refused_is_not_imported(place, package, tmp_path):
    store = place.open()
    both, inner = store.save([package.Top(), package.Inner()]), store.save(package.Inner())
    name = package.__name__
    (tmp_path / "modules" / name / "__init__.py").write_text("class Top:\n    pass\n")
    program = (
        "import sys\n"
        "from gc3store import UntrustedError, make_store\n"
        "url, name, *ids = sys.argv[1:]\n"
        "store = make_store(url, trust=[name])\n"
        "for id_ in ids:\n"
        "    try:\n"
        "        store.load(id_)\n"
        "    except UntrustedError as error:\n"
        "        print(error.name, f'{name}.inner' in sys.modules, name in sys.modules)\n"
    )
    arguments = [place.url, name, both, inner]
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path / "modules",
        env={**os.environ, "PYTHONPATH": str(tmp_path / "modules")},
    )
    # All names are checked before the first is imported, whichever it is.
    assert done.stdout.splitlines() == [f"{name}.inner.Inner False False"] * 2


CODEC = """
import codecs

def getregentry():
    return codecs.CodecInfo(
        lambda text, errors="strict": (b"by the codec", len(text)),
        lambda data, errors="strict": ("by the codec", len(data)),
        name="own",
    )
"""


@pytest.fixture
def codec(tmp_path, monkeypatch):
    """The name of a codec that nothing has asked for yet."""
    name = f"own_codec_{next(_count)}"
    (tmp_path / f"{name}.py").write_text(CODEC)
    monkeypatch.setattr(encodings, "__path__", [*encodings.__path__, str(tmp_path)])
    yield name
    sys.modules.pop(f"encodings.{name}", None)


class Call:
    """Pickles as a call."""

    def __init__(self, function, *args):
        self.reduced = function, args

    def __reduce__(self):
        return self.reduced


BY_CLASS = pytest.mark.xfail(
    strict=True, reason="str, bytes and bytearray are plain values, and take the name of a codec"
)


@pytest.mark.parametrize(
    ("function", "argument"),
    [
        (_codecs.encode, "x"),
        pytest.param(bytes, "x", marks=BY_CLASS),
        pytest.param(bytearray, "x", marks=BY_CLASS),
        pytest.param(str, b"x", marks=BY_CLASS),
    ],
)
def test_a_codec_is_not_imported(place, codec, function, argument):
    id_ = place.open().save(Call(function, argument, codec))
    module = f"encodings.{codec}"
    looking = place.open()
    looking.inspect(id_), looking.imports(id_), looking.attributes()
    for trust in (["collections"], [Call], ["encodings"], "nothing"):
        with pytest.raises(LoadError):
            place.open(trust=trust).load(id_)
    with pytest.raises(LoadError):
        place.open(trust=["collections"]).load(id_, missing="placeholder")
    assert module not in sys.modules
    # Where everything is trusted it is.
    assert "by the codec" in str(place.open().load(id_))
    assert module in sys.modules


def test_bytes_as_old_protocols_write_them_are_loaded(tmp_path):
    for kind in KINDS:
        folder = tmp_path / kind
        folder.mkdir()
        raw = RawStore(folder, kind)
        values = [b"\x00\xff", b"", bytearray(b"\xe9"), "\xe9"]
        ids = [raw.put(pickle.dumps(values, protocol)) for protocol in range(6)]
        store = raw.open(trust=["collections"])
        assert [store.load(id_) for id_ in ids] == [values] * 6
        raw.close()
