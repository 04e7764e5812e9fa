"""The contract of a store as tests that the author of any store can inherit.

A store's test class supplies one fixture, `open_store`: a callable without arguments
that opens the store at one place, again and again, for one test::

    from functools import partial
    from gc3store.testing import StoreContract

    class TestMyStore(StoreContract):
        lacks = {"graphs": "my stores keep each object by itself"}

        @pytest.fixture
        def open_store(self, tmp_path):
            return partial(MyStore, f"mystore://{tmp_path}")

Tests are numbered like the contract, C1 to C14. What persists is looked at in a fresh
process, so `open_store` must be something that cloudpickle can send there, and the
class something that can be imported there. Optional methods that a store does not
have are skipped; what else it cannot keep it declares in `StoreContract.lacks`.
Both show in the test report with their reason. Needs pytest.
"""

from __future__ import annotations

from gc3store.testing.contract import CAPABILITIES, StoreContract
from gc3store.testing.counting import reads
from gc3store.testing.objects import Bomb, Node, Point
from gc3store.testing.processes import FreshProcess, in_fresh_process, in_new_interpreter, results_of

__all__ = [
    "CAPABILITIES",
    "Bomb",
    "FreshProcess",
    "Node",
    "Point",
    "StoreContract",
    "in_fresh_process",
    "in_new_interpreter",
    "reads",
    "results_of",
]
