"""How inspected objects and stores look in a page: readable in any theme, aligned, harmless, and used by keyboard."""

from __future__ import annotations

import datetime as dt
import pickle
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from playwright.sync_api import expect

import gc3store
from gc3store.inspection import html, read

from .test_browser_fronts import theme

pytestmark = pytest.mark.browser

DATA = Path(__file__).parent.parent / "data" / "gc3pie"
HOSTILE = {
    "<script>document.title = 'acted'</script>": "<img src=x onerror=\"document.title='acted'\">",
    "</bdi></details></div><h1>out</h1>": ["</pre><h1>out</h1>\n" * 20],
    "bidi": "safe\u202egpj.exe\u202c \u2066x\u2069 \u200f",
    "right to left": "\u05e9\u05dc\u05d5\u05dd \u05e2\u05d5\u05dc\u05dd",
    "control": "a\0b\x1b[31m red\x07\r\n\u2028",
    "\" onmouseover=\"document.title='acted'": 1,
    "marks": "e" + "\u0301" * 60,
    "one word": "x" * 5000,
    "bytes": b"\0" * 3000,
}


class Lattice:
    """Something of everything."""

    def __init__(self) -> None:
        deep: dict = {"end": True}
        for depth in range(40):
            deep = {"depth": depth, "level": deep}
        self.spins = np.ones((40, 50), dtype="i1")
        self.cube = np.arange(24).reshape(2, 3, 4)
        self.trace = np.linspace(0, 1, 1000)
        self.states = np.array([(1, 2.5, "up")] * 30, dtype=[("n", "i4"), ("x", "f8"), ("s", "U4")])
        self.frame = pd.DataFrame(
            {"energy": np.linspace(0, -2, 50), "label": [f"<b>{n}</b>" for n in range(50)], "cold": True}
        )
        self.wide = pd.DataFrame(np.zeros((3, 60)))
        self.deep = deep
        self.many = list(range(5000))
        self.source = "def f(x):\n\treturn x\n" * 50
        self.when = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
        self.me = self


def samples():
    """Yield what is to be shown, as HTML, by name."""
    yield "job", html(read((DATA / "fs" / "IsingRun.26").read_bytes()))
    yield "sweep", html(read((DATA / "fs" / "TemperatureSweep.25").read_bytes()))
    lattice = Lattice()
    for name in ("spins", "cube", "trace", "states", "frame", "wide", "deep", "many"):
        yield name, html(read(pickle.dumps(getattr(lattice, name))))
    yield "hostile", html(read(pickle.dumps(HOSTILE)))
    yield "lattice", html(read(pickle.dumps(lattice)))
    with gc3store.make_store(DATA / "fs", read_only=True) as store:
        yield "store", store._repr_html_()


THEMES = ["light", "dark", "JupyterLab light", "JupyterLab dark"]


def page_of(body, name):
    """Return a page with a body, in a theme."""
    if name in ("light", "dark"):
        look = "<meta name='color-scheme' content='light dark'>"
        return f"<!doctype html><meta charset=utf-8>{look}<body>{body}"
    kind = name.rpartition(" ")[2]
    sheet = Path(
        sys.prefix, "share", "jupyter", "lab", "themes", "@jupyterlab", f"theme-{kind}-extension", "index.css"
    )
    look = (
        "body{background:var(--jp-layout-color0);color:var(--jp-content-font-color1);"
        "font-family:var(--jp-content-font-family);font-size:var(--jp-content-font-size1)}"
    )
    return f"<!doctype html><meta charset=utf-8><style>{sheet.read_text()}{look}</style><body>{body}"


@pytest.fixture
def shown(chromium, request):
    """Show HTML in a theme, at a width; everything unfolded, if asked for."""
    where = request.config.getoption("--screenshots")
    contexts = []

    def show(body, name="light", width=900, unfold=False):
        scheme = "dark" if name.endswith("dark") else "light"
        context = chromium.new_context(viewport={"width": width, "height": 600}, color_scheme=scheme)
        contexts.append(context)
        page = context.new_page()
        page.set_content(page_of(body, name))
        if unfold:
            page.evaluate("() => document.querySelectorAll('details').forEach(d => { d.open = true; })")
        if where:
            Path(where).mkdir(parents=True, exist_ok=True)
            page.screenshot(path=f"{where}/inspected-{name.replace(' ', '-')}-{width}.png", full_page=True)
        return page

    yield show
    for context in contexts:
        context.close()


#: What is hard to read: texts whose colour differs from what is behind them by less than 4.5 to 1.
PALE = """() => {
  const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const painted = colors => {
    canvas.clearRect(0, 0, 1, 1);
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const dark = matchMedia('(prefers-color-scheme: dark)').matches;
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node; (node = walker.nextNode());) {
    const at = node.parentElement;
    if (!node.data.trim() || at.closest('style') || !at.closest('.gc3-inert') || !at.getClientRects().length) continue;
    const behind = [];
    for (let e = at; e; e = e.parentElement) behind.unshift(getComputedStyle(e).backgroundColor);
    behind.unshift(dark ? '#121212' : '#ffffff');
    const back = painted(behind), front = painted([...behind, getComputedStyle(at).color]);
    const [a, b] = [light(back), light(front)].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    if (ratio < 4.5) found.push(`${ratio.toFixed(1)} ${at.className} ${node.data.slice(0, 30)}`);
  }
  return found;
}"""


def everything():
    """Return all samples, one below the other."""
    return "".join(f"<p>{title}</p><div>{body}</div>" for title, body in samples())


@pytest.mark.parametrize("name", THEMES)
def test_everything_is_readable(shown, name):
    page = shown(everything(), name, unfold=True)
    assert page.evaluate("() => document.querySelectorAll('.gc3-inert').length") == len(list(samples()))
    assert page.evaluate(PALE) == []


@pytest.mark.parametrize("width", [1200, 420])
def test_rows_are_aligned_and_nothing_sticks_out(shown, width):
    page = shown(everything(), width=width, unfold=True)
    assert page.evaluate("() => document.documentElement.scrollWidth <= innerWidth")
    # Labels, types and values of what is in one value begin in the same places, each row on one line.
    edges, heights = page.evaluate(
        """() => {
             const edges = [...document.querySelectorAll('.gc3-inert .b')].map(block => {
               const rows = [...block.children].map(c => c.matches('.r') ? c : c.querySelector(':scope > .r'));
               const columns = rows.filter(Boolean).map(r => [...r.querySelectorAll(':scope > bdi')].map(
                 cell => Math.round(cell.getBoundingClientRect().left)).join());
               return new Set(columns).size;
             });
             const rows = [...document.querySelectorAll('.gc3-inert .b .r')];
             return [edges, rows.map(r => r.getBoundingClientRect().height)];
           }"""
    )
    assert len(edges) > 50
    assert set(edges) <= {1}
    assert max(heights) < 1.5 * min(heights)


def test_hostile_texts_are_texts(shown):
    page = shown(html(read(pickle.dumps(HOSTILE))), unfold=True)
    page.mouse.move(200, 100)
    assert page.title() == ""
    names = page.evaluate("() => [...document.querySelectorAll('.gc3-inert *')].map(e => e.localName)")
    assert set(names) <= {"div", "details", "summary", "span", "bdi", "pre"}
    attributes = page.evaluate(
        "() => [...document.querySelectorAll('.gc3-inert *')].flatMap(e => e.getAttributeNames())"
    )
    assert set(attributes) <= {"class", "style", "title", "open", "tabindex", "dir"}
    text = page.inner_text(".gc3-inert")
    assert not set(text) & set("\0\x1b\x07\u202e\u202c\u2066\u2069\u200f\u2028")
    assert "<h1>out</h1>" in text
    # What is written from right to left begins where all values begin.
    lefts = page.evaluate(
        """() => [...document.querySelectorAll('.gc3-inert .b > .r > .v, .gc3-inert .b > details > .r > .v')].map(v => {
             const range = document.createRange(); range.selectNodeContents(v);
             return Math.round(range.getBoundingClientRect().left - v.getBoundingClientRect().left);
           })"""
    )
    assert max(map(abs, lefts[:9])) <= 2


def test_it_is_unfolded_by_keyboard(shown):
    value = {"a": {"b": [1, 2]}, "long": "word " * 500, "frame": Lattice().wide}
    page = shown(html(read(pickle.dumps(value))), width=420)
    inner = page.locator("details details").first
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    expect(inner.locator("> summary")).to_be_focused()
    assert page.evaluate("() => getComputedStyle(document.activeElement).outlineStyle") == "solid"
    page.keyboard.press("Enter")
    expect(inner.get_by_text("'b'", exact=True)).to_be_visible()
    page.keyboard.press("Space")
    expect(inner.get_by_text("'b'", exact=True)).to_be_hidden()
    # Tables that are too wide for the page are reached, and scrolled, too.
    page.locator("details details").last.evaluate("d => { d.open = true; }")
    region = page.get_by_role("region").last
    region.focus()
    for _ in range(5):
        page.keyboard.press("ArrowRight")
    page.wait_for_function("() => document.activeElement.scrollLeft > 0")


def test_what_is_nearest_to_the_root_is_shown_in_any_case():
    big = [[[n] * 50 for n in range(50)] for _ in range(50)]
    page = html(read(pickle.dumps({"first": big, **{f"other {n}": n for n in range(40)}})))
    for n in range(40):
        assert f"other {n}" in page
    assert len(page) < 150_000
    many = html(read(pickle.dumps({f"key {n}": n for n in range(5000)})))
    assert "and 4,940 more" in many


@pytest.mark.parametrize("name", ["JupyterLab Light", "JupyterLab Dark"])
def test_in_jupyterlab(lab_page, name, request):
    page = lab_page.page
    try:
        theme(lab_page, name)
        lab_page.run(
            f"import gc3store\nstore = gc3store.make_store({str(DATA / 'fs')!r}, read_only=True)\n"
            "store.inspect('IsingRun.26')"
        )
        shown = page.locator(".gc3-inert")
        expect(shown.get_by_text("exit code 1")).to_be_visible()
        assert page.evaluate(PALE) == []
        execution = (
            shown.locator("details details").filter(has=page.get_by_text("execution", exact=True)).first
        )
        if where := request.config.getoption("--screenshots"):
            page.screenshot(path=f"{where}/inspected-in-{name.replace(' ', '-')}.png")
        for key in ("Enter", "Space"):
            execution.locator("> summary").focus()
            page.keyboard.press(key)
            expect(execution).to_have_attribute("open", "") if key == "Enter" else None
        expect(execution).not_to_have_attribute("open", "")
        # The notebook's own shortcuts (b: another cell) do not act here.
        cells = len(lab_page.cells())
        page.keyboard.press("b")
        page.keyboard.press("x")
        assert len(lab_page.cells()) == cells
        lab_page.run("store")
        expect(page.locator(".gc3-inert").get_by_text("ising.IsingRun")).to_be_visible()
        assert page.evaluate(PALE) == []
        assert lab_page.outside == []
    finally:
        theme(lab_page, "JupyterLab Light")
