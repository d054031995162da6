"""A valid job, with the content of its file."""

from dataclasses import dataclass, field

from config import Config


@dataclass(frozen=True, slots=True)
class JobFile:
    """A valid job, and the content of its file by which a change is noticed."""

    config: Config
    content: bytes = field(repr=False)  # it may hold passwords
    defaults: bytes = field(default=b"", repr=False)
    """The content of what all jobs of its folder share."""

    def is_like(self, other: "JobFile") -> bool:
        """Whether nothing has changed."""
        return (self.content, self.defaults) == (other.content, other.defaults)

    @property
    def is_whole(self) -> bool:
        """Whether the content is all that the job is made of: it names no other file."""
        servers = (self.config.job.source, self.config.job.destination)
        return all(server.password_file is server.ca_file is None for server in servers)

    @property
    def name(self) -> str:
        """The job's name."""
        return self.config.job.name
