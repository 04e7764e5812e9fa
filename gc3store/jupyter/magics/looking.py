"""The magics that only look: list, details, differences, browser."""

from __future__ import annotations

from argparse import Namespace
from typing import TYPE_CHECKING, Any

from IPython.core.error import UsageError
from IPython.core.magic import Magics, magics_class

from gc3store.jupyter import actions
from gc3store.jupyter.catalogue import Catalogue
from gc3store.jupyter.lookup import entries, resolve, versions
from gc3store.jupyter.magics.arguments import command, option, quote
from gc3store.jupyter.show.details import Details
from gc3store.jupyter.show.difference import differences
from gc3store.jupyter.show.listing import Listing
from gc3store.query import Query
from gc3store.support.redaction import redact
from gc3store.support.text import single_line

if TYPE_CHECKING:
    from gc3store.jupyter.magics.commands import StoreMagics

__all__ = ["LookingMagics"]


@magics_class
class LookingMagics(Magics):
    """Magics that show what is in a store; none of them changes or loads anything.

    Parameters
    ----------
    main : StoreMagics
        The magics that hold the current store and the settings.
    """

    def __init__(self, main: StoreMagics) -> None:
        super().__init__(main.shell)
        self.main = main

    @command(
        option(
            "filters",
            nargs="*",
            metavar="FILTER",
            completes="queries",
            help="Words to search for, or field:value.",
        ),
        option(
            "--sort", metavar="FIELD", completes="fields", help="Sort by this field; -FIELD sorts descending."
        ),
        option("-n", "--limit", type=int, metavar="N", help="Show at most so many."),
    )
    def store_list(self, args: Namespace) -> Listing:
        """List objects, the newest first, without loading them; for a name, its versions.

        Examples::

            %store_list
            %store_list sweep                       # the versions saved under that name
            %store_list class:IsingRun state:RUNNING
            %store_list size:>1MB saved:<7d         # large, and of the last seven days
            %store_list 16x16 tag:paper --sort=-size
            rows = %store_list class:dict           # rows.ids, rows.table()
        """
        store = self.main.current.get()
        limit = args.limit if args.limit is not None else self.main.limit
        where = redact(str(store.url or type(store).__name__), *self.main.current.secrets)
        if len(args.filters) == 1 and not args.sort and (found := versions(store, args.filters[0])):
            name = args.filters[0]
            labels = [f"{name}@{n}" for n in range(len(found), 0, -1)]
            title = f"version{'s' * (len(found) != 1)} of {single_line(name, 60)} in {where}"
            return Listing(found[:limit], store=store, total=len(found), title=title, versions=labels[:limit])
        catalogue = Catalogue(store)
        query = Query.build(
            query=" ".join(map(quote, args.filters)),
            columns=catalogue.columns,
            order=args.sort or "-number",
            limit=limit,
        )
        records = entries(store, query)
        total = catalogue.count(query)
        title = f"object{'s' * (total != 1)}{' found' * bool(args.filters)} in {where}"
        return Listing(records, store=store, total=total, title=title)

    @command(
        option("id", metavar="ID", completes="objects", help="ID, number or name of the object."),
    )
    def store_info(self, args: Namespace) -> Details:
        """Show everything known of an object, without loading it.

        Examples::

            %store_info sweep
            %store_info IsingRun.26
        """
        store = self.main.current.get()
        id_ = resolve(store, args.id)
        missing = (
            "" if store.offers("describe") else f"a {type(store).__name__} store knows nothing more of it"
        )
        return Details(actions.describe(store, id_), missing=missing)

    @command(
        option("a", metavar="A", completes="objects", help="ID, number or name of an object."),
        option(
            "b",
            nargs="?",
            metavar="B",
            completes="objects",
            help="Another; by default, A is compared with its version before.",
        ),
    )
    def store_diff(self, args: Namespace) -> None:
        """Show what differs between two stored objects.

        Examples::

            %store_diff sweep                       # the newest version, and the one before
            %store_diff sweep@1 sweep@3
            %store_diff IsingRun.26 IsingRun.27
        """
        store = self.main.current.get()
        if args.b is None:
            found = versions(store, args.a, limit=2)
            if len(found) < 2:
                raise UsageError(f"{args.a!r} has no version before; %store_diff A B compares two objects.")
            a, b = found[1].id, found[0].id
        else:
            a, b = resolve(store, args.a), resolve(store, args.b)
        with self.main.notes():
            lines = list(differences(store, a, b))
        print(f"{a} and {b} are the same." if not lines else "\n".join([f"{a} → {b}", *lines]))

    @command(
        option(
            "filters",
            nargs="*",
            metavar="FILTER",
            completes="queries",
            help="What to show at first, as in %%store_list.",
        ),
    )
    def store_browse(self, args: Namespace) -> Any:
        """Browse the store: search, sort, look inside, load, replace and remove.

        Examples::

            %store_browse
            %store_browse class:IsingRun state:FAILED
        """
        from gc3store.jupyter.browser import browse  # widgets only when wanted

        return browse(self.main.current.get(), query=" ".join(map(quote, args.filters)))
