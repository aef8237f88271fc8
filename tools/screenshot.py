"""Take a picture of a page in headless Chromium.

Needs `chromium` and `chromedriver` (Debian: chromium, chromium-driver).

Example:
    python tools/screenshot.py work_dirs/digits/report.html docs/report.png
"""

import argparse
import shutil
import sys
from pathlib import Path

from selenium.webdriver import Chrome, ChromeOptions, ChromeService


def open_browser() -> Chrome:
    """Start a headless browser without access to a network.

    Returns:
        The browser; whoever opens it must quit it.

    Raises:
        FileNotFoundError: If the browser or its driver is not installed.
    """
    browser, driver = map(shutil.which, ('chromium', 'chromedriver'))
    if not (browser and driver):
        raise FileNotFoundError(
            'chromium and chromedriver not found: install them (Debian: apt '
            'install chromium chromium-driver)'
        )
    options = ChromeOptions()
    options.binary_location = browser
    for argument in (
        '--headless=new',
        '--no-sandbox',  # Chromium has none for root, as in a container.
        '--disable-dev-shm-usage',  # Containers have a small /dev/shm.
        '--hide-scrollbars',
        '--proxy-server=127.0.0.1:9',  # Nothing listens there.
    ):
        options.add_argument(argument)
    options.set_capability(
        'goog:loggingPrefs', dict(browser='ALL', performance='ALL')
    )
    return Chrome(options=options, service=ChromeService(driver))


def open_page(
    browser: Chrome, page: Path, width: int, height: int, scheme: str
) -> None:
    """Open a page from disk.

    Args:
        browser: The browser that opens the page.
        page: The HTML file.
        width: The width of the page's area in the window, in CSS pixels.
        height: The height of that area, in CSS pixels.
        scheme: The color scheme, `light` or `dark`.
    """
    # Unlike the size of the window, this is that of the page itself.
    browser.execute_cdp_cmd(
        'Emulation.setDeviceMetricsOverride',
        dict(width=width, height=height, deviceScaleFactor=1, mobile=False),
    )
    feature = dict(name='prefers-color-scheme', value=scheme)
    browser.execute_cdp_cmd(
        'Emulation.setEmulatedMedia', dict(features=[feature])
    )
    browser.get(page.resolve().as_uri())


def parse_args() -> argparse.Namespace:
    """Read the command line.

    Returns:
        The arguments. What is wrong ends the process with exit code 2.
    """
    parser = argparse.ArgumentParser(
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add('page', type=Path, help='the HTML file')
    add('out', type=Path, help='the PNG file to write')
    for name, default in (('width', 1280), ('height', 900)):
        add(
            f'--{name}',
            type=int,
            default=default,
            metavar='PIXELS',
            help=f'the {name} of the picture (default: {default})',
        )
    add(
        '--scheme',
        choices=['light', 'dark'],
        default='light',
        help='the color scheme (default: light)',
    )
    return parser.parse_args()


def main() -> None:
    """Take the picture, and print where it is."""
    args = parse_args()
    if not args.page.is_file():
        sys.exit(f'error: page not found: {args.page}')
    if args.out.exists() and args.out.samefile(args.page):
        sys.exit(f'error: {args.out} is the page: name another file to write')
    try:
        with open_browser() as browser:
            open_page(browser, args.page, args.width, args.height, args.scheme)
            # `save_screenshot` only warns if the file cannot be written.
            args.out.write_bytes(browser.get_screenshot_as_png())
    except OSError as error:
        sys.exit(f'error: {error}')
    print(f'written: {args.out}')


if __name__ == '__main__':
    main()
