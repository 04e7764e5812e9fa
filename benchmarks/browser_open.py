"""The browser on a million objects in SQLite, in JupyterLab: ``python -m benchmarks.browser_open [FILE]``.

Prints seconds, and bytes that reached the page, from running the cell to the first row;
and for jumps, a drag of 60 jumps and searches, the time until all rows in view are there.
``FILE`` is a store made by ``benchmarks.browser_store``; without it, one is made.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import sync_playwright

from benchmarks.browser_store import build
from tests.jupyter.conftest import ARGUMENTS, CHROMIUM, JUPYTER, Page, Server

CELL = "import gc3store\ngc3store.browse('sqlite:///{}')"
ROOT = "document.querySelector('.gc3store-browser')?.shadowRoot"
THERE = f"""() => {{
  const rows = [...({ROOT}?.querySelectorAll('.window .row:not([hidden])') ?? [])].filter(row => row.tabIndex !== 0);
  return rows.length > 0 && rows.every(row => row.dataset.id) && !{ROOT}.querySelector('.asking');
}}"""
WAIT = f"async () => {{ const there = {THERE}; while (!there()) await new Promise(requestAnimationFrame); }}"


def timed(page, act):
    """Return the milliseconds from an act in the page until all rows in view are there."""
    return page.evaluate(
        f"""async () => {{
              const start = performance.now();
              await (async () => {{ {act} }})();
              await new Promise(requestAnimationFrame);
              await new Promise(requestAnimationFrame);
              await ({WAIT})();
              return performance.now() - start;
            }}"""
    )


def search(text):
    return (
        f"const box = {ROOT}.querySelector('.search input'); box.value = {text!r};"
        "box.dispatchEvent(new Event('input')); await new Promise(done => setTimeout(done, 160));"
    )


def main(path: str) -> None:
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        server = Server(Path(folder), ["-m", "jupyterlab", *JUPYTER, "--LabApp.expose_app_in_browser=True"])
        try:
            page = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS).new_page()
            received: list[int] = []
            page.on(
                "websocket",
                lambda socket: socket.on("framereceived", lambda frame: received.append(len(frame))),
            )
            front = Page(page, server, "lab").open("benchmark")
            seconds, sizes = [], []
            for _ in range(5):
                front.run("")
                time.sleep(1)
                received.clear()
                start = time.perf_counter()
                front.run(CELL.format(path), wait=False)
                front.locator(".window .row[data-id]").first.wait_for(timeout=60_000)
                seconds.append(time.perf_counter() - start)
                time.sleep(1)
                sizes.append(sum(received))
            show("open, first row", [1000 * second for second in seconds[1:]], f"{min(sizes):,} bytes")
            grid = f"{ROOT}.querySelector('.grid')"
            jumps = [
                timed(page, f"const g = {grid}; g.scrollTop = {part} * (g.scrollHeight - g.clientHeight)")
                for part in (0.5, 0.123, 0.999, 0.3, 0.75)
            ]
            show("jump", jumps)
            drag = (
                f"const g = {grid}; for (let i = 1; i <= 60; i++) {{ g.scrollTop = i / 61 * g.scrollHeight;"
                " await new Promise(requestAnimationFrame); }"
            )
            show("drag of 60 jumps, as a whole", [timed(page, drag) for _ in range(3)])
            for text in ("seed 77", "T=2.27", "999983", "IsingRun.77777", "nothing like it"):
                show(
                    f"search {text!r}",
                    [timed(page, search(text)) for _ in range(1)],
                    "debounce of 150 ms included",
                )
            page.context.close()
        finally:
            server.close()


def show(what, milliseconds, more=""):
    print(
        f"{what:32} median {statistics.median(milliseconds):7.0f} ms  best {min(milliseconds):7.0f} ms  {more}",
        flush=True,
    )


if __name__ == "__main__":
    if sys.argv[1:]:
        main(sys.argv[1])
    else:
        with tempfile.TemporaryDirectory() as scratch:
            build(f"{scratch}/million.db")
            main(f"{scratch}/million.db")
