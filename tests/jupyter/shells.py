"""IPython shells for the tests of the magics, fresh for each test."""

import atexit

import pytest
from IPython.core.interactiveshell import InteractiveShell
from traitlets.config import Config


class Shell(InteractiveShell):
    """A shell of its own for each test, without history file."""

    def run(self, source):
        """Run a cell; return its result, an error included."""
        return self.run_cell(source, store_history=True)

    def ok(self, source):
        """Run a cell that must succeed; return its value."""
        result = self.run(source)
        result.raise_error()
        return result.result

    def usage_error(self, source):
        """Run a cell that must end in a usage error; return its message."""
        from IPython.core.error import UsageError

        error = self.run(source).error_in_exec
        assert type(error) is UsageError, error
        assert "\n" not in str(error)
        return str(error)


@pytest.fixture
def plain_shell(tmp_path, monkeypatch):
    """A fresh shell in an empty working directory; the extension is not loaded."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GC3STORE_URL", raising=False)
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    config = Config()
    config.HistoryManager.enabled = False
    shell = Shell(config=config)
    yield shell
    shell.extension_manager.unload_extension("gc3store")
    atexit.unregister(shell.atexit_operations)
    shell.history_manager.end_session()  # not the rest, whose collecting of garbage takes long
    shell.restore_sys_module_state()


@pytest.fixture
def shell(plain_shell):
    """A fresh shell with the magics."""
    plain_shell.ok("%load_ext gc3store")
    return plain_shell
