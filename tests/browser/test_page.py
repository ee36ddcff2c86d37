"""The page shows what /status says, to everybody, live, and nothing in it can do harm."""

from __future__ import annotations

import http.client
import re
from typing import Any

import pytest

from tests.browser.conftest import Stand
from tests.browser.contrast import hard_to_read
from tests.browser.statuses import EXAMPLE, example, letter
from tests.harness.browser import Browser
from tie_forwarder.http.page.document import render
from tie_forwarder.printing import printable
from tie_forwarder.status.components import HEALTHS, PARTS

pytestmark = pytest.mark.browser

KAFKA_AWAY: dict[str, Any] = {
    "state": "buffering",
    "reason": "connection",
    "detail": "no broker of kafka-1:9092 answers",
    "remedy": "see whether the brokers run",
}
DENIED: dict[str, Any] = {
    "state": "blocked", "reason": "topic_authorization", "detail": "may not write", "remedy": "grant Write",
}  # fmt: skip
HOSTILE = (
    "</script><script>document.title='owned'</script>",
    "<img src=x onerror=\"document.title='owned'\">",
    "<style>*{display:none}</style>",
    "\x1b[2J\x00\r\n\x7f\x85",
    "\u202egpj.exe\u2066\u200f",
    "'\"`;--&amp;&#60;",
    "]]><!--",
    "x" * 100_000,
    "\ud800\uffff\U0010ffff",
)


def parts(**healths: str) -> list[dict[str, str]]:
    return [{**part, "health": healths.get(part["name"], part["health"])} for part in EXAMPLE["parts"]]


def test_the_state_and_what_to_do_are_in_words_and_everything_else_that_is_wrong_too(
    stand: Stand, browser: Browser
) -> None:
    fields = {name: KAFKA_AWAY[name] for name in ("state", "reason", "remedy")}
    stand.show(example(**fields, problems=[KAFKA_AWAY, DENIED]))
    visit = browser.visit(stand.url)
    assert visit.page.inner_text("h1") == "Buffering"
    assert visit.page.title() == "Buffering \u00b7 one"
    for words in (KAFKA_AWAY["detail"], "See whether the brokers run", "2026-11-24 03:12:44 UTC", "for 1 h 47 min"):
        assert words in visit.page.inner_text(".banner")
    assert "topic_authorization" in visit.page.inner_text(".others")
    assert "grant Write" in visit.page.inner_text(".others")
    visit.close()


def test_each_health_has_a_shape_and_a_word_beside_its_colour(stand: Stand, browser: Browser) -> None:
    stand.show(example(parts=parts(**dict(zip(PARTS, HEALTHS, strict=False)))))
    visit = browser.visit(stand.url)
    shapes = visit.value(
        "[...document.querySelectorAll('.part')].map(p => p.querySelector('use').getAttribute('href'))"
    )
    drawn = [visit.value(f"document.querySelector('{shape}').innerHTML") for shape in shapes]
    assert len(set(drawn)) == len(HEALTHS)
    assert [word.strip() for word in visit.page.locator(".part .word").all_inner_texts()] == [
        part["word"] for part in EXAMPLE["parts"]
    ]
    visit.close()


def test_it_is_live_without_a_reload_and_says_when_nobody_answers(stand: Stand, browser: Browser) -> None:
    stand.show(example())
    visit = browser.visit(stand.url)
    visit.value("window.stayed = true; document.querySelector('h1').scratch = 1")
    stand.show(example(state="blocked", reason="tls", problems=[{**DENIED, "reason": "tls"}], remedy="mend it"))
    visit.wait_for("Blocked", within="h1")
    visit.wait_for("Mend it")
    assert visit.page.title() == "Blocked \u00b7 one"
    assert visit.value("window.stayed && document.querySelector('h1').scratch") == 1
    stand.server.stop()
    visit.wait_for("no answer for", within="#heard")
    assert visit.value("document.body.classList.contains('lost')")
    assert visit.page.inner_text("h1") == "Blocked"
    visit.close()


def test_a_daemon_that_stands_still_is_not_shown_as_if_it_went_on(stand: Stand, browser: Browser) -> None:
    stand.show(example())
    visit = browser.visit(stand.url)
    assert visit.page.inner_text("h1") == "OK"
    stand.clock.now += 11.0
    visit.wait_for("Degraded", within="h1")
    assert "stalled" in visit.page.inner_text(".banner")
    assert stand.report()["problems"][0]["reason"] == "stalled"
    stand.show(example())
    visit.wait_for("OK", within="h1")
    visit.close()


def test_it_is_loaded_anew_when_another_version_answers(stand: Stand, browser: Browser) -> None:
    stand.show(example())
    visit = browser.visit(stand.url)
    visit.value("window.stayed = true")
    stand.show(example(version="9.9.9"))
    visit.page.wait_for_selector("html[data-version='9.9.9']", state="attached")
    assert visit.value("window.stayed") is None
    visit.close()


def test_without_javascript_it_shows_the_same_and_follows(stand: Stand, browser: Browser) -> None:
    stand.show(example())
    visit = browser.visit(stand.url, script=False)
    assert visit.page.inner_text("h1") == "OK"
    assert "12,345" in visit.text
    stand.show(example(state="standby", reason="standby"))
    visit.wait_for("Standby", within="h1")
    visit.close()


def hostile_status(hostile: str) -> dict[str, Any]:
    """Everything that is text is this text."""
    fields = ("received_at", "reason", "detail", "kind", "dxl_topic", "event_id", "first_bytes")
    return example(
        state="blocked", reason=hostile, remedy=hostile, problems=[{**DENIED, "detail": hostile, "reason": hostile}],
        parts=[{**part, "detail": hostile, "word": hostile} for part in EXAMPLE["parts"]],
        group={"name": hostile, "member": hostile, "role": hostile, "takeovers": {hostile: 1},
               "members": [{"name": hostile, "seen_publishing": None}]},
        publisher={"kafka": [hostile]},
        certificates=[{"role": hostile, "file": hostile, "ends": hostile, "days_left": 3}],
        dead_letters={"total": 1, "last": [letter(**dict.fromkeys(fields, hostile))]},
    )  # fmt: skip


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_hostile_text_is_no_markup_wherever_it_comes_from(hostile: str) -> None:
    page = render(hostile_status(hostile)).decode()
    inner = page.partition("<body>")[2]
    assert inner.count("<script>") == 1
    assert "<img" not in inner
    assert "<style" not in inner
    assert all(character.isprintable() or character == "\n" for character in inner.rpartition("<script>")[0])
    assert len(page) < 60_000


def test_hostile_texts_are_shown_as_text_and_do_not_break_the_page(stand: Stand, browser: Browser) -> None:
    status = hostile_status("".join(HOSTILE[:2]) + "y" * 300)
    status["dead_letters"]["last"] = [letter(first_bytes=hostile) for hostile in HOSTILE]
    stand.show(status)
    visit = browser.visit(stand.url, width=360)
    shown = visit.page.locator(".letters pre").all_inner_texts()
    assert [text.rstrip("\u2026")[:500] for text in shown] == [printable(hostile)[:500] for hostile in HOSTILE]
    assert visit.value("document.querySelectorAll('script, img').length") == 1
    assert visit.page.title().startswith("Blocked \u00b7 </script><script>")
    assert (visit.complaints, visit.strangers) == ([], [])
    assert not visit.overflows
    visit.close()


@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
def test_it_can_be_read_in_every_colour_and_on_a_telephone(stand: Stand, browser: Browser, dark: bool) -> None:
    shown = {"total": 1, "last": [letter()]}
    stand.show(example(state="blocked", problems=[DENIED, KAFKA_AWAY], ledger={"imbalance": 1}, dead_letters=shown))
    visit = browser.visit(stand.url, dark=dark, width=360)
    for health in HEALTHS:
        visit.value(f"document.querySelector('.banner').className = 'banner {health}'")
        visit.value(f"document.querySelectorAll('.part').forEach(part => part.className = 'part {health}')")
        assert hard_to_read(visit) == []
    assert not visit.overflows
    visit.close()


def test_it_asks_nobody_else_and_the_browser_has_no_complaint(stand: Stand, browser: Browser) -> None:
    stand.show(example())
    visit = browser.visit(stand.url)
    with visit.page.expect_response(lambda answer: answer.status == 304):
        pass  # the second request: nothing has changed
    assert (visit.complaints, visit.strangers, visit.failures) == ([], [], [])
    assert {url.removeprefix(stand.url) for url in visit.requests if not url.startswith("data:")} == {""}
    visit.close()


def test_no_script_but_its_own_can_run_in_it(stand: Stand, browser: Browser) -> None:
    stand.show(example())
    visit = browser.visit(stand.url)
    visit.value("document.body.append(Object.assign(document.createElement('script'), {text: 'window.owned = 1'}))")
    visit.value("document.body.insertAdjacentHTML('beforeend', '<img src=/status onerror=\"window.owned = 2\">')")
    assert visit.value("window.owned") is None
    assert any("Content Security Policy" in complaint for complaint in visit.complaints)
    visit.close()


def test_the_page_is_one_answer_with_a_strict_policy_and_tells_what_has_not_changed(stand: Stand) -> None:
    stand.show(example())
    connection = http.client.HTTPConnection("127.0.0.1", stand.server.port, timeout=5.0)
    connection.request("GET", "/")
    answer = connection.getresponse()
    body = answer.read().decode()
    policy = answer.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert answer.headers["X-Frame-Options"] == "DENY"
    assert not re.search(r"""(?:src|href|action)=["'](?!/|#|data:)""", body)
    connection.request("GET", "/", headers={"If-None-Match": answer.headers["ETag"]})
    again = connection.getresponse()
    assert (again.status, again.read(), again.headers["Content-Length"]) == (304, b"", None)
    stand.show(example(state="standby", reason="standby"))
    connection.request("GET", "/", headers={"If-None-Match": answer.headers["ETag"]})
    assert connection.getresponse().status == 200
    connection.close()


def test_before_the_first_look_the_page_asks_for_patience(stand: Stand, browser: Browser) -> None:
    visit = browser.visit(stand.url)
    assert "starting" in visit.text
    stand.show(example())
    visit.wait_for("OK", within="h1")
    assert visit.complaints == []
    visit.close()
