"""The report of a finished run as a person meets it: one file, opened in a browser that has no network."""

from __future__ import annotations

import json
import shutil
from collections.abc import Collection, Iterator
from pathlib import Path

import pytest
from selenium.common.exceptions import WebDriverException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

FIGURES = {
    "2. Traffic": 1,
    "3. Classification": 4,
    "4. Cost": 2,
    "5. Load": 3,
    "6. Model size": 1,
    "7. Exactness": 1,
}
"""How many figures each category of figures has. What a run of `all` has not made (8. Benchmark) is not there."""
PAGES = {"1. The answer": 4, "9. Provenance": 3}


@pytest.fixture(scope="module")
def alone(report: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report in a folder where nothing else is that it could fetch."""
    return shutil.copy(report, tmp_path_factory.mktemp("elsewhere") / "report.html")


@pytest.fixture(scope="module")
def browser(alone: Path) -> Iterator[Chrome]:
    """Headless Chromium with the report open, as from a double click."""
    options = ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1500,950"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    with Chrome(options, Service("/usr/bin/chromedriver")) as browser:
        browser.get(alone.as_uri())
        yield browser


IMAGE, FRAME = "//img[starts-with(@src, 'data:image/png')]", "//iframe"
"""What the report shows a figure, and a page or a figure to print, in."""


def press(browser: Chrome, button: WebElement | str, shown: str, besides: Collection[str] = ()) -> WebElement:
    """Click until what the button shows is there, with another source than those `besides`.

    The page styles itself after it was drawn: a click in between meets what has moved meanwhile.
    """

    def effect(page: Chrome) -> WebElement | None:
        for element in page.find_elements(By.XPATH, shown):
            if element.get_attribute("src") not in besides:
                return element
        (page.find_element(By.XPATH, button) if isinstance(button, str) else button).click()
        return None

    return WebDriverWait(browser, 30, 0.1, [WebDriverException]).until(effect)


def wait(browser: Chrome, xpath: str) -> WebElement:
    return WebDriverWait(browser, 10).until(lambda page: page.find_element(By.XPATH, xpath))


def menu(browser: Chrome) -> list[str]:
    """Go to the menu; the categories of results, as they stand there."""
    press(browser, "//nav//li[1]/a", "//a[span[text()='Workflow']]")  # the house
    return [item.text for item in browser.find_elements(By.XPATH, "//li/a/span") if item.text[:1].isdigit()]


def open_category(browser: Chrome, category: str) -> list[WebElement]:
    """The buttons (an eye each) that show the category's results."""
    menu(browser)
    press(browser, f"//a[span[text()='{category}']]", "//tbody/tr")
    return browser.find_elements(By.XPATH, "//tbody/tr/td[last()]//a[1]")


def test_it_opens_on_what_was_asked_and_found(browser: Chrome, finished: Path) -> None:
    page = wait(browser, "//main|//div[contains(@class, 'prose')]")
    assert browser.find_element(By.CSS_SELECTOR, ".prose h1").rect["y"] >= 0, "cut off at the top"
    for words in ("What was asked", "What was found", "How sure", "The kernel needs less CPU", "How to read on"):
        assert words in page.text
    written = (finished / "results/first_page.rst").read_text()
    assert page.text.count("confirmed.") == written.count("confirmed.**")


def test_the_story_has_its_order(browser: Chrome) -> None:
    assert menu(browser) == sorted([*FIGURES, *PAGES])


@pytest.mark.parametrize("category", FIGURES)
def test_every_figure_is_shown_once_and_to_print(browser: Chrome, category: str) -> None:
    buttons = open_category(browser, category)
    assert len(buttons) == FIGURES[category]
    seen: set[str] = set()
    for button in buttons:
        image = press(browser, button, IMAGE, seen)
        WebDriverWait(browser, 10).until(lambda page, image=image: image.get_property("naturalWidth"))
        seen.add(image.get_attribute("src"))
        assert image.rect["width"] <= 1500
    assert len(seen) == len(buttons)
    printed = press(browser, "//label[contains(., 'print (PDF)')]", FRAME)
    assert printed.get_attribute("src").startswith("data:application/pdf")


@pytest.mark.parametrize("category", PAGES)
def test_every_page_is_a_page_with_tables(browser: Chrome, category: str) -> None:
    buttons = open_category(browser, category)
    assert len(buttons) == PAGES[category]
    seen: set[str] = set()
    for button in buttons:
        frame = press(browser, button, FRAME, seen)
        seen.add(frame.get_attribute("src"))
        browser.switch_to.frame(frame)
        assert len(wait(browser, "//table").text) > 100
        browser.switch_to.default_content()


def test_every_result_has_a_caption(browser: Chrome) -> None:
    captions = browser.execute_script("return Object.entries(results).map(([path, result]) => [path, result.caption])")
    assert [path for path, caption in captions if len(caption) < 100] == []


def test_nothing_went_wrong_and_nothing_was_fetched(browser: Chrome, alone: Path) -> None:
    """Last, after all that was clicked."""
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = {m["params"]["request"]["url"] for m in messages if m["method"] == "Network.requestWillBeSent"}
    assert alone.as_uri() in asked
    assert [url for url in asked if not url.startswith(("file:", "data:", "blob:", "chrome-extension:"))] == []
    assert [url for url in asked if url.startswith("file:") and url != alone.as_uri()] == []
