"""The manual as a reader meets it: built strictly, then opened in a browser that reaches no host but this one."""

from __future__ import annotations

import functools
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.wait import WebDriverWait

from upfml.report.manual import run

ROOT = Path(__file__).resolve().parents[2]


def pages(nav: list[Any]) -> Iterator[str]:
    """The Markdown files of a navigation, in its order."""
    for item in nav:
        for below in item.values():
            yield from pages(below) if isinstance(below, list) else [below]


NAV = list(pages(yaml.load((ROOT / "mkdocs.yml").read_text(), yaml.BaseLoader)["nav"]))


class Quiet(SimpleHTTPRequestHandler):
    """Serves files and says nothing."""

    def log_message(self, *_: Any) -> None:
        """No line for each request."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual, built as by `make docs`: a broken link or a page outside the navigation is an error."""
    folder = tmp_path_factory.mktemp("site")
    built = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", folder],
        cwd=ROOT,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert built.returncode == 0, built.stderr
    return folder


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    """Where the site is served on loopback."""
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=site)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


@pytest.fixture(scope="module")
def browser() -> Iterator[Chrome]:
    """Headless Chromium that keeps a record of its console and of every request."""
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1300,900"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with Chrome(options, Service("/usr/bin/chromedriver")) as browser:
        yield browser


def requested(browser: Chrome) -> set[str]:
    """Hosts that pages have asked for something since the last call."""
    events = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    urls = [event["params"]["request"]["url"] for event in events if event["method"] == "Network.requestWillBeSent"]
    return {urlsplit(url).netloc for url in urls if url.startswith("http")}


def open_page(browser: Chrome, url: str) -> None:
    browser.get(url)
    WebDriverWait(browser, 10).until(lambda page: page.execute_script("return document.readyState") == "complete")


@pytest.mark.parametrize("page", NAV)
def test_page_opens_with_its_pictures_and_asks_no_other_host(browser: Chrome, address: str, page: str) -> None:
    open_page(browser, f"{address}/{page.removesuffix('.md')}.html")
    assert browser.find_element(By.CSS_SELECTOR, "article h1").text
    for image in browser.find_elements(By.CSS_SELECTOR, "article img"):
        assert image.get_property("naturalWidth"), image.get_attribute("src")
        assert image.get_attribute("alt")
    assert browser.get_log("browser") == []
    assert requested(browser) == {urlsplit(address).netloc}


def test_nothing_generated_is_missing(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert "<!-- generated" not in page.read_text(), page


def test_a_finished_run_fills_the_pages(finished: Path) -> None:
    _, wanting = run.texts(finished / "results")
    of_other_commands = {"inference", "path", "delivery", "saturation", "lock", "kernels"}
    of_arms_left_out = {name for name, why in wanting.items() if "nothing of arm" in why}
    assert set(wanting) == of_other_commands | of_arms_left_out


@pytest.mark.parametrize("width", [400, 1300])
def test_no_page_is_wider_than_the_window(browser: Chrome, address: str, width: int) -> None:
    browser.set_window_size(width, 900)
    for page in NAV:
        open_page(browser, f"{address}/{page.removesuffix('.md')}.html")
        wide, room = browser.execute_script("return [document.body.scrollWidth, window.innerWidth]")
        assert wide <= room, page


@pytest.mark.parametrize(
    ("words", "found"),
    [("flow key", "Architecture"), ("half_width_cpu_points", "Configuration"), ("TEID", "standards")],
)
def test_search_finds(browser: Chrome, address: str, words: str, found: str) -> None:
    browser.set_window_size(1300, 900)
    open_page(browser, f"{address}/index.html")
    field = browser.find_element(By.CSS_SELECTOR, "input.md-search__input")
    field.click()
    field.send_keys(words)
    titles = ".md-search-result__article h1, .md-search-result__article h2"
    WebDriverWait(browser, 10).until(
        lambda page: any(found in title.text for title in page.find_elements(By.CSS_SELECTOR, titles))
    )
    assert requested(browser) == {urlsplit(address).netloc}
