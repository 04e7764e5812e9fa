"""The browser in JupyterLab, by keyboard and mouse."""

from __future__ import annotations

import re
import time
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import PATIENCE

pytestmark = pytest.mark.browser

SMALL = """
from memory import MemoryStore
import gc3store, random
random.seed(1)
jobs = MemoryStore("memory://small")
for i in range(240):
    size, t = random.choice([16, 32, 64]), round(random.uniform(1.5, 3.2), 2)
    state = random.choices(["TERMINATED", "RUNNING", "FAILED", "NEW"], [8, 2, 1, 1])[0]
    tags = ("cold",) if t < 2.2 else ("hot", "critical") if i % 3 else ()
    jobs.add(prefix="IsingRun", name=f"{size}x{size} T={t}", state=state, tags=tags, size=4000 + 37 * i)
for i in range(12):
    jobs.add(prefix="FiniteSizeStudy", name=f"sweep {i}", size=2_000_000 + i)
widget = gc3store.browse(jobs)
widget
"""
MILLION = """
from memory import Million
import gc3store
jobs = Million()
widget = gc3store.browse(jobs)
widget
"""


@pytest.fixture
def lab(lab_page):
    lab_page.page.keyboard.press("Escape")
    lab_page.page.mouse.move(5, 5)
    yield lab_page
    assert lab_page.outside == []


@pytest.fixture
def small(lab):
    return shown(lab, SMALL)


@pytest.fixture
def million(lab):
    return shown(lab, MILLION)


def shown(front, code, selector=".window .row[data-id]"):
    front.run(code)
    front.locator(selector).first.wait_for()
    return front


def row(front, index):
    return front.locator(f".window .row[data-index='{index}']")


def ids(front):
    rows = front.locator(".window .row[data-id]:not([hidden])")
    found = rows.evaluate_all("rows => rows.map(row => [Number(row.dataset.index), row.dataset.id])")
    return [id_ for _, id_ in sorted(found)]


def focused(front):
    """The index of the row that has the keyboard, or None."""
    return front.page.evaluate(
        """() => {
             const active = document.querySelector('.gc3store-browser').shadowRoot.activeElement;
             return active?.dataset.index === undefined ? null : Number(active.dataset.index);
           }"""
    )


def status(front):
    return front.locator(".status")


def press(front, *keys):
    for key in keys:
        front.page.keyboard.press(key)


def until(condition):
    """Wait until a condition holds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < PATIENCE, "it did not happen"
        time.sleep(0.01)


# -- a million --------------------------------------------------------------------------


def test_01_opens_a_million_with_few_bytes(lab):
    received = []
    lab.page.on(
        "websocket", lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame)))
    )
    lab.page.reload(wait_until="commit")
    lab.wait()
    lab.run(MILLION)
    lab.locator(".window .row[data-id]").first.wait_for()
    received.clear()
    shown(lab, MILLION)
    expect(status(lab)).to_contain_text("1,000,000 objects")
    assert sum(received) < 150_000
    assert lab.value("max(q.limit for q in jobs.asked)") <= 100


def test_02_jumps_anywhere_by_one_question(million):
    front = million
    expect(status(front)).to_contain_text("1,000,000 objects")
    for part in (0.5, 0.123, 0.999, 0.3, 0.7):
        front.kernel("jobs.asked.clear()")
        front.page.evaluate(
            """async part => {
                 const root = document.querySelector('.gc3store-browser').shadowRoot;
                 const grid = root.querySelector('.grid');
                 grid.scrollTop = part * (grid.scrollHeight - grid.clientHeight);
                 await new Promise(requestAnimationFrame);
                 await new Promise(requestAnimationFrame);
                 for (;;) {
                   await new Promise(requestAnimationFrame);
                   const rows = [...root.querySelectorAll('.window .row:not([hidden])')];
                   const seen = rows.filter(row => row.dataset.index !== '0');
                   if (seen.length > 5 && seen.every(row => row.dataset.id)) return;
                 }
               }""",
            part,
        )
        first = int(ids(front)[1].removeprefix("Run."))
        assert abs(first / 1_000_000 - part) < 0.01
        assert front.value("[q.limit <= 100 for q in jobs.asked if q.limit > 1]") == [True]


def test_02_drag_of_60_jumps_settles_and_asks_little(million):
    front = million
    front.kernel("jobs.asked.clear()")
    front.page.evaluate(
        """async () => {
             const root = document.querySelector('.gc3store-browser').shadowRoot;
             const grid = root.querySelector('.grid');
             for (let i = 1; i <= 60; i++) {
               grid.scrollTop = (i / 61) * (grid.scrollHeight - grid.clientHeight);
               await new Promise(requestAnimationFrame);
             }
             for (;;) {
               const all = [...root.querySelectorAll('.window .row:not([hidden])')];
               const rows = all.filter(row => row.dataset.index !== '0');
               if (rows.length > 5 && rows.every(row => row.dataset.id)) return;
               await new Promise(requestAnimationFrame);
             }
           }"""
    )
    assert front.value("len(jobs.asked)") < 60


UNCOUNTED = """
from memory import Million
import gc3store, threading
jobs, counted = Million(), threading.Event()
count = jobs.count
jobs.count = lambda query=None: counted.wait() and count(query)
gc3store.browse(jobs)
"""


def test_03_rows_do_not_wait_for_the_count(lab):
    shown(lab, UNCOUNTED)
    expect(status(lab)).to_contain_text("…")
    expect(lab.locator(".grid")).to_have_attribute("aria-rowcount", "-1")
    row(lab, 0).click()
    press(lab, "PageDown", "PageDown", "PageDown", "PageDown", "PageDown", "PageDown")
    until(lambda: row(lab, focused(lab)).get_attribute("data-id") is not None)
    expect(status(lab)).to_contain_text("…")
    lab.kernel("counted.set()")
    expect(status(lab)).to_contain_text("1,000,000 objects")
    expect(lab.locator(".grid")).to_have_attribute("aria-rowcount", "1000001")


def test_03_the_end_is_reached_though_not_yet_counted(lab):
    front = shown(lab, UNCOUNTED)
    row(front, 0).click()
    press(front, "End")
    until(lambda: focused(front) > 0)
    expect(status(front)).to_contain_text("…")
    front.kernel("counted.set()")
    front.locator(".window .row[data-id='Run.1000000']").wait_for()
    assert focused(front) == 999_999


def test_03_a_range_to_the_end_reaches_it_though_not_yet_counted(lab):
    front = shown(lab, UNCOUNTED.replace("count = jobs.count", "jobs.total = 2_000\ncount = jobs.count"))
    row(front, 3).click()
    press(front, "Shift+End")
    until(lambda: focused(front) > 3)
    expect(status(front)).to_contain_text("…")
    front.kernel("counted.set()")
    expect(status(front)).to_contain_text("1,997 selected")


def test_03_who_went_on_from_an_uncounted_end_stays_there(lab):
    front = shown(lab, UNCOUNTED)
    row(front, 0).click()
    press(front, "End", "ArrowUp")
    until(lambda: focused(front) > 0)
    place = focused(front)
    front.kernel("counted.set()")
    expect(status(front)).to_contain_text("1,000,000 objects")
    assert focused(front) == place


def test_04_every_row_is_reached_and_arrows_move_one(million):
    front = million
    expect(status(front)).to_contain_text("1,000,000")
    row(front, 0).click()
    press(front, "End")
    until(lambda: focused(front) == 999_999)
    row(front, 999_999).and_(front.page.locator("[data-id='Run.1000000']")).wait_for()
    box, grid = row(front, 999_999).bounding_box(), front.locator(".grid").bounding_box()
    assert box["y"] + box["height"] <= grid["y"] + grid["height"] + 1
    press(front, *["ArrowUp"] * 5)
    assert focused(front) == 999_994
    press(front, "PageUp", "PageDown")
    assert focused(front) == 999_994
    front.page.evaluate(
        """() => { const g = document.querySelector('.gc3store-browser').shadowRoot.querySelector('.grid');
                   g.scrollTop = 0.4 * g.scrollHeight; }"""
    )
    until(lambda: "0" not in ids(front) and any(int(i.split(".")[1]) > 300_000 for i in ids(front)))
    front.locator(".window .row[data-id]:not([data-index='999994'])").nth(6).click()
    start = focused(front)
    assert 300_000 < start < 500_000
    for step in range(1, 40):
        press(front, "ArrowDown")
        assert focused(front) == start + step
        place = row(front, start + step).bounding_box()
        assert grid["y"] + 29 <= place["y"] <= grid["y"] + grid["height"] - 27
    press(front, "Home")
    assert focused(front) == 0


def test_04_a_turn_of_the_wheel_is_not_multiplied(million):
    front = million
    expect(status(front)).to_contain_text("1,000,000")
    box = front.locator(".grid").bounding_box()
    front.page.mouse.move(box["x"] + 100, box["y"] + 150)
    front.page.mouse.wheel(0, 280)
    until(lambda: row(front, 10).count() == 1 and row(front, 10).get_attribute("data-id") == "Run.11")
    top = row(front, 10).bounding_box()["y"] - box["y"]
    assert 25 < top < 40


# -- waiting ----------------------------------------------------------------------------


def test_05_placeholders_and_busy_note_while_the_kernel_does_not_answer(lab, screenshot):
    front = shown(lab, MILLION)
    expect(status(front)).to_contain_text("1,000,000 objects")
    row(front, 0).click()
    front.kernel("""
import threading
free, records = threading.Event(), jobs.records
jobs.records = lambda query=None: free.wait() and records(query)
""")
    press(front, "End")
    front.locator(".window .row.waiting").first.wait_for()
    front.locator(".busy").wait_for()
    expect(front.locator(".busy")).to_contain_text("busy")
    expect(front.locator(".busy button")).to_have_text("Ask again")
    screenshot(front, "busy")
    front.kernel("free.set()")
    front.locator(".window .row[data-id='Run.1000000']").wait_for()
    expect(front.locator(".busy")).to_be_hidden()
    assert focused(front) == 999_999


BUSY = """
import os, time
while not os.path.exists({enough!r}):
    time.sleep(0.02)
os.remove({enough!r})
"""


@contextmanager
def occupied(front):
    """Run a cell for as long as this lasts; the kernel is free again, whatever went wrong meanwhile."""
    enough = front.server.root / "enough"
    front.page.evaluate(
        """code => { window.busyCell = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel
                       .requestExecute({ code }).done; }""",
        BUSY.format(enough=str(enough)),
    )
    try:
        yield
    finally:
        enough.touch()
        front.page.evaluate("() => window.busyCell")


def test_05_works_while_a_cell_runs(million):
    """Requests arrive by a subshell, in a thread of their own."""
    front = million
    with occupied(front):
        row(front, 0).click()
        press(front, "End")
        front.locator(".window .row[data-id='Run.1000000']").wait_for()


def test_05_a_store_of_one_thread_is_asked_in_the_main_thread(lab):
    code = """
import sqlite3, gc3store
from memory import Lists
class OneThread(Lists):
    def __init__(self):
        super().__init__("sqlite3")
        self.db = sqlite3.connect(":memory:")
        self.db.execute("create table t (id)")
    def list(self):
        return [id_ for id_, in self.db.execute("select id from t")]
jobs = OneThread()
jobs.db.executemany("insert into t values (?)", [(f"a.{n}",) for n in range(50)])
gc3store.browse(jobs)
"""
    front = shown(lab, code)
    expect(status(front)).to_contain_text("50 objects")
    with occupied(front):
        front.locator(".search input").fill("a.7")
        front.locator(".busy").wait_for()
    expect(status(front)).to_contain_text("1 of 50")
    expect(front.locator(".busy")).to_be_hidden()


# -- searching --------------------------------------------------------------------------


def test_06_slash_searches_and_stale_replies_lose(lab):
    front = shown(lab, MILLION)
    row(front, 0).click()
    press(front, "/")
    front.kernel("""
import threading
real, late, waiting = jobs.records, threading.Event(), []
def records(query=None):
    if query.words == ("0001",):
        waiting.append(query)
        late.wait()
    return real(query)
jobs.records = records
jobs.asked.clear()
""")
    type_ahead = """async words => {
        const box = document.querySelector('.gc3store-browser').shadowRoot.querySelector('.search input');
        for (const word of words) { box.value = word; box.dispatchEvent(new Event('input')); }
    }"""
    front.page.evaluate(type_ahead, ["0", "00", "000", "0001"])
    until(lambda: front.value("len(waiting)") > 0)
    front.page.evaluate(type_ahead, ["00012", "000123", "0001234"])
    front.kernel("late.set()")
    front.locator(".window .row[data-id='Run.1234']").wait_for()
    expect(status(front)).to_contain_text("1 of 1,000,000")
    until(lambda: ["0001"] in front.value("[q.words for q in jobs.asked]"))
    time.sleep(0.5)  # for a late answer to do its worst
    assert ids(front) == ["Run.1234"]
    words = front.value("[q.words for q in jobs.asked if q.words]")
    assert not {"0", "00", "000", "00012"} & {word for (word,) in words}  # typing on asks nothing


def test_07_search_highlights_and_escape_returns_to_the_row(small):
    front = small
    row(front, 5).click()
    before = row(front, 5).get_attribute("data-id")
    press(front, "/")
    front.page.keyboard.type('"sweep 1"')
    expect(status(front)).to_contain_text("3 of 252")
    marks = front.locator(".window .row[data-index='0'] mark").all_inner_texts()
    assert marks == ["sweep 1"]
    for text, hits in [("isingrun.7", "11"), ("ISINGRUN", "240"), ("critical", None), ("T=1.5", None)]:
        front.locator(".search input").fill(text)
        expect(status(front)).to_contain_text(re.compile(f"^{hits or r'[1-9][0-9]*'} of 252"))
        expect(front.locator(".window mark").first).to_have_text(re.compile(text, re.IGNORECASE))
    press(front, "Escape")
    expect(status(front)).to_contain_text("252 objects")
    expect(front.locator(".search input")).to_have_value("")
    until(lambda: focused(front) is not None)
    assert row(front, focused(front)).get_attribute("data-id") == before


def test_08_tokens_and_a_hint_for_a_bad_one(small, screenshot):
    front = small
    search = front.locator(".search input")
    for text, n in [
        ("class:FiniteSizeStudy", 12), ("state:RUNNING", None), ("size:>1MB", 12), ("saved:<100y", 252), ("tag:cold", None),  # noqa: E501
    ]:  # fmt: skip
        search.fill(text)
        expect(status(front)).to_contain_text(re.compile(f"^{n or '[1-9][0-9]*'} (of|obj)"))
        expect(front.locator(".hint")).to_be_empty()
    search.fill("size:huge sweep")
    expect(front.locator(".hint")).to_contain_text("size:huge")
    screenshot(front, "hint")
    expect(status(front)).to_contain_text("12 of 252")
    assert front.locator(".toast").count() == 0
    search.fill("")
    expect(front.locator(".hint")).to_be_empty()


def test_09_chips_filter_and_count(small, screenshot):
    front = small
    chip = front.locator(".chip", has_text="FAILED")
    failed = int(chip.locator(".count").inner_text())
    chip.click()
    expect(chip).to_have_attribute("aria-pressed", "true")
    expect(status(front)).to_contain_text(f"{failed} of 252")
    running = front.locator(".chip", has_text="RUNNING")
    assert int(running.locator(".count").inner_text()) > 0  # what one would get besides
    front.locator(".chip", has_text="FiniteSizeStudy").locator(".count", has_text="0").or_(
        front.locator(".chip", has_text="IsingRun").locator(".count", has_text=str(failed))
    ).first.wait_for()
    assert front.value("widget.filters") == {"state": ["FAILED"]}
    assert front.value("len(widget.table())") == failed
    running.click()
    expect(status(front)).to_contain_text(re.compile(rf"^(?!{failed} of)"))
    screenshot(front, "filtered")
    running.click()
    expect(status(front)).to_contain_text(f"{failed} of 252")
    chip.click()
    expect(status(front)).to_contain_text("252 objects")
    chip.click()
    front.locator(".search input").fill("16x16")
    front.locator(".clear").click()
    expect(status(front)).to_contain_text("252 objects")
    assert front.value("[widget.query, widget.filters]") == ["", {}]


def test_10_headers_sort_in_the_store(small):
    front = small
    header = front.locator("[role=columnheader][data-key=size]")
    expect(header).to_have_attribute("aria-sort", "none")
    header.click()
    expect(header).to_have_attribute("aria-sort", "ascending")
    until(lambda: front.value("widget.order") == "size")
    header.click()
    expect(header).to_have_attribute("aria-sort", "descending")
    until(lambda: ids(front)[0] == "FiniteSizeStudy.252")
    header.click()
    expect(header).to_have_attribute("aria-sort", "none")
    until(lambda: ids(front)[0] == "IsingRun.1")
    header.focus()
    press(front, "Enter")
    expect(header).to_have_attribute("aria-sort", "ascending")
    # Through all pages of an order with many ties, each row is met once.
    front.locator("[role=columnheader][data-key=state]").click()
    until(lambda: front.value("widget.order") == "state")
    row(front, 0).click()
    seen = []
    for _ in range(40):
        seen += [id_ for id_ in ids(front) if id_ not in seen]
        press(front, "PageDown")
        until(lambda: front.locator(".window .row.waiting:not([hidden])").count() == 0)
    assert len(seen) == 252


def test_11_status_line(small):
    front = small
    assert status(front).get_attribute("aria-live") == "polite"
    front.locator(".search input").fill("sweep")
    expect(status(front)).to_have_text("12 of 252")
    row(front, 0).click()
    row(front, 1).click(modifiers=["Control"])
    expect(status(front)).to_have_text("12 of 252 · 2 selected · 4.0 MB")


def test_12_selection(small):
    front = small
    selected = front.locator(".window .row[aria-selected=true]:not([hidden])")
    row(front, 1).click()
    row(front, 3).click(modifiers=["Control"])
    expect(selected).to_have_count(2)
    row(front, 3).click(modifiers=["Control"])
    expect(selected).to_have_count(1)
    row(front, 6).click(modifiers=["Shift"])
    expect(status(front)).to_contain_text("4 selected")
    press(front, "Shift+ArrowDown")
    expect(status(front)).to_contain_text("5 selected")
    row(front, 0).click()
    press(front, "ArrowDown", " ", "ArrowDown", "ArrowDown", " ")
    expect(status(front)).to_contain_text("3 selected")
    chosen = ["IsingRun.1", "IsingRun.2", "IsingRun.4"]
    until(lambda: front.value("list(widget.selected)") == chosen)
    # By id: the same objects through sort, filter and scroll.
    front.locator("[role=columnheader][data-key=name]").click()
    front.locator(".search input").fill("class:IsingRun")
    expect(status(front)).to_contain_text("240 of 252 · 3 selected")
    assert front.value("list(widget.selected)") == chosen
    front.locator(".search input").fill("")
    front.locator("[role=columnheader][data-key=name]").click()
    front.locator("[role=columnheader][data-key=name]").click()
    until(lambda: ids(front)[0] == "IsingRun.1")
    expect(selected).to_have_count(3)
    # A range beyond what was ever in view.
    row(front, 0).click()
    press(front, "Shift+End")
    expect(status(front)).to_contain_text("252 selected")


def test_12_and_13_all_matching_is_a_query(million):
    front = million
    expect(status(front)).to_contain_text("1,000,000 objects")
    row(front, 0).click()
    sent = []
    front.page.on("websocket", lambda socket: None)
    press(front, "Control+a")
    expect(status(front)).to_contain_text("all 1,000,000 matching selected")
    row(front, 2).click(modifiers=["Control"])
    expect(status(front)).to_contain_text("999,999 selected")
    until(lambda: front.value("len(widget.selected)") == 999_999)
    asked = front.value("len(jobs.asked)")
    assert front.kernel("print(repr(widget.selected))").startswith(
        "<Selected: 999,999 objects: Run.1, Run.2, Run.4"
    )
    state = front.kernel(
        "import json; print(len(json.dumps(widget.get_state(drop_defaults=True), default=str)))"
    )
    module = front.value("len(widget._esm)")
    assert state - module < 3000
    assert front.value("len(jobs.asked)") - asked < 5
    assert sent == []


def test_13_selected_can_be_observed(small):
    front = small
    front.kernel("heard = []; widget.observe(lambda change: heard.append(list(change.new)), 'selected')")
    row(front, 2).click()
    until(lambda: front.value("heard") == [["IsingRun.3"]])
    assert front.value("list(widget.selected.table().index)") == ["IsingRun.3"]
    front.kernel("widget.query = 'sweep'")
    expect(status(front)).to_contain_text("12 of 252")
    expect(front.locator(".search input")).to_have_value("sweep")
    front.locator(".search input").fill("hot")
    until(lambda: front.value("widget.query") == "hot")


# -- details ----------------------------------------------------------------------------


def test_14_details_follow_the_focus_and_load_nothing(small):
    front = small
    row(front, 0).click()
    at_once = front.page.evaluate(
        """async () => {
             const root = document.querySelector('.gc3store-browser').shadowRoot;
             const shown = root.querySelector('.details');
             const seen = [];
             for (let i = 0; i < 5; i++) {
               const key = { key: 'ArrowDown', bubbles: true, composed: true };
               root.activeElement.dispatchEvent(new KeyboardEvent('keydown', key));
               // Before anything is heard from the kernel.
               const id = root.activeElement.dataset.id;
               seen.push(shown.querySelector('code').textContent === id && shown.textContent.includes('study.IsingRun'));
               while (!shown.textContent.includes('Preview')) await new Promise(requestAnimationFrame);
               seen.push(shown.querySelector('code').textContent === id);
             }
             return seen;
           }"""
    )
    assert at_once == [True] * 10
    assert front.value("jobs.loads") == 0
    front.locator(".details button", has_text="Load preview").click()
    expect(front.locator(".details pre")).to_have_text("'IsingRun.6'")
    assert front.value("jobs.loads") == 1
    expect(front.locator(".details .by")).to_have_text("jobs.load('IsingRun.6')")


def test_14_a_look_inside_runs_nothing(lab, screenshot):
    """A store of real jobs, whose classes are nowhere to be found."""
    jobs = Path(__file__).parents[1] / "data" / "gc3pie" / "fs"
    code = (
        f"import gc3store\njobs = gc3store.make_store({str(jobs)!r}, read_only=True)\ngc3store.browse(jobs)"
    )
    front = shown(lab, code)
    front.locator(".window .row[data-id='IsingRun.26']").click()
    details = front.locator(".details")
    expect(details.locator("code").first).to_have_text("IsingRun.26")
    details.get_by_role("button", name="Look inside").click()
    expect(details).to_contain_text("temperature = ")
    for part in (
        "Outcome",
        "exit code 1",
        "Exit code",
        "Ran on",
        "localhost",
        "Duration",
        "Parents",
        "TemperatureSweep.25",
    ):
        expect(details).to_contain_text(part)
    expect(details.locator(".by")).to_have_text("jobs.inspect('IsingRun.26')")
    screenshot(front, "job")
    details.get_by_role("button", name="Load preview").click()
    expect(front.locator(".toast.bad").last).to_contain_text("IsingRun")


def test_15_details_show_what_is_known(lab, screenshot):
    code = """
from memory import MemoryStore
import gc3store
jobs = MemoryStore("memory://details")
jobs.add(prefix="IsingRun", name="16x16")
jobs.add(prefix="FiniteSizeStudy", name="all sizes", state="TERMINATED", tags=("paper", "v2"), size=4165, revision=3,
         preview="FiniteSizeStudy of 3 runs", references=("IsingRun.1",),
         origin={"user": "ada", "python": "3.12.4", "notebook": "sweep.ipynb", "source": "study = run()\\nstudy"})
gc3store.browse(jobs)
"""
    front = shown(lab, code)
    row(front, 1).click()
    details = front.locator(".details")
    expect(details).to_contain_text("sweep.ipynb")
    for part in (
        "all sizes", "FiniteSizeStudy.2", "study.FiniteSizeStudy", "TERMINATED", "4.2 kB (4,165 bytes)", "paper", "v2",
        "FiniteSizeStudy of 3 runs", "IsingRun.1", "ada", "3.12.4", "study = run()", "Nov 1, 2026",
    ):  # fmt: skip
        expect(details).to_contain_text(part)
    screenshot(front, "details")
    front.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    details.get_by_role("button", name="Copy ID").click()
    until(lambda: front.page.evaluate("navigator.clipboard.readText()") == "FiniteSizeStudy.2")
    details.get_by_role("button", name="IsingRun.1", exact=True).click()
    assert focused(front) == 0
    expect(details.locator("code").first).to_have_text("IsingRun.1")


# -- loading and saving -----------------------------------------------------------------


def test_16_load_as(small, screenshot):
    front = small
    row(front, 5).click()
    press(front, "Enter")
    name = front.locator(".dialog input")
    suggestion = name.input_value()
    assert suggestion.isidentifier()
    expect(front.locator(".dialog .title")).to_have_text("Load IsingRun.6 as…")
    screenshot(front, "load")
    for bad in ("2x", "class", "a b", "print", ""):
        name.fill(bad)
        expect(front.locator(".dialog .note.bad")).not_to_be_empty()
        expect(front.locator(".dialog button.strong")).to_be_disabled()
    name.fill("run_a")
    expect(front.locator(".dialog button.strong")).to_be_enabled()
    press(front, "Enter")
    expect(front.locator(".toast")).to_contain_text("run_a = str 'IsingRun.6' (4.2 kB)")
    assert front.value("run_a") == "IsingRun.6"
    assert focused(front) == 5
    press(front, "Enter")
    front.locator(".dialog").wait_for()
    press(front, "Escape")
    assert focused(front) == 5
    assert front.locator(".dialog").count() == 0


def test_17_an_existing_variable_is_asked_about(small):
    front = small
    front.kernel("taken = [1, 2, 3]")
    row(front, 0).click()
    press(front, "Enter")
    front.locator(".dialog input").fill("taken")
    expect(front.locator(".dialog .note")).to_have_text("taken exists and holds a list. Replace it?")
    expect(front.locator(".dialog button.strong")).to_have_text("Replace")
    front.locator(".dialog button", has_text="Choose another name").click()
    assert front.value("taken") == [1, 2, 3]
    press(front, "Enter")
    expect(front.locator(".toast").last).to_contain_text("taken = str")
    assert front.value("taken") == "IsingRun.1"
    # Consent is for the name that was asked about, and not for the one that is typed next.
    front.kernel("other = 'mine'")
    press(front, "Enter")
    front.locator(".dialog input").fill("taken")
    expect(front.locator(".dialog button.strong")).to_have_text("Replace")
    front.locator(".dialog input").evaluate(
        """input => {
             input.value = 'other';
             input.dispatchEvent(new Event('input'));
             input.getRootNode().querySelector('.dialog button.strong').click();
           }"""
    )
    expect(front.locator(".dialog .note.bad")).to_contain_text("other exists")
    assert front.value("other") == "mine"
    # Made between the look and the click: still nothing is overwritten.
    front.locator(".dialog input").fill("newcomer")
    expect(front.locator(".dialog input")).not_to_have_attribute("aria-busy", "true")
    expect(front.locator(".dialog .note")).to_be_empty()
    front.kernel("newcomer = 'mine'")
    press(front, "Enter")
    expect(front.locator(".dialog .note.bad")).to_contain_text("newcomer exists")
    assert front.value("newcomer") == "mine"


def test_18_copy_as_code(small):
    front = small
    front.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    row(front, 2).click()
    press(front, "Enter")
    front.locator(".dialog input").fill("copied")
    press(front, "Enter")
    toast = front.locator(".toast").last
    expect(toast).to_contain_text("copied = str 'IsingRun.3'")
    toast.get_by_role("button", name="Copy as code").click()
    expect(toast).to_contain_text("Copied")
    code = front.page.evaluate("navigator.clipboard.readText()")
    assert code == "copied = jobs.load('IsingRun.3')"
    front.kernel("del copied\n" + code)
    assert front.value("copied") == "IsingRun.3"


def test_19_loading_many(small):
    front = small
    front.kernel("jobs.payloads['IsingRun.2'] = b'broken'")
    row(front, 0).click()
    row(front, 2).click(modifiers=["Shift"])
    press(front, "Enter")
    front.locator(".dialog input").fill("several")
    press(front, "Enter")
    toast = front.locator(".toast").last
    expect(toast).to_contain_text("several = dict of 2 objects; 1 could not be loaded")
    expect(toast).to_contain_text("IsingRun.2:")
    assert front.value("several") == {"IsingRun.1": "IsingRun.1", "IsingRun.3": "IsingRun.3"}
    press(front, "Enter")
    front.locator(".dialog select").select_option("variables")
    front.locator(".dialog input").fill("part")
    front.locator(".dialog button.strong").click()
    expect(front.locator(".toast").last).to_contain_text("part_1")
    assert front.value("[part_1, part_2]") == ["IsingRun.1", "IsingRun.3"]


def test_20_remove_and_undo(small, screenshot):
    front = small
    before = front.kernel("print(sorted(jobs.entries))")
    row(front, 3).click()
    press(front, "Delete")
    expect(status(front)).to_contain_text("251 objects")
    toast = front.locator(".toast").last
    expect(toast).to_contain_text("Removed 'IsingRun.4'")
    screenshot(front, "undo")
    until(lambda: focused(front) == 3)
    time.sleep(10)
    toast.get_by_role("button", name="Undo").click()
    expect(status(front)).to_contain_text("252 objects")
    assert front.kernel("print(sorted(jobs.entries))") == before
    row(front, 3).click()
    press(front, "Delete")
    expect(status(front)).to_contain_text("251 objects")
    press(front, "Control+z")
    expect(status(front)).to_contain_text("252 objects")
    assert front.kernel("print(sorted(jobs.entries))") == before


def test_20_removing_many_asks(small, screenshot):
    front = small
    row(front, 0).click()
    press(front, "Control+a", "Delete")
    dialog = front.locator(".dialog")
    expect(dialog).to_contain_text("Remove 252 objects?")
    screenshot(front, "confirm")
    press(front, "Escape")
    assert front.value("len(jobs)") == 252
    press(front, "Delete")
    dialog.locator("button.danger").click()
    expect(status(front)).to_contain_text("0 objects")
    front.locator(".toast").last.get_by_role("button", name="Undo").click()
    expect(status(front)).to_contain_text("252 objects")
    assert front.value("len(jobs)") == 252


def test_21_saving_a_variable(small, screenshot):
    front = small
    front.kernel("import math, threading; result = [1, 2, 3]; _hidden = 1; lock = {'a': threading.Lock()}")
    front.locator(".bar").get_by_role("button", name="Save…").click()
    front.locator(".option", has_text="result").wait_for()
    names = front.locator(".option .variable").all_inner_texts()
    assert "result" in names
    assert not {"math", "_hidden", "threading", "In", "Out"} & set(names)
    expect(front.locator(".option", has_text="result")).to_contain_text("list 3")
    front.locator(".dialog input").first.fill("lock")
    screenshot(front, "save")
    press(front, "Enter")
    expect(front.locator(".dialog .note.bad")).to_contain_text("cannot pickle")
    assert "\n" not in front.locator(".dialog .note.bad").inner_text()
    front.locator(".dialog input").first.fill("result")
    front.locator(".dialog .line input").fill("three numbers")
    press(front, "Enter")
    expect(front.locator(".toast").last).to_contain_text("result saved as 'list.253'")
    expect(status(front)).to_contain_text("253 objects")
    assert front.value("jobs.describe('list.253').name") == "three numbers"


def test_21_replacing_by_a_variable(small):
    front = small
    front.kernel("other = [9, 9]")
    row(front, 0).click()
    front.locator(".bar").get_by_role("button", name="Replace…").click()
    front.locator(".dialog input").first.fill("other")
    expect(front.locator(".dialog .note")).to_contain_text("IsingRun.1 will hold a copy")
    press(front, "Enter")
    expect(front.locator(".toast").last).to_contain_text("'IsingRun.1' now holds a copy of other")
    assert front.value("jobs.load('IsingRun.1')") == [9, 9]


def test_22_rename_and_tags_in_place(small):
    front = small
    row(front, 4).click()
    press(front, "F2")
    front.locator(".editor").fill("renamed")
    press(front, "Tab")
    front.locator(".editor").fill("one, two")
    press(front, "Enter")
    until(
        lambda: (
            front.value("[jobs.describe('IsingRun.5').name, jobs.describe('IsingRun.5').tags]")
            == ["renamed", ["one", "two"]]
        )
    )
    expect(row(front, 4)).to_contain_text("renamed")
    expect(row(front, 4)).to_contain_text("two")
    assert focused(front) == 4
    press(front, "F2")
    front.locator(".editor").fill("never")
    press(front, "Escape")
    expect(row(front, 4)).to_contain_text("renamed")
    front.kernel("""
import threading
refuse = threading.Event()
def update(id_, **labels):
    refuse.wait()
    raise gc3store.errors.ReadOnlyError("The store was opened for reading.")
jobs.update = update
""")
    press(front, "F2")
    front.locator(".editor").fill("hopeful")
    press(front, "Enter")
    expect(row(front, 4)).to_contain_text("hopeful")
    front.kernel("refuse.set()")
    expect(front.locator(".toast").last).to_contain_text("opened for reading")
    expect(row(front, 4)).to_contain_text("renamed")


# -- refreshing -------------------------------------------------------------------------


def test_23_refresh_keeps_one_s_place(small):
    front = small
    row(front, 0).click()
    press(front, *["PageDown"] * 6)
    at = focused(front)
    until(lambda: row(front, at).get_attribute("data-id") is not None)
    id_ = row(front, at).get_attribute("data-id")
    press(front, " ")
    top = row(front, at).bounding_box()["y"] - front.locator(".grid").bounding_box()["y"]
    front.kernel("for id_ in ['IsingRun.3', 'IsingRun.5']: jobs.remove(id_)")
    front.locator(".pill").wait_for()
    expect(front.locator(".pill")).to_have_text("2 gone · refresh")
    front.locator(".pill").click()
    until(lambda: row(front, at - 2).count() == 1 and row(front, at - 2).get_attribute("data-id") == id_)
    place = row(front, at - 2).bounding_box()["y"] - front.locator(".grid").bounding_box()["y"]
    assert abs(place - top) < 2
    assert row(front, at - 2).get_attribute("aria-selected") == "true"
    assert focused(front) == at - 2
    front.kernel("jobs.add(name='from elsewhere')")
    front.locator(".pill").wait_for()
    expect(front.locator(".pill")).to_have_text("1 new · refresh")
    front.locator(".bar").get_by_role("button", name="Refresh").click()
    expect(status(front)).to_contain_text("251 objects")
    expect(front.locator(".pill")).to_be_hidden()


def test_23_no_polling_while_hidden(small):
    front = small
    front.kernel("""
polls = []
real = jobs.count
jobs.count = lambda query=None: polls.append(1) or real(query)
""")
    front.page.evaluate("document.querySelector('.gc3store-browser').style.display = 'none'")
    time.sleep(0.3)
    front.kernel("polls.clear()")
    time.sleep(5.5)
    assert front.value("len(polls)") == 0
    front.page.evaluate("document.querySelector('.gc3store-browser').style.display = ''")
    until(lambda: front.value("len(polls)") > 0)


def test_23_two_browsers_on_one_store(small):
    front = small
    front.run(
        "import ipywidgets\nipywidgets.VBox([gc3store.browse(jobs, height=150), gc3store.browse(jobs, height=150)])"
    )
    front.page.locator(".gc3store-browser").nth(1).locator(".window .row[data-id]").first.wait_for()
    one, two = front.page.locator(".gc3store-browser").nth(0), front.page.locator(".gc3store-browser").nth(1)
    one.locator(".window .row[data-index='0']").click()
    press(front, "Delete")
    expect(one.locator(".status")).to_contain_text("251 objects")
    expect(two.locator(".pill")).to_have_text("1 gone · refresh")
    two.locator(".window .row[data-index='0']").click()  # gone already
    press(front, "Delete")
    expect(two.locator(".toast.bad")).to_contain_text("no object 'IsingRun.1'")
    two.locator(".pill").click()
    expect(two.locator(".status")).to_contain_text("251 objects")


# -- columns ----------------------------------------------------------------------------


def headers(front):
    return front.locator("[role=columnheader]").evaluate_all("all => all.map(it => it.dataset.key)")


def test_24_columns_are_shown_hidden_moved_and_kept(small, screenshot):
    front = small
    front.kernel(
        "import shutil, platformdirs; shutil.rmtree(platformdirs.user_cache_path('gc3store'), ignore_errors=True)"
    )
    front.run(SMALL)
    front.locator(".window .row[data-id]").first.wait_for()
    assert headers(front) == ["name", "id", "cls", "state", "size", "modified", "tags"]
    front.locator(".bar").get_by_role("button", name="Columns").click()
    screenshot(front, "columns")
    front.locator(".menu label", has_text="Class").click()
    front.locator(".menu label", has_text="Revision").click()
    press(front, "Escape")
    assert headers(front) == ["name", "id", "state", "size", "modified", "tags", "revision"]

    # By mouse: an edge resizes, a header moves.
    def width(key):
        return front.locator(f"[data-key={key}]").bounding_box()["width"]

    before = width("name")
    handle = front.locator("[data-key=name] .handle").bounding_box()
    front.page.mouse.move(handle["x"] + 4, handle["y"] + 10)
    front.page.mouse.down()
    front.page.mouse.move(handle["x"] + 64, handle["y"] + 10, steps=4)
    front.page.mouse.up()
    assert abs(width("name") - before - 60) < 3
    narrow = width("size")
    size, name = (
        front.locator("[data-key=size]").bounding_box(),
        front.locator("[data-key=name]").bounding_box(),
    )
    front.page.mouse.move(size["x"] + 20, size["y"] + 10)
    front.page.mouse.down()
    front.page.mouse.move(name["x"] + 10, size["y"] + 10, steps=5)
    front.page.mouse.up()
    assert headers(front)[:2] == ["size", "name"]
    assert front.locator("[data-key=size]").get_attribute("aria-sort") == "none"
    # By keyboard.
    front.locator("[data-key=size]").focus()
    press(front, "Control+Shift+ArrowRight", "Shift+ArrowRight")
    assert headers(front)[:2] == ["name", "size"]
    time.sleep(0.3)
    front.run(SMALL)
    front.locator(".window .row[data-id]").first.wait_for()
    assert headers(front) == ["name", "size", "id", "state", "modified", "tags", "revision"]
    assert abs(width("name") - before - 60) < 3
    assert abs(width("size") - narrow - 16) < 3
    front.locator(".bar").get_by_role("button", name="Columns").click()
    front.locator(".menu button", has_text="Reset columns").click()
    press(front, "Escape")
    assert headers(front) == ["name", "id", "cls", "state", "size", "modified", "tags"]


def test_24_columns_that_nobody_resized_fit(small, screenshot):
    front = small
    front.kernel(
        "import shutil, platformdirs; shutil.rmtree(platformdirs.user_cache_path('gc3store'), ignore_errors=True)"
    )
    front.run(SMALL)
    front.locator(".window .row[data-id]").first.wait_for()

    def edges():
        """Where the columns end, within the table; and where the table does."""
        grid = front.locator(".grid").bounding_box()
        boxes = [front.locator(f"[data-key={key}]").bounding_box() for key in headers(front)]
        return [box["x"] + box["width"] - grid["x"] for box in boxes], grid["width"]

    ends, room = edges()
    assert any(room - 30 < end <= room for end in ends), (ends, room)  # no column is cut in the middle
    front.page.set_viewport_size({"width": 900, "height": 900})
    try:
        front.locator(".root.narrow").wait_for()
        row(front, 2).click()
        ends, room = edges()
        assert any(room - 30 < end <= room for end in ends), (ends, room)
        screenshot(front, "narrow")
        front.page.set_viewport_size({"width": 1700, "height": 900})
        front.locator(".root:not(.narrow)").wait_for()
        until(lambda: front.locator("[data-key=name]").bounding_box()["width"] > 170)
        ends, room = edges()
        assert ends[-1] <= room
        screenshot(front, "wide")
    finally:
        front.page.set_viewport_size({"width": 1280, "height": 900})


def test_24_user_columns_are_columns_like_others(lab, screenshot):
    code = """
import gc3store, tempfile
class Run:
    def __init__(self, temperature):
        self.temperature, self.energy = temperature, -2 / (1 + temperature)
        self.kind = "hot" if temperature > 2 else None
columns = {name: name for name in ("temperature", "energy", "kind")}
jobs = gc3store.make_store("sqlite:///" + tempfile.mkdtemp() + "/jobs.db", columns=columns)
jobs.save_many([Run(n / 10) for n in range(1, 31)])
widget = gc3store.browse(jobs)
widget
"""
    front = shown(lab, code)
    assert headers(front) == [
        "name",
        "id",
        "cls",
        "state",
        "temperature",
        "energy",
        "kind",
        "size",
        "modified",
        "tags",
    ]
    expect(row(front, 0).locator(".number").first).to_have_text("0.1")
    expect(row(front, 0)).to_contain_text("-1.8182")
    front.locator("[data-key=energy]").click()
    until(lambda: front.value("widget.order") == "energy")
    front.locator("[data-key=energy]").click()
    until(lambda: ids(front)[0] == "Run.30")
    front.locator(".search input").fill("temperature:>2.5 kind:hot")
    expect(status(front)).to_have_text("5 of 30")
    row(front, 0).click()
    details = front.locator(".details")
    expect(details).to_contain_text("temperature")
    expect(details).to_contain_text("-0.5")
    screenshot(front, "user-columns")
    assert list(front.value("list(widget.table().columns)"))[-3:] == ["temperature", "energy", "kind"]
    front.locator(".bar").get_by_role("button", name="Columns").click()
    front.locator(".menu label", has_text="kind").click()
    press(front, "Escape")
    assert "kind" not in headers(front)


def test_24_times_and_sizes_read_well(small):
    front = small
    cell = row(front, 0).locator(".of-modified time")
    expect(cell).to_have_text(re.compile(r"^\d+ (min|h|d|w|mo|y) ago$|^just now$"))
    assert "2026" in cell.get_attribute("title")
    expect(row(front, 0).locator(".of-size")).to_have_text("4.0 kB")
    front.locator("[data-key=size]").click()
    front.locator("[data-key=size]").click()
    expect(row(front, 0).locator(".of-size")).to_have_text("2.0 MB")
