"""Where things are measured: the machine, directories, and GC3Pie's own environment."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path

import platformdirs

__all__ = ["describe_machine", "filesystem_of", "gc3pie_python"]

#: GC3Pie's SqlStore needs an SQLAlchemy that is many years old; pycrypto, which GC3Pie
#: asks for, no longer builds and is not needed by its stores.
_GC3PIE = ("gc3pie==2.6.8", "sqlalchemy<1.4", "numpy")
_OVERRIDES = 'pycrypto; python_version < "3"\n'

_PACKAGES = (
    "numpy",
    "pandas",
    "sqlalchemy",
    "diskcache",
    "sqlitedict",
    "ZODB",
    "joblib",
    "lmdb",
    "cloudpickle",
)


def gc3pie_python(*, create: bool) -> tuple[Path | None, str]:
    """Return the interpreter of an environment with GC3Pie, and why there is none.

    The environment is made on demand with ``uv``, in the user's cache directory, so
    that it is downloaded once.
    """
    version = "".join(map(str, sys.version_info[:2]))
    home = platformdirs.user_cache_path("gc3store-benchmarks") / f"gc3pie-2.6.8-py{version}"
    python, ready = home / "bin" / "python", home / "ready"
    if ready.exists():
        return python, ""
    if not create:
        return None, "its environment has not been made yet; a full run makes it"
    uv = shutil.which("uv")
    if uv is None:
        return None, "making its environment needs uv, which is not installed"
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / "overrides.txt").write_text(_OVERRIDES)
    # Run in the cache directory: in ours, uv would apply this project's own overrides.
    environment = {key: value for key, value in os.environ.items() if key != "VIRTUAL_ENV"}
    for command in (
        [uv, "venv", "-q", "--allow-existing", "--python", sys.executable, str(home)],
        [uv, "pip", "install", "-q", "--python", str(python), "--overrides", "overrides.txt", *_GC3PIE],
    ):
        done = subprocess.run(command, cwd=home, env=environment, capture_output=True, text=True, check=False)
        if done.returncode:
            return None, "its environment could not be made: " + done.stderr.strip().splitlines()[-1]
    ready.touch()
    return python, ""


def filesystem_of(path: Path) -> str:
    """Return the type of the filesystem that holds `path`, ``"?"`` where this cannot be told."""
    best, kind = "", "?"
    try:
        mounts = Path("/proc/mounts").read_text().splitlines()
    except OSError:
        return kind
    for line in mounts:
        _, point, type_, *_ = line.split()
        inside = str(path.resolve()) == point or str(path.resolve()).startswith(point.rstrip("/") + "/")
        if inside and len(point) >= len(best):
            best, kind = point, type_
    return kind


def describe_machine() -> dict[str, str]:
    """Return what the figures depend on."""
    packages = []
    for name in _PACKAGES:
        try:
            packages.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            packages.append(f"{name} -")
    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "sqlite": sqlite3.sqlite_version,
        "system": f"{platform.system()} {platform.release()} {platform.machine()}, {os.cpu_count()} CPUs",
        "load": ", ".join(f"{load:.1f}" for load in os.getloadavg()),
        "packages": ", ".join(packages),
    }
