"""GC3Pie's stores opened in place, and GC3Pie itself as a client of ours.

`gc3store.make_store` opens the directories, tables and sessions that GC3Pie 2.6.8 wrote,
without GC3Pie. After `install`, GC3Pie's own sessions, engines and scripts keep their
tasks in stores of this package:

>>> import gc3store.gc3pie
>>> gc3store.gc3pie.install()  # doctest: +SKIP
"""

from __future__ import annotations

import sys

from gc3store.errors import MissingDependencyError

__all__ = ["install", "uninstall"]


def install() -> None:
    """Let GC3Pie, in this process, keep its objects in our stores.

    From then on ``gc3libs.persistence.make_store``, ``gc3libs.session.Session`` and
    what uses them open stores of this package. A new place becomes a store of
    ours; what GC3Pie wrote before is used in place, and GC3Pie can load what is saved there
    without this package. Doing it again does nothing.

    Raises
    ------
    MissingDependencyError
        If GC3Pie, or SQLAlchemy, is not installed.
    """
    try:
        from gc3store.gc3pie.client import patch
    except ImportError as error:
        raise MissingDependencyError(
            f"GC3Pie cannot be imported here ({error}): pip install gc3pie 'gc3store[sql]'."
        ) from error
    patch()


def uninstall() -> None:
    """Let GC3Pie open its own stores again; those that are open stay as they are."""
    client = sys.modules.get("gc3store.gc3pie.client")
    if client is not None:
        client.restore()
