"""Real front ends for the browser tests: servers on free ports, one headless Chromium."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from .shells import plain_shell, shell  # noqa: F401  fixtures

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
#: Seconds after which something is held to be broken; a busy machine makes nothing fail.
PATIENCE = 120
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_addoption(parser):
    parser.addoption(
        "--screenshots", metavar="DIR", help="where the browser tests put pictures of what they see"
    )


def missing(what):
    """Skip, saying what is missing; on a build server that is a failure."""
    message = f"{what} is not installed"
    if os.environ.get("CI") == "true":
        pytest.fail(message)
    pytest.skip(message)


def has(command):
    return (Path(sys.executable).parent / command).exists() or shutil.which(command)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def chromium():
    try:
        from playwright.sync_api import expect, sync_playwright
    except ImportError:
        missing("playwright")
    if CHROMIUM is None:
        missing("Chromium")
    expect.set_options(timeout=PATIENCE * 1000)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


class Server:
    """A server process on a free port of this machine, in a directory of its own."""

    def __init__(self, root, command, ready="/api", log="server.log"):
        self.port = free_port()
        self.root = root
        self.url = f"http://127.0.0.1:{self.port}"
        self._log = (root / log).open("w")
        quiet = root / "settings" / "@jupyterlab" / "apputils-extension" / "notification.jupyterlab-settings"
        quiet.parent.mkdir(parents=True, exist_ok=True)
        quiet.write_text('{"fetchNews": "false", "checkForUpdates": false}')
        environment = {
            **os.environ,
            "HOME": str(root),
            "XDG_CACHE_HOME": str(root / "cache"),
            "JUPYTER_CONFIG_DIR": str(root / "config"),
            "JUPYTER_DATA_DIR": str(root / "data"),
            "JUPYTER_RUNTIME_DIR": str(root / "runtime"),
            "IPYTHONDIR": str(root / "ipython"),
            "JUPYTERLAB_SETTINGS_DIR": str(root / "settings"),
            "PYTHONPATH": os.pathsep.join([str(HERE.parent.parent), str(HERE)]),
            "PYDEVD_DISABLE_FILE_VALIDATION": "1",
        }
        arguments = [str(argument).replace("PORT", str(self.port)) for argument in command]
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=root,
            env=environment,
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )
        self._wait(ready)

    def _wait(self, path):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                with urllib.request.urlopen(self.url + path, timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        self.close()
        raise RuntimeError(f"the server did not start: {(self.root / 'server.log').read_text()[-2000:]}")

    def close(self):
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._log.close()


JUPYTER = [
    "--no-browser",
    "--port=PORT",
    "--ip=127.0.0.1",
    "--allow-root",
    "--ServerApp.port_retries=0",
    "--IdentityProvider.token=",
    "--ServerApp.password=",
    "--ServerApp.disable_check_xsrf=True",
    "--ServerApp.root_dir=.",
]

NOTEBOOK = {
    "cells": [
        {
            "cell_type": "code",
            "execution_count": None,
            "id": "show",
            "metadata": {},
            "outputs": [],
            "source": "",
        },
        {"cell_type": "markdown", "id": "below", "metadata": {}, "source": "below"},
    ],
    "metadata": {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}},
    "nbformat": 4,
    "nbformat_minor": 5,
}


class Page:
    """A notebook in a real front end: runs code as its first cell and looks at the browser it shows."""

    def __init__(self, page, server, kind):
        self.page, self.server, self.kind = page, server, kind
        self.outside = []
        page.on("request", self._requested)

    def _requested(self, request):
        if not request.url.startswith(
            (self.server.url, "data:", "blob:", "about:")
        ) and not request.url.startswith(self.server.url.replace("http", "ws", 1)):
            self.outside.append(request.url)

    def open(self, name):
        (self.server.root / f"{name}.ipynb").write_text(json.dumps(NOTEBOOK))
        where = "lab/tree" if self.kind == "lab" else "notebooks"
        self.page.goto(
            f"{self.server.url}/{where}/{name}.ipynb", timeout=PATIENCE * 1000, wait_until="commit"
        )
        return self.wait()

    def wait(self):
        """Wait for the notebook and its kernel."""
        self.page.wait_for_function(
            """() => {
                 const { content, sessionContext } = window.jupyterapp?.shell?.currentWidget ?? {};
                 const kernel = sessionContext?.session?.kernel;
                 return kernel?.connectionStatus === 'connected' && content?.widgets?.length;
               }""",
            timeout=PATIENCE * 1000,
        )
        return self

    def run(self, code, wait=True):
        """Replace the first cell by `code` and run it."""
        self.page.evaluate(
            """async ([code, wait]) => {
                 const { content, sessionContext } = window.jupyterapp.shell.currentWidget;
                 content.activeCellIndex = 0;
                 const cell = content.widgets[0];
                 cell.model.sharedModel.setSource(code);
                 cell.model.clearExecution?.();
                 const done = window.jupyterapp.commands.execute('notebook:run-cell');
                 if (wait) await done;
               }""",
            [code, wait],
        )

    def kernel(self, code):
        """Run code in the kernel, outside of any cell, and return what it prints as JSON."""
        text = self.page.evaluate(
            """async code => {
                 const kernel = window.jupyterapp.shell.currentWidget.sessionContext.session.kernel;
                 const future = kernel.requestExecute({ code, store_history: false });
                 let text = '';
                 future.onIOPub = message => {
                   if (message.header.msg_type === 'stream') text += message.content.text;
                   if (message.header.msg_type === 'error') text += message.content.traceback.join('\\n');
                 };
                 await future.done;
                 return text;
               }""",
            code,
        )
        try:
            return json.loads(text)
        except ValueError:
            return text

    def value(self, expression):
        return self.kernel(f"import json; print(json.dumps({expression}))")

    def cells(self):
        return self.page.evaluate(
            "() => window.jupyterapp.shell.currentWidget.content.widgets.map(w => w.model.sharedModel.getSource())"
        )

    def locator(self, selector, **options):
        return self.page.locator(f".gc3store-browser {selector}", **options)


@pytest.fixture(scope="session")
def lab_server(tmp_path_factory):
    if not has("jupyter-lab"):
        missing("jupyterlab")
    command = ["-m", "jupyterlab", *JUPYTER, "--LabApp.expose_app_in_browser=True"]
    server = Server(tmp_path_factory.mktemp("lab"), command)
    yield server
    server.close()


@pytest.fixture(scope="session")
def lab_page(chromium, lab_server):
    context = chromium.new_context(viewport={"width": 1280, "height": 900})
    context.set_default_timeout(PATIENCE * 1000)
    page = Page(context.new_page(), lab_server, "lab").open("browser")
    yield page
    context.close()


@pytest.fixture(scope="session")
def screenshot(request):
    """Take a picture of a browser, if pictures are wanted."""
    where = request.config.getoption("--screenshots")

    def take(front, name):
        if where:
            Path(where).mkdir(parents=True, exist_ok=True)
            time.sleep(0.4)
            front.page.locator(".gc3store-browser").first.screenshot(path=f"{where}/{name}.png")

    return take
