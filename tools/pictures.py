"""The two pictures that README.md opens with, made anew: a report out of an archive of results, and the page in the middle of a game.

    python tools/pictures.py          # needs Chromium

A headless browser takes them; they are small, so that the first page stays quick.
"""

from __future__ import annotations

import io
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, Page, sync_playwright

from lmrl_benchmarks.reporting.report import write_report
from lmrl_benchmarks.reporting.submission import run_folder

ROOT = Path(__file__).parents[1]
OUT = ROOT / "docs" / "pictures"
WIDTH, HEIGHT = 1200, 860
WORDS = ("train", "light", "house")


def report(browser: Browser) -> None:
    """The head of the report of the newest results on Text-Nav."""
    archive = sorted((ROOT / "benchmarks" / "results").glob("learning-text-nav-*.tar.xz"))[-1]
    with run_folder(archive) as folder, tempfile.TemporaryDirectory() as scratch:
        html = write_report(folder, Path(scratch) / "report.html")
        page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(html.as_uri())
        _keep(page, "report")


def game(browser: Browser) -> None:
    """Wordle after three guesses."""
    command = [
        sys.executable,
        "-m",
        "lmrl_benchmarks",
        "serve",
        "--port",
        "0",
        "--no-record",
        "--env",
        "lmrl/Wordle-v0",
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as server:  # noqa: S603
        try:
            assert server.stdout is not None
            found = next(match for line in server.stdout if (match := re.search(r"http://\S+", line)))
            page = browser.new_page(viewport={"width": WIDTH, "height": HEIGHT})
            page.goto(found[0])
            page.get_by_label("Seed of the next game").fill("3")
            page.locator("[data-mode=practice]").first.click()
            page.locator(".game").wait_for()
            for turn, word in enumerate(WORDS, 1):
                page.keyboard.type(word)
                page.keyboard.press("Enter")
                page.wait_for_function(
                    "turn => document.querySelectorAll('.log .mine').length === turn && !document.querySelector('.game[aria-busy]')",
                    arg=turn,
                )
            _keep(page, "page")
        finally:
            server.terminate()


def _keep(page: Page, name: str) -> None:
    picture = Image.open(io.BytesIO(page.screenshot())).convert("RGB").resize((WIDTH * 2 // 3, HEIGHT * 2 // 3))
    picture.save(OUT / f"{name}.webp", quality=70, method=6)
    print(f"{OUT / name}.webp: {(OUT / f'{name}.webp').stat().st_size:,} bytes")


def main() -> None:
    """Make both."""
    OUT.mkdir(exist_ok=True)
    path = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    if path is None:
        sys.exit("no Chromium is installed: apt-get install chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        report(browser)
        game(browser)
        browser.close()


if __name__ == "__main__":
    main()
