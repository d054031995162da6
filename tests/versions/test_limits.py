"""What one version holds and another one does not is refused by name, and what stands beside it is copied."""

import time
from pathlib import Path

from tests.integration.harness import MONDAY, Pair
from tests.support.reader import exact, key
from tests.support.servers import InfluxServer


def test_a_string_that_is_too_long_for_the_newest_is_put_aside(tmp_path: Path) -> None:
    """From 1.12 on a string has at most a megabyte: the line goes to the quarantine, and says so."""
    with (
        InfluxServer.start("source", version="1.8.10") as source,
        InfluxServer.start("destination", version="1.12.4") as destination,
    ):
        pair = Pair(source, destination, "db", tmp_path)
        longest = 2**20
        pair.write(f'm s="{"x" * longest}" 1\nm s="{"y" * (longest + 1)}",n=1i {MONDAY}\nm s="z" {MONDAY + 1}')
        (failure,) = pair.backup().failures
        assert "copy db.autogen.m: 1 line refused and put aside in " in failure
        assert 'input field "s" on measurement "m" is too long, 1048577 > 1048576' in failure
        assert pair.found().points == {
            key("autogen", "m", {}, "s", 1): exact("x" * longest),
            key("autogen", "m", {}, "s", MONDAY + 1): exact("z"),
        }


def test_overlapping_shard_groups_of_an_old_version_arrive(tmp_path: Path) -> None:
    """They come of a changed shard duration; from 1.12 on a new group ends where an older one begins."""
    with (
        InfluxServer.start("source", version="1.8.10") as source,
        InfluxServer.start("destination", version="1.12.4") as destination,
    ):
        pair = Pair(source, destination, "db", tmp_path)
        pair.write(f"m v=1 {MONDAY}")
        for duration, day in (("1h", 1), ("52w", 2), ("1d", 100)):
            pair.source.query(f'ALTER RETENTION POLICY "autogen" ON "db" SHARD DURATION {duration}')
            pair.write(f"m v={day} {MONDAY + day * 86_400 * 10**9}\nm v=0 {MONDAY + 1}")
        assert pair.backup().failures == ()
        pair.assert_equal()


def test_points_outside_of_a_write_window_are_put_aside(tmp_path: Path) -> None:
    """From 1.12 on a policy may refuse the future: where no shard holds their time, it calls such points
    too old.
    """
    with (
        InfluxServer.start("source", version="1.8.10") as source,
        InfluxServer.start("destination", version="1.12.4") as destination,
    ):
        pair = Pair(source, destination, "db", tmp_path)
        destination.create_database("db")
        destination.query('ALTER RETENTION POLICY "autogen" ON "db" FUTURE LIMIT 1h')
        later = time.time_ns() + 365 * 86_400 * 10**9
        pair.write(f"m v=1 {MONDAY}\nm v=2 {later}")
        (failure,) = pair.backup().failures
        assert "copy db.autogen.m: 1 line refused and put aside in " in failure
        assert "0 points outside write window" in failure
        assert pair.found().points == {key("autogen", "m", {}, "v", MONDAY): exact(1.0)}


def test_only_the_values_of_a_field_with_an_odd_name_are_put_aside(tmp_path: Path) -> None:
    """From 1.12 on the server quotes the names in its answer; the other fields of the points arrive."""
    with (
        InfluxServer.start("source", version="1.8.10") as source,
        InfluxServer.start("destination", version="1.12.4") as destination,
    ):
        pair = Pair(source, destination, "db", tmp_path)
        destination.create_database("db")
        destination.write('m a\\"b=1i 1\nm,h=a ok=1 1', "db")
        destination.query("DELETE FROM m WHERE h = ''", db="db")  # the values, and not their type
        pair.write("\n".join(f'm,h=a a\\"b={i}.5,ok={i} {i}' for i in range(1, 9)))
        (failure,) = pair.backup().failures
        assert "8 lines refused and put aside in " in failure
        assert pair.found().points == {
            key("autogen", "m", {"h": "a"}, "ok", i): exact(float(i)) for i in range(1, 9)
        }
