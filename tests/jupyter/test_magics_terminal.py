"""The magics in IPython in a terminal, typed in as a person would."""

import os
import re
import subprocess
import sys

import pytest

pexpect = pytest.importorskip("pexpect", reason="needs a terminal to type into")

pytestmark = pytest.mark.timeout(120)


class Terminal:
    """IPython with its full prompt, in a pseudo-terminal."""

    def __init__(self, directory):
        environment = {
            **os.environ,
            "IPYTHONDIR": str(directory / "ipython"),
            "PROMPT_TOOLKIT_NO_CPR": "1",
            "TERM": "xterm",
        }
        environment.pop("GC3STORE_URL", None)
        self.child = pexpect.spawn(
            sys.executable,
            ["-m", "IPython", "--no-banner", "--colors=nocolor", "--no-confirm-exit"],
            cwd=str(directory),
            env=environment,
            encoding="utf-8",
            dimensions=(50, 160),
            timeout=60,
        )
        self.child.delaybeforesend = 0.2
        self.number = 1
        self._prompt()

    def _prompt(self):
        self.child.expect(rf"In \[{self.number}\]:")
        return plain(self.child.before)

    def run(self, line):
        """Type a line; return what appears before the next prompt."""
        self.child.send(line)
        self.child.send("\r")
        self.number += 1
        return self._prompt()

    def stop(self):
        self.child.close(force=True)


def plain(text):
    """Return what a terminal would show: no escape sequences."""
    return re.sub(r"\x1b(\[[0-9;?]*[A-Za-z]|[=>]|\][^\x07]*\x07)", "", text).replace("\r", "")


@pytest.fixture
def terminal(tmp_path):
    terminal = Terminal(tmp_path)
    terminal.run("%load_ext gc3store")
    yield terminal
    terminal.stop()


def test_a_session(terminal, tmp_path):
    terminal.run("sweep = {'T': [1.0, 2.27]}")
    said = terminal.run("%store_save sweep --tag cold")
    assert "Using sqlite:///gc3store.db" in said
    assert "sweep saved as 'dict.1'" in said
    said = terminal.run("%store_list")
    assert re.search(r"dict\.1 +sweep +dict +cold", said)
    said = terminal.run("%store_load swep")
    assert "UsageError: There is no object 'swep'; did you mean 'sweep'?" in said
    assert "Traceback" not in said
    terminal.run("x = %store_load sweep")
    assert "[1.0, 2.27]" in terminal.run("x['T']")
    assert "Removed 'dict.1'; %store_undo puts it back" in terminal.run("%store_remove sweep")
    assert "as before" in terminal.run("%store_undo")
    assert "sweep" in terminal.run("%store_browse")


def test_automagic_needs_no_percent_sign(terminal):
    terminal.run("sweep = [1]")
    assert "sweep saved as 'list.1'" in terminal.run("store_save sweep")


def test_tab_completes(terminal):
    terminal.run("temperatures = [1]")
    terminal.run("%store_save temperatures")
    terminal.run("del temperatures")
    terminal.child.send("y = %store_load temp\t")
    terminal.child.expect("eratures")
    terminal.run(" ")
    assert "[1]" in terminal.run("y")


def test_the_extension_is_loaded_by_configuration(tmp_path):
    """As with ``c.InteractiveShellApp.extensions`` in a profile; without it, no magic is there."""
    environment = {**os.environ, "IPYTHONDIR": str(tmp_path / "ipython")}
    profile = tmp_path / "ipython" / "profile_default"
    profile.mkdir(parents=True)
    command = [sys.executable, "-m", "IPython", "--colors=nocolor", "-c", "%store_list"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert "`%store_list` not found" in done.stderr
    (profile / "ipython_config.py").write_text(
        "c.InteractiveShellApp.extensions = ['gc3store']\nc.StoreMagics.url = 'sqlite:///mine.db'\n"
    )
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    assert "Using sqlite:///mine.db (from StoreMagics.url)" in done.stdout
    assert "0 objects in sqlite:///mine.db" in done.stdout
