"""Half-open stretches of time, `[start, end)`, in `int` nanoseconds. Pure."""

from dataclasses import dataclass

from basics.times import END_OF_TIME, MIN_TIME, format_time


@dataclass(frozen=True, slots=True, order=True)
class Span:
    """A stretch of time, `[start, end)`."""

    start: int
    end: int

    def clip(self, start: int, end: int) -> "Span":
        """The part of it inside `[start, end)`; empty (end <= start) when there is none."""
        return Span(max(self.start, start), min(self.end, end))

    @property
    def edges(self) -> tuple[int, int]:
        """Both ends."""
        return self.start, self.end

    @property
    def length(self) -> int:
        """Nanoseconds."""
        return self.end - self.start


def halves(span: Span) -> tuple[Span, Span]:
    """The older and the newer half."""
    middle = span.start + span.length // 2
    return Span(span.start, middle), Span(middle, span.end)


def cut(span: Span, step: int) -> tuple[Span, ...]:
    """The windows of `step` nanoseconds since 1970 that make up a stretch."""
    first = span.start - span.start % step
    return tuple(Span(s, s + step).clip(span.start, span.end) for s in range(first, span.end, step))


def describe(span: Span) -> str:
    """A range for people: `[2026-01-05T00:00:00Z, 2026-01-12T00:00:00Z)`."""
    start = "beginning" if span.start <= MIN_TIME else format_time(span.start)
    end = "end" if span.end >= END_OF_TIME else format_time(span.end)
    return f"[{start}, {end})"
