"""Try: what the browser shows is what the server said, and what it would say with other weights."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from cuvee.client import Client
from cuvee.v1 import catalog_pb2
from google.protobuf.field_mask_pb2 import FieldMask

from . import pages
from .conftest import BLENDS, OTHER, WEIGHTS, run_console

USER = "viewer-001"


@pytest.fixture
def page(browser: Any, url: str) -> Iterator[Any]:
    with pages.opened(browser, url) as page:
        yield page


def test_the_list_is_the_servers_with_reasons_ranks_and_shares(page: Any, client: Client) -> None:
    pages.ask(page, "weighted", USER)
    served = client.recommend("weighted", USER, page_size=500, timeout=10).items
    shown = pages.rows(page, "b")
    assert [row["id"] for row in shown] == [item.item_id for item in served[:20]]
    assert [row["title"] for row in shown] == [item.title for item in served[:20]]
    for row, item in zip(shown, served, strict=False):
        assert row["reason"] == item.reason
        assert row["score"] == pytest.approx(item.score, abs=0.0051)
        parts = {a.source: a for a in item.attributions}
        assert row["shares"] == pytest.approx(
            {n: a.contribution for n, a in parts.items() if a.contribution}, abs=0.0051
        )
        assert row["ranks"] == {n: a.rank for n, a in parts.items() if a.rank}
    assert page.locator("#sources tbody tr").count() == 3


def test_details_of_an_item_are_the_attributions(page: Any, client: Client) -> None:
    pages.ask(page, "weighted", USER)
    page.locator("#b li .more").first.click()
    first = client.recommend("weighted", USER, page_size=1, timeout=10).items[0]
    cells = page.locator("#b li .details").first.locator("tbody tr").all()
    assert len(cells) == len(first.attributions)
    for row, said in zip(cells, first.attributions, strict=True):
        name, rank, _, _, weight, part = row.locator("th, td").all_inner_texts()
        assert name.endswith(said.source)
        assert rank == (str(said.rank) if said.rank else "\u2013")
        assert float(weight) == pytest.approx(said.weight, abs=0.0051)
        assert pages.number(part) == pytest.approx(said.contribution, abs=0.0051)


@pytest.mark.parametrize("product", BLENDS)
def test_sliders_give_the_order_that_a_product_with_these_weights_has(page: Any, client: Client, product: str) -> None:
    pages.ask(page, product, USER)
    page.select_option("#length", "500")
    pages.weigh(page, OTHER)
    served = client.recommend(f"{product}-other", USER, page_size=500, timeout=10).items
    before = client.recommend(product, USER, page_size=500, timeout=10).items
    assert [i.item_id for i in served] != [i.item_id for i in before]
    shown = pages.rows(page, "b")
    assert {row["id"] for row in shown} == {item.item_id for item in served}
    by_id = {item.item_id: item for item in served}
    for row, item in zip(shown, served, strict=True):
        # where scores are equal, any order is right
        assert row["id"] == item.item_id or by_id[row["id"]].score == pytest.approx(item.score, abs=1e-4)
        parts = {a.source: a.contribution for a in by_id[row["id"]].attributions}
        assert row["shares"] == pytest.approx({s: parts[s] for s in row["shares"]}, abs=0.0052)
        assert all(abs(part) < 0.0052 for source, part in parts.items() if source not in row["shares"])


def test_side_by_side_says_what_moved(page: Any) -> None:
    pages.ask(page, "weighted", USER)
    page.select_option("#length", "500")
    page.check("#beside")
    pages.weigh(page, OTHER)
    before = {row["id"]: at for at, row in enumerate(pages.rows(page, "a"))}
    after = pages.rows(page, "b")
    assert [row["moved"] for row in after] == [before[row["id"]] - at for at, row in enumerate(after)]
    assert any(row["moved"] for row in after)
    page.click("#keep")
    assert [row["id"] for row in pages.rows(page, "a")] == [row["id"] for row in after]
    assert not any(row["moved"] for row in pages.rows(page, "b"))
    page.click("#reset")
    assert {row["id"]: at for at, row in enumerate(pages.rows(page, "b"))} == before


def test_the_weights_can_be_copied_as_toml(page: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    pages.ask(page, "weighted", USER)
    page.click("#copy")
    page.wait_for_selector("#said:text-is('Copied.')")
    copied = tomllib.loads(page.evaluate("navigator.clipboard.readText()"))
    assert copied == {"blend": {"weights": {"warm": pytest.approx(WEIGHTS)}}}
    pages.weigh(page, OTHER | {"popular": 0})
    copied = tomllib.loads(page.inner_text("#toml") or page.text_content("#toml"))
    assert copied == {"blend": {"weights": {"warm": {"pairs": 0.11, "gaps": 0.93}}}}


def test_what_rules_added_and_moved_is_told_and_stays_in_the_score(page: Any, client: Client) -> None:
    pages.ask(page, "ruled", USER)
    page.select_option("#length", "500")
    served = client.recommend("ruled", USER, page_size=500, timeout=10).items
    shown = pages.rows(page, "b")
    assert [row["id"] for row in shown] == [item.item_id for item in served]
    assert shown[1]["id"] == "film-011"
    effects = {(i.item_id, rule.rule): rule for i in served for rule in i.rules}
    assert f"pin, from place {effects['film-011', 'pin'].from_position + 1}" in shown[1]["rules"]
    for row, item in zip(shown, served, strict=True):
        newer = effects.get((item.item_id, "newer"))
        assert ("newer +0.40" in row["rules"]) == (newer is not None)
        assert row["shares"].get("rules", 0) == pytest.approx(newer.contribution if newer else 0, abs=0.0051)
    heads = [cell.strip() for cell in page.locator("#rules tr:has(th:text-is('newer')) td").all_inner_texts()]
    assert heads[0] == str(sum(rule == "newer" for _, rule in effects))
    assert "Rules or exploration of the product moved items" in page.inner_text("#remarks")
    # under other weights the order is that of the scores, which the rules' shares are part of
    pages.weigh(page, OTHER)
    weighed = pages.rows(page, "b")
    assert [row["score"] for row in weighed] == sorted((row["score"] for row in weighed), reverse=True)
    assert not any("from place" in row["rules"] for row in weighed)
    for row in weighed:
        assert row["score"] == pytest.approx(sum(row["shares"].values()), abs=0.03)
    page.click("#reset")
    page.evaluate(pages.DRAWN)
    assert [row["id"] for row in pages.rows(page, "b")] == [item.item_id for item in served]


def test_a_slider_writes_the_rows_in_the_window_at_once_and_the_others_soon(page: Any) -> None:
    pages.ask(page, "weighted", USER)
    page.select_option("#length", "500")
    before = [row["id"] for row in pages.rows(page, "b")]
    # the ids as they are in the first frame after the event, before the browser is idle
    inside, outside = page.evaluate(
        """async () => {
          const ids = () => [...document.querySelectorAll("#b .items > li .id")].map(one => one.textContent);
          for (const slider of document.querySelectorAll("#sliders input:enabled")) {
            slider.value = slider.dataset.source === "gaps" ? 1 : 0;
            slider.dispatchEvent(new Event("input"));
          }
          await new Promise(requestAnimationFrame);
          return [ids().slice(0, 3), ids().slice(-3)];
        }"""
    )
    after = [row["id"] for row in pages.rows(page, "b")]
    assert sorted(after) == sorted(before)
    assert inside == after[:3] != before[:3]
    assert outside == before[-3:] != after[-3:]


STRANGE = {
    "ten thousand": [f"shop-{n}" for n in range(10_000)],
    "long": ["x" * 250, "\u0645\u0646\u062a\u062c" * 60, "\u5546" * 250],
    "markup": ["<img src=x onerror='window.hit = 1'>", "</option><script>window.hit = 1</script>", "a&amp;b"],
}


@pytest.mark.parametrize(("path", "kind"), [("", "ten thousand"), ("", "long"), ("watch", "long"), ("watch", "markup")])
def test_any_products_can_be_shown_and_chosen(browser: Any, url: str, kind: str, path: str) -> None:
    found = [{"name": name, "state": "SERVING"} for name in STRANGE[kind]]
    with pages.opened(browser, "about:blank", ready=False, viewport={"width": 360, "height": 800}) as page:
        page.route("**/api/products", lambda route: route.fulfill(json={"products": found}))
        watched = {"products": found, "metrics": False, "problem": "", "figures": None, "points": [], "every": 10}
        page.route("**/api/watch", lambda route: route.fulfill(json=watched))
        page.goto(url + path)
        page.wait_for_selector("#cards table" if path else "#product option", state="attached")
        last = STRANGE[kind][-1]
        if not path:
            page.select_option("#product", last)
            assert page.input_value("#product") == last
        else:
            assert last in page.inner_text("#cards")
        assert page.evaluate("window.hit") is None
        assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


NAMES = ["plain", "two words", 'quo"te', "dots.in.it", "back\\slash", "\u540d", "new\nline", "\x7f"]


@pytest.mark.parametrize("name", NAMES)
def test_any_name_and_weight_is_right_in_toml(page: Any, name: str) -> None:
    weights = [0.1 + 0.2, 1.0, 1e-7, 0.0]
    names = [name, "b", "c", "d"]
    text = page.evaluate(
        "async ([names, weights, name]) => (await import('/static/toml.js')).asToml(name, name, names, weights)",
        [names, weights, name],
    )
    expected = {n: pytest.approx(w, rel=1e-5) for n, w in zip(names, weights, strict=True) if w}
    assert tomllib.loads(text) == {"blend": {"weights": {name: expected}}}


def test_a_slider_is_moved_and_told_by_keyboard_and_screen_reader(page: Any) -> None:
    pages.ask(page, "weighted", USER)
    before = pages.rows(page, "b")
    slider = page.get_by_role("slider", name="gaps")
    slider.focus()
    for _ in range(5):
        page.keyboard.press("PageUp")
    page.evaluate(pages.DRAWN)
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") != "none"
    assert [row["id"] for row in pages.rows(page, "b")] != [row["id"] for row in before]
    page.wait_for_selector("#said:has-text('places changed')")
    assert page.locator("#said").get_attribute("aria-live") == "polite"


def test_a_title_is_never_markup(page: Any, client: Client) -> None:
    hostile = "<script>window.hit = 1</script><img src=x onerror='window.hit = 2'>\"'&lt;"
    first = client.recommend("zero", USER, page_size=1, timeout=10).items[0]
    mask = FieldMask(paths=["title"])
    for title in (hostile, first.title):
        item = catalog_pb2.Item(item_id=first.item_id, title=title)
        request = catalog_pb2.UpsertItemRequest(product="zero", item=item, update_mask=mask)
        client.catalog.UpsertItem(request, timeout=10)
        pages.wait_until(lambda: client.recommend("zero", USER, page_size=1, timeout=10).items[0].title, title)
        pages.ask(page, "zero", USER)
        page.locator("#b li .more").first.click()
        assert pages.rows(page, "b")[0]["title"] == title
        assert page.evaluate("window.hit") is None
        assert page.locator("main img, main script").count() == 0


def test_nothing_personal_is_in_an_address_and_the_token_is_nowhere(page: Any) -> None:
    urls: list[str] = []
    bodies: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    page.on("response", lambda response: bodies.append(response.text()))
    pages.ask(page, "weighted", USER)
    assert len(urls) == 1
    assert not any(USER in url for url in [*urls, page.url])
    assert not any("not-to-be-shown" in text for text in [*bodies, page.content()])


def test_an_unknown_user_is_served_as_a_new_one(page: Any) -> None:
    pages.ask(page, "weighted", "nobody knows me")
    assert "served as a new one" in page.inner_text("#remarks")
    assert pages.rows(page, "b")
    # of the segment's sources only one was asked
    assert page.locator("#sliders input:enabled").count() == 1


def test_clicks_and_a_profile_are_enough(page: Any) -> None:
    page.fill("#clicks", "film-001\nfilm-003\nno such film")
    page.click("details summary")
    page.fill("#attributes", "age=24\nshoe size=44")
    page.fill("#filter", "year >= 1900")
    pages.ask(page, "weighted", "")
    assert pages.rows(page, "b")
    remarks = page.inner_text("#remarks")
    assert "no such film" in remarks
    assert "shoe size" in remarks


def mistaken(field: str, value: str) -> Any:
    def fill(page: Any) -> None:
        page.click("details summary")
        page.fill(f"#{field}", value)
        pages.press(page, "weighted", USER)

    return fill


@pytest.mark.parametrize(
    ("do", "said"),
    [
        (lambda page: pages.press(page, "weighted", ""), "Give a user, clicks or a profile."),
        (mistaken("filter", "yeer < 1980"), "yeer"),
        (mistaken("attributes", "age"), "'age' is not column=value"),
        (mistaken("clicks", "\n".join("x" * 300)), "context_item_ids"),
    ],
    ids=["nobody", "filter", "attribute", "too many clicks"],
)
def test_what_is_wrong_is_said_with_what_to_do(page: Any, do: Any, said: str) -> None:
    do(page)
    page.wait_for_selector("#problem .problem")
    message = page.inner_text("#problem")
    assert said in message
    assert "Change it and ask again" in message


def test_a_source_that_failed_is_named(page: Any) -> None:
    pages.ask(page, "ill", USER)
    assert "Degraded" in page.inner_text("#remarks")
    assert "error" in page.inner_text("#sources")
    assert page.locator("#sliders input:disabled").count() == 1


def test_a_server_that_is_away_is_told(browser: Any) -> None:
    with run_console("--address", "127.0.0.1:1") as url, pages.opened(browser, url, ready=False) as page:
        page.wait_for_selector("#problem .problem")
        message = page.inner_text("#problem")
        assert "No server answers at 127.0.0.1:1" in message
        assert "cuvee serve" in message


def test_a_console_that_is_away_is_told(page: Any) -> None:
    page.route("**/api/list", lambda route: route.abort())
    pages.press(page, "weighted", USER)
    page.wait_for_selector("#problem .problem")
    assert "The console itself does not answer" in page.inner_text("#problem")
