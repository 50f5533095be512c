"""The page of a run: everything on it, hostile names as text, and readable at phone width in a real browser."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from etude.evaluation.importance import Importance
from etude.report.run_report import RunReport, html, lines
from etude.report.test_figures import curves, importance
from etude.verdicts import Verdict

HOSTILE = [
    "<script>alert(1)</script>",
    "\"><img src=x onerror='alert(1)'>",
    "' onmouseover='alert(1)",
    "{{ 7 * 7 }}{% raw %}",
    "</style></dl><svg onload=alert(1)>",
    "\x00\x1b[31m\u202e",
    "a" * 5_000,
]
CHROMIUM = Path("/usr/bin/chromium")


def report(names: list[str]) -> RunReport:
    part = {"rows": 30, "score": 0.5, "low": 0.3, "high": 0.7, "rest": 0.9, "p": 0.01}
    metrics = {"test/accuracy": 0.9, "test/accuracy_low": 0.8, "test/accuracy_high": 0.95, "test/score": 0.9}
    detail = {
        "rows": 100,
        "score": "accuracy",
        "metrics": metrics | {f"test/f1_of_{name}": 0.5 for name in names},
        "baseline": {"baseline/accuracy": 0.4},
        "baseline_kind": "majority class",
        "rivals": {"baseline_linear/accuracy": 0.85},
        "gains": [{"rival": "linear", "name": "logistic regression", "rivals_score": 0.85, "gain": 0.05,
                   "low": 0.01, "high": 0.09}],
        "slices": [part | {"column": name, "part": name} for name in names],
    }  # fmt: skip
    found = [Importance(name, 0.2, 0.1, 0.3) for name in names]
    shares = np.random.Generator(np.random.PCG64(0)).dirichlet(np.ones(2), 50)
    pictures = {"What matters": importance(found, "log loss"),
                "ROC, precision-recall and reliability": curves(["a", "b"], np.arange(50) % 2, shares)}  # fmt: skip
    verdicts = [Verdict("baselines", "better", f"Better, says {name}", {}) for name in names]
    facts = {"Data": [("source", name) for name in names]}
    return RunReport(names[0], "run", names[0], verdicts, names, facts, detail, {"validation/best_accuracy": 0.91},
                     found, pictures, ("etude rerun run",))  # fmt: skip


class Page(HTMLParser):
    """Every tag with its attributes' names, and the visible text."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: set[tuple[str, str]] = set()
        self.words: list[str] = []
        self.feed(page.decode())

    def handle_starttag(self, tag, attrs):
        self.tags |= {(tag, name) for name, _ in attrs} | {(tag, "")}

    def handle_data(self, data):
        self.words.append(data)


def test_hostile_names_are_text_and_nothing_else() -> None:
    plain, page = Page(html(report(["town"]))), html(report(HOSTILE))
    hostile = Page(page)
    assert hostile.tags == plain.tags
    text = " ".join(hostile.words)
    assert HOSTILE[0] in text
    assert HOSTILE[3] in text
    assert r"\x00\x1b[31m\u202e" in text
    assert b"\x00" not in page
    assert "a" * 300 not in text
    assert len(page) < 2_000_000


def test_a_metric_stands_beside_its_interval_and_the_plain_models() -> None:
    first = lines(report(["town"]))[0]
    assert (first.name, first.validation, first.test, first.interval) == (
        "accuracy", "0.9100", "0.9000", "0.8000 to 0.9500",
    )  # fmt: skip
    assert first.others == ("0.4000", "0.8500")
    text = " ".join(Page(html(report(["town"]))).words)
    for heading in (
        "Verdicts",
        "Data",
        "Learning curve",
        "Test",
        "Gain over plain models",
        "Slices",
        "Again",
    ):
        assert heading in text


@pytest.mark.services
@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_browser_shows_it_without_scrolling_aside_and_without_errors(
    tmp_path: Path, width: int, scheme: str
) -> None:
    playwright = pytest.importorskip("playwright.sync_api")
    if not CHROMIUM.exists():
        pytest.skip("no Chromium")
    (tmp_path / "report.html").write_bytes(html(report(HOSTILE)))
    said: list[str] = []
    with playwright.sync_playwright() as started:
        browser = started.chromium.launch(executable_path=str(CHROMIUM), args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
        page.on("console", lambda message: said.append(message.text))
        page.on("dialog", lambda dialog: said.append("a script ran"))
        page.goto((tmp_path / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("[...document.images].every(i => i.naturalWidth > 0)")
        browser.close()
    assert said == []
