"""Passwords in URLs and texts are hidden, however they are written (C12)."""

from __future__ import annotations

from urllib.parse import quote, quote_plus

import pytest

from gc3store import Store, make_store, register
from gc3store.jupyter.browser import browse
from gc3store.support.redaction import passwords, redact

#: Each has a part that is found nowhere else in the texts: that part must be gone too.
HOSTILE = [
    "first-middle-final",
    "first@middle@final",
    "first:middle:final",
    "first/middle/final",
    "12345/middle-final",
    "12345 middle-final",
    "first?middle?final",
    "first?user=middle&x=final",
    "first#middle#final",
    "first%middle%40final",
    "first middle final",
    " first  middle@final",
    "first'middle'final",
    'first"middle"final',
    "first\\middle\\final",
    "first;middle,final",
    "first)middle]final",
    "first://middle@final",
    "first***middle***final",
    "första-middle-ﬁnal-密码-final",
    "@first@middle@final@",
]

#: Around a URL.
TEXTS = [
    "{}",
    "{}\nand more",
    "cannot connect to {}",
    "cannot connect to {}: refused",
    "copied from mysql://db/jobs to {}",
    "see https://example.org:8080/help, (in {})",
    "<{}>",
]

#: Where the end of the URL is known, more than the secret is not hidden.
QUOTED = ["store = make_store({!r}, read_only=True)  # ask ann@example.org", "['{}', 'ann@example.org']"]

USERS = ["me", "", "me@corp", "o'neil", "m%C3%A9", "mé"]


def parts(secret: str) -> list[str]:
    return [part for part in ("first", "första", "middle", "final", "密码") if part in secret]


@pytest.mark.parametrize("secret", HOSTILE)
def test_no_part_of_a_password_is_shown(secret):
    for user in USERS:
        for written in (secret, quote(secret), quote_plus(secret), quote(secret, safe="")):
            url = f"postgresql+psycopg://{user}:{written}@db.example:5432/jobs?sslmode=require"
            for text in TEXTS + QUOTED:
                shown = redact(text.format(url))
                assert not [part for part in parts(secret) if part in shown], shown
                assert f"{user}:***@db.example:5432/jobs?sslmode=require" in shown or text in QUOTED
                assert redact(shown) == shown


@pytest.mark.parametrize("secret", [s for s in HOSTILE if "&" not in s])
@pytest.mark.parametrize("name", ["password", "passwd", "PASSWORD", "sslpassword", "token", "pass%77ord"])
def test_no_part_of_a_parameter_is_shown(secret, name):
    for written in (secret, quote(secret), quote_plus(secret)):
        for query in (f"user=me&{name}={written}", f"{name}={written}&charset=utf8"):
            for text in TEXTS:
                shown = redact(text.format(f"mysql://db.example/jobs?{query}"))
                assert not [part for part in parts(secret) if part in shown], shown
                assert "db.example/jobs?" in shown


@pytest.mark.parametrize("secret", HOSTILE)
def test_a_known_password_is_hidden_wherever_it_occurs(secret):
    for written in (quote(secret, safe=""), quote_plus(secret)):
        for url in (f"mysql://me:{written}@db/jobs", f"mysql://me@db/jobs?password={written}&charset=utf8"):
            known = passwords(url)
            assert {secret, written} <= set(known)
            assert not [
                part for part in parts(secret) if part in redact(f"it is {secret}, or {written}", *known)
            ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("postgresql://me:p@ss@db", "postgresql://me:***@db"),
        ("mysql://:lonely@host", "mysql://:***@host"),
        ("postgresql+psycopg://me:x%2Fy@[::1]:5432/db", "postgresql+psycopg://me:***@[::1]:5432/db"),
        ("a://b:x@c and d://e:y@f", "a://b:***@c and d://e:***@f"),
        ("('mysql://me:x@db', 'a@b')", "('mysql://me:***@db', 'a@b')"),
        ("('mysql://db:3306/jobs', 'a@b')", "('mysql://db:3306/jobs', 'a@b')"),
        ("mysql://db/x?password=y&charset=utf8", "mysql://db/x?password=***&charset=utf8"),
        ("user=me password=hunter2 host=db", "user=me password=*** host=db"),
        ("os.environ['DB_PASSWORD'] = 'hunter2'", "os.environ['DB_PASSWORD'] = '***'"),
        ('{"api_key": "hun\\"ter2"}', '{"api_key": "***"}'),
        ("password: str = 'hunter2'", "password: str = '***'"),
        ("getenv(\"TOKEN\", 'hunter2')", "getenv(\"TOKEN\", '***')"),
        ("PASSWORD = '''hunter2'''", "PASSWORD = '''***'''"),
        ("see http://a.org: password='tiger'", "see http://a.org: password='***'"),
        ("see http://a.org: password=tiger x", "see http://a.org: password=*** x"),
    ],
)
def test_what_is_hidden(text, shown):
    assert redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "sqlite:///x.db",
        "file:///home/me/a:b@c/jobs",
        "https://example.org:8080/a@b",
        "postgresql://me@db:5432/jobs",
        "x = {'a': 1}",
        "tokens = count(words)",
        "if password == given: pass",
        "a@b.c",
        "",
    ],
)
def test_the_rest_stays(text):
    assert redact(text) == text
    assert passwords(text) == ()


def test_a_store_of_another_author_shows_no_password(tmp_path):
    """Its URL is shown in many places; none of them needs to think of passwords."""

    class Elsewhere(Store):
        def save(self, obj):
            return "x.1"

        def load(self, id_):
            return None

        def replace(self, id_, obj):
            pass

        def remove(self, id_):
            pass

    register("elsewhere", Elsewhere)
    store = make_store("elsewhere://me:first@tig3r/final@db?password=first tig3r")
    assert store.url == "elsewhere://me:***@db?password=***"
    assert repr(store) == "<Elsewhere 'elsewhere://me:***@db?password=***'>"
    pytest.importorskip("ipywidgets")
    assert "tig3r" not in repr(browse(store).get_state())
