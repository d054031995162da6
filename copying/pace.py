"""How much one query asks for: it follows what the answers before it brought. Pure."""

from dataclasses import dataclass, replace

from basics.spans import Span
from basics.times import END_OF_TIME, MIN_TIME, SECOND
from influx.pages import FEWEST_ROWS


@dataclass(frozen=True, slots=True)
class Pace:
    """How much one query asks for: at most `rows` rows, from at most `length` nanoseconds.

    The row limit bounds memory. The length keeps the server from opening every shard up to the end of the
    range for each page; it grows while little comes back, so that ten thin years are not five hundred queries.
    """

    length: int
    rows: int
    longest: int = END_OF_TIME - MIN_TIME
    step: int = 1
    """Every length is a multiple of this: the windows of a downsampling query are never cut."""
    most_rows: int = 0
    """What `rows` grows back to after it had to shrink; 0: the `rows` of the beginning."""
    ceiling: int = 0
    """What `rows` may grow to where a longer page pays; 0: it may not."""
    was_eased: bool = False
    """Whether the server has found a request too large."""

    def window(self, start: int, end: int) -> Span:
        """The next stretch to ask for."""
        length = min(self.length, self.longest)
        return Span(start, min(end, start + max(self.step, length - length % self.step)))

    def after(
        self,
        asked: Span,
        got: Span,
        rows: int,
        limit: int = 0,
        *,
        slow_start: bool = False,
        fitting: int = END_OF_TIME,
    ) -> "Pace":
        """The pace for the next query, from how far the last one got and how many rows came back.

        `limit`: so many rows had to be asked for, because they share a time, and cannot be read apart.
        `slow_start`: it took the server long to begin, so fewer and longer pages cost less. `fitting`: so many
        rows like these fit into memory.
        """
        most = max(self.rows, self.most_rows)
        wanted = min(self.rows + self.rows // 4 + 1, most)
        if slow_start:
            wanted = most = max(most, min(2 * self.rows, self.ceiling))
        wanted = max(FEWEST_ROWS, min(wanted, fitting), limit if limit > self.rows else 0)
        if got.end < asked.end:
            return replace(self, length=2 * got.length * wanted // self.rows, rows=wanted, most_rows=most)
        if rows > self.rows:  # only an answer without a row limit can be too long
            return replace(self, length=max(self.step, asked.length // 2))
        if 4 * rows < self.rows:
            return replace(self, length=min(8 * self.length, self.longest))
        if slow_start:
            longer = self.length * max(wanted, self.rows) // self.rows
            return replace(self, length=min(longer, self.longest), rows=wanted, most_rows=most)
        return self

    def eased(self, asked: Span) -> "Pace | None":
        """A smaller request after the server found one too large; None when it cannot get smaller."""
        # one window of a downsampling query cannot be divided, and the limit of rows does not concern it
        least_rows = FEWEST_ROWS if self.step == 1 else self.rows
        if asked.length <= max(SECOND, self.step) and self.rows <= least_rows:
            return None
        return replace(
            self,
            length=max(1, asked.length // 4),
            rows=max(FEWEST_ROWS, self.rows // 8),
            most_rows=max(self.rows, self.most_rows),
            was_eased=True,
        )
