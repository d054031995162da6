"""Which server a restore writes to, and with which user: one of the job's own, or another one."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from config import Destination, Server, password_in
from settings.keys import Job


def server_at(url: str, job: Job, environ: Mapping[str, str]) -> Server:
    """The server at a URL: the job's source or destination as its file has it, with the user of the environment.

    Any other has none but that user. Raises ValueError with what is wrong with the URL or the environment.
    """
    known: Mapping[str, Server] = {job.destination.url: job.destination, job.source.url: job.source}
    login = login_of(environ)
    if url in known:
        return known[url].model_copy(update=_secret(login)) if login else known[url]
    try:
        return Destination.model_validate({"url": url, **login})
    except ValidationError as error:
        reasons = "; ".join(str(detail.get("ctx", {}).get("error", detail["msg"])) for detail in error.errors())
        raise ValueError(reasons) from None


def login_of(environ: Mapping[str, str]) -> dict[str, str]:
    """User and password for the target, as far as the environment tells. Raises ValueError."""
    user, password = environ.get("RESTORE_USER", ""), environ.get("RESTORE_PASSWORD", "")
    if file := environ.get("RESTORE_PASSWORD_FILE"):
        try:
            password = password_in(Path(file))
        except ValueError as error:
            raise ValueError(f"RESTORE_PASSWORD_FILE: {error}") from None
    found = {"user": user, "password": password, "ca_file": environ.get("RESTORE_CA_FILE", "")}
    return {key: value for key, value in found.items() if value}


def _secret(login: Mapping[str, str]) -> dict[str, object]:
    """The same as a section holds it."""
    section = Destination.model_validate({"url": "http://any", **login})
    return {key: getattr(section, key) for key in login}
