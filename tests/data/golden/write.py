"""Write the golden stores into a new folder, with the gc3store that Python finds; see README.md.

Usage: ``python write.py FOLDER POSTGRESQL-URL MARIADB-URL``. The databases must exist and be empty.
"""

from __future__ import annotations

import gzip
import importlib
import os
import re
import socket
import subprocess
import sys
import textwrap
import types
from pathlib import Path
from urllib.parse import urlsplit

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

import numpy as np  # noqa: E402
import pandas as pd  # noqa: E402
import shapes  # noqa: E402

from gc3store import ObjectNotFoundError, Query, make_store  # noqa: E402
from gc3store.gc3pie.directory import GC3PieDirectory  # noqa: E402
from gc3store.gc3pie.table import GC3PieTable  # noqa: E402
from gc3store.paths import MISSING  # noqa: E402

COLUMNS = {"temperature": "temperature", "state_of": "state", "letters": shapes.letters}
ORIGIN = {"notebook": "golden.ipynb", "cell": 7, "source": "store.save(study)"}


def old(module, name):
    """Return something from a module that only the version that writes has there."""
    return getattr(importlib.import_module(f"gc3store.{module}"), name)


def define_in_notebook():
    exec(
        textwrap.dedent("""
            class Sample:
                def __init__(self, value):
                    self.value = value

                def twice(self):
                    return 2 * self.value

            def half(x):
                return x / 2
        """),
        sys.modules["__main__"].__dict__,
    )


def fill(store, foreign):
    main = sys.modules["__main__"]
    store.save({"a": 1, "b": [1.5, None, "text"]}, name="small", tags=["first", "plain"])
    store.save(np.zeros(140_000), name="large")
    study = shapes.Run(2.27, "RUNNING")
    for i in range(3):
        study.parts.append(shapes.Run(i / 2, "TERMINATED"))
        study.parts[-1].parent = study
    study.itself = study
    store.save(study, name="cycle", tags=["graph"])
    store.save([shapes.Run(9.5), study.parts[0]], name="holder")
    store.save(shapes.Point(1, 2), name="point")
    store.save(main.Sample(21), name="notebook object")
    store.save(main.half, name="notebook function")
    store.save(shapes.Point(3, 4).moved, name="bound method")
    store.save({"set": {1, 2, 3}, "frozen": frozenset("ab"), "enum": shapes.Color.BLUE}, name="values")
    store.save(np.arange(12, dtype="float64").reshape(3, 4), name="array")
    store.save(
        pd.DataFrame({"n": [1, 2, 3], "x": [0.5, np.nan, 2.5], "when": pd.date_range("2024-01-01", periods=3)}),
        name="frame",
    )
    store.save(store, name="store")
    # These are opened when they are loaded, and a database needs a directory that exists anywhere.
    elsewhere = make_store("elsewhere"), make_store("sqlite:////tmp/gc3store-golden.db")
    store.save([shapes.Point(elsewhere[0], 1), elsewhere[1]], name="stores")
    store.save(foreign, name="stores of gc3pie")
    save_names_of_ours(store)
    save_missing_classes(store)
    replaced = store.save("the first", name="replaced")
    store.replace(replaced, "the second")
    store.remove(store.save("removed"))


def save_names_of_ours(store):
    """Save what names each function and class of the package that a payload can name."""
    main = sys.modules["__main__"]
    point = store.find("point")[0]
    replaced = old("primitives", "replaced")("x.2")
    store.save(ObjectNotFoundError("There is no such object.", id="x.1"), name="error")
    store.save([replaced, MISSING], name="internal")
    store.save([store.describe(point), Query(order=(("id", True),), limit=3)], name="record")
    store.save(old("trust", "Trust")(("shapes",)), name="trust")
    store.save(old("columns", "Function")(main.half), name="column")
    store.save(old("transfer", "Copied")({"a.1": "a.2"}, 1, {}), name="copied")
    store.save(store.imports(point), name="imports")


def save_missing_classes(store):
    module = types.ModuleType("vanished")
    exec("class Gone:\n    def __init__(self, n):\n        self.n = n", module.__dict__)
    sys.modules["vanished"] = module
    first = store.save(module.Gone(1), name="missing")
    second = store.save(module.Gone(2), name="missing changed")
    third = store.save([module.Gone(3)], name="missing inside")
    del sys.modules["vanished"]
    for id_ in (first, third):
        unchanged = store.load(id_, missing="placeholder", fresh=True)
        store.save(unchanged, name=f"{store.describe(id_).name} unchanged")
    changed = store.load(second, missing="placeholder", fresh=True)
    changed.n = 20
    store.replace(second, changed)


def fill_gc3pie(store):
    run = shapes.Run(1.25, "TERMINATED")
    run.parts.append(shapes.Run(0.5))
    store.save(run)
    store.save(shapes.Point(1, 2))


def dump(kind, url, file):
    """Write what is in a database as statements, one after the other, for a driver without parameters."""
    place = urlsplit(url)
    options = [f"--host={place.hostname}", f"--port={place.port}"]
    if kind == "postgresql":
        command = ["pg_dump", "--inserts", "--no-owner", f"--username={place.username}", *options]
    else:
        command = ["mariadb-dump", "--hex-blob", "--skip-extended-insert", "--compact"]
        command += [f"--user={place.username}", *options]
    text = subprocess.run([*command, place.path[1:]], capture_output=True, text=True, check=True).stdout
    text = re.sub(r"^(\\|--|/\*M).*\n|^\n", "", text, flags=re.MULTILINE)
    with gzip.GzipFile(file, "wb", mtime=0) as out:
        out.write(text.encode())


def main():
    folder, *servers = sys.argv[1:]
    Path(folder).mkdir()
    os.chdir(folder)
    os.environ.update(
        XDG_CACHE_HOME=f"{folder}/cache",
        GC3PIE_ID_FILE=f"{folder}/cache/next_id.txt",
        LOGNAME="golden",
    )
    socket.gethostname = lambda: "golden"
    define_in_notebook()
    old("environment", "set_place")(lambda store: ORIGIN)

    Path("gc3pie").mkdir()
    files = GC3PieDirectory("gc3pie")
    fill_gc3pie(files)
    old("gc3pie.database", "create_gc3pie_table")("sqlite:///gc3pie.db", "store", [])
    table = GC3PieTable("sqlite:///gc3pie.db")
    fill_gc3pie(table)

    for url in ("directory", "sqlite:///sqlite.db", *servers):
        with make_store(url, columns=COLUMNS) as store:
            fill(store, [files, table])
            if url == "directory":
                Path("exports").mkdir()
                for name in ("small", "large", "cycle", "notebook object", "store"):
                    file = Path("exports", name.replace(" ", "-"))
                    file.write_bytes(store.export(store.find(name)[0]))
    table.close()
    for kind, url in zip(("postgresql", "mariadb"), servers, strict=True):
        dump(kind, url, f"{kind}.sql.gz")


if __name__ == "__main__":
    main()
