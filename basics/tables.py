"""Tables of plain text. Pure."""

from collections.abc import Sequence


def ruled(rows: Sequence[Sequence[str]]) -> list[Sequence[str]]:
    """The rows of a table with a line of dashes below the first."""
    rule = tuple("-" * max(map(len, column)) for column in zip(*rows, strict=True))
    return [rows[0], rule, *rows[1:]]


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """The rows of a table as lines: the first and the last column to the left, numbers between to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    last = len(widths) - 1
    lines = []
    for row in rows:
        sized = enumerate(zip(row, widths, strict=True))
        cells = (cell.ljust(width) if i in (0, last) else cell.rjust(width) for i, (cell, width) in sized)
        lines.append("  ".join(cells).rstrip())
    return lines
