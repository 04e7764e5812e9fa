"""NumPy, pandas and pyarrow, imported when the first value that they keep is shown."""

from __future__ import annotations

import importlib
from typing import Any, Literal

from gc3store.errors import InspectionError

__all__ = ["NotShownError", "library"]


class NotShownError(InspectionError):
    """The values of an array cannot be shown; its type and size can."""


def library(name: Literal["numpy", "pandas", "pyarrow"]) -> Any:
    """Return one of the libraries whose arrays inspection shows; never one that a payload chooses.

    Raises
    ------
    NotShownError
        If it is not installed.
    """
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise NotShownError(
            f"These values cannot be shown without {name}, which is not installed."
        ) from error
