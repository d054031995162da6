"""A valid job, with the content of its file."""

from dataclasses import dataclass, field

from config import Config


@dataclass(frozen=True, slots=True)
class JobFile:
    """A valid job, and the content of its file by which a change is noticed."""

    config: Config
    content: bytes = field(repr=False)  # it may hold passwords

    @property
    def name(self) -> str:
        """The job's name."""
        return self.config.job.name
