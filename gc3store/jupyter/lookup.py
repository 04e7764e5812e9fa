"""Finding the object that a person means: by ID, by number, by name, by version."""

from __future__ import annotations

import contextlib
import difflib
from collections.abc import Iterable
from typing import TYPE_CHECKING

from gc3store.errors import InvalidIdError, NotSupportedError, ObjectNotFoundError
from gc3store.ids import check_id
from gc3store.jupyter.catalogue import Catalogue
from gc3store.query import Condition, Query
from gc3store.record import Record

if TYPE_CHECKING:
    from gc3store.store import Store

__all__ = ["entries", "resolve", "starting_with", "versions"]

#: How many of the newest entries are looked at for "did you mean".
NEIGHBOURHOOD = 500


def entries(store: Store, query: Query) -> list[Record]:
    """Return the entries of the catalogue that `query` asks for, from what the store offers.

    Raises
    ------
    NotSupportedError
        If the store cannot even list its IDs, or `query` asks for what it does not keep.
    """
    catalogue = Catalogue(store)
    kind = type(store).__name__
    if not catalogue.lists:
        raise NotSupportedError(f"A {kind} store does not list its objects; name them by their IDs.")
    if not catalogue.queries:
        wanted = [condition.field for condition in query.conditions] + [field for field, _ in query.order]
        if missing := [field for field in wanted if field not in ("id", "number", "cls")]:
            raise NotSupportedError(f"A {kind} store keeps no {missing[0]} to ask for; it lists IDs only.")
    return catalogue.rows(query)


def versions(store: Store, name: str, *, limit: int | None = None) -> list[Record]:
    """Return the objects saved under `name`, the newest first."""
    if not Catalogue(store).lists:
        return []
    query = Query(conditions=(Condition("name", "=", name),), order=(("number", True),), limit=limit)
    return list(store.records(query))


def resolve(store: Store, text: str) -> str:
    """Return the ID of the object that `text` means.

    Parameters
    ----------
    text : str
        An ID; else the number of one; else a name, which means the newest object
        saved under it, or ``name@2``, the second of the versions there are, or
        ``name@-2``, the last but one.

    Raises
    ------
    ObjectNotFoundError
        If there is no such object; the message suggests one that there is.
    """
    if not Catalogue(store).lists:
        return text  # the store itself knows best what its IDs are
    if (id_ := _existing(store, text)) is not None:
        return id_
    if found := versions(store, text, limit=1):
        return found[0].id
    name, at, version = text.rpartition("@")
    if at and version.removeprefix("-").isdecimal() and (found := versions(store, name)):
        return _version(found, name, int(version))
    raise _not_found(text, _neighbourhood(store, text))


def _existing(store: Store, text: str) -> str | None:
    if not store.offers("records") and text in store.list():
        return text  # its IDs may be of any form
    conditions = []
    with contextlib.suppress(InvalidIdError):
        conditions.append(Condition("id", "=", check_id(text)))
        if text.isdecimal():
            conditions.append(Condition("number", "=", int(text)))
    for condition in conditions:
        for record in store.records(Query(conditions=(condition,))):
            # Where an ID has no number, its place in the list is the number of its record.
            if record.id == text or record.id.rpartition(".")[2].isdecimal():
                return record.id
    return None


def _version(found: list[Record], name: str, version: int) -> str:
    # `found` has the newest first; versions count from 1, the oldest.
    if 1 <= version <= len(found):
        return found[len(found) - version].id
    if -len(found) <= version <= -1:
        return found[-version - 1].id
    there_is = "there is only 1 version" if len(found) == 1 else f"there are {len(found):,} versions"
    raise ObjectNotFoundError(f"{name!r} has no version {version}; {there_is}.", id=f"{name}@{version}")


def _not_found(text: str, neighbours: Iterable[str]) -> ObjectNotFoundError:
    shown = repr(text if len(text) <= 60 else text[:57] + "...")
    by_fold = {word.casefold(): word for word in neighbours}
    near = difflib.get_close_matches(text[:200].casefold(), by_fold, n=1)
    hint = f"did you mean {by_fold[near[0]]!r}?" if near else "%store_list shows what there is."
    return ObjectNotFoundError(f"There is no object {shown}; {hint}", id=text)


def _neighbourhood(store: Store, text: str) -> list[str]:
    newest = Query(order=(("number", True),), limit=NEIGHBOURHOOD)
    words: list[str] = []
    for record in store.records(newest):
        words += [record.id, *([record.name] if record.name else [])]
    # A typing mistake is rarely in the beginning, so objects that are not new have a chance too.
    words += starting_with(store, text[:2], limit=NEIGHBOURHOOD)
    return words


def starting_with(store: Store, prefix: str, *, limit: int) -> list[str]:
    """Return names, and then IDs, that begin with `prefix`; of each kind those of the newest objects.

    The store is asked for the range, so this costs little in a large store.
    """
    if not Catalogue(store).lists:
        return []
    found: list[str] = []
    for field in ("name", "id"):
        inside = (Condition(field, ">=", prefix), Condition(field, "<", prefix + "\U0010ffff"))
        query = Query(conditions=inside if prefix else (), order=(("number", True),), limit=limit)
        values = (record[field] for record in store.records(query))
        found += [value for value in values if value and value.startswith(prefix)]
    return list(dict.fromkeys(found))
