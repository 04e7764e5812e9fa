"""A server whose error quotes the password: it is in no error of the tree, nor in what led to it (C12)."""

from __future__ import annotations

import traceback

import pytest

from gc3store import StoreError, make_store
from gc3store.testing import Node
from tests.servers import KINDS, connect, database, user

pytestmark = pytest.mark.server

#: So long that it is found in what a server quotes.
SECRET = "hunter2-and-more"


def shown(error):
    """Return all that can be seen of an error and of those that led to it."""
    texts = [*traceback.format_exception(error)]
    todo, seen = [error], set()
    while todo:
        error = todo.pop()
        if error is None or id(error) in seen:
            continue
        seen.add(id(error))
        texts += [str(error), repr(error), repr(error.args), repr(vars(error))]
        todo += [error.__cause__, None if error.__suppress_context__ else error.__context__]
    return "".join(texts)


@pytest.fixture(scope="module", params=KINDS)
def place(request):
    """The kind of a server, a database there, and its URL for a user with a password."""
    with database(request.param) as ours, user(ours, SECRET) as theirs:
        yield request.param, ours, theirs


class Quoting:
    """Let the server quote the password in its answer to each insertion into the catalogue, or to the commit.

    Parameters
    ----------
    place : tuple
        As the fixture has it.
    table : str
        The catalogue.
    code : str
        SQLSTATE of PostgreSQL, or number of an error of MariaDB.
    in_commit : bool
        Whether it is the commit that fails.
    """

    def __init__(self, place, table, code, *, in_commit=False):
        kind, ours, _ = place
        self.admin = connect(ours)
        text = f"the password is {SECRET}"
        if kind == "postgresql":
            which, when = ("CONSTRAINT", "DEFERRABLE INITIALLY DEFERRED") if in_commit else ("", "")
            raising = f"RAISE EXCEPTION '{text}' USING ERRCODE = '{code}', DETAIL = '{text}'"
            function = f"CREATE OR REPLACE FUNCTION quote_{table}() RETURNS trigger LANGUAGE plpgsql"
            trigger = f"CREATE {which} TRIGGER quote AFTER INSERT ON {table} {when} FOR EACH ROW"
            self.statements = [
                f"{function} AS $$ BEGIN {raising}; END $$",
                f"{trigger} EXECUTE FUNCTION quote_{table}()",
            ]
            self.end = f"DROP TRIGGER quote ON {table}"
        else:
            trigger = f"CREATE TRIGGER quote_{table} AFTER INSERT ON {table} FOR EACH ROW"
            signal = f"SIGNAL SQLSTATE '45000' SET MYSQL_ERRNO = {code}, MESSAGE_TEXT = '{text}'"
            self.statements = [f"{trigger} {signal}"]
            self.end = f"DROP TRIGGER quote_{table}"

    def __enter__(self):
        for statement in self.statements:
            self.admin.execute(statement)

    def __exit__(self, *_):
        self.admin.execute(self.end)
        self.admin.close()


#: An error that has no more to say, a deadlock, a value that is too large, no right, no space, a lost connection.
CODES = {
    "postgresql": ["P0001", "40P01", "54000", "42501", "53100", "57P01"],
    "mariadb": [1644, 1213, 1406, 1142, 1114, 1927],
}


def test_in_a_step(place):
    kind, _, theirs = place
    with make_store(theirs, table_name="step") as store:
        kept = store.save(Node("kept"))
        for code in CODES[kind]:
            with Quoting(place, "step", code):
                node = Node("new")
                with pytest.raises(StoreError) as caught, store.transaction():
                    store.update(kept, name="label")
                    store.save(node)
                assert SECRET not in shown(caught.value), code
            assert store.list() == [kept]
            assert store.find("label") == []
            assert store.load(store.save(node)) is node
            store.remove(node.persistent_id)


def test_in_a_call_by_itself(place):
    kind, _, theirs = place
    with make_store(theirs, table_name="alone") as store:
        store.save("kept")
        for code in (CODES[kind][0], CODES[kind][2]):
            with Quoting(place, "alone", code):
                for call in (lambda: store.save("new"), lambda: store.save_many([Node(1), Node(2)])):
                    with pytest.raises(StoreError) as caught:
                        call()
                    assert SECRET not in shown(caught.value), code


def test_in_a_commit(place):
    kind, _, theirs = place
    if kind != "postgresql":
        pytest.skip("only PostgreSQL has triggers that wait for the commit")
    with make_store(theirs, table_name="committing") as store:
        store.save("kept")
        for code in ("P0001", "57P01"):
            with Quoting(place, "committing", code, in_commit=True):
                with pytest.raises(StoreError) as caught:
                    store.save("new")
                assert SECRET not in shown(caught.value), code
            assert len(store) == 1
