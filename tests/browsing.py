"""What the tests do to a page in a browser."""

from pathlib import Path

from builders import load_tool
from selenium.webdriver.common.by import By

SHOW = load_tool('screenshot').open_page


def opened(browser, file: Path, width: int = 1280, scheme: str = 'light'):
    for log in ('browser', 'performance'):
        browser.get_log(log)
    SHOW(browser, file, width, 900, scheme)
    return browser


def find(page, selector: str):
    return page.find_element(By.CSS_SELECTOR, selector)


def texts(page, selector: str) -> list[str]:
    return page.execute_script(
        """return [...document.querySelectorAll(arguments[0])]
            .map(e => e.textContent)""",
        selector,
    )


def settle(page) -> None:
    """Wait until what was asked for is drawn."""
    page.execute_async_script(
        'requestAnimationFrame(() => requestAnimationFrame(arguments[0]))'
    )


def move(page, slider: str, value: int) -> None:
    page.execute_script(
        """const range = document.getElementById(arguments[0]);
        range.value = arguments[1];
        range.dispatchEvent(new Event('input', {bubbles: true}));""",
        slider,
        value,
    )
    settle(page)
