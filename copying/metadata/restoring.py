"""Puts saved metadata back onto a server: a plan that changes nothing, and then one step after the other.

What is there already is left alone. The order is such that nothing works with half of the data: policies and the
default one first, then continuous queries, then users and what they may do.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

from basics.text import printable
from copying.metadata import tokens
from copying.metadata.existing import Existing, differences, policies_of
from copying.metadata.passwords import NoPassword, Passwords
from copying.metadata.snapshot import NOUNS, SavedMetadata
from influx import influxql
from influx.entries import ContinuousQuery, Grant, Subscription, User
from influx.errors import InfluxError
from influx.influxql import Policy
from influx_client import InfluxClient


@dataclass(frozen=True, slots=True)
class MetadataPlan:
    """What a database of the target would get, by its name there; `warnings` say what it would not."""

    database: str
    policies: tuple[Policy, ...] = ()
    default: str = ""
    """The policy that would become the default one; empty: none would."""
    queries: tuple[ContinuousQuery, ...] = ()
    users: tuple[User, ...] = ()
    grants: tuple[Grant, ...] = ()
    subscriptions: tuple[Subscription, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def lines(self) -> tuple[str, ...]:
        """What would be created, one line for each kind."""
        found = {
            "policies": [policy.name for policy in self.policies],
            "queries": [query.name for query in self.queries],
            "users": [user.name for user in self.users],
            "grants": [f"{grant.privilege} to {grant.user}" for grant in self.grants],
            "subscriptions": [subscription.name for subscription in self.subscriptions],
        }
        lines = [f"{NOUNS[kind]}: {', '.join(map(printable, names))}" for kind, names in found.items() if names]
        return (*lines, *([f"default retention policy: {printable(self.default)}"] if self.default else []))


# ---------------------------------------------------------------- the plan


def plan(
    saved: SavedMetadata, names: Mapping[str, str], kinds: frozenset[str], target: InfluxClient
) -> MetadataPlan:
    """What these kinds of it would be at the target, where each database gets the name that `names` has for it."""
    database = names.get(saved.database, saved.database)
    queries = [_renamed(query, names, saved.database) for query in saved.queries or () if "queries" in kinds]
    policies = saved.policies or () if "policies" in kinds else ()
    users = saved.users or () if "users" in kinds else ()
    grants = saved.grants or () if "grants" in kinds else ()
    subscriptions = saved.subscriptions or () if "subscriptions" in kinds else ()
    there = Existing(target, database)
    found = MetadataPlan(
        database,
        there.missing_policies(policies),
        there.new_default(policies),
        there.missing_queries([query for query, _ in queries if query]),
        there.missing_users(users),
        there.missing_grants(grants, users),
        there.missing_subscriptions(subscriptions),
    )
    warnings = (*_unsaved(saved, kinds), *(text for _, texts in queries for text in texts), *there.warnings)
    return replace(found, warnings=tuple(dict.fromkeys(warnings)))


def _unsaved(saved: SavedMetadata, kinds: Iterable[str]) -> Iterator[str]:
    for kind in (kind for kind in NOUNS if kind in kinds and getattr(saved, kind) is None):
        yield (
            f"the {NOUNS[kind]} of {printable(saved.database)} were never saved, so they are not restored: "
            f"options.metadata of the job lacks {kind}, or its user a right"
        )


def _renamed(
    query: ContinuousQuery, names: Mapping[str, str], own: str
) -> tuple[ContinuousQuery | None, tuple[str, ...]]:
    """The query with the databases' names at the target, and what to say of it; None for one that is not known."""
    shown = f"continuous query {printable(query.name)} of {printable(own)}"
    try:
        others = [name for name in tokens.databases(query.text) if name not in names and name != own]
        renamed = ContinuousQuery(query.name, tokens.renamed(query.text, names))
    except tokens.NotAQuery as error:
        return None, (f"{shown} cannot be read, so it is not restored ({error}): {printable(query.text)}",)
    return renamed, tuple(_doubts(shown, query, others))


def _doubts(shown: str, query: ContinuousQuery, others: Sequence[str]) -> Iterator[str]:
    if others:
        named = ", ".join(map(printable, others))
        yield f"{shown} also names {named}, which is not restored with it: it goes on naming that"
    if tokens.has_lost_a_number(query.text):
        yield (
            f"{shown} holds the number 0.000: before 1.12 InfluxDB keeps three decimals of a number, so it may "
            "have been a smaller one when the query was made"
        )


# ---------------------------------------------------------------- carrying it out


def apply(plan: MetadataPlan, target: InfluxClient, passwords: Passwords) -> tuple[str, ...]:
    """Create all of it, one by one; what could not be, comes back, and ends nothing but itself."""
    database, catalog, steps = plan.database, target.catalog, _Steps(plan.database, target)
    for policy in plan.policies:
        steps.run(f"retention policy {policy.name}", partial(steps.policy, policy))
    if plan.default:
        steps.run("the default retention policy", partial(catalog.set_default_policy, database, plan.default))
    for query in plan.queries:
        steps.run(f"continuous query {query.name}", partial(steps.query, query))
    for user in plan.users:
        steps.run(f"user {user.name}", partial(steps.user, user, passwords))
    for grant in plan.grants:
        steps.run(f"the right of {grant.user}", partial(catalog.grant, grant))
    for subscription in plan.subscriptions:
        create = partial(catalog.create_subscription, database, subscription)
        steps.run(f"subscription {subscription.name}", create)
    return tuple(steps.problems)


class _Steps:
    """Creates single things, and sees how the server keeps them."""

    def __init__(self, database: str, target: InfluxClient) -> None:
        self._database = database
        self._target = target
        self.problems: list[str] = []

    def run(self, what: str, step: Callable[[], object]) -> None:
        """One step, whose failure is a problem of its own."""
        try:
            step()
        except (InfluxError, NoPassword) as error:
            self.problems.append(f"{printable(self._database)}: {printable(what)} is not restored: {error}")

    def policy(self, policy: Policy) -> None:
        """Create it, unless it came with the data; not as the default one, which a step of its own does."""
        if self._database not in self._target.get_databases():
            self._target.create_database(self._database, policy)  # its own, instead of autogen
        if policy.name not in policies_of(self._target, self._database):
            wanted = Policy(policy.name, policy.duration, policy.shard_duration, is_default=False)
            self._target.create_retention_policy(self._database, wanted)
        there = policies_of(self._target, self._database)[policy.name]
        self.problems += differences(printable(self._database), policy, there)

    def query(self, query: ContinuousQuery) -> None:
        """Create it, and say where the server keeps other words for it."""
        catalog = self._target.catalog
        catalog.create_continuous_query(query.text)
        found = {q.name: q.text for q in catalog.get_continuous_queries(self._database)}.get(query.name, "")
        if tokens.meaning(found) != tokens.meaning(query.text):
            shown = f"{printable(self._database)}: continuous query {printable(query.name)}"
            self.problems.append(
                f"{shown} was changed by the server, which keeps {printable(found)} for {printable(query.text)}"
            )

    def user(self, user: User, passwords: Passwords) -> None:
        """Create the user with a password that is written down before."""
        password = passwords.of(user.name)
        if not influxql.is_quotable(password):
            raise NoPassword("its password holds CR or NUL, which InfluxDB cannot be told")
        self._target.catalog.create_user(user.name, password, is_admin=user.is_admin)
