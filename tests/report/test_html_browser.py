"""The page in a real Chromium, which ESF_CHROMIUM or PATH names."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from earthsynth_factory.report.html.write import render_report
from tests.report.subjects import IMAGE, SCRIPT, hostile_subject

pytestmark = pytest.mark.slow

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome", "headless_shell")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    found = os.environ.get("ESF_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)
    if not found:
        pytest.skip("no Chromium: set ESF_CHROMIUM to one")
    driver = pytest.importorskip("playwright.sync_api", reason="playwright drives it: pip install -e '.[browser]'")
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("report") / "index.html"
    file.write_bytes(render_report(hostile_subject()))
    return Path(file).as_uri()


@pytest.fixture
def opened(browser: Any, address: str) -> Iterator[Any]:
    """Opens the page in a window; no message, no request and no dialog may come of it."""
    heard: list[str] = []
    contexts = []

    def call(width: int = 1280, scheme: str = "light", anchor: str = "", script: bool = True) -> Any:
        context = browser.new_context(
            viewport={"width": width, "height": 800}, color_scheme=scheme, java_script_enabled=script
        )
        contexts.append(context)
        page = context.new_page()
        page.on("console", lambda message: heard.append(message.text))
        page.on("pageerror", lambda error: heard.append(str(error)))
        page.on("dialog", lambda dialog: (heard.append(dialog.message), dialog.dismiss()))
        page.on(
            "request", lambda request: None if request.url.startswith(("file:", "data:")) else heard.append(request.url)
        )
        page.goto(address + anchor)
        return page

    yield call
    for context in contexts:
        context.close()
    assert heard == []


def visible(page: Any, selector: str) -> int:
    return int(
        page.evaluate("s => [...document.querySelectorAll(s)].filter(e => e.checkVisibility()).length", selector)
    )


def test_every_picture_loads_and_nothing_of_the_data_runs(opened: Any) -> None:
    page = opened()
    widths = page.eval_on_selector_all("img", "all => all.map(one => [one.complete, one.naturalWidth])")
    assert len(widths) > 60 and all(complete and width > 0 for complete, width in widths)
    assert page.title() == f"{SCRIPT} · earthsynth-factory"


def test_tabs_show_one_part_and_answer_to_keys(opened: Any) -> None:
    page = opened()
    tabs = page.locator("[role=tab]")
    for number in range(tabs.count()):
        tabs.nth(number).click()
        assert visible(page, "[role=tabpanel]") == 1
        panel = tabs.nth(number).get_attribute("aria-controls")
        assert page.locator(f"#{panel}").is_visible()
        assert tabs.nth(number).get_attribute("aria-selected") == "true"
    page.keyboard.press("ArrowRight")
    assert page.locator("#overview").is_visible()
    page.keyboard.press("End")
    assert page.locator("#making").is_visible()
    assert opened(anchor="#scores").locator("#scores").is_visible()


def test_filters_leave_what_fits(opened: Any) -> None:
    page = opened(anchor="#pictures")
    everything = visible(page, "#pictures .card")
    page.select_option("#by-class", "1")
    assert 0 < visible(page, "#pictures .card") < everything
    assert set(
        page.eval_on_selector_all("#pictures li:not([hidden]) .card", "all => all.map(c => c.dataset.class)")
    ) == {"1"}
    assert page.locator("#shown").text_content() == f"{visible(page, '#pictures .card')} pictures"
    page.select_option("#by-verdict", "rejected")
    page.select_option("#by-split", "train")
    assert not page.locator("#pictures .group[data-verdict=kept]").is_visible()
    page.select_option("#by-why", SCRIPT[:60])
    assert visible(page, "#pictures .card") > 0
    page.select_option("#by-split", IMAGE)
    assert visible(page, "#pictures .card") == 0 and page.locator("#pictures .none").is_visible()
    page.select_option("#by-class", "2")
    page.click("#tab-objects")
    assert visible(page, "#objects .choice") == 1
    assert page.locator("#objects .choice:visible").get_attribute("data-class") == "2"


def test_a_number_among_the_reasons_leads_to_its_pictures(opened: Any) -> None:
    page = opened(anchor="#reasons")
    button = page.locator(".go").first
    chosen = (button.get_attribute("data-class"), button.get_attribute("data-why"))
    button.click()
    assert page.locator("#pictures").is_visible()
    assert (page.input_value("#by-class"), page.input_value("#by-why")) == chosen
    assert visible(page, "#pictures .card") > 0


def test_a_picture_opens_steps_and_closes_by_keyboard(opened: Any) -> None:
    page = opened(anchor="#pictures")
    card = page.locator(".card").first
    card.focus()
    page.keyboard.press("Enter")
    assert page.locator("#detail").is_visible()
    first = page.locator("#detail-facts").text_content()
    assert "condition seed" in first and page.locator("#detail-scores tbody tr").count() == 2
    assert page.locator("#detail-again code").text_content().startswith("make '0")  # the name is quoted
    assert page.eval_on_selector("#detail-picture img", "one => one.naturalWidth") > 0
    page.keyboard.press("ArrowRight")
    assert page.locator("#detail-facts").text_content() != first
    page.keyboard.press("ArrowLeft")
    assert page.locator("#detail-facts").text_content() == first
    page.keyboard.press("Escape")
    assert not page.locator("#detail").is_visible()
    assert page.evaluate("document.activeElement.className") == "card"


def test_pictures_come_raw_and_masks_can_be_laid_over_them(opened: Any) -> None:
    page = opened(anchor="#pictures")
    assert visible(page, ".layer") == 0
    page.check("#labels")
    assert visible(page, ".layer") > 0


def test_a_phone_never_scrolls_sideways(opened: Any) -> None:
    page = opened(width=390)
    for tab in page.locator("[role=tab]").all():
        tab.click()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, tab.text_content()
    page.click("#tab-pictures")
    page.locator(".card").first.click()
    assert page.evaluate("document.querySelector('#detail').scrollWidth") <= 390


def test_the_dark_is_dark(opened: Any) -> None:
    def light(page: Any) -> float:
        color = page.evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(float(part) for part in color.strip("rgb()").split(",")) / 3

    assert light(opened(scheme="light")) > 200
    assert light(opened(scheme="dark")) < 50


def test_without_a_script_everything_is_there(opened: Any) -> None:
    page = opened(script=False)
    for name in ("overview", "pictures", "reasons", "scores", "objects", "duplicates", "making"):
        assert page.locator(f"#{name}").is_visible()
