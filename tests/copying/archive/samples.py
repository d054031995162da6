"""Points of all types, as frames."""

import polars as pl

from influx.frames import Frame


def points(count: int, begin: int = 1_704_067_200_000_000_000) -> Frame:
    """So many rows, three at each time, with extremes, nulls and texts of all kinds."""
    rows = range(count)
    return Frame(
        pl.Series(values=[begin + i // 3 for i in rows], dtype=pl.Int64),
        (
            ("v", pl.Series(values=[[-0.0, i / 7, None, 5e-324][i % 4] for i in rows], dtype=pl.Float64)),
            ("i", pl.Series(values=[[2**63 - 1, -(2**63), None][i % 3] for i in rows], dtype=pl.Int64)),
            ("u", pl.Series(values=[[2**64 - 1, 0, None][i % 3] for i in rows], dtype=pl.UInt64)),
            ("b", pl.Series(values=[[True, False, None][i % 3] for i in rows], dtype=pl.Boolean)),
            ("s", pl.Series(values=[["", "é", None][i % 3] for i in rows], dtype=pl.String)),
            ("raw", pl.Series(values=[[b"\xff", b"", None][i % 3] for i in rows], dtype=pl.Binary)),
            ("nothing", pl.Series(values=[None] * count, dtype=pl.Null)),
        ),
        (
            ("t", pl.Series(values=[["a", "b", None][i % 3] for i in rows], dtype=pl.String)),
            ("\udcff", pl.Series(values=[["x", None][i % 2] for i in rows], dtype=pl.String)),
            ("none", pl.Series(values=[None] * count, dtype=pl.Null)),
        ),
    )
