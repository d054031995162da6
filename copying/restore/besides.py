"""What comes back besides points, as runs of the job saved it: policies, continuous queries, users and rights."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from basics.text import printable
from copying.metadata import restoring, store
from copying.metadata.existing import differences
from copying.metadata.passwords import GeneratedPasswords, GivenPasswords, NoPassword, Passwords
from copying.metadata.restoring import MetadataPlan
from copying.metadata.snapshot import NOUNS, SavedMetadata
from copying.restore.asked import Mapped
from copying.restore.plan import PolicyPlan, RestorePlan
from influx.errors import InfluxError
from influx_client import InfluxClient
from settings.keys import Job

logger = logging.getLogger(__name__)


class Besides:
    """Of the databases of one restore, these `kinds`. What was never saved is said once, and ends nothing."""

    def __init__(
        self,
        job: Job,
        databases: Sequence[Mapped],
        kinds: frozenset[str],
        target: InfluxClient,
        environ: Mapping[str, str],
        held: Mapping[str, SavedMetadata] | None = None,
    ) -> None:
        """`held`: what a snapshot holds of each database; None: what runs of the job saved counts."""
        options = job.options
        self._directory = store.choose_directory(
            options.metadata_directory, options.quarantine_directory, options.log_directory, environ
        )
        self._job = job.name
        self._kinds = kinds
        self._target = target
        self._names = {database.original: database.target for database in databases}
        self._held = held
        self._notes: list[str] = []
        self._saved = {database: saved for database in databases if kinds and (saved := self._load(database))}

    def _load(self, database: Mapped) -> SavedMetadata | None:
        if self._held is not None:
            return self._held.get(database.original)
        try:
            return store.load(self._directory, self._job, database.original)
        except store.NothingSaved as error:
            kinds = ", ".join(NOUNS[kind] for kind in NOUNS if kind in self._kinds - {"policies"})
            self._notes += [f"{error}: these are not restored: {kinds}"] if kinds else []
        except (store.Damaged, OSError) as error:
            self._notes.append(f"what was saved of {printable(database.original)} cannot be read: {error}")
        return None

    def _plans(self) -> dict[Mapped, MetadataPlan]:
        return {
            database: restoring.plan(saved, self._names, self._kinds, self._target)
            for database, saved in self._saved.items()
        }

    def planned(self, plan: RestorePlan) -> RestorePlan:
        """The plan with what would come at its end; what comes with the points anyway is not said twice."""
        found = []
        told = {
            database for database, saved in self._saved.items() if saved.policies and "policies" in self._kinds
        }
        notes = [*self._notes]
        for database, metadata in self._plans().items():
            known = {p.policy.name for p in plan.policies if p.database == database}
            new = database.target in plan.new
            more = tuple(policy for policy in metadata.policies if policy.name not in known)
            found.append(replace(metadata, policies=more, default="" if new else metadata.default))
            notes += metadata.warnings
        notes += self._made_otherwise(policy for policy in plan.policies if policy.there is None)
        defaults = tuple((d, name) for d, name in plan.defaults if d not in {database.target for database in told})
        return replace(plan, metadata=tuple(found), defaults=defaults, notes=(*plan.notes, *dict.fromkeys(notes)))

    def _made_otherwise(self, policies: Iterable[PolicyPlan]) -> Iterator[str]:
        """In what these, which come with the points as the backup has them, differ from the saved ones.

        They stay so: one that keeps less would at once drop points that have just come back.
        """
        for found in policies if "policies" in self._kinds else ():
            saved = self._saved.get(found.database)
            for policy in saved.policies or () if saved else ():
                if policy.name == found.policy.name:
                    there = found.there or found.policy
                    for difference in differences(printable(found.database.target), policy, there):
                        yield f"{difference}; it is as in the backup, ALTER RETENTION POLICY makes it as it was"

    def apply(self, plan: RestorePlan, passwords: Passwords) -> tuple[str, ...]:
        """Create all of it, now that the points are there; what could not be, or came otherwise, comes back."""
        made = (policy for policy in plan.policies if policy.there is None or plan.begun is not None)
        problems = list(self._made_otherwise(made))
        try:
            for metadata in self._plans().values():
                problems += restoring.apply(metadata, self._target, passwords)
        except InfluxError as error:
            problems.append(f"policies, continuous queries, users and rights are not all restored: {error}")
        for problem in problems:
            logger.error("%s", problem)
        return tuple(problems)

    def passwords(self, file: Path | None) -> Passwords:
        """Those of a file that somebody made, or new ones in a file of our own. Raises NoPassword."""
        return GivenPasswords(file) if file else GeneratedPasswords(self.passwords_file)

    @property
    def passwords_file(self) -> Path:
        """Where new passwords are kept."""
        return self._directory / self._job / "passwords.json"


__all__ = ["Besides", "NoPassword"]
