"""Every page: accessible, in both languages, in any width and scheme, and strict in what it lets in."""

from __future__ import annotations

import http.client
import json
from typing import Any
from urllib.parse import urlsplit

import pytest

from . import pages
from .axe import violations
from .conftest import run_console

PAGES = ("", "watch", "understand", "care")


def wait_for_cards(page: Any) -> None:
    page.wait_for_selector("#cards .card table, #snapshots table")


@pytest.mark.parametrize(
    ("scheme", "width", "language"),
    [("light", 360, "en"), ("dark", 360, "zh"), ("light", 1920, "zh"), ("dark", 1920, "en")],
)
def test_no_page_has_violations_or_is_wider_than_the_window(
    browser: Any, url: str, scheme: str, width: int, language: str
) -> None:
    view = {"color_scheme": scheme, "viewport": {"width": width, "height": 800}}
    with pages.opened(browser, f"{url}?lang={language}", **view) as page:
        for name in PAGES:
            if name:
                page.goto(f"{url}{name}?lang={language}")
                wait_for_cards(page)
            else:
                assert violations(page) == []
                pages.ask(page, "weighted", "viewer-001")
                page.check("#beside")
                page.click("#weights summary")
                page.locator("#b li .more").first.click()
                pages.weigh(page, {"gaps": 0.9})
            assert violations(page) == []
            assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")
            assert page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches") == (scheme == "dark")


def test_the_skip_link_is_the_first_that_the_keyboard_meets(browser: Any, url: str) -> None:
    with pages.opened(browser, url) as page:
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"


def test_chinese_by_address_or_by_the_browsers_language(browser: Any, url: str) -> None:
    with pages.opened(browser, url, locale="zh-CN") as page:
        assert page.get_attribute("html", "lang") == "zh-Hans"
        assert page.inner_text("h1") == "试用"
        pages.press(page, "weighted", "")
        page.wait_for_selector("#problem .problem")
        assert "请输入用户、点击或画像。" in page.inner_text("#problem")
        pages.ask(page, "weighted", "viewer-001")
        assert "个候选" in page.inner_text("#facts")
        page.click("text=English")
        assert page.inner_text("h1") == "Try"
        # the choice is kept from page to page
        page.click("nav >> text=Watch")
        assert page.inner_text("h1") == "Watch"


def test_watch_shows_health_shares_versions_and_what_failed(browser: Any, url: str, client: Any) -> None:
    client.recommend("weighted", "viewer-001", timeout=10)
    client.recommend("ill", "viewer-001", timeout=10)
    with pages.opened(browser, f"{url}watch", ready=False) as page:
        # the console looks at the figures every few seconds
        page.wait_for_selector("tr:has(th:text-is('ill')) >> text=/error [1-9]/", timeout=60_000)
        page.wait_for_selector("svg.lines", timeout=60_000)
        assert page.locator("tr:has(th:text-is('weighted'))", has_text="serving").count() == 1
        assert page.locator(".shown:has-text('weighted') .legend li").count() == 3
        snapshot = client.recommend("weighted", "viewer-001", timeout=10).snapshot_version
        assert snapshot in page.inner_text("#cards")


def test_watch_without_figures_says_how_to_have_them(browser: Any, server: Any) -> None:
    with (
        run_console("--address", server.address) as url,
        pages.opened(browser, f"{url}watch", ready=False) as page,
    ):
        wait_for_cards(page)
        assert "--metrics http://host:port/metrics" in page.inner_text("#cards")
        assert "weighted" in page.inner_text("#cards table")
        page.goto(f"{url}understand")
        page.wait_for_selector("#cards pre")
        assert "cuvee console --report" in page.inner_text("#cards pre")


def test_understand_shows_the_blend_beside_its_members_and_what_each_is_worth(browser: Any, url: str) -> None:
    with pages.opened(browser, f"{url}understand", ready=False) as page:
        wait_for_cards(page)
        tables = page.locator("#cards table")
        blend = tables.nth(0).locator("tr", has=page.locator("th", has_text="blend"))
        assert "0.1290" in blend.inner_text()
        assert "0.1123 \u2013 0.1458" in blend.inner_text()
        learnt = page.locator("#cards section:has(h2:text('Tuning')) tr", has=page.locator("th:text-is('all')"))
        assert "0.2830" in learnt.inner_text()
        lifted = page.locator("#cards section:has(h2:text('Lift over')) tr", has_text="clicked (decides)")
        for part in ("bold", "+150.0 %", "+138.0 % \u2013 +163.0 %", "+125.0 % \u2013 +177.0 %"):
            assert part in lifted.inner_text()
        assert "too few users" in page.inner_text("#cards section:has(h2:text('Lift over'))")
        clicked = page.locator(
            "#cards section:has(h2:text('What was shown')) tr", has=page.locator("th", has_text="ease")
        )
        assert "12.00 %" in clicked.inner_text()
        worth = tables.nth(1).locator("tr", has=page.locator("th", has_text="lightfm"))
        assert "+0.0067" in worth.inner_text()


def asked(url: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, Any, dict[str, str]]:
    at = urlsplit(url)
    connection = http.client.HTTPConnection(at.netloc, timeout=20)
    connection.request("GET" if body is None else "POST", path, body, headers)
    answer = connection.getresponse()
    raw = answer.read()
    connection.close()
    return answer.status, raw, {name.lower(): value for name, value in answer.getheaders()}


JSON = {"Content-Type": "application/json"}
GOOD = json.dumps({"product": "weighted", "user_id": "viewer-001"}).encode()


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (GOOD, JSON, 200),
        # a form of another site can send this without asking the browser
        (GOOD, {"Content-Type": "text/plain"}, 400),
        # a name of another site that leads here (DNS rebinding)
        (GOOD, {**JSON, "Host": "evil.example"}, 400),
        (b'{"product": ', JSON, 400),
        (b'{"product": "weighted", "page_size": 5}', JSON, 400),
        (b'{"product": ["weighted"]}', JSON, 400),
        (b'{"product": "weighted", "user_id": "' + b"x" * 300_000 + b'"}', JSON, 400),
        (b'{"product": "no such", "user_id": "viewer-001"}', JSON, 502),
    ],
    ids=["good", "other type", "other host", "no JSON", "more fields", "other kind", "too long", "no product"],
)
def test_what_is_let_in(url: str, body: bytes, headers: dict[str, str], status: int) -> None:
    assert asked(url, "/api/list", body, **headers)[0] == status


@pytest.mark.parametrize("path", ["/", "/watch", "/static/try.js", "/api/products", "/no/such/page"])
def test_each_answer_lets_the_browser_run_our_own_scripts_alone(url: str, path: str) -> None:
    status, _, headers = asked(url, path)
    assert status == (404 if "no" in path.split("/") else 200)
    policy = headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


def test_pages_load_nothing_from_elsewhere(browser: Any, url: str) -> None:
    for name in PAGES:
        urls: list[str] = []
        with pages.opened(browser, f"{url}{name}", ready=False) as page:
            page.on("request", lambda request, urls=urls: urls.append(request.url))
            page.reload()
            page.wait_for_load_state("networkidle") if name != "watch" else wait_for_cards(page)
        assert len(urls) > 3
        assert all(one.startswith(url) for one in urls)
