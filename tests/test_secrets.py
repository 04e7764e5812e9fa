"""Passwords stay secret (C12): in whatever a store, its errors and its records show."""

from __future__ import annotations

import functools
import pickle
import traceback
from urllib.parse import quote, quote_plus

import pytest

from gc3store import InvalidURLError, ObjectNotFoundError, StoreError, make_store
from gc3store.gc3pie.session import read_session
from gc3store.testing import Node
from tests.servers import KINDS, database, user

#: What is looked for. The passwords have characters besides that URLs and messages write differently.
SECRET = "hunter2"
PASSWORD = f"{SECRET}-x y/@'\\%"


def shown(error):
    """Return all that can be seen of an error and of those that led to it."""
    texts = [*traceback.format_exception(error)]
    while error is not None:
        texts += [str(error), repr(error), repr(error.args), repr(vars(error)), repr(pickle.dumps(error))]
        error = error.__cause__ or error.__context__
    return "".join(texts)


@pytest.mark.parametrize(
    "uri",
    [
        f"postgresql+psycopg://somebody:{SECRET}@127.0.0.1:1/x?connect_timeout=1",
        f"mariadb://somebody:{SECRET}@127.0.0.1:1/x?connect_timeout=1",
        f"postgresql:///x?host=127.0.0.1&port=1&user=somebody&password={SECRET}",
        f"mysql://somebody:two@{SECRET}@127.0.0.1:1/x",
        f"mysql://somebody:{SECRET}@127.0.0.1:1/x?nonsense=1",
        f"mysql://somebody:{SECRET}@127.0.0.1:1/x?connect_timeout=soon",
        f"postgresql://somebody:{SECRET}@127.0.0.1:1/x?nonsense=1",
        f"postgresql://somebody:{SECRET}@127.0.0.1:1/x#tabel=jobs",
        f"postgresql://somebody:{SECRET}@127.0.0.1:1/x#table=a b",
        f"postgresql://somebody:{SECRET}@127.0.0.1:port/x",
        f"postgresql:/somebody:{SECRET}@127.0.0.1:1/x",
        f"postgresql+nosuch://somebody:{SECRET}@127.0.0.1:1/x",
        f"postgresql://somebody:{SECRET}@127.0.0.1:1/\0",
        f"postgresql://somebody:{SECRET}@127.0.0.1:1/\udc80",
        f"nosuch://somebody:{SECRET}@host/x",
        f"sqlite://somebody:{SECRET}@host/x",
        f"file://somebody:{SECRET}@host/x",
        f"postgresql://somebody:{SECRET}@host/x".encode(),
        [f"postgresql://somebody:{SECRET}@host/x"],
    ],
)
def test_no_error_shows_the_password(uri, capsys, caplog):
    caplog.set_level(0)
    with pytest.raises(StoreError) as caught:
        make_store(uri)
    assert SECRET not in shown(caught.value) + "".join(capsys.readouterr()) + caplog.text


def test_a_password_with_an_at_sign_says_how_to_write_it():
    with pytest.raises(InvalidURLError, match="write %40"):
        make_store("mariadb://somebody:a@b@127.0.0.1/x")


@pytest.mark.server
@pytest.mark.parametrize("kind", KINDS)
def test_nothing_on_a_server_shows_the_password(kind, tmp_path, capsys, caplog):
    caplog.set_level(0)
    texts = []
    with database(kind) as ours, user(ours, PASSWORD) as url, make_store(tmp_path / "objects") as other:
        with make_store(url) as store:
            with pickle.loads(pickle.dumps(store)) as again:
                texts += [repr(again), repr(store), str(store.url), store._repr_html_()]
            for holder in (
                store,
                [store],
                Node(store),
                store.save,
                functools.partial(store.load, "x.1"),
                lambda: store.save(1),
                ObjectNotFoundError("gone", store=store),
            ):
                for place in (store, other):
                    id_ = place.save(holder)
                    texts += [repr(place.export(id_)), repr(place.describe(id_)), repr(place.inspect(id_))]
            calls = [lambda: store.load("x.99"), lambda: store.save(x for x in "abc")]
            for call in calls:
                with pytest.raises(StoreError) as caught:
                    call()
                texts.append(shown(caught.value))
        for wrong, options in (
            (f"{url.rpartition('/')[0]}/no_such_database", {}),
            (url, {"tabel_name": "x"}),
            (url, {"table_name": "a b"}),
            (url, {"timeout": "soon"}),
            (f"{url}?nonsense=1", {}),
        ):
            with pytest.raises(StoreError) as caught:
                make_store(wrong, **options)
            texts.append(shown(caught.value))
        with pytest.raises(StoreError) as caught:
            store.save(1)  # it is closed
        texts.append(shown(caught.value))
    texts += [caplog.text, *capsys.readouterr()]
    for text in texts:
        for form in (SECRET, quote(PASSWORD), quote_plus(PASSWORD), repr(PASSWORD)[1:-1]):
            assert form not in text


@pytest.mark.server
@pytest.mark.parametrize("kind", KINDS)
def test_a_session_of_gc3pie_shows_no_password(kind, tmp_path):
    with database(kind) as ours, user(ours, PASSWORD) as url:
        (tmp_path / "store.url").write_text(f"{url}#table=jobs")
        (tmp_path / "session_ids.txt").write_text("1\n")
        assert SECRET in read_session(str(tmp_path)).store_url
        with make_store(tmp_path) as store:
            assert store.session.task_ids == ("1",)
            assert store.session.store_url.endswith("#table=jobs")
            assert SECRET not in repr(store.session) + repr(pickle.dumps(store.session))
