"""Imports, looking that leaves no trace (C9), and stable storage (C6)."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

import gc3store
from gc3store import make_store
from gc3store.testing import Node, Point


def imported_by(code):
    out = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    return {name for module in out for name in (module, module.partition(".")[0])}


def test_importing_the_package_imports_nothing_heavy():
    found = imported_by("import gc3store; gc3store.make_store, gc3store.Persistable, gc3store.browse")
    assert (
        found & {"sqlalchemy", "pandas", "numpy", "IPython", "ipywidgets", "anywidget", "traitlets", "tqdm"}
        == set()
    )
    assert found & {"pytest", "gc3libs", "psycopg", "pymysql", "multiprocessing"} == set()
    assert found & {"cloudpickle", "importlib.metadata", "gc3store.engine", "gc3store.inspection"} == set()


def test_what_is_imported_when_it_is_first_used_is_listed():
    for name in ("FilesystemStore", "SqlStore", "copy"):
        assert name in dir(gc3store)
        assert getattr(gc3store, name).__name__ == name
    with pytest.raises(AttributeError, match="no attribute 'MongoStore'"):
        gc3store.MongoStore


def test_a_directory_needs_no_database_package(tmp_path):
    found = imported_by(
        f"import gc3store; s = gc3store.make_store({str(tmp_path)!r}); s.load(s.save([1])); s.list(); s.close()"
    )
    assert found & {"sqlalchemy", "pandas", "numpy", "IPython", "ipywidgets", "tqdm"} == set()


def test_looking_leaves_every_byte_as_it_was(place):
    with place.open() as store:
        ids = [
            store.save(Point(1), name="n", tags=["t"]),
            store.save(Node(1, Node(2))),
            store.save(os.urandom(2_000_000)),
        ]
        removed = store.save("removed")
        store.remove(removed)
    before = place.bytes()
    times = {path: path.stat().st_mtime_ns for path in sorted(place.folder.rglob("*")) if path.is_file()}
    for options in ({"read_only": True}, {}):
        with place.open(**options) as store:
            store.list(), len(store), list(store), ids[0] in store, store.find("n"), store.facets("cls")
            store.list(query="point", order="-size", limit=2)
            repr(store), store._repr_html_(), store.orphans(), list(store.records()), store.table()
            for id_ in ids:
                (
                    store.describe(id_),
                    store.verify(id_),
                    store.references(id_),
                    store.referrers(id_),
                    store.export(id_),
                )
                store.load(id_)
    assert place.bytes() == before
    assert {path: path.stat().st_mtime_ns for path in times} == times


def test_looking_reads_no_large_payload(tmp_path):
    """It costs the same for a large object as for an int: counted in bytes read from files."""
    if shutil.which("strace") is None:
        pytest.skip("strace is not installed")
    for url in (f"file://{tmp_path}/objects", f"sqlite:///{tmp_path}/x.db"):
        with make_store(url) as store:
            store.save(os.urandom(20_000_000))
        code = f"""
            from gc3store import make_store
            store = make_store({url!r})
            open("/dev/null").close()
            store.list(), store.describe("bytes.1"), list(store.records()), store.facets("cls"), repr(store)
        """
        done = subprocess.run(
            ["strace", "-f", "-e", "trace=read,pread64,openat", sys.executable, "-c", textwrap.dedent(code)],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr[-500:]
        after = done.stderr.partition("/dev/null")[2]
        total = sum(int(n) for n in re.findall(r"(?:read|pread64)\(.*\) = (\d+)", after))
        assert total < 200_000, f"{url}: {total} bytes were read"


@pytest.mark.skipif(shutil.which("strace") is None, reason="strace is not installed")
@pytest.mark.parametrize("durable", [True, False])
def test_when_save_returns_the_object_is_on_stable_storage(place, durable):
    with place.open() as store:
        store.save("first")
    code = f"""
        import os
        from gc3store import make_store
        store = make_store({place.url!r}, durable={durable})
        store.save("warm up")
        os.path.exists("/begin")
        store.save("the object")
        os.path.exists("/end")
        os._exit(0)
    """
    done = subprocess.run(
        [
            "strace",
            "-f",
            "-e",
            "trace=fsync,fdatasync,stat,newfstatat,rename,pwrite64,write",
            sys.executable,
            "-c",
            textwrap.dedent(code),
        ],
        capture_output=True,
        text=True,
    )
    between = done.stderr.partition('"/begin"')[2].partition('"/end"')[0]
    syncs = len(re.findall(r"\bf(?:data)?sync\(", between))
    if not durable:
        assert syncs == 0, between
    elif place.kind == "sqlite":
        assert syncs == 1, between
        assert between.rstrip().splitlines()[-2].startswith(("fdatasync", "fsync")), between
    else:
        # The file before it takes its place, the directory after.
        assert re.search(r"fsync\(.*rename\(.*\.gc3\".*fsync\(", between, re.DOTALL), between
