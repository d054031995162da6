"""Faults of the network and of what stands in it: after each, source and destination are compared exactly.

Each fault comes for a while (less often than a request is tried) and for good, to requests at the beginning, in
the middle and at the end of a run, before the source (reading), before the destination at its queries (asking,
which decides where a run resumes) and at its writes (writing).
"""

from __future__ import annotations

import itertools
import os
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from influx import pages
from tests.faults.network import ASK, READ, WRITE, Network, network_of
from tests.faults.rounds import Rounds
from tests.integration.harness import run_main, write_job
from tests.support.proxy import (
    LOGIN_PAGE,
    Action,
    Exchange,
    black_hole,
    cut_documents,
    cut_request,
    cut_response,
    damage_request,
    delay,
    error_document,
    forget,
    reset_request,
    reset_response,
    respond,
    slices,
    throttle,
)
from tests.support.servers import InfluxServer

ROLES = {READ: "source", ASK: "destination", WRITE: "destination"}
PATIENT = 20.0
"""Seconds: a timeout of the tool's that nothing reaches here."""
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Kind:
    """A kind of fault: how to make one, and what a run that it fails says of it (a pattern)."""

    make: Callable[[random.Random], Action]
    says: str = ""
    timeout: float = PATIENT
    """The patience that the tool is given: little with faults that are over only when it is at its end."""


def _place(choice: random.Random) -> float:
    return choice.choice((0, 1, 15, -1, -3, 0.5, choice.random(), choice.random()))


def _status(status: int, *, carried_out: bool = False) -> Callable[[random.Random], Action]:
    bodies = (
        (b"", "text/html"),
        (b"<html><head><title>Sorry</title></head><body>Sorry</body></html>", "text/html"),
        (b'{"error":"upstream"}', "application/json"),
        (b'{"message":"no upstream"}', "application/json"),
    )
    return lambda choice: respond(status, *choice.choice(bodies), carried_out=carried_out)


_LOST = "reset|aborted|closed|broken|incomplete|IncompleteRead|Connection"
_SILENT = "no byte received for too long"
_CUT = "ended|not msgpack|not a document"
_FOREIGN = "is a proxy in the way"

COMMON = {
    "reset before the request": Kind(lambda _: reset_request(0), _LOST),
    "reset in the middle of the request": Kind(lambda choice: reset_request(choice.choice((1, 0.5, -1))), _LOST),
    "reset after the request": Kind(lambda _: reset_request(1.0), _LOST),
    "reset before the answer": Kind(lambda _: reset_response(0), _LOST),
    "reset in the middle of the answer": Kind(
        lambda choice: reset_response(choice.choice((1, 20, 0.5, -1, -3))), _LOST
    ),
    "black hole": Kind(lambda _: black_hole(), _SILENT, 0.6),
    "carried out, then silence": Kind(lambda _: black_hole(carried_out=True), _SILENT, 0.6),
    "status 500": Kind(_status(500), "HTTP 500"),
    "status 502": Kind(_status(502), "HTTP 502"),
    "status 503": Kind(_status(503), "HTTP 503"),
    "status 504": Kind(_status(504), "HTTP 504"),
    "carried out, then status 504": Kind(_status(504, carried_out=True), "HTTP 504"),
    "status 400 of a proxy": Kind(lambda _: respond(400, b"<html>Bad Request</html>"), _FOREIGN),
    "status 404 of a proxy": Kind(lambda _: respond(404, b"404 page not found", "text/plain"), _FOREIGN),
    "login page with status 200": Kind(lambda _: respond(200, LOGIN_PAGE), _FOREIGN),
}
ANSWERS = {
    "answer cut anywhere, well framed": Kind(lambda choice: cut_response(_place(choice)), _CUT),
    "answer cut between documents, well framed": Kind(
        lambda choice: cut_documents(choice.choice((0, 1, -1, -1, -2))), "ended before it was complete"
    ),
    "error inside status 200: timeout": Kind(
        lambda choice: error_document("timeout", choice.randrange(6)), "timeout"
    ),
    "error inside status 200: interrupted": Kind(
        lambda choice: error_document("query interrupted", choice.randrange(6)), "query interrupted"
    ),
}
REQUESTS = {
    "write cut anywhere, well framed": Kind(lambda choice: cut_request(_place(choice)), "damaged on its way"),
    "damaged byte in a write": Kind(
        lambda choice: damage_request(choice.choice((0, 1, -1, -6, 0.3, 0.6, 0.9))), "damaged on its way"
    ),
    "carried out, then a login page": Kind(lambda _: respond(200, LOGIN_PAGE, carried_out=True), _FOREIGN),
    "status 200 without a body": Kind(lambda _: respond(200), _FOREIGN),
    "acknowledged and forgotten": Kind(lambda _: forget(), "lost a request that it had acknowledged"),
}
FATAL = {"redirect": Kind(lambda _: respond(302, LOGIN_PAGE, Location="http://login.invalid/"), "redirects to")}
FATAL_ANSWERS = FATAL | {
    "error inside status 200: unknown": Kind(
        lambda choice: error_document("something new", choice.randrange(6)), "something new"
    )
}
SLOW = {
    "reset after the answer": Kind(lambda _: reset_response(1.0)),
    "latency": Kind(lambda _: delay(0.01, 0.01)),
    "thin line": Kind(lambda _: throttle(40_000)),
    "packets of one byte": Kind(lambda _: slices()),
}

PASSING = {READ: COMMON | ANSWERS, ASK: COMMON | ANSWERS, WRITE: COMMON | REQUESTS}
LASTING = {READ: FATAL_ANSWERS, ASK: FATAL_ANSWERS, WRITE: FATAL}


def everywhere(kinds: dict[str, dict[str, Kind]]) -> pytest.MarkDecorator:
    """Every kind at every place that has it."""
    return pytest.mark.parametrize(("where", "name"), [(where, name) for where in kinds for name in kinds[where]])


@pytest.fixture(scope="module")
def small_pages() -> Iterator[None]:
    """Few rows in a page, fewer in a document: a run takes many requests, and an answer many documents."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pages, "PAGE_CELLS", 200)
        patch.setattr(pages, "CHUNK_CELLS", 100)
        yield


@pytest.fixture(scope="module")
def network(
    source: InfluxServer,
    destination: InfluxServer,
    small_pages: None,  # noqa: ARG001 -- the size of the requests that are counted
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Network]:
    """Both servers behind proxies; every round starts it afresh."""
    name = f"network_{next(_numbers)}"
    with network_of(source, destination, name, tmp_path_factory.mktemp(name)) as network:
        yield network
    for server in (source, destination):
        server.drop_database(name)


def first_of(requests: int, choice: random.Random) -> int:
    """Which of so many requests a round breaks first: one in the middle, at the end, the first, or any."""
    return choice.choice((1 + requests // 2, requests, 1, choice.randint(1, requests)))


@everywhere(PASSING)
def test_a_fault_that_passes_is_survived(where: str, name: str, network: Network, rounds: Rounds) -> None:
    """Retries bridge it: the run succeeds, and everything is there."""
    kind, half = PASSING[where][name], where == ASK
    for number in rounds.of(f"{where}: {name}", 40 if name in ANSWERS else 10):
        choice = random.Random(f"{where} {name} {number}")
        network.start_afresh(half=half)
        first = first_of(network.counts[where, half], choice)
        times = 1 + number % (3 if kind.timeout == PATIENT else 2)  # little patience may fail a try by itself
        fault = network.inject(where, act=kind.make(choice), first=first, count=times)
        result = network.backup(timeout_client=kind.timeout)
        assert result.failures == ()
        assert fault.injected == times
        network.assert_equal()


@everywhere({where: PASSING[where] | LASTING[where] for where in PASSING})
def test_a_fault_that_lasts_fails_the_run_loudly(where: str, name: str, network: Network, rounds: Rounds) -> None:
    """Every failure names the server and what was wrong; nothing wrong is stored; the next run heals it."""
    kind, half = (PASSING[where] | LASTING[where])[name], where == ASK
    server = f"{ROLES[where]} {(network.reading if where == READ else network.writing).url}"
    for number in rounds.of(f"{where}: {name}, for good", 3):
        choice = random.Random(f"{where} {name} {number} for good")
        network.start_afresh(half=half)
        requests = network.counts[where, half]
        first = first_of(requests, choice) if kind.timeout == PATIENT else requests
        fault = network.inject(where, act=kind.make(choice), first=first, count=None)
        result = network.backup(timeout_client=PATIENT if kind.timeout == PATIENT else 0.3)
        assert fault.injected > 0
        assert result.failures
        for failure in result.failures:
            assert server in failure
            assert re.search(kind.says, failure), failure
        network.assert_honest(result)
        network.assert_recovers()


@everywhere(dict.fromkeys(PASSING, SLOW))
def test_slowness_everywhere_changes_nothing(where: str, name: str, network: Network, rounds: Rounds) -> None:
    """Every single request is slow, and the run succeeds."""
    for number in rounds.of(f"{where}: {name}, always", 5):
        network.start_afresh(half=number % 2 == 1)
        fault = network.inject(where, act=SLOW[name].make(random.Random(number)), count=None)
        result = network.backup()
        assert result.failures == ()
        assert fault.injected > 0
        network.assert_equal()


@pytest.mark.parametrize("where", [READ, ASK, WRITE])
def test_a_line_of_a_kilobyte_a_second(where: str, network: Network, rounds: Rounds) -> None:
    """Slow is not silent: what arrives, however slowly, is waited for."""
    for number in rounds.of(f"{where}: 1 KB/s", 5):
        network.start_afresh(half=where == ASK)
        first = first_of(network.counts[where, where == ASK], random.Random(number))
        fault = network.inject(where, act=throttle(1000), first=first, count=2)
        result = network.backup(timeout_client=3)
        assert result.failures == ()
        assert fault.injected > 0
        network.assert_equal()


PINGS = {name: kind for name, kind in COMMON.items() if kind.says != _FOREIGN and name != "black hole"}


@pytest.mark.parametrize("where", [READ, WRITE])
def test_faults_of_the_first_contact(where: str, network: Network, rounds: Rounds) -> None:
    """A ping that fails for a while is repeated; one that fails for good ends the run before anything is done."""
    proxy = network.reading if where == READ else network.writing
    for number in rounds.of(f"{where}: every fault, at the ping", 2 * len(PINGS)):
        kind = list(PINGS.values())[number % len(PINGS)]
        network.start_afresh()
        act = kind.make(random.Random(number))
        fault = proxy.inject(act, "ping", count=1 + number % 3)
        assert network.backup(timeout_client=kind.timeout).failures == ()
        assert fault.injected == 1 + number % 3
        network.assert_equal()
        network.start_afresh()
        fault = proxy.inject(act, "ping", count=None)
        (failure,) = network.backup(timeout_client=kind.timeout).failures
        assert fault.injected == 4
        assert f"{ROLES[where]} {proxy.url}: ping" in failure
        assert re.search(kind.says, failure), failure
        assert network.writing.seen["query"] == 0
        network.assert_recovers()


@pytest.mark.parametrize("name", ["cut anywhere", "reset in the middle"])
def test_compressed_answers_that_end_early(name: str, network: Network, rounds: Rounds) -> None:
    """Servers on other machines compress their answers; half of such an answer is not taken for a whole one.

    Where only the checksum at the end is cut off, the answer is whole, and need not be asked for again.
    """
    make = {"cut anywhere": cut_response, "reset in the middle": reset_response}[name]
    for number in rounds.of(f"reading: compressed answer, {name}", 20):
        choice = random.Random(f"{name} {number} compressed")
        network.start_afresh()
        network.reading.compressed = True
        act = make(_place(choice))
        first = first_of(network.counts[READ, False], choice)
        fault = network.inject(READ, act=act, first=first, count=3)
        result = network.backup()
        network.reading.compressed = False
        assert result.failures == ()
        assert fault.injected > 0
        network.assert_equal()


@pytest.mark.parametrize("where", [READ, ASK])
def test_a_query_that_was_cut_on_its_way_is_not_taken_for_another(
    where: str, network: Network, rounds: Rounds
) -> None:
    """The beginning of a query may be a query too, with fewer rows to its answer."""
    for number in rounds.of(f"{where}: query cut anywhere, well framed", 20):
        choice = random.Random(f"{where} {number} query")
        network.start_afresh(half=where == ASK)
        first = first_of(network.counts[where, where == ASK], choice)
        fault = network.inject(where, act=cut_request(_place(choice)), first=first)
        network.assert_honest(network.backup())
        assert fault.injected == 1
        network.assert_recovers()


def test_chaos(network: Network, rounds: Rounds) -> None:
    """Faults of many kinds at once, everywhere, in several runs: none of them claims what is not so.

    Every round has a new seed; CHAOS_SEED repeats one.
    """
    injected = 0
    for number in rounds.of("everywhere: random faults of all kinds at once", 40):
        seed = os.environ.get("CHAOS_SEED") or f"{random.SystemRandom().getrandbits(32)}"
        print(f"round {number}: CHAOS_SEED={seed}")  # noqa: T201 -- shown when the test fails
        choice = random.Random(seed)
        network.start_afresh(half=choice.random() < 0.5)
        faults = []
        for where, passing in PASSING.items():
            kinds = passing | LASTING[where] | SLOW
            share = choice.choice((0.01, 0.03, 0.1))
            for name in choice.sample(sorted(kinds), 4):
                act = varied(kinds[name], random.Random(choice.random()))
                faults.append(network.inject(where, act=act, count=None, share=share, seed=choice.getrandbits(32)))
        for _ in range(choice.randint(1, 3)):
            network.assert_honest(network.backup(timeout_client=0.3, parallel_workers=choice.choice((1, 4))))
        injected += sum(fault.injected for fault in faults)
        network.assert_recovers()
    assert injected > 0


def varied(kind: Kind, choice: random.Random) -> Action:
    """The fault, made anew for every request."""

    def act(exchange: Exchange) -> None:
        kind.make(choice)(exchange)

    return act


AS_A_PROGRAM = {
    READ: ("answer cut between documents, well framed", "error inside status 200: unknown", "status 502"),
    WRITE: ("login page with status 200", "reset before the answer", "redirect"),
}


@pytest.mark.parametrize("where", AS_A_PROGRAM)
def test_the_program_says_what_happened(where: str, network: Network, rounds: Rounds, tmp_path: Path) -> None:
    """`python main.py`: exit code 1, one line for each failure, no traceback; afterwards 0, and all is there."""
    for number in rounds.of(f"{where}: several faults, in a process of its own", 6):
        name = AS_A_PROGRAM[where][number % 3]
        kind = (PASSING[where] | LASTING[where])[name]
        network.start_afresh()
        choice = random.Random(f"{where} {name} {number} main")
        # what is asked before, about policies, comes as one document
        fault = network.inject(where, act=kind.make(choice), first=10 if where == READ else 5, count=None)
        job = write_job(tmp_path, network.config({"days_of_pagination": 2}))
        failed = run_main("run", "--config", job)
        assert fault.injected > 0
        assert failed.returncode == 1
        (line, *_) = [text for text in failed.stdout.splitlines() if text.startswith("FAILED ")]
        proxy = network.reading if where == READ else network.writing
        assert f"{ROLES[where]} {proxy.url}" in line
        assert re.search(kind.says, line), line
        assert "Traceback" not in failed.stdout + failed.stderr
        network.heal()
        passed = run_main("run", "--config", job)
        assert passed.returncode == 0, passed.stdout + passed.stderr
        network.assert_equal()
