"""Look at the built site with a real browser: `make docs-check`.

Every page is opened in headless Chromium at the width of a desk and of a phone. What must hold: no error on the console, no
request to another machine, every formula set, every link and picture leads somewhere, nothing sticks out to the right,
search finds, the dark theme is dark. Screenshots of some pages go to docs/build/screenshots: light, dark, phone.
"""

from __future__ import annotations

import contextlib
import functools
import http.server
import os
import re
import shutil
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

BUILD = Path(__file__).parent / "build"
DESK, PHONE = {"width": 1400, "height": 950}, {"width": 390, "height": 844}
PICTURED = ("index", "operations", "benchmarks", "reference/minigrad.nn", "reference/minigrad.Tensor", "guides/", "lessons/")
BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

LOOK = """() => ({
    links: [...document.querySelectorAll('a[href], link[href]')].map(a => a.getAttribute('href')),
    files: [...document.querySelectorAll('img[src], script[src]')].map(i => i.getAttribute('src')),
    ids: [...document.querySelectorAll('[id]')].map(e => e.id),
    broken: [...document.images].filter(i => i.complete && !i.naturalWidth && i.loading !== 'lazy').map(i => i.src),
    pictures: document.querySelectorAll('.cell_output img').length,
    formulas: document.querySelectorAll('.math').length,
    set: document.querySelectorAll('.math mjx-container').length,
    bad: document.querySelectorAll('mjx-merror').length,
    raw: (document.querySelector('article') || document.body).innerText.match(/\\$\\$|\\\\\\(|\\\\frac|:py:|\\{ref\\}/g) || [],
})"""
WIDE = """() => {
    const room = document.documentElement.clientWidth;
    if (document.documentElement.scrollWidth <= room + 1) return '';
    const inside = e => e && (/auto|scroll|hidden/.test(getComputedStyle(e).overflowX) || inside(e.parentElement));
    const all = [...document.querySelectorAll('main *')].filter(
        e => e.getBoundingClientRect().right > room + 1 && !inside(e.parentElement));
    return `${document.documentElement.scrollWidth} > ${room}: ` + (all[0] || document.body).outerHTML.slice(0, 120);
}"""


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args: Any) -> None:
        pass


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """The address at which a folder can be read."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(folder)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/"
    finally:
        server.shutdown()


class Visit:
    """A browser at work on the site, and what it found wrong."""

    def __init__(self, browser: Any, base: str) -> None:
        self.browser, self.base = browser, base
        self.problems: list[str] = []
        self.page_name = ""
        self.formulas = 0
        self.desk, self.phone = self._page(DESK), self._page(PHONE)
        self.seen: dict[str, dict] = {}

    def _page(self, size: dict) -> Any:
        page = self.browser.new_page(viewport=size)
        page.route("**/*", self._only_here)
        page.on("console", lambda m: m.type in ("error", "warning") and self.problem(f"console: {m.text}"))
        page.on("pageerror", lambda e: self.problem(f"script: {e}"))
        page.on("response", lambda r: r.status >= 400 and self.problem(f"{r.status} for {r.url}"))
        return page

    def _only_here(self, route: Any) -> None:
        if route.request.url.startswith((self.base, "data:", "blob:")):
            route.continue_()
        else:
            self.problem(f"asks another machine for {route.request.url}")
            route.abort()

    def problem(self, text: str) -> None:
        self.problems.append(f"{self.page_name}: {text}")

    def open(self, name: str, page: Any = None) -> Any:
        page, self.page_name = page or self.desk, name
        page.goto(self.base + name, wait_until="load")
        page.evaluate("() => window.MathJax && MathJax.startup && MathJax.startup.promise")
        return page

    def read(self, name: str) -> None:
        """Check what stands on one page, at both widths."""
        found = self.open(name).evaluate(LOOK)
        self.seen[name] = found
        self.formulas += found["formulas"]
        if found["set"] < found["formulas"] or found["bad"]:
            self.problem(f"{found['formulas']} formulas, {found['set']} set, {found['bad']} with errors")
        if re.search(r"lessons/\d\d_", name) and not found["pictures"]:
            self.problem("a lesson without pictures")
        for what in ("broken", "raw"):
            if found[what]:
                self.problem(f"{what}: {found[what][:3]}")
        if wide := self.open(name, self.phone).evaluate(WIDE):
            self.problem(f"wider than a phone: {wide}")

    def follow(self) -> int:
        """Check that all links within the site lead somewhere; how many there are."""
        count = 0
        for name, found in self.seen.items():
            self.page_name = name
            for link in dict.fromkeys(found["links"] + found["files"]):
                address, anchor = urldefrag(urljoin(self.base + name, link))
                if not address.startswith(self.base):
                    continue
                count += 1
                target = unquote(address[len(self.base) :].partition("?")[0]) or "index.html"
                if not (BUILD / "html" / target).is_file():
                    self.problem(f"link to {target}, which is not there")
                elif anchor and target in self.seen and unquote(anchor) not in self.seen[target]["ids"]:
                    self.problem(f"link to #{anchor} of {target}, which is not there")
        return count

    def search(self, words: str) -> None:
        from playwright.sync_api import TimeoutError as NothingFound

        page = self.open(f"search.html?q={words}")
        try:
            page.wait_for_selector("#search-results li a", timeout=10_000)
        except NothingFound:
            self.problem(f"search finds nothing for {words!r}")

    def picture(self, name: str, folder: Path) -> None:
        """Screenshots of a page, and whether the dark theme is dark."""
        stem = name.removesuffix(".html").replace("/", "-")
        for theme, page in (("light", self.desk), ("dark", self.desk), ("phone", self.phone)):
            self.open(name, page)
            mode = "dark" if theme == "dark" else "light"
            page.evaluate("m => { Object.assign(document.documentElement.dataset, {theme: m, mode: m}) }", mode)
            page.wait_for_timeout(300)
            color = page.evaluate("() => getComputedStyle(document.body).backgroundColor")
            red, green, blue = map(float, re.findall(r"[\d.]+", color)[:3])
            if (red + green + blue < 384) != (mode == "dark"):
                self.problem(f"the {mode} theme has the background {color}")
            height = page.evaluate("() => Math.min(document.documentElement.scrollHeight, 12000)")
            before = page.viewport_size
            page.set_viewport_size({"width": before["width"], "height": height})
            page.screenshot(path=folder / f"{stem}.{theme}.png")
            page.set_viewport_size(before)


def main(patterns: list[str]) -> int:
    """Check the site.

    Args:
        patterns: parts of the names of pages; all pages if empty.

    Returns:
        The exit code.
    """
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        print("docs-check drives a browser by playwright, which is missing: pip install 'minigrad[docs]'", file=sys.stderr)
        return 1
    html = BUILD / "html"
    if not (html / "index.html").exists():
        print("there is no site yet: make docs", file=sys.stderr)
        return 1
    names = sorted(p.relative_to(html).as_posix() for p in html.rglob("*.html") if "_static" not in p.parts)
    names = [n for n in names if n not in ("search.html", "genindex.html", "py-modindex.html")]
    chosen = [n for n in names if not patterns or any(p in n for p in patterns)]
    shots = BUILD / "screenshots"
    shots.mkdir(exist_ok=True)
    executable = os.environ.get("BROWSER_PATH") or next(filter(None, map(shutil.which, BROWSERS)), None)
    with sync_playwright() as playwright, served(html) as base:
        try:
            browser = playwright.chromium.launch(executable_path=executable, args=["--no-sandbox"])
        except Exception as error:
            print(f"no browser: apt install chromium, or set BROWSER_PATH ({str(error).splitlines()[0]})", file=sys.stderr)
            return 1
        visit = Visit(browser, base)
        for name in chosen:
            visit.read(name)
        links = visit.follow()
        if not patterns:
            for words in ("softmax", "attention"):
                visit.search(words)
        for name in chosen:
            if patterns or any(part in name for part in PICTURED):
                visit.picture(name, shots)
        browser.close()
    for problem in dict.fromkeys(visit.problems):
        print(problem)
    print(f"{len(chosen)} pages, {links} links, {visit.formulas} formulas: {len(visit.problems)} problems; pictures in {shots}")
    return 1 if visit.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
