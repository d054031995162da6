"""How the pages look and behave: states, refresh, lost contact, keyboard, accessibility."""

from __future__ import annotations

import re
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from tests.browser.harness import FOREIGN, Shown, opened
from tests.integration.daemon import wait_until
from tests.support.states import DISK_FULL, NOW, SECOND, archived, failing, fine, runs
from watching.events import Drilled, Event, JobRemoved, NextRun, RunFinished, RunRecord, RunStarted, Totals

SIZES = {"phone": (360, 740), "desk": (1400, 900)}
NOT_FOUND = "Failed to load resource: the server responded with a status of 404 (Not Found)"
VERDICT = "4 of 8 jobs are failing, 1 of them waiting for a server: billing, crashed, typo, edge-site-7"
PAGES = ("", "jobs/billing", "jobs/sensors", "jobs/telegraf", "jobs/nobody")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("path", PAGES)
def test_a_page_fits_its_window_and_is_accessible(
    browser: Browser, shown: Shown, path: str, size: str, scheme: str
) -> None:
    """Nothing sticks out, contrasts suffice, everything has a name and a role; the console stays empty."""
    width, height = SIZES[size]
    complaints: list[str] = []
    window = {"width": width, "height": height}
    with opened(browser, complaints, viewport=window, color_scheme=scheme) as page:
        page.goto(shown.url + path)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    assert set(complaints) == ({NOT_FOUND} if path.endswith("nobody") else set())


@pytest.mark.parametrize("size", SIZES)
def test_an_archive_and_its_drills_are_shown_and_fit(browser: Browser, shown: Shown, size: str) -> None:
    """In the overview and in full; a drill that did not pass stands out until one does."""
    width, height = SIZES[size]
    shown.happen(*(JobRemoved(name, NOW) for name in shown.state.jobs), *archived("vault", "failed"))
    with opened(browser, viewport={"width": width, "height": height}) as page:
        page.goto(shown.url)
        card = page.locator("#job-vault")
        expect(card).to_contain_text("14 snapshots")
        expect(card.locator("dd.wait")).to_have_text(re.compile("^failed 5 h ago"))
        expect(page.locator(".protection")).to_contain_text("no restore drill has passed")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        shown.happen(Drilled("vault", NOW))
        expect(page.locator(".protection")).to_contain_text("last restore drill just now")
        expect(card.locator("dd.wait")).to_have_count(0)
        page.goto(f"{shown.url}jobs/vault")
        expect(page.locator("main")).to_contain_text("3 new, 120 reused files")
        assert page.evaluate("document.documentElement.scrollWidth") == width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_the_overview_tells_a_screen_reader_everything(browser: Browser, shown: Shown) -> None:
    """A verdict that is announced, a list of jobs with headings, progress with its value, charts in words."""
    with opened(browser) as page:
        page.goto(shown.url)
        expect(page).to_have_title(VERDICT + " · Backups")
        expect(page.get_by_role("status")).to_have_text(VERDICT)
        expect(page.get_by_role("heading", level=1)).to_have_text("Backups")
        expect(page.locator("li.job")).to_have_count(8)
        expect(page.get_by_role("heading", level=2).first).to_have_text("billing")
        bar = page.get_by_role("progressbar", name="Time range of sensors that is copied")
        expect(bar).to_have_attribute("value", "62")
        sensors = page.locator("#job-sensors")
        expect(sensors).to_contain_text("Running")
        expect(sensors.get_by_role("img", name="Points of the last")).to_have_attribute(
            "aria-label", "Points of the last 30 runs: 800 to 1,000, the last one 800; none failed"
        )
        billing = page.locator("#job-billing")
        expect(billing).to_contain_text(DISK_FULL)
        expect(billing).to_contain_text("and 2 more errors")
        expect(page.locator("#job-edge-site-7")).to_contain_text("No route to host")
        expect(page.locator("link[rel=icon]")).to_have_attribute("href", "icon-bad.svg")


def test_the_page_of_a_job_has_its_measurements_and_runs(browser: Browser, shown: Shown) -> None:
    """Reached by its name in the overview, and back."""
    with opened(browser) as page:
        page.goto(shown.url)
        page.get_by_role("link", name="billing").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("billing")
        measurements = page.get_by_role("region", name="Measurements").get_by_role("row")
        expect(measurements).to_have_count(5)
        expect(measurements.nth(1)).to_contain_text("billing.autogen.payments")
        expect(page.get_by_role("region", name="Runs").get_by_role("rowheader")).to_have_count(30)
        expect(page.locator("main")).to_contain_text("the fifth error")
        page.get_by_role("link", name="All backups").click()
        expect(page).to_have_url(shown.url)


def test_everything_can_be_reached_with_the_keyboard(browser: Browser, shown: Shown) -> None:
    """First a way past the head, then the jobs in order; tables that scroll take the focus."""
    with opened(browser, viewport={"width": 360, "height": 740}) as page:
        page.goto(shown.url)
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_role("searchbox", name="Find a job")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("radio", name="All 8")).to_be_focused()
        page.keyboard.press("Tab")
        expect(page.get_by_role("link", name="billing")).to_be_focused()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        page.get_by_role("region", name="Measurements").focus()

        def scrolled() -> bool:
            page.keyboard.press("ArrowRight")
            return float(page.evaluate("document.activeElement.scrollLeft")) > 0

        wait_until(scrolled, "the table to scroll")


# ---------------------------------------------------------------- refresh


def test_a_page_on_which_nothing_changes_is_not_touched(browser: Browser, shown: Shown) -> None:
    """Two refreshes, and not one element, attribute or text was set: so nothing can flicker."""
    with opened(browser) as page:
        page.goto(shown.url)
        page.evaluate(
            """() => {
                window.changes = [];
                const all = {subtree: true, childList: true, attributes: true, characterData: true};
                const observer = new MutationObserver((found) => changes.push(...found.map((c) => c.type)));
                observer.observe(document.documentElement, all);
            }"""
        )
        for _ in range(2):
            with page.expect_response(shown.url):
                pass
        page.wait_for_timeout(300)
        assert page.evaluate("window.changes") == []


def test_a_job_that_fails_moves_to_the_top_and_recovers(browser: Browser, shown: Shown) -> None:
    """Without loading the page again: the element, the focus and what is open stay what they were."""
    shown.happen(*(JobRemoved(name, NOW) for name in shown.state.jobs if name not in ("telegraf", "weather")))
    with opened(browser) as page:
        page.goto(shown.url)
        expect(page.get_by_role("status")).to_have_text("All 2 jobs are fine")
        page.locator("#job-weather summary").click()
        page.locator("#job-weather a").focus()
        page.evaluate("document.querySelector('#job-weather').marked = window.marked = true")
        failed = RunRecord(NOW, 2.0, "FAILED", Totals(failures=1), (DISK_FULL,))
        shown.happen(RunStarted("weather", NOW), RunFinished("weather", NOW, failed, 1))
        expect(page.get_by_role("status")).to_have_text("1 of 2 jobs is failing: weather")
        card = page.locator("li.job").first
        expect(card).to_have_attribute("id", "job-weather")
        expect(card).to_contain_text(DISK_FULL)
        expect(card.get_by_role("link")).to_be_focused()
        expect(page.locator("link[rel=icon]")).to_have_attribute("href", "icon-bad.svg")

        well = RunRecord(NOW + SECOND, 2.0, "ok", Totals(points=123))
        shown.happen(RunStarted("weather", NOW + SECOND), RunFinished("weather", NOW + 2 * SECOND, well, 1))
        shown.happen(NextRun("weather", NOW + 2 * SECOND, NOW + 600 * SECOND))
        expect(page.get_by_role("status")).to_have_text("All 2 jobs are fine")
        expect(page.locator("#job-weather")).to_contain_text("The last run copied 123 points")
        expect(page.locator("li.job").last).to_have_attribute("id", "job-weather")
        assert page.evaluate("document.querySelector('#job-weather').marked && window.marked")


def test_what_is_open_and_selected_stays_so(browser: Browser, shown: Shown) -> None:
    """While numbers around it change."""
    with opened(browser) as page:
        page.goto(shown.url)
        page.locator("#job-weather summary").click()
        page.evaluate("getSelection().selectAllChildren(document.querySelector('#job-billing pre'))")
        shown.now += 60 * SECOND
        expect(page.locator("#job-telegraf")).to_contain_text("in 1 min")
        expect(page.locator("#job-weather details pre")).to_be_visible()
        assert page.evaluate("getSelection().toString().trim()") == DISK_FULL


def test_jobs_come_and_go(browser: Browser, shown: Shown) -> None:
    """New ones at their place, and the page of one that is gone says so."""
    with opened(browser, []) as page:
        page.goto(shown.url)
        shown.happen(*fine("another"), JobRemoved("billing", NOW))
        expect(page.locator("#job-another")).to_contain_text("Idle")
        expect(page.locator("#job-billing")).to_have_count(0)
        expect(page.locator("li.job")).to_have_count(8)
        names = page.locator("li.job h2").all_inner_texts()
        assert names[3:5] == ["another", "import-2025"]
        page.goto(f"{shown.url}jobs/another")
        shown.happen(JobRemoved("another", NOW))
        expect(page.locator("main")).to_contain_text("There is no job of this name")


def test_tables_grow_in_place(browser: Browser, shown: Shown) -> None:
    """The page of a job is kept up to date as well."""
    with opened(browser) as page:
        page.goto(f"{shown.url}jobs/crashed")
        expect(page.get_by_role("region", name="Runs").get_by_role("rowheader")).to_have_count(2)
        shown.happen(*runs("crashed", [77_777], until=NOW + 900 * SECOND))
        expect(page.get_by_role("region", name="Runs")).to_contain_text("77,777")
        expect(page.get_by_role("region", name="Runs").get_by_role("rowheader")).to_have_count(3)


# ---------------------------------------------------------------- many jobs


def many(count: int) -> list[Event]:
    """So many jobs: the first fails, the others are fine."""
    return [event for n in range(count) for event in (failing if not n else fine)(f"job-{n:02d}")]


def show_many(shown: Shown, count: int) -> None:
    """In place of those that are there."""
    shown.happen(*(JobRemoved(name, NOW) for name in shown.state.jobs), *many(count))


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", SIZES)
def test_sixty_jobs_fit_are_accessible_and_have_a_line_each(
    browser: Browser, shown: Shown, size: str, scheme: str
) -> None:
    """The one that fails comes first, in full."""
    show_many(shown, 60)
    width, height = SIZES[size]
    with opened(browser, viewport={"width": width, "height": height}, color_scheme=scheme) as page:
        page.goto(shown.url)
        expect(page.locator("li.job")).to_have_count(60)
        expect(page.locator("li.folded")).to_have_count(59)
        assert page.evaluate("document.documentElement.scrollWidth") == width
        assert page.locator("li.folded").first.evaluate("(line) => line.getBoundingClientRect().height") < 64
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()


def test_ten_jobs_fit_into_two_screens_of_a_phone(browser: Browser, shown: Shown) -> None:
    """With the one that fails on top."""
    show_many(shown, 10)
    width, height = SIZES["phone"]
    with opened(browser, viewport={"width": width, "height": height}) as page:
        page.goto(shown.url)
        expect(page.locator("li.job")).to_have_count(10)
        assert page.evaluate("document.documentElement.scrollHeight") <= 2 * height


def test_jobs_are_found_by_name_and_by_state(browser: Browser, shown: Shown) -> None:
    """With the keyboard; what was chosen stays over refreshes, and when the page is loaded again."""
    with opened(browser) as page:
        page.goto(shown.url)
        seen = page.locator("li.job:visible")
        page.get_by_role("searchbox", name="Find a job").press_sequentially("BIL")
        expect(seen).to_have_count(1)
        expect(seen).to_contain_text("billing")
        with page.expect_response(shown.url):
            pass
        page.wait_for_timeout(300)
        expect(seen).to_have_count(1)
        page.reload()
        expect(seen).to_have_count(1)
        page.get_by_role("searchbox", name="Find a job").fill("nowhere")
        expect(page.locator("#none")).to_be_visible()
        page.get_by_role("searchbox", name="Find a job").fill("")
        page.get_by_role("radio", name="All 8").focus()
        page.keyboard.press("ArrowRight")
        expect(page.get_by_role("radio", name="Failing 4")).to_be_checked()
        expect(seen).to_have_count(4)
        page.get_by_text("Running 1").click()
        expect(seen).to_have_count(1)
        expect(seen).to_contain_text("sensors")
        shown.happen(*runs("sensors", [5], until=NOW + 900 * SECOND))  # no job runs any more
        expect(seen).to_have_count(8)


def test_times_are_in_the_zone_of_the_browser_and_utc_beside_them_on_demand(
    browser: Browser, shown: Shown
) -> None:
    """Errors stay as they were written."""
    with opened(browser, timezone_id="Asia/Kolkata") as page:
        page.goto(shown.url)
        telegraf = page.locator("#job-telegraf")
        expect(telegraf).to_contain_text("24 Nov, 09:22" if not is_that_day() else "09:22")
        expect(telegraf).not_to_contain_text("UTC")
        expect(page.locator("#zone")).to_have_text("Times in Asia/Calcutta")
        expect(page.locator("#job-billing pre").first).to_contain_text("[2026-11-23T00:00:00Z,")
        page.get_by_role("checkbox", name="Show UTC beside each time").check()
        expect(telegraf).to_contain_text("09:22 (2026-11-24 03:52 UTC)")
        page.goto(f"{shown.url}jobs/billing")
        expect(page.get_by_role("region", name="Runs")).to_contain_text("07:27:20 (2026-11-23 01:57:20 UTC)")


def is_that_day() -> bool:
    """Whether the states are of today."""
    return date.fromtimestamp(NOW // SECOND) == date.today()  # noqa: DTZ011, DTZ012


def test_the_last_days_are_told_in_words(browser: Browser, shown: Shown) -> None:
    """To a screen reader in one sentence, on the page of the job each day by itself."""
    with opened(browser) as page:
        page.goto(shown.url)
        strip = page.locator("#job-billing .days svg")
        expect(strip).to_have_attribute(
            "aria-label", re.compile(r"^The last 90 days: 90 % of 30 days good; 3 fai")
        )
        expect(page.locator(".protection")).to_contain_text("4 of 11 databases protected")
        page.goto(f"{shown.url}jobs/billing")
        titles = page.locator(".days path title").all_text_contents()
        assert len(titles) == 90
        assert "2026-11-23: failed" in titles


# ---------------------------------------------------------------- lost contact


def test_the_page_says_when_it_lost_contact_and_when_it_is_back(browser: Browser, shown: Shown) -> None:
    """In words, since when; what it shows is pale meanwhile. Then it goes on by itself."""
    with opened(browser, []) as page:
        page.goto(shown.url)
        notice = page.locator("#contact")
        expect(notice).to_be_hidden()
        shown.stop()
        expect(notice).to_be_visible()
        expect(notice).to_have_text(re.compile(r"^No contact with the daemon since \d+:\d\d:\d\d.*trying\.$"))
        expect(page.get_by_role("alert")).to_be_visible()
        expect(page.locator("body")).to_have_class("lost")
        expect(page.locator("li.job")).to_have_count(8)
        shown.happen(*fine("another"))
        shown.start()
        expect(notice).to_be_hidden()
        expect(page.locator("#job-another")).to_be_visible()


def test_a_stranger_on_the_port_is_no_contact(browser: Browser, shown: Shown) -> None:
    """A login page or another program's page is not shown as if it were ours."""

    class Stranger(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.end_headers()
            self.wfile.write(b"<main>All jobs are fine</main>")

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            """Nothing."""

    with opened(browser, []) as page:
        page.goto(shown.url)
        shown.stop()
        stranger = ThreadingHTTPServer(("127.0.0.1", shown.port), Stranger)
        thread = Thread(target=stranger.serve_forever)
        thread.start()
        try:
            expect(page.locator("#contact")).to_be_visible()
            expect(page.locator("li.job")).to_have_count(8)
        finally:
            stranger.shutdown()
            thread.join()
            stranger.server_close()


# ---------------------------------------------------------------- without scripts, and against strangers


def test_without_scripts_the_page_loads_itself_again(browser: Browser, shown: Shown) -> None:
    """Everything is in what the server sends."""
    with opened(browser, java_script_enabled=False) as page:
        page.goto(shown.url)
        expect(page.locator("li.job")).to_have_count(8)
        expect(page.locator("noscript meta")).to_have_attribute("content", "10")


def test_the_browser_refuses_what_the_policy_forbids(browser: Browser, shown: Shown) -> None:
    """Script and style inside the page do nothing, even if somebody got them in."""
    complaints: list[str] = []
    with opened(browser, complaints) as page:
        page.goto(shown.url)
        page.evaluate(
            """() => {
                const script = document.createElement("script");
                script.textContent = "window.hacked = true";
                document.body.append(script);
                const style = document.createElement("style");
                style.textContent = "h1 { color: rgb(1, 2, 3) }";
                document.body.append(style);
            }"""
        )
        assert page.evaluate("window.hacked") is None
        assert page.evaluate("getComputedStyle(document.querySelector('h1')).color") != "rgb(1, 2, 3)"
    assert len([text for text in complaints if "Content Security Policy" in text]) == 2


def test_a_foreign_name_that_leads_here_shows_nothing(browser: Browser, shown: Shown) -> None:
    """DNS rebinding: the browser takes it for the same site, the server does not."""
    with opened(browser, []) as page:
        answer = page.goto(f"http://{FOREIGN}:{shown.port}/")
        assert answer is not None
        assert answer.status == 421
        assert "billing" not in page.content()
