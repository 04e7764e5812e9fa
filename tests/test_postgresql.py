"""What only PostgreSQL does: settings of a role, and servers that say that they end a connection."""

from __future__ import annotations

import pytest

from gc3store import make_store
from gc3store.errors import StoreUnavailableError
from gc3store.testing import Node
from tests.servers import connect, database, private_server, user

pytestmark = pytest.mark.server

_count = iter(range(10**9))


@pytest.fixture(scope="module")
def url():
    with database("postgresql") as url:
        yield url


@pytest.fixture
def table():
    return f"t{next(_count)}"


@pytest.fixture
def admin(url):
    connection = connect(url)
    yield connection
    connection.close()


# A driver whose server is killed leaves its socket to the collector, which says so.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning")
def test_a_durable_store_does_not_take_over_that_commits_do_not_wait():
    """A role with ``synchronous_commit = off``: what was saved is there after the server was killed."""
    with private_server("postgresql", "-c", "wal_writer_delay=10s") as server:
        admin = connect(server.url)
        admin.execute("ALTER ROLE postgres SET synchronous_commit = off")
        admin.close()
        with make_store(server.url) as store:
            first = store.save("first")
            ids = [first, store.save("second")]
            store.replace(first, "changed")
            server.kill()
        server.start()
        with make_store(server.url) as store:
            assert store.list() == ids
            assert list(store.load_many(ids)) == ["changed", "second"]


class Saying:
    """Let the server answer the next insertion into the catalogue of a store with an error, once.

    A sequence counts, since a rollback does not take back what that has given.
    """

    def __init__(self, admin, table, state):
        self.admin, self.table, self.state = admin, table, state

    def __enter__(self):
        name = f"{self.table}_refuse"
        self.admin.execute(f"CREATE SEQUENCE {name}")
        self.admin.execute(
            f"CREATE FUNCTION {name}() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
            f"IF nextval('{name}') = 1 THEN RAISE EXCEPTION 'terminating connection' "
            f"USING ERRCODE = '{self.state}'; END IF; RETURN NEW; END $$"
        )
        self.admin.execute(
            f"CREATE TRIGGER refuse BEFORE INSERT ON {self.table} FOR EACH ROW EXECUTE FUNCTION {name}()"
        )
        return self

    def __exit__(self, *_):
        self.admin.execute(f"DROP TRIGGER refuse ON {self.table}")
        self.admin.execute(f"DROP FUNCTION {self.table}_refuse")
        self.admin.execute(f"DROP SEQUENCE {self.table}_refuse")


@pytest.mark.parametrize("state", ["57P01", "57P02", "57P03", "57P05"])
class TestAServerThatSaysThatItEndsAConnection:
    """It has not closed the line yet when it says so; the connection is given up all the same."""

    def test_between_two_steps_nobody_notices(self, url, table, admin, state):
        with make_store(url, table_name=table) as store:
            first = store.save(Node("first"))
            with Saying(admin, table, state):
                node = Node("second")
                id_ = store.save(node)
                assert admin.execute(f"SELECT last_value FROM {table}_refuse").fetchone()[0] > 1
            assert store.list() == [first, id_]
            assert store.load(id_) is node

    def test_in_the_middle_of_a_transaction_nothing_is_changed(self, url, table, admin, state):
        with make_store(url, table_name=table) as store:
            first = store.save("first")
            with Saying(admin, table, state):
                node = Node("second")
                with pytest.raises(StoreUnavailableError, match="nothing was changed"), store.transaction():
                    store.remove(first)
                    store.save(node)
                assert store.list() == [first]
                assert getattr(node, "persistent_id", None) is None
                assert store.load(store.save(node)) is node


def test_a_role_whose_idle_connections_are_closed(url, table):
    """Between two calls nobody notices; within a transaction it is a lost connection."""
    with user(url, "open-sesame") as theirs, make_store(theirs, table_name=table) as store:
        name = theirs.partition("://")[2].partition(":")[0]
        admin = connect(url)
        admin.execute(f"ALTER ROLE {name} SET idle_session_timeout = '50ms'")
        admin.execute(f"ALTER ROLE {name} SET idle_in_transaction_session_timeout = '50ms'")
        store.pre_fork()  # so that it connects anew
        ids = []
        for value in range(3):
            ids.append(store.save([value]))
            admin.execute("SELECT pg_sleep(0.15)")
            assert store.load(ids[-1]) == [value]
            admin.execute("SELECT pg_sleep(0.15)")
        with pytest.raises(StoreUnavailableError, match="nothing was changed"), store.transaction():
            store.remove(ids[0])
            admin.execute("SELECT pg_sleep(0.15)")
            store.save("never")
        assert store.list() == ids
        admin.close()
