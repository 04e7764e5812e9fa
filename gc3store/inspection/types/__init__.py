"""The types that inspection knows, one family a module.

A module here is known by being here: it registers with `gc3store.inspection.building.builds` what builds its
values, and with `gc3store.inspection.shape.shaped` how these are walked and written. Nothing else names them.
"""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from gc3store.inspection.building import BUILDERS

__all__ = ["BUILDERS"]

for _module in iter_modules(__path__):
    import_module(f"{__name__}.{_module.name}")
