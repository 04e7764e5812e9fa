"""What callers say of an object when they save it: checked once, before anything is done."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from gc3store.errors import OptionError
from gc3store.ids import check_prefix
from gc3store.store import KEEP, Keep

__all__ = ["NO_LABELS", "Labels"]


class Labels(NamedTuple):
    """Labels of an object, checked.

    Attributes
    ----------
    name : str, None or KEEP
        What to find it by.
    tags : tuple of str or KEEP
        What to group it by.
    origin : str or None
        Where it comes from, as JSON.
    prefix : str or None
        What the ID of a new record begins with.
    """

    name: str | Keep | None = KEEP
    tags: tuple[str, ...] | Keep = KEEP
    origin: str | None = None
    prefix: str | None = None

    @classmethod
    def of(
        cls,
        name: str | Keep | None = KEEP,
        tags: Iterable[str] | Keep = KEEP,
        prefix: str | None = None,
        origin: Mapping[str, Any] | None = None,
    ) -> Labels:
        """Return the labels that a caller gives.

        Raises
        ------
        OptionError
            If they cannot be stored.
        """
        if name is KEEP and tags is KEEP and prefix is None and origin is None:
            return NO_LABELS
        if not isinstance(name, (str, Keep)) and name is not None:
            raise OptionError(f"A name is a string, not {type(name).__name__}.")
        if isinstance(name, str):
            name = _checked_text(name) or None
        if prefix is not None:
            check_prefix(prefix)
        return cls(name, _checked_tags(tags), _checked_origin(origin), prefix)

    def changes(self) -> dict[str, Any]:
        """Return the name and the tags that are given."""
        found: dict[str, Any] = {}
        if self.name is not KEEP:
            found["name"] = self.name
        if self.tags is not KEEP:
            found["tags"] = self.tags
        return found


def _checked_tags(tags: Iterable[str] | Keep) -> tuple[str, ...] | Keep:
    if isinstance(tags, Keep):
        return tags
    if isinstance(tags, str):
        raise OptionError(f"Tags are a list of strings: write tags=[{tags!r}].")
    found = tuple(tags) if isinstance(tags, Iterable) else (tags,)
    if not all(isinstance(tag, str) for tag in found):
        raise OptionError("Tags are a list of strings.")
    for tag in found:
        _checked_text(tag)
    return tuple(dict.fromkeys(found))


def _checked_origin(origin: Mapping[str, Any] | None) -> str | None:
    if origin is None:
        return None
    try:
        return json.dumps(dict(origin))
    except (TypeError, ValueError) as error:
        raise OptionError(f"The origin must be something that JSON can write: {error}.") from error


def _checked_text(text: str) -> str:
    """Return a label if every kind of store can keep it."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise OptionError(f"{text!r:.60} has characters that cannot be stored: {error.reason}.") from error
    return text


#: Nothing is given.
NO_LABELS = Labels()
