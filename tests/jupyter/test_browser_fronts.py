"""The browser wherever it runs: JupyterLab, Notebook 7, Voilà, marimo; safe, and for everybody."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest
from playwright.sync_api import expect

from .conftest import JUPYTER, PATIENCE, Page, Server, has, missing

pytestmark = pytest.mark.browser

STORE = """
from memory import MemoryStore
import gc3store
jobs = MemoryStore("memory://fronts")
for i in range(60):
    state = ["TERMINATED", "RUNNING", "FAILED"][i % 3]
    jobs.add(prefix="IsingRun", name=f"run {i:02}", state=state, tags=("hot",) if i % 2 else (), size=4000 + i)
widget = gc3store.browse(jobs)
"""
AXE = Path(__file__).parents[2] / "gc3store/jupyter/frontend/node_modules/axe-core/axe.min.js"


@pytest.fixture(scope="session")
def notebook_server(tmp_path_factory):
    if not has("jupyter-notebook"):
        missing("notebook")
    command = ["-m", "notebook", *JUPYTER, "--JupyterNotebookApp.expose_app_in_browser=True"]
    server = Server(tmp_path_factory.mktemp("notebook"), command)
    yield server
    server.close()


@pytest.fixture(scope="session")
def notebook_page(chromium, notebook_server):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    page = Page(context.new_page(), notebook_server, "notebook").open("browser")
    yield page
    context.close()


@pytest.fixture(params=["lab", "notebook"])
def front(request):
    page = request.getfixturevalue(f"{request.param}_page")
    page.page.keyboard.press("Escape")
    yield page
    assert page.outside == []


@pytest.fixture
def lab(lab_page):
    yield lab_page
    assert lab_page.outside == []


def show(front, code=STORE + "widget", selector=".window .row[data-id]"):
    front.run(code)
    front.locator(selector).first.wait_for()
    return front


def focused(front):
    return front.page.evaluate(
        """() => {
             const active = document.querySelector('.gc3store-browser').shadowRoot.activeElement;
             return active?.dataset.index === undefined ? null : Number(active.dataset.index);
           }"""
    )


# -- 25: keys, focus, theme, text -------------------------------------------------------


def test_25_no_key_changes_the_notebook(front):
    show(front)
    before = front.cells()
    places = [
        front.locator(".window .row[data-index='2']"),
        front.locator("[role=columnheader][data-key=id]"),
        front.locator(".chip").first,
        front.locator(".bar").get_by_role("button", name="Columns"),
        front.locator(".details"),
        front.locator(".search input"),
    ]
    for place in places:
        place.focus()
        for key in [
            "a",
            "b",
            "x",
            "d",
            "d",
            "c",
            "v",
            "z",
            "y",
            "m",
            "j",
            "k",
            "o",
            "0",
            "0",
            "i",
            "i",
            "h",
            "f",
            "Shift+m",
            "l",
        ]:
            front.page.keyboard.press(key)
        front.page.keyboard.press("Escape")
        time.sleep(0.1)
        assert front.cells() == before
    assert front.page.locator(".jp-Dialog").count() == 0
    front.locator(".window .row[data-index='2']").click()
    front.page.keyboard.press("Shift+Enter")
    front.page.keyboard.press("Escape")
    front.locator(".window .row[data-index='2']").click()
    front.page.keyboard.press("F2")
    front.page.keyboard.type("abxdd")
    front.page.keyboard.press("Escape")
    assert front.cells() == before


def test_25_the_main_things_work_here(front):
    """Search, load, remove and undo, in each front end."""
    show(front)
    front.locator(".search input").fill("run 07")
    expect(front.locator(".status")).to_have_text("1 of 60")
    front.locator(".window .row[data-index='0']").click()
    front.page.keyboard.press("Enter")
    front.locator(".dialog input").fill("seven")
    front.page.keyboard.press("Enter")
    expect(front.locator(".toast").last).to_contain_text("seven = str 'IsingRun.8'")
    assert front.value("seven") == "IsingRun.8"
    front.page.keyboard.press("Delete")
    expect(front.locator(".status")).to_contain_text("0 of 59")
    front.locator(".toast").last.get_by_role("button", name="Undo").click()
    expect(front.locator(".status")).to_contain_text("1 of 60")


def test_25_focus_is_not_lost_on_redraw(lab):
    show(lab)
    row = lab.locator(".window .row[data-index='5']")
    row.click()
    for _ in range(3):
        lab.page.mouse.wheel(0, 3000)  # far away: the row is out of view
        time.sleep(0.1)
        assert focused(lab) == 5
    lab.page.keyboard.press("ArrowDown")
    assert focused(lab) == 6
    lab.kernel("widget.order = '-size'")
    expect(lab.locator("[data-key=size]")).to_have_attribute("aria-sort", "descending")
    time.sleep(0.3)
    assert focused(lab) is not None
    lab.locator(".chip").nth(1).focus()
    lab.page.keyboard.press("Enter")
    time.sleep(0.5)
    active = "() => document.querySelector('.gc3store-browser').shadowRoot.activeElement?.className"
    assert lab.page.evaluate(active) == "chip"


def test_25_aria_grid_with_one_tab_stop(lab):
    show(lab)
    grid = lab.locator(".grid")
    assert grid.get_attribute("role") == "grid"
    assert grid.get_attribute("aria-multiselectable") == "true"
    expect(grid).to_have_attribute("aria-rowcount", "61")
    assert lab.locator(".window .row[tabindex='0']").count() == 1
    assert lab.locator("[role=columnheader][tabindex='0']").count() == 1
    row = lab.locator(".window .row[data-index='3']")
    assert row.get_attribute("aria-rowindex") == "5"
    assert row.get_attribute("aria-selected") == "false"
    assert row.locator("[role=gridcell]").count() == int(grid.get_attribute("aria-colcount"))
    lab.locator("[role=columnheader][tabindex='0']").focus()
    lab.page.keyboard.press("Tab")
    assert focused(lab) == 0
    lab.page.keyboard.press("ArrowDown")
    lab.page.keyboard.press("ArrowDown")
    assert focused(lab) == 2
    assert lab.locator(".window .row[tabindex='0']").get_attribute("data-index") == "2"


CONTRAST = """host => {
  const root = host.shadowRoot;
  const channel = c => (c /= 255) <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  const canvas = document.createElement('canvas').getContext('2d', { willReadFrequently: true });
  const rgb = (color, under) => {
    canvas.clearRect(0, 0, 1, 1);
    if (under) { canvas.fillStyle = under; canvas.fillRect(0, 0, 1, 1); }
    canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3);
  };
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const row = root.querySelector('.window .row[aria-selected=true]');
  const ground = getComputedStyle(row).backgroundColor;
  return [...row.querySelectorAll('.cell, .tag, mark, .none')].map(cell => {
    const own = getComputedStyle(cell).backgroundColor;
    const under = /, 0\\)|transparent/.test(own) ? ground : own;
    const [a, b] = [light(rgb(getComputedStyle(cell).color, under)), light(rgb(under, ground))].sort((x, y) => y - x);
    return (a + 0.05) / (b + 0.05);
  });
}"""


def theme(front, name):
    front.page.evaluate(
        "name => window.jupyterapp.commands.execute('apputils:change-theme', { theme: name })", name
    )
    dark = "Dark" in name
    front.page.wait_for_function("dark => document.body.dataset.jpThemeLight === String(!dark)", arg=dark)
    time.sleep(0.6)


@pytest.mark.parametrize("name", ["JupyterLab Light", "JupyterLab Dark"])
def test_25_selected_rows_can_be_read_and_axe_finds_nothing(front, name, screenshot):
    lab = show(front)
    look = ("dark" if "Dark" in name else "table") + ("" if lab.kind == "lab" else "-notebook")
    try:
        theme(lab, name)
        lab.locator(".search input").fill("run")
        lab.locator(".window mark").first.wait_for()
        lab.locator(".window .row[data-index='1']").click()
        lab.locator(".window .row[data-index='3']").click(modifiers=["Control"])
        time.sleep(0.2)
        ratios = lab.page.locator(".gc3store-browser").evaluate(CONTRAST)
        assert len(ratios) > 5
        assert min(ratios) >= 4.5, ratios
        screenshot(lab, look)
        check_with_axe(lab)
        lab.page.keyboard.press("Enter")
        lab.locator(".dialog input").wait_for()
        check_with_axe(lab)
        lab.page.keyboard.press("Escape")
        lab.locator(".bar").get_by_role("button", name="Columns").click()
        check_with_axe(lab)
        lab.page.keyboard.press("Escape")
        lab.locator(".window .row[data-index='1']").click()
        lab.page.keyboard.press("Delete")
        lab.locator(".toast").first.wait_for()
        check_with_axe(lab)
        screenshot(lab, f"{look}-undo")
    finally:
        theme(lab, "JupyterLab Light")


def check_with_axe(front):
    """Let axe look at the browser as it is now; it must find no violation."""
    if not AXE.exists():
        missing("axe-core (npm ci in gc3store/jupyter/frontend)")
    front.page.evaluate(AXE.read_text("utf-8"))
    found = front.page.evaluate(
        """async () => {
             const { violations } = await axe.run(document.querySelector('.gc3store-browser'), { resultTypes: ['violations'] });
             return violations.map(v => [v.id, v.help, v.nodes.slice(0, 3).map(n => [n.html.slice(0, 200), n.failureSummary])]);
           }"""  # noqa: E501
    )
    assert found == [], json.dumps(found, indent=1)


HOSTILE = """
from memory import MemoryStore
import gc3store
jobs = MemoryStore("memory://hostile")
attack = '<img src=x onerror="window.pwned=1"><script>window.pwned=1</script><b>bold</b>'
jobs.add(name=attack, cls="m." + attack, state=attack, tags=(attack, "javascript:window.pwned=1"), preview=attack,
         references=(attack,), origin={attack: attack, "source": attack}, error=attack)
jobs.add(name="javascript:window.pwned=1", tags=("</style><style>*{display:none}",))
jobs.add(name="safe\\u202etxt.exe\\u2066", state="RUNNING\\u202e")
jobs.add(name="x" * 1_000_000, cls="m." + "C" * 1_000_000)
jobs.add(name="line\\nbreak\\0and\\x1b[31mred")
jobs.add(name="\\u05e9\\u05dc\\u05d5\\u05dd")
widget = gc3store.browse(jobs)
widget
"""


def test_what_is_stored_is_only_ever_text(lab):
    show(lab, HOSTILE)
    rows = lab.locator(".window .row[data-id]:not([hidden])")
    expect(rows).to_have_count(6)
    texts = rows.evaluate_all(
        "rows => rows.sort((a, b) => a.dataset.index - b.dataset.index).map(r => r.firstChild.textContent)"
    )
    assert texts[0].startswith("<img src=x onerror=")
    assert "</b>" in texts[0]
    assert "\u202e" not in "".join(texts)
    assert "\u2066" not in "".join(texts)
    assert texts[2].startswith("safe\ufffdtxt.exe")
    assert len(texts[3]) < 400
    assert "\n" not in texts[4]
    for index in range(6):
        lab.locator(f".window .row[data-index='{index}']").click()
        lab.locator(".details", has_text="Preview").wait_for()
    lab.locator(".window .row[data-index='0']").click()
    expect(lab.locator(".details")).to_contain_text("onerror")
    lab.page.keyboard.press("Enter")
    lab.locator(".dialog input").wait_for()
    lab.page.keyboard.press("Escape")
    lab.page.keyboard.press("Delete")
    lab.locator(".toast").first.wait_for()
    time.sleep(0.3)
    assert lab.page.evaluate("window.pwned") is None
    elements = lab.page.evaluate(
        """() => [...document.querySelector('.gc3store-browser').shadowRoot.querySelectorAll('img, script, b, a, iframe, style')]
                   .map(element => element.tagName)"""  # noqa: E501
    )
    assert elements == ["STYLE"]
    isolated = rows.evaluate_all(
        "rows => rows.every(r => [...r.querySelectorAll('bdi')].every(b => getComputedStyle(b).unicodeBidi.includes('isolate')))"  # noqa: E501
    )
    assert isolated


# -- states -----------------------------------------------------------------------------


def test_empty_store(lab, screenshot):
    lab.kernel("only_one = 1")
    show(
        lab,
        "from memory import MemoryStore\nimport gc3store\njobs = MemoryStore('memory://empty')\ngc3store.browse(jobs)",
        ".empty",
    )
    expect(lab.locator(".empty")).to_contain_text("Nothing is stored here yet")
    expect(lab.locator(".empty code")).to_contain_text("store.save(")
    assert lab.locator(".empty svg").count() == 1
    assert lab.locator(".empty button").count() == 1
    screenshot(lab, "empty")
    check_with_axe(lab)
    lab.locator(".empty button").click()
    lab.locator(".dialog input").first.fill("only_one")
    lab.page.keyboard.press("Enter")
    expect(lab.locator(".status")).to_contain_text("1 object")
    lab.locator(".window .row[data-id='int.1']").wait_for()


def test_enter_counts_that_is_pressed_before_the_variables_are_listed(lab):
    lab.kernel(
        "needle = 1\nim_needle = 2\nimport time\nfrom gc3store.jupyter import service\n"
        "promptly = service.variables\n"
        "def late(*args):\n    time.sleep(1.5)\n    return promptly(*args)\n"
        "service.variables = late"
    )
    try:
        show(
            lab,
            "from memory import MemoryStore\nimport gc3store\n"
            "jobs = MemoryStore('memory://typed')\ngc3store.browse(jobs)",
            ".empty",
        )
        for typed, said in ("needl", "0 objects"), ("needle", "1 object"):
            lab.locator(".empty button").click()
            lab.locator(".dialog input").first.fill(typed)
            lab.page.keyboard.press("Enter")
            if said == "1 object":
                expect(lab.locator(".status")).to_contain_text(said)
            else:  # two variables match, and nobody has seen which comes first
                lab.locator(".dialog .option").nth(1).wait_for()
                assert said in lab.locator(".status").inner_text()
                lab.page.keyboard.press("Escape")
        assert lab.kernel("print(jobs.load(jobs.list()[0]))") == 1
    finally:
        lab.kernel("service.variables = promptly\ndel needle, im_needle, late, promptly")


def test_nothing_matches(lab, screenshot):
    show(lab)
    lab.locator(".search input").fill("no such thing")
    expect(lab.locator(".nothing")).to_contain_text("Nothing matches")
    screenshot(lab, "nothing")
    lab.locator(".nothing button").click()
    expect(lab.locator(".status")).to_contain_text("60 objects")
    expect(lab.locator(".nothing")).to_have_count(0)


def test_locked_store_and_recovery(lab, screenshot):
    show(lab)
    lab.kernel("jobs.down = 'The database is locked by another process; try again when it is done.'")
    lab.locator(".bar").get_by_role("button", name="Refresh").click()
    expect(lab.locator(".error")).to_contain_text("The store is locked")
    assert lab.locator(".error button").count() == 1
    screenshot(lab, "error")
    check_with_axe(lab)
    lab.kernel("jobs.down = None")
    lab.locator(".error button").click()
    expect(lab.locator(".error")).to_have_count(0)
    expect(lab.locator(".status")).to_contain_text("60 objects")


def test_stores_that_offer_little(lab, screenshot):
    show(
        lab,
        "from memory import Lists\nimport gc3store\njobs = Lists()\njobs.save([1]); jobs.save({2: 3})\nwidget = gc3store.browse(jobs)\nwidget",  # noqa: E501
    )
    expect(lab.locator(".notice").first).to_contain_text("no names, states or sizes")
    assert lab.locator("[role=columnheader]").evaluate_all("all => all.map(h => h.dataset.key)") == [
        "id",
        "cls",
    ]
    lab.locator(".window .row[data-index='0']").click()
    lab.page.keyboard.press("Delete")
    expect(lab.locator(".status")).to_contain_text("1 object")
    expect(lab.locator(".toast").last.get_by_role("button", name="Undo")).to_have_count(0)
    code = "from memory import FourMethods\nimport gc3store\njobs = FourMethods()\njobs.save([1])\ngc3store.browse(jobs)"
    show(lab, code, ".unlisted")
    expect(lab.locator(".notice")).to_contain_text("cannot list")
    screenshot(lab, "unlisted")
    lab.locator(".unlisted input").fill("list.1")
    lab.page.keyboard.press("Enter")
    lab.locator(".dialog input").fill("by_id")
    lab.page.keyboard.press("Enter")
    expect(lab.locator(".toast").last).to_contain_text("by_id = list 'list.1'")
    assert lab.value("by_id") == [1]


def test_composes_with_other_widgets(lab):
    code = (
        STORE
        + """
import ipywidgets
text = ipywidgets.Text()
ipywidgets.link((text, "value"), (widget, "query"))
ipywidgets.HBox([text, widget])
"""
    )
    show(lab, code)
    lab.page.locator(".widget-text input").fill("run 1")
    expect(lab.locator(".status")).to_contain_text(re.compile("of 60"))
    expect(lab.locator(".search input")).to_have_value("run 1")


def test_kernel_restart_is_survived(lab):
    """The page of a dead kernel says what to do; run again, all is well."""
    show(lab)
    lab.page.evaluate("() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.restart()")
    lab.page.wait_for_function(
        "() => window.jupyterapp.shell.currentWidget.sessionContext.session.kernel.status === 'idle'",
        timeout=PATIENCE * 1000,
    )
    time.sleep(1)
    if lab.locator(".search input").count():
        lab.locator(".search input").fill("run")
        expect(lab.locator(".busy").or_(lab.locator(".error")).locator("visible=true").first).to_be_visible()
    show(lab)
    expect(lab.locator(".status")).to_contain_text("60 objects")


PICTURE = """
import gc3store, random, tempfile, os
os.chdir(tempfile.mkdtemp())
random.seed(4)
class IsingRun(gc3store.Persistable):
    def __init__(self, size, temperature):
        self.size, self.temperature = size, temperature
        self.energy = -2 / (1 + (temperature / 2.27) ** 3) + random.gauss(0, 0.01)
        self.state = random.choices(["TERMINATED", "RUNNING", "FAILED"], [12, 2, 1])[0]
class FiniteSizeStudy(gc3store.Persistable):
    def __init__(self, runs):
        self.runs, self.state = runs, "RUNNING"
store = gc3store.make_store("sqlite:///ising.db", columns={"energy": "energy"})
runs = [IsingRun(size, 1.6 + 0.035 * step) for size in (8, 16, 32) for step in range(41)]
for run in runs:
    tags = ["critical"] if 2.1 < run.temperature < 2.45 else []
    store.save(run, name=f"{run.size}x{run.size} T={run.temperature:.3f}", tags=tags)
study = store.save(FiniteSizeStudy(runs), name="finite sizes")
gc3store.browse(store)
"""


@pytest.mark.parametrize("name", ["JupyterLab Light", "JupyterLab Dark"])
def test_picture(lab, name, screenshot):
    """What the README shows: a study at work, in both themes."""
    lab.page.set_viewport_size({"width": 1592, "height": 900})
    try:
        show(lab, PICTURE)
        theme(lab, name)
        lab.locator(".search input").fill("T=2.")
        expect(lab.locator(".status")).to_contain_text(" of 124")
        for index, keys in ((3, []), (6, ["Control"]), (8, ["Control"])):
            lab.locator(f".window .row[data-index='{index}']").click(modifiers=keys)
        expect(lab.locator(".details")).to_contain_text("FiniteSizeStudy")
        expect(lab.locator(".status")).to_contain_text("3 selected")
        screenshot(lab, "picture-dark" if "Dark" in name else "picture-light")
    finally:
        lab.page.set_viewport_size({"width": 1280, "height": 900})
        theme(lab, "JupyterLab Light")


# -- other front ends -------------------------------------------------------------------


def notebook_of(code):
    cell = {
        "cell_type": "code",
        "execution_count": None,
        "id": "a",
        "metadata": {},
        "outputs": [],
        "source": code,
    }
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return json.dumps(
        {"cells": [cell], "metadata": {"kernelspec": kernel}, "nbformat": 4, "nbformat_minor": 5}
    )


def exercise(page):
    """What every front end must be able to do."""
    within = page.locator(".gc3store-browser")
    within.locator(".window .row[data-id]").first.wait_for(timeout=PATIENCE * 1000)
    expect(within.locator(".status")).to_contain_text("60 objects")
    within.locator(".search input").fill("run 07")
    expect(within.locator(".status")).to_contain_text("1 of 60")
    within.locator(".window .row[data-index='0']").click()
    page.keyboard.press("Enter")
    within.locator(".dialog input").fill("seven")
    page.keyboard.press("Enter")
    expect(within.locator(".toast").last).to_contain_text("seven = str 'IsingRun.8'")
    within.locator(".search input").fill("")
    page.locator(".gc3store-browser .status", has_text="60 objects").wait_for()


@pytest.fixture
def page(chromium):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    yield context.new_page()
    context.close()


def test_voila(page, tmp_path, screenshot):
    if not has("voila"):
        missing("voila")
    (tmp_path / "show.ipynb").write_text(notebook_of(STORE + "widget"))
    server = Server(
        tmp_path,
        ["-m", "voila", "show.ipynb", "--no-browser", "--port=PORT", "--Voila.ip=127.0.0.1"],
        ready="/",
    )
    try:
        page.goto(server.url, timeout=PATIENCE * 1000)
        exercise(page)
        screenshot(Page(page, server, "voila"), "voila")
    finally:
        server.close()


MARIMO = """
import marimo
app = marimo.App()

@app.cell
def _():
    import marimo as mo
{code}
    shown = mo.ui.anywidget(widget)
    shown
    return

if __name__ == "__main__":
    app.run()
"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_marimo(chromium, tmp_path, screenshot, scheme):
    if not has("marimo"):
        missing("marimo")
    code = "\n".join("    " + line for line in STORE.splitlines())
    (tmp_path / "show.py").write_text(MARIMO.format(code=code))
    (tmp_path / "pyproject.toml").write_text(f'[tool.marimo.display]\ntheme = "{scheme}"\n')
    command = [
        "-m",
        "marimo",
        "run",
        "show.py",
        "--headless",
        "--port=PORT",
        "--host=127.0.0.1",
        "--no-token",
    ]
    server = Server(tmp_path, command, ready="/")
    context = chromium.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    context.set_default_timeout(PATIENCE * 1000)
    page = context.new_page()
    try:
        page.goto(server.url, timeout=PATIENCE * 1000)
        exercise(page)
        expect(page.locator(".gc3store-browser .root")).to_have_attribute("data-theme", scheme)
        page.locator(".gc3store-browser .window .row[data-index='1']").click()
        assert min(page.locator(".gc3store-browser").evaluate(CONTRAST)) >= 4.5
        screenshot(Page(page, server, "marimo"), f"marimo-{scheme}")
    finally:
        context.close()
        server.close()
