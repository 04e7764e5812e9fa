"""The browser on a million objects in JupyterLab, beside other tables: ``python -m benchmarks.browser_open [FILE]``.

Prints seconds and bytes that reached the page, from running the cell to the first row;
the time until all rows in view are there after a jump and after a drag of 60 jumps;
whether the last row is reached; and for ours the time until details, sorted rows and
searches are there.
``FILE`` is a store made by ``benchmarks.browser_store``; without it, one is made. All
are shown the same columns of the same million rows; what the others need as a data
frame is read before the clock starts. AG Grid is built by ``npm ci && npm run build``
in ``benchmarks/browser_peers``; what is not installed is left out, and said so.
"""

from __future__ import annotations

import importlib.util
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from playwright.sync_api import TimeoutError as TookTooLong
from playwright.sync_api import sync_playwright

from benchmarks.browser_store import build
from tests.jupyter.conftest import ARGUMENTS, CHROMIUM, JUPYTER, Page, Server

AG_GRID = Path(__file__).parent / "browser_peers/node_modules/.cache/ag_grid.js"
PATIENCE = 120  # seconds
ROOT = "document.querySelector('.gc3store-browser')?.shadowRoot"
FIELDS = "id, name, cls, state, tags, size, created, modified"
FRAME = """
import pandas, sqlite3
frame = pandas.read_sql("SELECT {fields} FROM gc3store ORDER BY number", sqlite3.connect("{path}"))
"""


@dataclass
class Contender:
    """A way to show a million rows.

    `there` is whether all rows in view are there, `grid` the element that scrolls and
    `place` the number of the last row in view, as JavaScript.
    """

    name: str
    cell: str
    there: str
    setup: str = ""
    grid: str = ""
    place: str = ""
    needs: str = ""
    runs: int = 4


OURS = Contender(
    "gc3store.browse",
    "import gc3store\nbrowser = gc3store.browse('sqlite:///{path}')\nbrowser",
    f"""[...({ROOT}?.querySelectorAll('.window .row:not([hidden])') ?? [])].filter(row => row.tabIndex !== 0)
        .map(row => Boolean(row.dataset.id) && !{ROOT}.querySelector('.asking'))""",
    grid=f"{ROOT}.querySelector('.grid')",
    place=f"""Math.max(...[...{ROOT}.querySelectorAll('.window .row[data-id]:not([hidden])')]
        .map(row => Number(row.dataset.index)))""",
)
AG = Contender(
    "AG Grid, infinite row model",
    "grid = AgGrid()\ngrid",
    "[...document.querySelectorAll('.ag-center-cols-container .ag-row, .ag-grid-rows .ag-row, .ag-row')]"
    ".map(row => row.textContent.trim() !== '')",
    setup="""
import anywidget, pathlib, sqlite3, traitlets
db = sqlite3.connect("{path}", check_same_thread=False)
total, = db.execute("SELECT count(*) FROM gc3store").fetchone()
class AgGrid(anywidget.AnyWidget):
    _esm = pathlib.Path({ag_grid!r})
    fields = traitlets.List("{fields}".split(", ")).tag(sync=True)
    def __init__(self):
        super().__init__()
        self.on_msg(self.answer)
    def answer(self, _, asked, __):
        sql = "SELECT {fields} FROM gc3store ORDER BY number LIMIT ? OFFSET ?"
        rows = db.execute(sql, (asked["limit"], asked["offset"])).fetchall()
        self.send({{"seq": asked["seq"], "rows": rows, "total": total}})
""",
    grid="[...document.querySelectorAll('.ag-root *')].find(it => it.scrollHeight > 1e5 && it.clientHeight < 1000)",
    place="Math.max(...[...document.querySelectorAll('.ag-row')].map(row => Number(row.getAttribute('row-index'))))",
    needs=str(AG_GRID),
)
ITABLES = Contender(
    "itables, a sample of 64 kB",
    "itables.show(frame)",
    "[...document.querySelectorAll('.jp-OutputArea table.dataTable tbody td')].map(() => true)",
    setup=FRAME + "import itables\nitables.init_notebook_mode(connected=False)",
    needs="itables",
)
ITABLES_ALL = Contender(
    "itables, all rows",
    "itables.show(frame, maxBytes=0)",
    ITABLES.there,
    setup=ITABLES.setup,
    needs="itables",
    runs=1,
)
IPYDATAGRID = Contender(
    "ipydatagrid",
    "ipydatagrid.DataGrid(frame)",
    """[...document.querySelectorAll('.jp-OutputArea canvas')].map(canvas => {
         const { data } = canvas.getContext('2d').getImageData(70, 25, 150, 100);
         let dark = 0;
         for (let i = 0; i < data.length; i += 4) {
           if (data[i + 3] > 99 && data[i] + data[i + 1] + data[i + 2] < 300) dark++;
         }
         return dark > 100;
       }).filter(drawn => drawn)""",
    setup=FRAME + "import ipydatagrid",
    needs="ipydatagrid",
    runs=1,
)


def is_there(contender):
    return f"(() => {{ const all = {contender.there}; return all.length > 0 && all.every(it => it); }})()"


def timed(page, contender, act, before=""):
    """Return the milliseconds from an act in the page until all rows in view are there."""
    return page.evaluate(
        f"""async () => {{
              await (async () => {{ {before} }})();
              const start = performance.now();
              await (async () => {{ {act} }})();
              await new Promise(requestAnimationFrame);
              await new Promise(requestAnimationFrame);
              while (!{is_there(contender)}) {{
                if (performance.now() - start > {PATIENCE * 1000}) return null;
                await new Promise(requestAnimationFrame);
              }}
              return performance.now() - start;
            }}"""
    )


class Traffic:
    """Counts the bytes that reach a page; to be made before the page is opened."""

    def __init__(self, page):
        self.bytes = 0
        page.on("websocket", lambda socket: socket.on("framereceived", lambda frame: self._add(len(frame))))
        page.on("response", self._answered)

    def _answered(self, response):
        # Not what the page made itself, such as modules out of texts that it was sent.
        if response.url.startswith("http"):
            self._add(int(response.headers.get("content-length", 0)))

    def _add(self, count):
        self.bytes += count


def open_and_scroll(front, traffic, contender, path):
    """Measure one contender in a page of its own."""
    names = {"path": path, "fields": FIELDS, "ag_grid": str(AG_GRID)}
    if contender.setup:
        front.run(contender.setup.format(**names))
    page, seconds, sizes = front.page, [], []
    for _ in range(contender.runs):
        front.run("")
        page.wait_for_timeout(1000)
        traffic.bytes = 0
        start = time.perf_counter()
        front.run(contender.cell.format(**names), wait=False)
        try:
            page.wait_for_function(f"() => {is_there(contender)}", timeout=PATIENCE * 1000, polling=20)
        except TookTooLong:
            print(f"{contender.name:28} open: no row in {PATIENCE} s, {traffic.bytes:,} bytes", flush=True)
            return
        seconds.append(1000 * (time.perf_counter() - start))
        page.wait_for_timeout(1500)
        sizes.append(traffic.bytes)
    show(contender, "open, first row", seconds, f"{min(sizes):,} bytes")
    if not contender.grid:
        return
    scroll = f"const g = {contender.grid}; g.scrollTop = %s * (g.scrollHeight - g.clientHeight);"
    traffic.bytes = 0
    parts = (0.5, 0.123, 0.999, 0.3, 0.75)
    jumps = [timed(page, contender, scroll % part) for part in parts]
    show(contender, "jump", jumps, f"{traffic.bytes // len(parts):,} bytes each")
    drag = (
        f"for (let i = 1; i <= 60; i++) {{ {scroll % '(i / 61)'} await new Promise(requestAnimationFrame); }}"
    )
    show(contender, "settled after 60 jumps", [timed(page, contender, "", before=drag) for _ in range(3)])
    timed(page, contender, scroll % "1")
    print(f"{contender.name:28} last row reached: {page.evaluate(contender.place) + 1:,}", flush=True)


def search(front, contender):
    """Measure how soon ours answers searches."""

    def find(text):
        return timed(
            front.page,
            contender,
            f"const box = {ROOT}.querySelector('.search input'); box.value = {text!r};"
            "box.dispatchEvent(new Event('input')); await new Promise(done => setTimeout(done, 160));",
        )

    # An empty answer shows no rows, so each of these is found at least once.
    texts = ("seed 77", "T=2.270", "999983", "IsingRun.77777", "state:FAILED 99998")
    for text in texts:
        show(contender, f"search {text!r}", [find(text)], "debounce of 150 ms included")
        front.page.wait_for_timeout(2000)  # counts and facets come after the rows


def details(front, contender):
    """Measure how soon the details of a row that is clicked are there."""
    took = front.page.evaluate(
        f"""async () => {{
              const took = [];
              for (let index = 1; index <= 8; index++) {{
                const row = {ROOT}.querySelector(`.window .row[data-index='${{index}}']`);
                const start = performance.now();
                row.click();
                while (!{ROOT}.querySelector('.details').textContent.includes(row.dataset.id)) {{
                  await new Promise(requestAnimationFrame);
                }}
                took.push(performance.now() - start);
                await new Promise(done => setTimeout(done, 300));
              }}
              return took;
            }}"""
    )
    show(contender, "details of a row", took)


def sort(front, contender):
    """Measure how soon rows are there in another order, and after jumps: the first sorts all, the others do not."""
    scroll = f"const g = {contender.grid}; g.scrollTop = %s * (g.scrollHeight - g.clientHeight);"
    head = f"{ROOT}.querySelector('.head [data-key=size]')"
    press = f"{head}.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'Enter', bubbles: true }}));"
    show(contender, "sorted by size", [timed(front.page, contender, press)])
    show(contender, "first jump in that order", [timed(front.page, contender, scroll % 0.5)])
    later = [timed(front.page, contender, scroll % part) for part in (0.123, 0.999, 0.3, 0.75)]
    show(contender, "later jumps in that order", later)


def show(contender, what, milliseconds, more=""):
    done = [value for value in milliseconds if value is not None]
    if not done:
        print(f"{contender.name:28} {what:24} not in {PATIENCE} s", flush=True)
        return
    print(
        f"{contender.name:28} {what:24} median {statistics.median(done):7.0f} ms  best {min(done):7.0f} ms  {more}",
        flush=True,
    )


def measure(contender, browser, folder, path):
    # A server of its own, for JupyterLab opens what was open before.
    folder.mkdir()
    server = Server(folder, ["-m", "jupyterlab", *JUPYTER, "--LabApp.expose_app_in_browser=True"])
    try:
        context = browser.new_context(viewport={"width": 1280, "height": 900})
        page = context.new_page()
        traffic = Traffic(page)
        front = Page(page, server, "lab").open("benchmark")
        open_and_scroll(front, traffic, contender, path)
        if contender is OURS:
            front.page.evaluate(f"() => {{ const g = {OURS.grid}; g.scrollTop = 0; }}")
            front.page.wait_for_timeout(1000)
            details(front, contender)
            sort(front, contender)
            search(front, contender)
        context.close()
    finally:
        server.close()


def main(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        for number, contender in enumerate((OURS, AG, ITABLES, IPYDATAGRID, ITABLES_ALL)):
            needs = contender.needs
            if needs and not (Path(needs).exists() if "/" in needs else importlib.util.find_spec(needs)):
                print(f"{contender.name:28} left out: {Path(needs).name} is not installed", flush=True)
            else:
                measure(contender, browser, Path(folder) / str(number), path)
        browser.close()


if __name__ == "__main__":
    if sys.argv[1:]:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as scratch:
            build(f"{scratch}/million.db")
            main(f"{scratch}/million.db")
