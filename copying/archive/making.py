"""Makes a part of a snapshot: what a shard group holds of a measurement, read into files, read back, and proved.

It is proved when it adds up as the source adds it up.
"""

import logging
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass, field

from basics.spans import describe
from basics.stopping import StopRequest
from basics.text import printable
from copying.archive import parquet, sums
from copying.archive.contents import Archive
from copying.archive.errors import Unequal
from copying.archive.manifest import DataFile, Entry, Part
from copying.archive.portions import portions
from copying.archive.sums import Told
from copying.reading import Reader, read_ahead
from copying.segments import Segment
from copying.selection import allowed_types
from copying.task import Copy
from influx.fingerprints import Fingerprints, Look
from influx.frames import Frame, UnexpectedRows
from influx_client import InfluxClient

logger = logging.getLogger(__name__)

ATTEMPTS = 3
"""How often a part is read that is not what the source says."""


class PartMaker:
    """Of one snapshot. Safe to use from several threads.

    `wrote` hears of each file that is in the archive: its measurement, its key, itself, and its points.
    """

    def __init__(
        self,
        source: InfluxClient,
        reader: Reader,
        archive: Archive,
        stopping: StopRequest,
        wrote: Callable[[Copy, str, DataFile, Frame], None],
    ) -> None:
        self._source = source
        self._reader = reader
        self._archive = archive
        self._stopping = stopping
        self._wrote = wrote

    def make(self, copy: Copy, told: Told) -> Part | None:
        """What there is of a measurement, read and proved; None where that is nothing.

        Raises Unequal when it is not what the source says, though it was read again; Stopped, StoreFailed and
        InfluxError.
        """
        attempt = 0
        while True:
            attempt += 1
            self._stopping.check()
            try:
                return self._proved(copy, told)
            except (Unequal, UnexpectedRows) as error:
                span = describe(told.look.span)
                if attempt == ATTEMPTS:
                    raise Unequal(
                        f"{span}: {error}; it was read {ATTEMPTS} times. Somebody deletes or "
                        "overwrites there at this moment, or the server's answers do not agree; the next run "
                        "reads it again"
                    ) from error
                logger.info("%s %s: %s; reading it again", copy.source, span, error)
            (told,) = sums.ask(self._source, [told.look], one_shard=told.one_shard)

    def _proved(self, copy: Copy, told: Told) -> Part | None:
        made = self._read(copy, told.look)
        try:
            sums.check_equal(told, made.rows)
        except Unequal:
            (again,) = sums.ask(self._source, [told.look], one_shard=told.one_shard)
            if again.digest != told.digest and sums.is_between(told, made.rows, again):
                return made.part(copy, "")  # somebody writes there: what came meanwhile may come with the next run
            sums.check_equal(again, made.rows)
            told = again
        return made.part(copy, told.digest)

    def _read(self, copy: Copy, look: Look) -> "_Made":
        """Read the points, write them as files, read these back, and add up what they hold."""
        segment = Segment(tuple(sorted(copy.types)), look.span)
        made = _Made(sums.Adder(look))
        with closing(read_ahead(portions(self._frames(copy, segment)))) as found:
            for frame in found:
                self._stopping.check()
                content = parquet.encode(frame)
                file = parquet.described(frame, content)
                key = Entry(copy.source, look.span, _no_part(copy)).key(file)
                self._archive.put(key, file, content)
                back = parquet.decode(self._archive.read(key, file), key)
                if not parquet.are_same(frame, back):
                    raise Unequal(f"{key} does not hold what was written to it")
                made.add(back, file)
                self._wrote(copy, key, file, back)
        return made

    def _frames(self, copy: Copy, segment: Segment) -> Iterator[Frame]:
        allowed = allowed_types(copy.rules)
        with closing(read_ahead(self._reader.pages(copy, segment))) as pages:
            for page in pages:
                for frame in page.frames:
                    yield frame.only_types(allowed) if copy.rules.types else frame


@dataclass(slots=True)
class _Made:
    """What was written of a measurement, and what it adds up to."""

    adder: sums.Adder
    files: list[DataFile] = field(default_factory=list)
    types: dict[str, str] = field(default_factory=dict)
    tags: set[str] = field(default_factory=set)

    @property
    def rows(self) -> Fingerprints:
        return self.adder.rows

    def add(self, frame: Frame, file: DataFile) -> None:
        for name, type_ in parquet.types_of(frame).items():
            if self.types.setdefault(name, type_) != type_:
                raise Unequal(f"field {printable(name)!r} has two types in one shard group")
        self.tags.update(name for name, _ in frame.tags)
        self.adder.add(frame)
        self.files.append(file)

    def part(self, copy: Copy, fingerprint: str) -> Part | None:
        if not self.files:
            return None
        types = {name: self.types[name] for name in sorted(self.types)}
        return Part(copy.source.measurement, types, tuple(sorted(self.tags)), fingerprint, tuple(self.files))


def _no_part(copy: Copy) -> Part:
    return Part(copy.source.measurement, {}, (), "", ())
