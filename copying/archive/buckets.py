"""An archive in an object store: S3 and what speaks like it, Google Cloud Storage, Azure.

Endpoint, region and keys are the usual variables of each: AWS_ENDPOINT_URL, AWS_REGION, AWS_ACCESS_KEY_ID,
AWS_SECRET_ACCESS_KEY; GOOGLE_APPLICATION_CREDENTIALS; AZURE_STORAGE_ACCOUNT_NAME, AZURE_STORAGE_ACCOUNT_KEY ...
"""

import contextlib
import os
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import timedelta
from typing import Any, TypeVar

from copying.archive import answers
from copying.archive.errors import AlreadyThere, ArchiveError, LibraryMissing, NotThere, StoreFailed
from copying.archive.parquet import missing
from copying.archive.places import Stored

PATIENCE = timedelta(seconds=60)
"""How long a request is tried again."""

PAUSE = 0.2
"""Seconds until a request whose connection broke is made again."""

_OF_ONE = frozenset({"read", "remove"})
"""What needs an object to be there."""

T = TypeVar("T")

_ENDPOINTS = ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")


class Bucket:
    """Objects below a prefix of a bucket, each created only where there is none."""

    def __init__(self, url: str, environ: Mapping[str, str] = os.environ) -> None:
        try:
            import obstore  # noqa: PLC0415 -- only archives in object stores need it
            from obstore import exceptions, store  # noqa: PLC0415
        except ImportError as error:
            raise LibraryMissing(missing("obstore", error)) from None
        self.url = url
        self._api: Any = obstore
        self._errors: Any = exceptions
        plain = any(environ.get(name, "").startswith("http://") for name in _ENDPOINTS)
        options = {"allow_http": True} if plain else {}
        from_url: Any = store.from_url  # its types want a literal for each kind of store
        try:
            self._store: Any = from_url(
                url,
                client_options={"timeout": timedelta(minutes=5), **options},
                retry_config={"max_retries": 8, "retry_timeout": PATIENCE},
            )
        except (exceptions.BaseError, ValueError) as error:
            raise StoreFailed(f"archive {url}: {answers.in_words(str(error))}") from error

    def create(self, key: str, content: bytes) -> None:
        """Write an object. Raises AlreadyThere."""
        with self._told("write", key):
            try:
                self._made(lambda: self._api.put(self._store, key, content, mode="create", use_multipart=False))
            except (self._errors.AlreadyExistsError, self._errors.PreconditionError):
                # also after an attempt of ours whose answer was lost
                raise AlreadyThere.of(self.url, key) from None

    def read(self, key: str) -> bytes:
        """All of an object. Raises NotThere."""
        with self._told("read", key):
            return self._made(lambda: bytes(self._api.get(self._store, key).bytes()))

    def list(self, prefix: str) -> Iterator[Stored]:
        """The objects whose key begins with a prefix that ends with a slash."""
        with self._told("list", prefix):
            for found in self._made(lambda: [f for part in self._api.list(self._store, prefix) for f in part]):
                written = int(found["last_modified"].timestamp() * 10**9)
                yield Stored(found["path"], found["size"], written)

    def refresh(self, key: str, content: bytes) -> None:
        """Write it once more, so that it counts as written now."""
        with self._told("write", key):
            self._made(lambda: self._api.put(self._store, key, content, use_multipart=False))

    def delete(self, key: str) -> None:
        """Remove an object; nothing happens when there is none."""
        with contextlib.suppress(NotThere), self._told("remove", key):
            self._made(lambda: self._api.delete(self._store, key))

    def _made(self, request: Callable[[], T]) -> T:
        """What a request answers. The library repeats what failed, but no write whose connection broke.

        Each of ours may be made twice: a second `create` finds what the first one made.
        """
        until = time.monotonic() + PATIENCE.total_seconds()
        while True:
            try:
                return request()
            except self._errors.BaseError as error:
                if not answers.is_broken(str(error)) or time.monotonic() >= until:
                    raise
            time.sleep(PAUSE)

    @contextlib.contextmanager
    def _told(self, verb: str, key: str) -> Iterator[None]:
        """Errors of the library as ours."""
        try:
            yield
        except ArchiveError:
            raise
        except (self._errors.BaseError, OSError) as error:
            if verb in _OF_ONE and isinstance(error, FileNotFoundError) and answers.is_missing(str(error)):
                raise NotThere(f"archive {self.url}: {key} is not there") from error
            raise StoreFailed(
                f"archive {self.url}: cannot {verb} {key}: {answers.in_words(str(error))}"
            ) from error
