"""The analysis notebook, run where GC3Pie and the jobs' classes cannot be imported."""

import json
import re
import subprocess
import sys
from pathlib import Path

NOTEBOOKS = Path(__file__).parent.parent / "notebooks"


def test_the_analysis_needs_no_code_of_the_jobs(tmp_path):
    cells = json.loads((NOTEBOOKS / "03-analysis.ipynb").read_text())["cells"]
    code = ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    program = tmp_path / "analysis.py"
    program.write_text(
        "import sys\nsys.modules['gc3libs'] = sys.modules['ising'] = None\n"
        + "\n".join(code)
        + "\nassert len(jobs) == 20 and jobs['job.failed'].sum() == 2\n"
        "assert list(jobs.loc[jobs['job.failed'], 'job.outcome']) == ['exit code 1'] * 2\n"
        "cold, hot = good['temperature'] < 2, good['temperature'] > 3\n"
        "assert good['magnetization'][cold].min() > 0.9 > 0.4 > good['magnetization'][hot].max()\n"
        "print('done')\n"
    )
    done = subprocess.run(
        [sys.executable, program],
        cwd=NOTEBOOKS,
        capture_output=True,
        text=True,
        check=False,
        env={"MPLBACKEND": "Agg", "XDG_CACHE_HOME": str(tmp_path), "PATH": "", "HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("done\n")


def test_its_results_are_in_it_and_tell_of_no_machine():
    text = (NOTEBOOKS / "03-analysis.ipynb").read_text()
    cells = [cell for cell in json.loads(text)["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert [cell["execution_count"] for cell in cells] == list(range(1, len(cells) + 1))
    assert all(output["output_type"] != "error" for output in outputs)
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 2
    shown = json.dumps([output.get("data", output.get("text")) for output in outputs])
    for expected in (
        "exit code 1",
        "Remote job exited with code 1",
        "TemperatureSweep.25",
        "ising.IsingRun (class, not found",
    ):
        assert expected in shown
    places = set(re.findall(r"(?<![\w.<])/(?:home|root|work|Users|tmp|var|opt)/[^\s\"'<\\\\]*", shown))
    assert places <= {"/tmp/gc3store/tests/data/gc3pie/fs"}
