"""The browser as a Python object: options, state, and what stands in for it where no widgets are."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from pathlib import Path

import pytest
import traitlets

import gc3store
from gc3store import make_store
from gc3store.errors import UsageError
from gc3store.jupyter.browser import Browser
from gc3store.record import FIELDS

from .memory import FourMethods, Lists, MemoryStore

FRONT_END = Path(gc3store.__file__).parent / "jupyter/frontend/src"
STATES = {"nothing", "empty", "unlisted", "error"}  # what `kind` also means there


@pytest.fixture
def store():
    store = MemoryStore("postgresql://me:s3cret@db/jobs?password=s3cret")
    for n in range(30):
        store.add(name=f"secretname {n:02}", state="RUNNING" if n % 3 else "FAILED", size=1000 + n)
    return store


@pytest.fixture
def browser(store):
    browser = Browser(store, namespace={})
    yield browser
    browser.close()


def deliver(browser, request):
    """Hand a request over as the comm does, and return the reply when it is there."""
    replies, ready = [], threading.Event()
    browser.send = lambda content, buffers=None: (replies.append(content), ready.set())
    browser._handle_custom_msg(request, [])
    assert ready.wait(10)
    return replies[0]


def test_is_a_widget_that_composes(browser):
    import ipywidgets

    assert isinstance(browser, ipywidgets.DOMWidget)
    assert ipywidgets.HBox([browser]).children == (browser,)
    text = ipywidgets.Text("name 07")
    traitlets.link((text, "value"), (browser, "query"))
    assert list(browser.table().index) == ["Run.8"]


def test_browse(store, tmp_path):
    browser = gc3store.browse(store, query="name 07", order="-size", height=200, namespace={})
    assert (browser.query, browser.order, browser.height) == ("name 07", "-size", 200)
    assert gc3store.browse(str(tmp_path / "jobs"), namespace={}).store.list() == []
    with pytest.raises(UsageError, match="colour"):
        gc3store.browse(store, colour="red")
    with pytest.raises(gc3store.InvalidQueryError):
        gc3store.browse(store, order="nothing", namespace={})


def test_table_is_what_is_shown(browser):
    browser.filters = {"state": ["FAILED"]}
    browser.order = "-size"
    table = browser.table()
    assert list(table.index)[:2] == ["Run.28", "Run.25"]
    assert list(table.state.unique()) == ["FAILED"]


def test_requests_are_answered_with_their_numbers(browser):
    for kind in ("rows", "count", "facets", "load", "nonsense", "select", "layout"):
        body = {
            "query": {"text": "", "filters": {}, "order": ""},
            "limit": 3,
            "target": {"ids": ["Run.1"]},
            "variable": "x",
        }
        reply = deliver(browser, {"kind": kind, "client": "a", "seq": 7, **body})
        assert (reply["client"], reply["seq"], reply["kind"]) == ("a", 7, kind)
        assert reply["ok"] is (kind not in ("nonsense", "layout"))
    assert list(browser.selected) == ["Run.1"]
    for nonsense in (None, [], "rows", 3):
        assert deliver(browser, nonsense)["ok"] is False


def test_rows_do_not_wait_for_slow_counts_and_actions(store):
    browser = Browser(store, namespace={})
    release, real = threading.Event(), store.count
    store.count = lambda query=None: release.wait(10) and real(query)
    replies = []
    arrived = threading.Condition()

    def send(content, buffers=None):
        with arrived:
            replies.append(content["kind"])
            arrived.notify_all()

    browser.send = send
    asked = {"query": {"text": "", "filters": {}, "order": ""}, "limit": 3}
    browser._handle_custom_msg({"kind": "count", "seq": 1, **asked}, [])
    browser._handle_custom_msg({"kind": "rows", "seq": 2, **asked}, [])
    with arrived:
        assert arrived.wait_for(lambda: "rows" in replies, 5)
        assert "count" not in replies
        release.set()
        assert arrived.wait_for(lambda: "count" in replies, 5)


def test_the_front_end_asks_only_what_is_declared(browser):
    """And is told when it starts what of it is immediate, and what may be sent again."""
    sources = "".join(path.read_text("utf-8") for path in FRONT_END.glob("*.ts"))
    asked = set(re.findall(r"""(?:\.ask\(|Latest\(this\.channel, |\bkind: )"(\w+)\"""", sources)) - STATES
    assert asked >= {"rows", "count", "detail", "remove", "ping"}
    for kind in asked | {"inspect", "preview"}:
        error = deliver(browser, {"kind": kind}).get("error", {})
        assert "There is no request" not in error.get("message", ""), kind
    told = browser.get_state()["_setup"]["requests"]
    assert set(told["immediate"]) | set(told["repeatable"]) <= asked
    assert not {"load", "save", "replace", "remove", "label", "undo"} & set(told["repeatable"])


def test_the_front_end_is_told_which_columns_there_are(browser, tmp_path):
    """With titles and widths; those of the store's own stand next to the state, the rest is hidden."""
    with make_store(tmp_path / "jobs", columns={"energy": "energy"}) as own:
        setup = Browser(own, namespace={}).get_state()["_setup"]
    shown = [name for name, is_shown in setup["columns"] if is_shown]
    assert shown == ["name", "id", "cls", "state", "energy", "size", "modified", "tags"]
    assert [name for name, is_shown in setup["columns"] if not is_shown] == ["created", "revision"]
    fields = {field["name"]: field for field in setup["fields"]}
    assert set(fields) == {name for name, _ in setup["columns"]}
    assert fields["modified"]["title"] == FIELDS["modified"].title
    assert fields["size"]["kind"] == FIELDS["size"].kind
    assert all(field["width"] > 0 for name, field in fields.items() if name != "energy")
    lists = Browser(Lists("other://"), namespace={}).get_state()["_setup"]
    assert lists["columns"] == [("id", True), ("cls", True)]


def test_an_observer_that_fails_does_not_stop_the_browser(browser):
    def observer(change):
        raise RuntimeError("mine")

    browser.observe(observer, "selected")
    reply = deliver(browser, {"kind": "select", "target": {"ids": ["Run.2"]}})
    assert "mine" in reply["error"]["message"]
    assert list(browser.selected) == ["Run.2"]


def test_saved_state_holds_no_secret_no_id_and_nothing_of_objects(browser):
    deliver(browser, {"kind": "select", "target": {"ids": [f"Run.{n}" for n in range(1, 20)]}})
    deliver(browser, {"kind": "load", "target": {"ids": ["Run.1"]}, "variable": "x"})
    state = {key: value for key, value in browser.get_state().items() if key != "_esm"}
    text = json.dumps(state, default=str)
    assert "s3cret" not in text
    assert "Run." not in text
    assert "secretname" not in text
    assert len(text) < 3000


def test_module_is_small_and_fetches_nothing(browser):
    assert len(browser._esm) < 75_000
    for word in ("https://", "innerHTML", "eval("):
        assert word not in browser._esm


def test_stands_in_for_itself_where_no_widgets_are(browser):
    data, _ = browser._repr_mimebundle_()
    assert "application/vnd.jupyter.widget-view+json" in data
    assert "the first 10 objects" in data["text/plain"]
    assert "Run.10" in data["text/plain"]
    assert "Run.11" not in data["text/plain"]
    assert "<table" in data["text/html"]
    assert "s3cret" not in json.dumps(data)
    assert browser.store.loads == 0


def test_the_stand_in_is_only_text():
    store = MemoryStore()
    store.add(name="<script>alert(1)</script>", tags=("<b>",))
    html = Browser(store, namespace={})._repr_mimebundle_()[0]["text/html"]
    assert "<script>" not in html
    assert "<b>" not in html


@pytest.mark.parametrize("kind", [FourMethods, Lists])
def test_stands_in_for_stores_that_offer_little(kind):
    store = kind("other://")
    store.save([1])
    text = Browser(store, namespace={})._repr_mimebundle_()[0]["text/plain"]
    assert ("cannot list" if kind is FourMethods else "1 object") in text


def test_a_store_that_is_down_can_still_be_shown(store):
    browser = Browser(store, namespace={})
    store.down = "cannot reach postgresql://me:s3cret@db/jobs"
    text = browser._repr_mimebundle_()[0]["text/plain"]
    assert "cannot be read" in text
    assert "s3cret" not in text


def test_in_terminal_ipython(tmp_path):
    with make_store(f"sqlite:///{tmp_path}/jobs.db") as store:
        store.save([1, 2], name="a pair")
    code = f"import gc3store; gc3store.browse('sqlite:///{tmp_path}/jobs.db')"
    command = [
        sys.executable,
        "-m",
        "IPython",
        "--quick",
        "--colors=NoColor",
        "--HistoryManager.enabled=False",
        "-c",
    ]
    script = f"from IPython import get_ipython; ip = get_ipython(); ip.run_cell({code!r})"
    done = subprocess.run([*command, script], capture_output=True, text=True, timeout=120)
    assert "a pair" in done.stdout
    assert "list.1" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.parametrize("form", ["html", "markdown"])
@pytest.mark.parametrize("run", ["by a front end", "by nbconvert"])
def test_in_an_exported_notebook(tmp_path, form, run):
    """As Jupyter saves it, without states of widgets (GitHub shows the same), and as programs run and save it."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    nbconvert = pytest.importorskip("nbconvert")
    code = (
        f"import gc3store\nstore = gc3store.make_store('sqlite:///{tmp_path}/jobs.db')\n"
        "store.save([1, 2], name='a pair')\ngc3store.browse(store)"
    )
    if run == "by a front end":  # which can ask for input
        code = f"get_ipython().kernel._allow_stdin = True\n{code}"
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=120, kernel_name="python3").execute()
    (output,) = [o for o in notebook.cells[0].outputs if "data" in o]
    assert ("application/vnd.jupyter.widget-view+json" in output.data) == (run == "by a front end")
    if run == "by a front end":
        notebook.metadata.pop("widgets", None)
    exporter = nbconvert.HTMLExporter() if form == "html" else nbconvert.MarkdownExporter()
    text, _ = exporter.from_notebook_node(notebook)
    assert "<table" in text
    assert "a pair" in text
    assert "1 object" in text
    assert '<script type="application/vnd.jupyter.widget-view+json"' not in text


def test_copied_code_is_a_magic_that_does_the_same(shell, monkeypatch):
    """Where the magics use the same store, the browser shows magics, and they replay."""
    monkeypatch.setattr("IPython.get_ipython", lambda: shell)
    monkeypatch.setenv("JPY_SESSION_NAME", "/home/me/sweep.ipynb")
    shell.ok("%store_open sqlite:///jobs.db")
    shell.ok("import gc3store; pair = [1, 2]; other = [3]; browser = gc3store.browse()")
    browser, namespace = shell.user_ns["browser"], shell.user_ns
    store = browser.store

    def act(kind, **body):
        reply = deliver(browser, {"kind": kind, **body})
        assert reply["ok"], reply
        return reply

    saved = act("save", variable="pair", name="a pair")
    assert saved["code"] == "%store_save pair --as 'a pair'"
    (id_,) = saved["ids"]
    assert dict(store.describe(id_).origin)["notebook"] == "sweep.ipynb"

    loaded = act("load", target={"ids": [id_]}, variable="x")
    assert loaded["code"] == f"%store_load {id_} as x"
    del namespace["x"]
    shell.ok(loaded["code"])
    assert namespace["x"] == [1, 2]

    labelled = act("label", id=id_, name="it's new", add=["hot"])
    act("undo", token=labelled["undo"])
    shell.ok(labelled["code"])
    assert (store.describe(id_).name, store.describe(id_).tags) == ("it's new", ("hot",))

    replaced = act("replace", id=id_, variable="other")
    store.replace(id_, [0])
    shell.ok(replaced["code"])
    assert store.load(id_) == [3]

    removed = act("remove", target={"ids": [id_]})
    act("undo", token=removed["undo"])
    shell.ok(removed["code"])
    assert store.list() == []
    browser.close()


def test_copied_code_is_python_for_another_store(store):
    browser = Browser(store, namespace={"_": store, "jobs": store})
    reply = deliver(browser, {"kind": "load", "target": {"ids": ["Run.1"]}, "variable": "x"})
    assert reply["code"] == "x = jobs.load('Run.1')"
