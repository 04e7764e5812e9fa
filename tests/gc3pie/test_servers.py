"""A table of GC3Pie on a database server, opened in place."""

import os
import secrets
import shutil
import sqlite3
import subprocess
import traceback

import pytest
import sqlalchemy as sa

from gc3store import make_store
from gc3store.errors import ConflictError, StoreUnavailableError
from gc3store.gc3pie.database import create_gc3pie_table, engine_for
from gc3store.gc3pie.table import GC3PieTable
from gc3store.sql.url import parse

pytestmark = pytest.mark.server


def administrate(*command):
    if os.geteuid() != 0 or shutil.which(command[0]) is None:
        pytest.skip(f"there is no way to administrate a server here with {command[0]}")
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    if done.returncode:
        pytest.skip(f"the server does not answer: {done.stderr.strip()[:200]}")


@pytest.fixture(params=["postgresql", "mysql"])
def url(request):
    """A database of the test's own with a user of its own, as GC3Pie names it."""
    name, password = f"gc3pie_{secrets.token_hex(4)}", secrets.token_hex(8)
    if request.param == "postgresql":
        psql = ("runuser", "-u", "postgres", "--", "psql", "-q", "-c")
        administrate(*psql, f"CREATE ROLE {name} LOGIN PASSWORD '{password}'")
        administrate(*psql, f"CREATE DATABASE {name} OWNER {name}")
        undo = [(*psql, f"DROP DATABASE {name} WITH (FORCE)"), (*psql, f"DROP ROLE {name}")]
    else:
        administrate("mariadb", "-e", f"CREATE DATABASE {name}")
        for host in ("localhost", "%"):
            administrate("mariadb", "-e", f"CREATE USER {name}@'{host}' IDENTIFIED BY '{password}'")
            administrate("mariadb", "-e", f"GRANT ALL ON {name}.* TO {name}@'{host}'")
        undo = [("mariadb", "-e", f"DROP DATABASE {name}; DROP USER {name}@localhost, {name}@'%'")]
    yield f"{request.param}://{name}:{password}@127.0.0.1/{name}"
    for command in undo:
        administrate(*command)


@pytest.fixture
def table(url, samples):
    """The sample table, as GC3Pie would have written it to the server."""
    columns = [sa.Column("jobname", sa.String(128)), sa.Column("temperature", sa.Float())]
    create_gc3pie_table(url, None, columns)
    driver = {"postgresql": "postgresql+psycopg", "mysql": "mysql+pymysql"}[url.partition(":")[0]]
    engine = sa.create_engine(driver + url[url.index(":") :], poolclass=sa.pool.NullPool)
    connection = sqlite3.connect(samples / "jobs.db")
    rows = connection.execute("SELECT id, data, state, jobname, temperature FROM store").fetchall()
    connection.close()
    with engine.begin() as server:
        insert = sa.text("INSERT INTO store VALUES (:id, :data, :state, :jobname, :temperature)")
        for row in rows:
            names = ("id", "data", "state", "jobname", "temperature")
            server.execute(insert, dict(zip(names, row, strict=True)))
    return url


def test_in_place_on_a_server(table, samples):
    import ising

    store = make_store(table)
    password = table.split(":")[2].partition("@")[0]
    assert type(store) is GC3PieTable
    assert password not in repr(store) + str(store.url)
    assert len(store) == 23
    assert store.list(temperature=1.5) == ["50", "61"]
    study, other = store.load("47"), make_store(f"{table}#table=store")
    run = study.tasks[0].tasks[0]
    theirs = other.load(run.persistent_id)
    run.energy = 5.0
    store.save(study)
    theirs.energy = 6.0
    with pytest.raises(ConflictError):
        other.save(theirs)
    assert other.load("47").tasks[0].tasks[0].energy == 5.0
    id_ = store.save(ising.IsingRun(4, 2.5, output_dir="/tmp/out"))
    assert other.describe(id_).columns == {"jobname": "ising-4x4-T2.50", "temperature": 2.5}
    with pytest.raises(ZeroDivisionError), store.transaction():
        store.save(ising.IsingRun(4, 3.5, output_dir="/tmp/out"))
        raise ZeroDivisionError
    store.remove(id_)
    assert len(other) == 23


def test_a_password_among_the_parameters_is_not_shown_either(table):
    """Neither by the store, nor by its errors, nor by an object that holds the store."""
    user, _, rest = table.partition("://")[2].partition(":")
    password, _, place = rest.partition("@")
    store = make_store(f"{table.partition(':')[0]}://{user}@{place}?password={password}")
    assert type(store) is GC3PieTable
    assert len(store) == 23
    run = store.load("50")
    run.where = store
    id_ = store.save(run)
    assert password.encode() not in store.export(id_)
    if table.startswith("mysql"):  # PostgreSQL may trust whoever comes from this machine
        with pytest.raises(StoreUnavailableError, match="does not let this user in"):
            GC3PieTable(f"mysql://{user}:wr0ng-pass@{place}")
    with engine_for(parse(table)[0]).begin() as connection:
        connection.exec_driver_sql("DROP TABLE store")
    with pytest.raises(StoreUnavailableError) as caught:
        store.load("47")
    assert password not in repr(store) + store.url + "".join(traceback.format_exception(caught.value))
