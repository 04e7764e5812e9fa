"""Copies of the sample stores that GC3Pie itself wrote, and a check that nothing changes them."""

import hashlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import platformdirs
import pytest

SAMPLES = Path(__file__).parents[1] / "data" / "gc3pie"
ROOTS = {"fs": "FiniteSizeStudy.24", "jobs.db": "47", "session": "FiniteSizeStudy.1"}


@pytest.fixture
def samples(tmp_path, monkeypatch):
    """The sample stores, their classes importable, with a cache and a counter of IDs of the test's own."""
    for name in ROOTS:
        source = SAMPLES / name
        (shutil.copytree if source.is_dir() else shutil.copyfile)(source, tmp_path / name)
    for path in [tmp_path, *tmp_path.rglob("*")]:
        path.chmod(0o755 if path.is_dir() else 0o644)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path.parent / f"{tmp_path.name}-cache"))
    monkeypatch.setenv("GC3PIE_ID_FILE", str(tmp_path.parent / f"{tmp_path.name}-ids" / "next_id.txt"))
    monkeypatch.setenv("HOME", str(tmp_path.parent))
    monkeypatch.syspath_prepend(str(SAMPLES))
    yield tmp_path
    sys.modules.pop("ising", None)


@pytest.fixture(params=list(ROOTS))
def sample(request, samples):
    """One of the sample stores: where it is, and the ID of its root."""
    return SimpleNamespace(name=request.param, path=samples / request.param, root=ROOTS[request.param])


@pytest.fixture
def untouched(samples):
    """Checks at the end that no byte, no time and no name of a file has changed."""
    before = fingerprint(samples)
    yield
    assert fingerprint(samples) == before


def fingerprint(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        status = os.stat(path)
        content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else ""
        found[str(path.relative_to(folder))] = (status.st_mtime_ns, status.st_mode, content)
    return found


@pytest.fixture(scope="session")
def old_gc3pie():
    """A Python with GC3Pie 2.6.8 and an SQLAlchemy as old as its own SQL store needs."""
    uv = shutil.which("uv")
    place = platformdirs.user_cache_path("gc3store-tests") / "gc3pie-2.6.8-sqlalchemy-1.3"
    python = place / "bin" / "python"
    check = "import gc3libs.persistence.sql, sqlalchemy; assert sqlalchemy.__version__ < '1.4'"
    if not python.exists() or subprocess.run([python, "-c", check], capture_output=True).returncode:
        problem = "there is no uv to make an environment with" if uv is None else _install(uv, place)
        if problem is not None:
            if os.environ.get("CI"):
                pytest.fail(f"GC3Pie's own SqlStore cannot be tried: {problem}")
            pytest.skip(f"GC3Pie's own SqlStore cannot be tried: {problem}")
    return str(python)


def _install(uv, place):
    overrides = place.parent / "overrides.txt"
    overrides.parent.mkdir(parents=True, exist_ok=True)
    overrides.write_text("pycrypto; python_version < '3'\n")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    install = [uv, "pip", "install", "-q", "--python", str(place / "bin" / "python")]
    for command in (
        [uv, "venv", "-q", "--clear", "--python", version, str(place)],
        [*install, "--override", str(overrides), "gc3pie==2.6.8", "sqlalchemy<1.4", "setuptools<80"],
    ):
        # in another folder: the settings of this project are for other versions
        done = subprocess.run(command, cwd=place.parent, capture_output=True, text=True, timeout=280)
        if done.returncode:
            return done.stderr.strip().splitlines()[-1] if done.stderr.strip() else "uv failed"
    return None
