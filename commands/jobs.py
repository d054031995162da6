"""The job files that a command is about: found, read, validated, and kept apart from one another."""

import logging
import os
import stat
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from basics.humanize import counted
from basics.text import SEVERAL_LINES, printable
from commands.options import InvalidFiles, UsageError
from commands.shard import Shard
from config import Config, ConfigError, defaults_of, read_defaults, read_file
from daemon.job_file import JobFile
from logger_config import setup_logging
from settings.cautions import cautions
from settings.held_secrets import held_secret
from settings.overlaps import find_overlaps
from settings.shared import DEFAULTS

logger = logging.getLogger(__name__)

SUFFIXES = (".yaml", ".yml")
TEMPLATES = (".template.yaml", ".template.yml", ".yaml.template", ".yml.template")


def default_paths(environ: Mapping[str, str]) -> list[Path]:
    """$BACKUP_CONFIG_DIR, else /config where it exists (the container), else ./config."""
    configured = environ.get("BACKUP_CONFIG_DIR")
    if configured:
        return [Path(configured)]
    return [Path("/config") if Path("/config").is_dir() else Path("config")]


def find_jobs(paths: Sequence[Path]) -> list[Path]:
    """The job files among the paths and in the folders among them, in order.

    Raises UsageError when a path does not exist or cannot be read, none is a job, or two jobs have the same name.
    """
    files: list[Path] = []
    problems: list[str] = []
    for path in paths:
        try:
            if path.name in DEFAULTS:
                problems.append(f"{path} is no job: it is what the jobs beside it share")
            elif path.is_dir():
                files.extend(sorted(f for f in path.iterdir() if _is_job(f)))
            elif path.exists():
                files.append(path)
            else:
                problems.append(f"{path} does not exist")
        except OSError as error:
            problems.append(f"{path} cannot be read: {error.strerror}")
    if problems:
        raise UsageError("; ".join(problems))
    if not files:
        places = ", ".join(map(str, paths))
        raise UsageError(
            f"no job in {places}: copy config/backup.template.yaml there as <job>.yaml and edit it; "
            'in a container, mount the folder: docker run -v "$PWD/config:/config:ro" ...'
        )
    return _distinct(files)


def _is_job(file: Path) -> bool:
    name = file.name.lower()
    is_other = name.endswith(TEMPLATES) or name.startswith(".") or name in DEFAULTS
    return name.endswith(SUFFIXES) and not is_other


def _distinct(files: Sequence[Path]) -> list[Path]:
    named: dict[str, Path] = {}
    for file in files:
        other = named.setdefault(file.stem, file)
        if os.path.realpath(other) != os.path.realpath(file):  # which takes broken links as well
            raise UsageError(f"{other} and {file} are both the job {file.stem!r}: rename one")
    return list(named.values())


def load_jobs(files: Sequence[Path], known: Sequence[JobFile] = ()) -> tuple[list[JobFile], dict[str, str]]:
    """The jobs that can run, and for each other name what is wrong with its file.

    What has not changed since it was `known` is not read into values again: five hundred files take seconds.
    From here on this process logs in JSON when every job does that can run.
    """
    valid: list[JobFile] = []
    invalid: dict[str, str] = {}
    contents: dict[Path, bytes] = {}
    before = {job.config.path: job for job in known}
    for file in files:
        try:
            content = contents[file] = read_file(file)
            shared = read_defaults(file)
            if beside := defaults_of(file):
                contents.setdefault(beside, shared)
            same = before.get(file)
            if same is None or not same.is_whole or (same.content, same.defaults) != (content, shared):
                same = JobFile(Config(file, content=content, defaults=shared), content, shared)
            valid.append(same)
        except ConfigError as error:
            invalid[file.stem] = str(error)
    in_json = valid and all(job.config.job.options.log_format == "json" for job in valid)
    setup_logging("main", log_format="json" if in_json else "text")
    for file, content in contents.items():
        _warn_of_readers(file, content)
        for caution in cautions(content):
            logger.warning("%s: %s", file, caution)
    overlaps = find_overlaps([job.config.job for job in valid])
    invalid |= {
        job.name: printable(f"{job.config.path}: {overlaps[job.name]}") for job in valid if job.name in overlaps
    }
    return [job for job in valid if job.name not in overlaps], invalid


def _warn_of_readers(file: Path, content: bytes) -> None:
    """One line for a file that shows its password or a notification URL to other users of the machine."""
    with suppress(OSError):  # it may be gone since it was read
        if not file.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH) or not (held := held_secret(content)):
            return
        elsewhere = "the URL from" if "URL" in held else "the password from password_file or"
        remedy = f"chmod 600, or take {elsewhere} ${{VARIABLE}}"
        logger.warning("%s holds %s, and others may read the file: %s", file, held, remedy)


@dataclass
class Jobs:
    """The jobs of these paths, and of those in folders only the shard's own: of a file that is named all is meant.

    All files are read, also for a shard: jobs that would write the same are refused whoever runs them.
    """

    paths: Sequence[Path]
    shard: Shard | None = None
    own: Sequence[JobFile] = ()
    invalid: Mapping[str, str] = field(default_factory=dict)
    others: Sequence[JobFile] = ()
    """The valid jobs of other shards."""

    def load(self) -> None:
        """Read them: those that have changed since. Raises UsageError."""
        valid, invalid = load_jobs(find_jobs(self.paths), (*self.own, *self.others))
        named = {path.stem for path in self.paths if not path.is_dir()}

        def is_own(name: str) -> bool:
            return self.shard is None or name in named or self.shard.holds(name)

        self.own = [job for job in valid if is_own(job.name)]
        self.others = [job for job in valid if not is_own(job.name)]
        self.invalid = {name: problem for name, problem in invalid.items() if is_own(name)}
        if self.shard:
            logger.info("shard %s: %s", self.shard, counted(len(self.own) + len(self.invalid), "job"))
        log_all(self.invalid)

    def again(self) -> tuple[Sequence[JobFile], Mapping[str, str]] | None:
        """The own and the invalid ones as they are now; None, with an error in the log, when there are none."""
        try:
            self.load()
        except UsageError as error:
            logger.error("%s; the jobs go on as they are", error)  # noqa: TRY400 -- a user's mistake
            return None
        return self.own, self.invalid


def valid_jobs(paths: Sequence[Path]) -> list[JobFile]:
    """The jobs of these paths. Raises UsageError, and InvalidFiles where one of them is not valid."""
    jobs, invalid = load_jobs(find_jobs(paths))
    if invalid:
        raise InvalidFiles("\n".join(invalid.values()))
    return jobs


def log_all(invalid: Mapping[str, str]) -> None:
    """An error in the log for each file that cannot run."""
    for problem in invalid.values():
        logger.error("%s", problem, extra=SEVERAL_LINES)
