"""What the README says is so."""

import doctest
import re
from pathlib import Path

import gc3store

README = Path(__file__).parent.parent / "README.md"


def test_the_examples_run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    text = README.read_text(encoding="utf-8")
    (example,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    parsed = doctest.DocTestParser().get_doctest(example, {"__name__": "__main__"}, "README.md", None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE)
    result = runner.run(parsed)
    assert result.attempted >= 10
    assert result.failed == 0


def test_files_it_points_to_exist():
    targets = re.findall(r"\]\((?!https?:)([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert len(targets) >= 5
    assert [target for target in targets if not (README.parent / target).exists()] == []


def test_the_version_is_the_one_of_the_package():
    pyproject = (README.parent / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{gc3store.__version__}"' in pyproject
