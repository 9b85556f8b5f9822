"""Care: what is known of items and users, and what an operator changes, by the console that serve starts beside."""

from __future__ import annotations

import http.client
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from cuvee.cli import main
from cuvee.client import Client
from cuvee.data.store import Database
from cuvee.data.store.database import located
from cuvee.data.store.opening import migrate
from cuvee.testing import run_server
from cuvee.v1 import admin_pb2, catalog_pb2, events_pb2

from . import pages
from .axe import violations
from .conftest import BLENDS, ENVIRONMENT, WEIGHTS, fit, product, run_console

SCOPES = {
    "admin": ("recommend", "write", "privacy", "admin"),
    "reader": ("recommend",),
    "privacy": ("recommend", "privacy"),
}
PRODUCT = product(BLENDS["weighted"], WEIGHTS)
STRANGE = "\u0645\u0633\u062a\u062e\u062f\u0645 \u7528\u6237 <b>&amp;\"'"
HOSTILE = "<img src=x onerror='window.hit = 1'><script>window.hit = 2</script>"


@dataclass(frozen=True)
class Secured:
    """A server that asks for tokens, and its console, which has an administrator's."""

    url: str
    address: str
    audit: Path
    product: Path
    tokens: dict[str, str]
    client: Client
    config: Path

    def audited(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.audit.read_text().splitlines()]


@pytest.fixture(scope="module")
def secured(fitted: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Secured]:
    folder = tmp_path_factory.mktemp("care")
    for part in ("var/data", "var/artifacts/weighted"):
        shutil.copytree(fitted / part, folder / part)
    (folder / "products").mkdir()
    product = folder / "products/weighted.toml"
    product.write_text(PRODUCT)
    config = folder / "cuvee.toml"
    config.write_text(
        (fitted / "cuvee.toml").read_text().replace('metrics = { listen = "127.0.0.1:0" }\n', "")
        + '[server.auth]\ntokens = "tokens.json"\n[server.audit]\nfile = "audit.log"\n'
    )
    database = Database(located("sqlite:///store.db", folder))
    migrate(database)
    database.close()
    tokens = {}
    for name, scopes in SCOPES.items():
        options = [part for scope in scopes for part in ("-s", scope)]
        secret = folder / f"{name}.token"
        with suppress(SystemExit):
            main(["token", "new", name, *options, "--file", str(folder / "tokens.json"), "--out", str(secret)])
        tokens[name] = secret.read_text().strip()
    fit(config, "weighted")
    environment = {**ENVIRONMENT, "CUVEE_TOKEN": tokens["admin"]}
    options = ["--workers", "2", "--console", "--console-listen", "127.0.0.1:0"]
    with run_server(config, environment=environment, options=options) as server:
        url = str(server.events("console listening")[0]["url"])
        with Client(server.address, token=tokens["admin"]) as client:
            yield Secured(url, server.address, folder / "audit.log", product, tokens, client, config)


@pytest.fixture
def page(browser: Any, secured: Secured) -> Iterator[Any]:
    with opened(browser, secured.url) as page:
        yield page


def opened(browser: Any, url: str, **context: Any) -> Any:
    return pages.opened(browser, f"{url}care", **context)


def look(page: Any, kind: str, text: str) -> None:
    page.check(f"#find input[value={kind}]")
    page.fill("#id", text)
    page.click("#find button")


def sure(page: Any, typed: str = "") -> None:
    page.wait_for_selector("#sure[open]")
    if typed:
        page.fill("#sure-id", typed)
    page.click("#sure button.main")


def told(page: Any, text: str) -> None:
    page.wait_for_selector(f"#said:has-text({json.dumps(text)})", timeout=60_000)


def write_item(client: Client, item_id: str, title: str, **attributes: str) -> None:
    item = catalog_pb2.Item(item_id=item_id, title=title)
    for name, value in attributes.items():
        item.attributes[name].text = value
    client.catalog.UpsertItem(catalog_pb2.UpsertItemRequest(product="weighted", item=item), timeout=10)


def write_user(client: Client, user_id: str) -> None:
    user = catalog_pb2.User(user_id=user_id)
    user.profile.attributes["occupation"].text = HOSTILE
    client.catalog.UpsertUser(catalog_pb2.UpsertUserRequest(product="weighted", user=user), timeout=10)
    event = events_pb2.Event(
        product="weighted",
        user_id=user_id,
        item_id="film-001",
        type=events_pb2.EVENT_TYPE_CLICK,
        event_id=f"care-{user_id}",
    )
    client.events.WriteEvents(events_pb2.WriteEventsRequest(events=[event]), timeout=10)


@pytest.mark.parametrize("hidden", [True, False], ids=["hide", "show again"])
def test_an_item_is_found_hidden_and_shown_again(page: Any, secured: Secured, hidden: bool) -> None:
    look(page, "item", "film-001")
    page.wait_for_selector("#found .buttons button")
    assert "genres" in page.inner_text("#found")
    page.click("#found .buttons button")
    sure(page)
    told(page, "is hidden" if hidden else "may be shown again")

    def listed() -> bool:
        asked = secured.client.recommend("weighted", "viewer-090", page_size=100, timeout=10)
        return "film-001" in {item.item_id for item in asked.items}

    pages.wait_until(listed, not hidden)
    assert violations(page) == []


def test_an_item_is_found_by_words_of_its_title_and_no_id_or_value_is_markup(page: Any, secured: Secured) -> None:
    write_item(secured.client, STRANGE, f"it's {HOSTILE}", note="x" * 60_000)
    pages.wait_until(
        lambda: len(
            secured.client.catalog.ListItems(
                catalog_pb2.ListItemsRequest(product="weighted", filter="title ILIKE '%IT''S <IMG%'"), timeout=10
            ).items
        ),
        1,
    )
    look(page, "item", "IT'S <img")
    page.click("#found .choices button")
    page.wait_for_selector("#found h3:has-text('onerror')")
    assert STRANGE in page.inner_text("#found")
    assert page.evaluate("window.hit") is None
    assert page.locator("main img, main script").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth <= window.innerWidth")


def test_a_user_is_shown_exported_and_deleted_with_nothing_in_an_address(page: Any, secured: Secured) -> None:
    write_user(secured.client, STRANGE)
    urls: list[str] = []
    page.on("request", lambda request: urls.append(request.url))
    look(page, "user", STRANGE)
    page.wait_for_selector("#found h3:has-text('would be shown')")
    shown = page.inner_text("#found")
    for part in ("click", "film-001", "segment warm", "1 events", "onerror"):
        assert part in shown
    with page.expect_download() as download:
        page.click("#found button:has-text('Export')")
    assert download.value.suggested_filename == "export.jsonl"
    records = [json.loads(line) for line in Path(download.value.path()).read_text().splitlines()]
    assert {record["place"] for record in records} == {"store.users", "store.events"}
    page.click("#found button:has-text('Delete')")
    page.wait_for_selector("#cleared th:has-text('store.events')")
    page.wait_for_selector("#sure[open]")
    assert "will be deleted" in page.inner_text("#cleared")
    page.fill("#sure-id", STRANGE[:-1])
    assert page.locator("#sure button.main").is_disabled()
    assert violations(page) == []
    sure(page, STRANGE)
    told(page, "Nothing about this user is stored any more")
    look(page, "user", STRANGE)
    page.wait_for_selector("#problem:has-text('The server does not know it')")
    assert not [url for url in [*urls, page.url] if "?" in url or "%" in url]
    assert page.evaluate("history.length") <= 2
    assert page.evaluate("window.hit") is None
    outcomes = [(line["rpc"], line["outcome"], line["product"]) for line in secured.audited()]
    assert outcomes.count(("DeleteUser", "OK", "weighted")) == 2  # it looked, and it deleted
    assert ("ExportUser", "OK", "weighted") in outcomes


def test_snapshots_are_activated_rolled_back_and_followed_again(page: Any, secured: Secured) -> None:
    request = admin_pb2.ListSnapshotsRequest(product="weighted")
    newest, older = [one.version for one in secured.client.admin.ListSnapshots(request, timeout=10).snapshots]

    def serving() -> str:
        return secured.client.recommend("weighted", "viewer-001", timeout=10).snapshot_version

    page.click(f"#snapshots button[aria-label='Activate: {older}']")
    sure(page)
    told(page, f"{older} serves now")
    pages.wait_until(serving, older)
    assert "chosen by hand" in page.inner_text("#snapshots")
    page.click("#snapshots button:has-text('Follow the newest')")
    sure(page)
    told(page, f"{newest} serves now")
    page.click("#snapshots button:has-text('Roll back')")
    sure(page)
    told(page, f"{older} serves now")
    page.click("#snapshots button:has-text('Follow the newest')")
    sure(page)
    told(page, f"{newest} serves now")
    pages.wait_until(serving, newest)
    assert {"ActivateSnapshot", "RollbackSnapshot", "ReleaseSnapshot"} <= {line["rpc"] for line in secured.audited()}


def test_a_file_is_checked_applied_and_brought_back(page: Any, secured: Secured) -> None:
    page.wait_for_selector("#toml")
    assert page.input_value("#toml") == PRODUCT
    page.fill("#toml", PRODUCT.replace("popular = 0.3", 'popular = "much"'))
    page.click("#file button:has-text('Check')")
    page.wait_for_selector("#result .mistakes")
    assert "blend.weights.warm.popular" in page.inner_text("#result")
    page.click("#file button:has-text('Apply')")
    told(page, "nothing was changed")
    assert secured.product.read_text() == PRODUCT
    wanted = PRODUCT.replace("pairs = 0.5", "pairs = 0.1")
    page.fill("#toml", wanted)
    page.click("#file button:has-text('Apply')")
    page.wait_for_selector("#sure[open]")
    assert "+warm = { pairs = 0.1, popular = 0.3, gaps = 0.2 }" in page.inner_text("#result")
    sure(page)
    told(page, "In use: configuration")
    assert secured.product.read_text() == wanted
    page.click("#file button:has-text('Bring back')")
    sure(page)
    # what is told is as it was told before: the text is what changes
    page.wait_for_function("wanted => document.querySelector('#toml').value === wanted", arg=PRODUCT)
    assert secured.product.read_text() == PRODUCT
    outcomes = [(line["rpc"], line["outcome"]) for line in secured.audited()]
    assert {("ApplyConfig", "OK"), ("RollbackConfig", "OK")} <= set(outcomes)


def test_a_file_that_somebody_else_has_changed_is_not_written_over(page: Any, secured: Secured) -> None:
    page.wait_for_selector("#toml")
    theirs = PRODUCT + "# theirs\n"
    secured.product.write_text(theirs)
    page.fill("#toml", PRODUCT.replace("pairs = 0.5", "pairs = 0.4"))
    page.click("#file button:has-text('Check')")
    page.wait_for_selector("#result:has-text('Somebody has changed the file')")
    page.click("#file button:has-text('Apply')")
    sure(page)
    page.wait_for_selector("#problem:has-text('Somebody else was quicker')")
    assert secured.product.read_text() == theirs
    secured.product.write_text(PRODUCT)


RIGHTS = {
    "reader": ("lacks the scope write", "lacks the scope privacy", "lacks the scope admin"),
    "privacy": ("lacks the scope write", "", "lacks the scope admin"),
    "": ("does not accept the console's token",) * 3,
}
"""What a console with this token says of hiding items, of users' data, and of snapshots and files."""


@pytest.mark.parametrize("token", RIGHTS, ids=lambda name: name or "none")
def test_without_the_scope_buttons_are_disabled_and_say_why(browser: Any, secured: Secured, token: str) -> None:
    environment = {"CUVEE_TOKEN": secured.tokens.get(token, "")}
    with (
        run_console("--address", secured.address, environment=environment) as url,
        opened(browser, url) as page,
    ):
        page.wait_for_selector("#may li")
        for name, why in zip(("Hide items", "Users' data", "Snapshots"), RIGHTS[token], strict=True):
            line = page.inner_text(f"#may li:has-text({json.dumps(name)})")
            assert why in line
            assert bool(why) or line.strip() == name
        assert page.locator("#snapshots button, #file button").count() == 0
        if token:
            look(page, "item", "film-002")
            page.wait_for_selector("#found .buttons button")
            assert page.locator("#found .buttons button").is_disabled()
            assert "lacks the scope write" in page.inner_text("#found")
            status, answer = post(url, secret(page), "hide", product="weighted", item_id="film-002", available=False)
            assert (status, answer["error"]["code"]) == (502, "PERMISSION_DENIED")
        if token == "reader":
            assert violations(page) == []


CHANGES = {
    "hide": {"product": "weighted", "item_id": "film-003", "available": False},
    "delete": {"product": "weighted", "user_id": "viewer-003", "confirmed": "viewer-003"},
    "use": {"product": "weighted", "action": "rollback"},
    "apply": {"product": "weighted", "text": PRODUCT + "# by another\n", "etag": ""},
    "earlier": {"product": "weighted", "etag": ""},
}


def secret(page: Any) -> str:
    return str(page.get_attribute("body", "data-secret"))


def post(url: str, page_secret: str, path: str, headers: dict[str, str] | None = None, **body: Any) -> tuple[int, Any]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=60)
    said = {"Content-Type": "application/json", "X-Cuvee-Page": page_secret, **(headers or {})}
    connection.request("POST", f"/api/care/{path}", json.dumps(body), said)
    answer = connection.getresponse()
    raw = answer.read()
    connection.close()
    return answer.status, json.loads(raw) if raw[:1] == b"{" else raw


def secret_of(url: str) -> str:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("GET", "/care")
    found = re.search(r'data-secret="([^"]+)"', connection.getresponse().read().decode())
    connection.close()
    assert found is not None
    return found[1]


FOREIGN: dict[str, Callable[[str], tuple[str, dict[str, str]]]] = {
    "no secret": lambda _: ("", {}),
    "wrong secret": lambda real: (real[:-1] + "\u00e9", {}),
    "another origin": lambda real: (real, {"Origin": "http://evil.example"}),
    "another port of this machine": lambda real: (real, {"Origin": "http://127.0.0.1:1"}),
    "no origin": lambda real: (real, {"Origin": "null"}),
    "another site": lambda real: (real, {"Sec-Fetch-Site": "cross-site"}),
    "a form": lambda real: (real, {"Content-Type": "text/plain"}),
    "another host": lambda real: (real, {"Host": "evil.example"}),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("kind", FOREIGN)
def test_no_page_of_elsewhere_changes_anything(secured: Secured, change: str, kind: str) -> None:
    before = len(secured.audited())
    shown, headers = FOREIGN[kind](secret_of(secured.url))
    status, _ = post(secured.url, shown.encode("utf-8").decode("latin-1"), change, headers, **CHANGES[change])
    assert status in {400, 403}
    assert len(secured.audited()) == before
    assert secured.product.read_text() == PRODUCT


@pytest.mark.parametrize("change", CHANGES)
def test_a_console_without_a_token_changes_nothing_where_nobody_needs_one(url_read_only: str, change: str) -> None:
    status, answer = post(url_read_only, secret_of(url_read_only), change, **{**CHANGES[change], "product": "weighted"})
    assert (status, answer["error"]["code"]) == (403, "READ_ONLY")


def test_a_console_without_a_token_says_that_it_only_reads(browser: Any, url_read_only: str) -> None:
    with opened(browser, url_read_only) as page:
        page.wait_for_selector("#may li:has-text('read-only')")
        page.wait_for_selector("#toml")
        assert page.locator("#file button:has-text('Apply')").is_disabled()
        assert page.locator("#file button:has-text('Check')").is_enabled()
        look(page, "user", "viewer-001")
        page.wait_for_selector("#found button:has-text('Export')")
        assert page.locator("#found button:has-text('Delete')").is_disabled()
        assert page.locator("#found button:has-text('Export')").is_enabled()


@pytest.fixture(scope="module")
def url_read_only(server: Any) -> Iterator[str]:
    with run_console("--address", server.address, environment={"CUVEE_TOKEN": ""}) as found:
        yield found


def test_a_console_that_was_started_again_says_so(page: Any) -> None:
    page.wait_for_selector("#toml")
    page.evaluate("document.body.dataset.secret = 'of the console before'")
    look(page, "item", "film-001")
    page.wait_for_selector("#problem:has-text('started again since this page was opened')")


def test_watch_adds_up_what_all_workers_did_without_any_setting(browser: Any, secured: Secured) -> None:
    for n in range(30):
        with Client(secured.address, token=secured.tokens["reader"]) as client:  # each may reach another worker
            client.recommend("weighted", f"viewer-{n:03d}", timeout=10)
    with pages.opened(browser, f"{secured.url}watch", ready=False) as page:

        def runs() -> int:
            row = page.locator("tr", has=page.locator("th:text-is('weighted')"), has_text="popular")
            found = [one for one in row.all_inner_texts() if "closed" in one]
            return int(pages.number(found[0].split("\t")[2])) if found else 0

        pages.wait_until(lambda: runs() >= 30, True, 60)
        page.wait_for_selector("figure:has-text('Waiting in the queue') svg.lines", timeout=60_000)
        said = page.inner_text("#cards")
        for part in ("99 of 100 within", "degraded lists", "waiting now", "What is shown", "breaker", "Models"):
            assert part in said
