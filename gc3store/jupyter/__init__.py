"""The notebook side: magics and the browser."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

__all__ = ["load_ipython_extension", "unload_ipython_extension"]


def load_ipython_extension(shell: InteractiveShell) -> None:
    """Register the magics; what ``%load_ext gc3store`` calls."""
    from gc3store.jupyter.magics.extension import load  # IPython only where it is wanted

    load(shell)


def unload_ipython_extension(shell: InteractiveShell) -> None:
    """Leave the shell as it was before; what ``%unload_ext gc3store`` calls."""
    from gc3store.jupyter.magics.extension import unload

    unload(shell)
