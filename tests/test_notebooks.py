"""The notebooks, executed from the first cell to the last, and what stands under their cells."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from gc3store import make_store

nbclient = pytest.importorskip("nbclient")
nbformat = pytest.importorskip("nbformat")
pytest.importorskip("ipywidgets")

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.timeout(400)


class Executed:
    """A notebook after its execution."""

    def __init__(self, path):
        notebook = nbformat.read(path, as_version=4)
        client = nbclient.NotebookClient(
            notebook, timeout=180, kernel_name="python3", resources={"metadata": {"path": str(path.parent)}}
        )
        client.execute()  # raises if a cell does
        self.cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
        self.directory = path.parent

    def cell(self, piece):
        """Return the only code cell that contains `piece`."""
        (found,) = [cell for cell in self.cells if piece in cell.source]
        return found

    def said(self, piece):
        """Return the text under that cell: what it printed, and its results as plain text."""
        texts = []
        for output in self.cell(piece).outputs:
            if output.output_type == "stream":
                assert output.name == "stdout", output.text
                texts.append(output.text)
            else:
                texts.append(output.data.get("text/plain", ""))
        return "".join(texts)

    def shown(self, piece, kind):
        """Return what a cell shows in a certain format."""
        return [output.data[kind] for output in self.cell(piece).outputs if kind in output.get("data", {})]


@pytest.fixture
def copy(tmp_path):
    """The notebooks and the samples they look at, where they may write."""
    ignored = shutil.ignore_patterns("*.db*", "__pycache__", ".ipynb_checkpoints")
    shutil.copytree(ROOT / "notebooks", tmp_path / "notebooks", ignore=ignored)
    shutil.copytree(ROOT / "tests/data/gc3pie", tmp_path / "tests/data/gc3pie")
    return tmp_path / "notebooks"


@pytest.fixture(autouse=True)
def environment(tmp_path, monkeypatch):
    """No settings of the person who runs the tests."""
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JPY_SESSION_NAME", "/somewhere/01-quickstart.ipynb")
    monkeypatch.setenv("MPLBACKEND", "module://matplotlib_inline.backend_inline")
    monkeypatch.delenv("GC3STORE_URL", raising=False)


def test_quickstart(copy):
    """Run on a fresh clone, and once more in the same place."""
    for _ in range(2):
        check_quickstart(Executed(copy / "01-quickstart.ipynb"))


def check_quickstart(notebook):
    # The jobs ran and one failed.
    lines = notebook.said("ThreadPoolExecutor").splitlines()
    assert len(lines) == 12
    assert [line.split()[-1] for line in lines].count("TERMINATED") == 11
    assert lines[-1] == "T = -1.0   FAILED"

    # The sweep is kept and listed.
    assert re.fullmatch(r"sweep saved as 'Sweep\.\d+' \(\d+ B\)\n", notebook.said("%store_save sweep"))
    (html,) = notebook.shown("store.table(", "text/html")
    assert html.count("ising_model.IsingRun") == 12
    assert html.count("ising_model.Sweep") == 1
    listed = notebook.said("%store_list class:IsingRun state:FAILED")
    assert "1 object found" in listed

    # Nobody watches: the browser is a table.
    assert notebook.shown("%store_browse", "application/vnd.jupyter.widget-view+json") == []
    assert "IsingRun." in notebook.shown("%store_browse", "text/html")[0]
    assert "IsingRun." in notebook.said("%store_browse")

    # The failed run is looked into and repaired.
    assert "the temperature must be positive, not -1.0" in notebook.said("store.inspect(failed)")
    assert notebook.said("run = store.load(failed)") == "('TERMINATED', 2)"
    assert notebook.said("sweep.runs[-1] is run") == "(True, 'TERMINATED')"

    # A run is removed and put back.
    lines = notebook.said("%store_undo").splitlines()
    assert lines[0].startswith("Note: IsingRun.")
    assert [line for line in lines if line.endswith("objects")] == ["12 objects", "13 objects"]

    # The curve is drawn.
    (png,) = notebook.shown("plt.subplots", "image/png")
    assert len(png) > 5000

    # Versions and origin.
    assert "unchanged, no new version" in notebook.said("near_critical")
    listed = notebook.said("%store_list results")
    assert "results@2" in listed
    assert "results@1" in listed
    assert notebook.said("first = ").count("near_critical") == 1
    info = notebook.said("%store_info results")
    assert "01-quickstart.ipynb, cell [" in info
    assert '    results["near_critical"] = ' in info

    # The store holds the physics, in a process that has seen nothing of the notebook.
    code = (
        "from gc3store import make_store\n"
        "store = make_store('sqlite:///quickstart.db', read_only=True)\n"
        "sweep = store.load(store.find('sweep')[0])\n"
        "for run in sweep.runs: print(run.temperature, run.magnetization)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=notebook.directory, capture_output=True, text=True, check=True
    )
    magnetization = dict(tuple(map(float, line.split())) for line in done.stdout.splitlines())
    assert len(magnetization) == 12
    assert min(m for t, m in magnetization.items() if t <= 2.0) > 0.85
    assert max(m for t, m in magnetization.items() if t >= 2.7) < 0.5
    assert 1.2 in magnetization  # the repaired one


def test_gc3pie_jobs(copy):
    pytest.importorskip("gc3libs")
    check_gc3pie_jobs(Executed(copy / "02-gc3pie-jobs.ipynb"), gc3pie=True)


def test_gc3pie_jobs_without_gc3pie(copy, tmp_path):
    startup = tmp_path / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "00.py").write_text("import sys\nsys.modules['gc3libs'] = None  # as if not installed\n")
    check_gc3pie_jobs(Executed(copy / "02-gc3pie-jobs.ipynb"), gc3pie=False)


def check_gc3pie_jobs(notebook, *, gc3pie):
    # Both stores are listed.
    for piece in ("files.table(", "database.table(columns"):
        (html,) = notebook.shown(piece, "text/html")
        assert html.count("ising.IsingRun") == 20
        assert html.count("ising.TemperatureSweep") == 2
        assert html.count("ising.FiniteSizeStudy") == 1
        assert html.count("TERMINATED") == 23

    # The extra columns are searched.
    listed = notebook.said("temperature:<0")
    assert "ising-8x8-T-1.00" in listed
    assert "2 objects found" in listed

    # What failed is found without loading.
    assert notebook.said("job.execution.exitcode != 0").splitlines() == [
        "ising-8x8-T-1.00: exit code 1",
        "ising-16x16-T-1.00: exit code 1",
    ]

    # The curve is drawn.
    (png,) = notebook.shown("plt.subplots", "image/png")
    assert len(png) > 5000

    # The study is loaded where gc3pie is.
    said = notebook.said("study = files.load(root)")
    if not gc3pie:
        assert said.startswith("GC3Pie is not installed here")
    else:
        assert len(said.splitlines()) == 22
        assert said.count("failed") == 2
        assert "IsingRun.42   T =  2.50  m = 0.289" in said
        assert notebook.said("is job,").startswith("True\nSubmitting to 'localhost'")

    # No byte was changed.
    assert notebook.said("fingerprints() == before") == "True"
    ours = ROOT / "tests/data/gc3pie"
    for path in (notebook.directory.parent / "tests/data/gc3pie").rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts:
            assert (
                path.read_bytes()
                == (ours / path.relative_to(notebook.directory.parent / "tests/data/gc3pie")).read_bytes()
            )
    assert len(make_store(ours / "fs")) == 23
