"""What a server has already of what would be restored: it is left alone, and what differs is said."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import TypeVar

from basics.humanize import counted
from basics.text import printable
from basics.times import HOUR, format_duration
from copying.metadata import tokens
from copying.metadata.snapshot import NOUNS
from copying.retention import kept
from influx.entries import ContinuousQuery, Grant, Subscription, User
from influx.errors import AccessDenied
from influx.influxql import Policy
from influx_client import InfluxClient

_T = TypeVar("_T")


class Existing:
    """What the target has already of one database, asked when it is needed; what differs is a warning."""

    def __init__(self, target: InfluxClient, database: str) -> None:
        self._target = target
        self._database = database
        self._shown = printable(database)
        self._exists = database in target.get_databases()
        self.warnings: list[str] = []

    def _ask(self, kind: str, question: Callable[[], Iterable[_T]]) -> tuple[_T, ...] | None:
        """What is there; None, with a warning, where this user may not see it."""
        try:
            return tuple(question())
        except AccessDenied as error:
            self.warnings.append(f"the {NOUNS[kind]} are not restored, for which a right is missing: {error}")
            return None

    def _policies(self) -> dict[str, Policy]:
        return policies_of(self._target, self._database) if self._exists else {}

    def missing_policies(self, wanted: Sequence[Policy]) -> tuple[Policy, ...]:
        """Those that are not there."""
        there = self._policies() if wanted else {}
        for policy in wanted:
            if policy.name in there:
                self.warnings += differences(self._shown, policy, there[policy.name])
            elif 0 < policy.shard_duration < HOUR:
                self.warnings.append(
                    f"retention policy {self._shown}.{policy.name} gets shard groups of 1h: InfluxDB has none of "
                    f"{format_duration(policy.shard_duration)}"
                )
        return tuple(policy for policy in wanted if policy.name not in there)

    def new_default(self, wanted: Sequence[Policy]) -> str:
        """The default policy, unless it is that already."""
        name = next((policy.name for policy in wanted if policy.is_default), "")
        there = self._policies().get(name) if name else None
        return "" if there and there.is_default else name

    def missing_queries(self, wanted: Sequence[ContinuousQuery]) -> tuple[ContinuousQuery, ...]:
        """Those that are not there."""
        question = self._target.catalog.get_continuous_queries
        there = self._ask("queries", lambda: question(self._database)) if wanted and self._exists else ()
        if there is None:
            return ()
        texts = {query.name: query.text for query in there}
        for query in wanted:
            if query.name in texts and tokens.meaning(texts[query.name]) != tokens.meaning(query.text):
                shown = f"continuous query {printable(query.name)} of {self._shown}"
                self.warnings.append(
                    f"{shown} is left as it is there, and differs: {printable(texts[query.name])}"
                )
        return tuple(query for query in wanted if query.name not in texts)

    def missing_users(self, wanted: Sequence[User]) -> tuple[User, ...]:
        """Those that are not there."""
        there = self._ask("users", self._target.catalog.get_users) if wanted else ()
        if there is None:
            return ()
        flags = {user.name: user.is_admin for user in there}
        self.warnings += _users_that_stay([user for user in wanted if user.name in flags], flags)
        return tuple(user for user in wanted if user.name not in flags)

    def missing_grants(self, wanted: Sequence[Grant], users: Sequence[User]) -> tuple[Grant, ...]:
        """Those that are not there, of users that are, or are about to come."""
        catalog = self._target.catalog
        there = self._ask("grants", catalog.get_users) if wanted else ()
        if there is None:
            return ()
        known = {user.name for user in there}
        named = {grant.user for grant in wanted}
        have = {
            (grant.user, grant.database): grant.privilege
            for grant in catalog.get_grants(user for user in there if user.name in named)
        }
        coming = known | {user.name for user in users}
        missing = []
        for grant in (Grant(g.user, self._database, g.privilege) for g in wanted):
            privilege = have.get((grant.user, grant.database))
            shown = f"{grant.privilege} on {self._shown} to {printable(grant.user)}"
            if grant.user not in coming:
                self.warnings.append(f"{shown} is not granted: there is no such user, and users are not restored")
            elif privilege is None:
                missing.append(grant)
            elif privilege != grant.privilege:
                self.warnings.append(f"{shown} is not granted: the user has {privilege} there, which stays")
        return tuple(missing)

    def missing_subscriptions(self, wanted: Sequence[Subscription]) -> tuple[Subscription, ...]:
        """Those that are not there."""
        question = self._target.catalog.get_subscriptions
        there = self._ask("subscriptions", lambda: question(self._database)) if wanted else ()
        if there is None:
            return ()
        found = {(s.policy, s.name): s for s in there}
        for subscription in wanted:
            if found.get((subscription.policy, subscription.name), subscription) != subscription:
                name = printable(f"{subscription.policy}.{subscription.name}")
                self.warnings.append(f"subscription {name} of {self._shown} is left as it is there, and differs")
        return tuple(s for s in wanted if (s.policy, s.name) not in found)


def policies_of(target: InfluxClient, database: str) -> dict[str, Policy]:
    """The retention policies of a database by their names."""
    return {policy.name: policy for policy in target.get_retention_policies(database)}


def differences(database: str, saved: Policy, there: Policy) -> Iterator[str]:
    """In what a policy of the target, which is left as it is, differs from the saved one."""
    name = f"retention policy {database}.{printable(saved.name)}"
    if saved.duration != there.duration:
        loses = ": older points cannot be stored" * there.keeps_less_than(saved)
        yield f"{name} keeps points for {kept(there)} there, and kept them for {kept(saved)}{loses}"
    if saved.shard_duration != there.shard_duration:
        durations = [format_duration(policy.shard_duration) for policy in (there, saved)]
        yield f"{name} has shard groups of {durations[0]} there, and had them of {durations[1]}"


def _users_that_stay(users: Sequence[User], flags: Mapping[str, bool]) -> Iterator[str]:
    """What to say of users that are there; `flags`: whether each is an administrator there."""
    if users:
        shown = ", ".join(printable(user.name) for user in users)
        yield f"{counted(len(users), 'user')} there already, each left with its password: {shown}"
    for user in users:
        if flags[user.name] != user.is_admin:
            is_now = (
                "is an administrator there, and was none"
                if not user.is_admin
                else "is no administrator there, and was one"
            )
            yield f"user {printable(user.name)} {is_now}"
