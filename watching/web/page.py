"""The pages of the operator's view: HTML from a snapshot of the state. Pure."""

from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from basics.humanize import counted, exactly
from basics.text import printable
from watching.standing import headline, in_order, protection, protection_line
from watching.state import JobState, State
from watching.web.chart import WIDTH
from watching.web.tables import MOST_ROWS, measurement_table, run_table
from watching.web.view import capital, card, cards, facts, groups, settings, verified

VERSION = "0.1.0"

TEMPLATES = Path(__file__).with_name("templates")


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        auto_reload=False,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.globals |= {"version": VERSION, "counted": counted, "bar_width": WIDTH}
    return environment


def render_status(state: State, now: int) -> str:
    """The page of all jobs: those that need attention first, else by name."""
    jobs = in_order(state.jobs.values())
    words, colour = headline(state)
    return (
        _environment()
        .get_template("status.html")
        .render(
            title=f"{words} · Backups",
            root="",
            tone=colour,
            now=exactly(now),
            verdict=words,
            shard=state.shard,
            protection=capital(protection_line(protection(state, now), now)) if jobs else "",
            cards=cards(jobs, now),
            groups=groups(jobs),
        )
    )


def render_job(job: JobState, now: int) -> str:
    """The page of one job."""
    shown = card(job, now, errors=MOST_ROWS)
    totals = job.totals
    copied = f"{counted(totals.points, 'point')} and {counted(totals.values, 'value')}"
    return (
        _environment()
        .get_template("job.html")
        .render(
            title=f"{shown.name}: {shown.condition.lower()} · Backups",
            root="../",
            tone=shown.tone,
            now=exactly(now),
            card=shown,
            facts=[*facts(job, now, databases=MOST_ROWS), *verified(job, now)],
            settings=settings(job),
            measurements=measurement_table(job, now),
            runs=run_table(job, now),
            totals=f"{copied} in {counted(totals.runs, 'run')}",
        )
    )


def render_missing(name: str, now: int) -> str:
    """The page of a job that there is not."""
    return (
        _environment()
        .get_template("missing.html")
        .render(title="No such job · Backups", root="../", tone="quiet", now=exactly(now), name=printable(name))
    )
