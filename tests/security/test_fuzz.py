"""A thousand damaged job files: each is a valid job or a clear error, and reading it has no effect on anything."""

import copy
import os
import random
import re
import socket
import sys
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import ConfigError, Job, load_config
from settings.yaml_reader import KeyPath
from tests.settings.test_config import COMPLETE, TEMPLATE
from tests.support.leaks import assert_no_secret

SECRET = "hunter2-Geheim"
SEEDS = range(40)
ROUNDS = 25
"""Damaged files for each seed: a thousand in all."""

SCALARS: list[object] = [
    None, True, False, 0, -1, 7, 2**63, -(2**63) - 1, 10**400, 0.5, -0.0, float("inf"), float("nan"),
    "", " ", "x", "0", "true", "null", "~", "1e5", "5m", "-1d", "0 2 * * *", "* * * * * *", "2026-01-01",
    "2026-13-45", "/(/", "*", "[", "http://h", "http://h:99999", "http://u:p@h", "ftp://h", "${", "${NOPE}",
    "$${x}", "é\u202e", "\x07\x1b[2J", "a\nb", "\ud800", "x" * 5000, "../../etc/passwd", "/dev/zero",
    "/etc/shadow", "%s{0}", "!!python/object:os.system", "*a", "&a", "<<", "=", "Europe/Berlin", "Mars/Phobos",
]  # fmt: skip
"""What a key or a value may become."""

PIECES = [
    b":", b" ", b"\n", b"\t", b"'", b'"', b"{", b"}", b"[", b"]", b"- ", b"#", b"&a ", b"*a ", b"<<: *a",
    b"\\", b"|",
    b"!!python/name:os.system ", b"!x ", b"${", b">", b"%YAML", b"---\n", b"...\n", b"\0", b"\xff", b"\xc3", b"\r",
    b"\xef\xbb\xbf", b"\xfe\xff", b"\x1b", b"\xe2\x80\xa8", b"\xed\xa0\x80", b"\x85",
]  # fmt: skip
"""What bytes may become."""


# ---------------------------------------------------------------- nothing happens but reading

EFFECTS = re.compile(
    r"socket\.(connect|sendto|sendmsg|getaddrinfo|bind)|subprocess\.|shutil\.|ctypes\."
    r"|os\.(system|exec|posix_spawn|fork|remove|rename|mkdir|rmdir|link|symlink|truncate|chmod|chown|kill)"
)
_watched: dict[int, list[str]] = {}
"""What the interpreter reports, by the thread that is being watched."""


def _audit(event: str, arguments: tuple[Any, ...]) -> None:
    seen = _watched.get(threading.get_ident()) if _watched else None
    if seen is None:
        return
    writes = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
    if EFFECTS.match(event) or writes:
        seen.append(f"{event} {arguments}")


sys.addaudithook(_audit)


@contextmanager
def effects() -> Iterator[list[str]]:
    """Whatever this thread connects to, writes, starts or removes meanwhile."""
    seen: list[str] = []
    kept = sys.dont_write_bytecode
    sys.dont_write_bytecode = True  # a module that is imported meanwhile is no effect
    _watched[threading.get_ident()] = seen
    try:
        yield seen
    finally:
        del _watched[threading.get_ident()]
        sys.dont_write_bytecode = kept


def test_an_effect_is_noticed(tmp_path: Path) -> None:
    """A connection, a file, a process."""
    with effects() as seen, socket.create_server(("127.0.0.1", 0)) as listener:
        socket.create_connection(listener.getsockname()).close()
        (tmp_path / "file").write_text("x")
        os.system("true")  # noqa: S605
    assert [effect.split()[0] for effect in seen if "getaddrinfo" not in effect] == [
        "socket.bind",
        "socket.connect",
        "open",
        "os.system",
    ]


# ---------------------------------------------------------------- damage


def paths(value: object, path: KeyPath = ()) -> Iterator[KeyPath]:
    """The paths of all values below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from paths(inner, (*path, key))


def section(data: Any, path: KeyPath) -> Any:  # noqa: ANN401 -- whatever YAML holds
    """What holds the last key of the path."""
    for key in path[:-1]:
        data = data[key]
    return data


def some_value(chance: random.Random) -> Any:  # noqa: ANN401
    """A scalar, or one in a list or in a section."""
    scalar = chance.choice(SCALARS)
    return chance.choice(
        [scalar, scalar, scalar, [scalar], {"name": scalar}, {"x": [scalar, {}]}, [[scalar]], {}, []]
    )


def delete(data: Any, path: KeyPath, chance: random.Random) -> None:  # noqa: ANN401, ARG001
    """Remove a key."""
    del section(data, path)[path[-1]]


def replace(data: Any, path: KeyPath, chance: random.Random) -> None:  # noqa: ANN401
    """Another value."""
    section(data, path)[path[-1]] = some_value(chance)


def rename(data: Any, path: KeyPath, chance: random.Random) -> None:  # noqa: ANN401
    """Another key for the same value, or a mistyped one."""
    holder = section(data, path)
    if isinstance(holder, dict):
        name = str(path[-1])
        new = chance.choice([chance.choice(SCALARS), name[::-1], name + "s", name.upper(), name[1:], f"{name}:"])
        holder[new] = holder.pop(path[-1])


def add(data: Any, path: KeyPath, chance: random.Random) -> None:  # noqa: ANN401
    """Something more beside the value."""
    holder = section(data, path)
    if isinstance(holder, dict):
        holder[chance.choice(SCALARS)] = some_value(chance)
    else:
        holder.append(some_value(chance))


def retype(data: Any, path: KeyPath, chance: random.Random) -> None:  # noqa: ANN401
    """The same value as a text, in a list, in a section, or upside down."""
    holder = section(data, path)
    value = holder[path[-1]]
    holder[path[-1]] = chance.choice(
        [str(value), [value], {"value": value}, [value, value], not value, repr(value)]
    )


def copy_elsewhere(data: Any, path: KeyPath, chance: random.Random) -> None:  # noqa: ANN401
    """The value at another key as well."""
    value = copy.deepcopy(section(data, path)[path[-1]])
    other = chance.choice(list(paths(data)))
    section(data, other)[other[-1]] = value


DAMAGES: list[Callable[[Any, KeyPath, random.Random], None]] = [
    delete,
    replace,
    rename,
    add,
    retype,
    copy_elsewhere,
]


def damaged_data(text: str, chance: random.Random) -> bytes:
    """The file with one to three wrong keys or values; well-formed YAML."""
    data = yaml.safe_load(re.sub(r"\bon:", '"on":', text))  # which YAML 1.1 takes for true
    for _ in range(chance.choice([1, 1, 2, 3])):
        found = list(paths(data))
        if found:
            chance.choice(DAMAGES)(data, chance.choice(found), chance)
    return str(yaml.safe_dump(data, sort_keys=False, width=10_000)).encode()


def damaged_bytes(text: str, chance: random.Random) -> bytes:
    """The file with one to six accidents that no editor minds."""
    content = text.encode()
    for _ in range(chance.randint(1, 6)):
        start = chance.randrange(len(content) + 1)
        end = min(len(content), start + chance.choice([0, 0, 1, 1, 3, 20, 200]))
        other = chance.randrange(len(content) + 1)
        new = chance.choice(
            [chance.choice(PIECES), content[other : other + 40], bytes([chance.randrange(256)]), b""]
        )
        content = content[:start] + new + content[end:]
    return content


# ---------------------------------------------------------------- the test


WHOLE_FILE = re.compile(r"line \d+[:,]|the file is empty|not encoded|not well-formed|expected a section")


def assert_clear(error: ConfigError) -> None:
    """Each problem is on one line that says where it is: a key, or a line of the file, or the file as a whole."""
    assert error.problems
    assert str(error).startswith("job.yaml: ")
    for problem in error.problems:
        assert str(problem).isprintable()
        assert len(str(problem)) < 1000
        assert problem.path or WHOLE_FILE.match(problem.message), problem


def texts(result: Job | ConfigError) -> list[str]:
    """How it may be shown."""
    trace = traceback.format_exception(result) if isinstance(result, ConfigError) else []
    return [repr(result), str(result), "".join(trace)]


def has_password_in_place(content: bytes) -> bool:
    """Whether the reference to the password is nowhere but at the key password: elsewhere it may be shown."""
    reference = rb"\$\{SOURCE_PASSWORD"
    return len(re.findall(reference, content)) == len(re.findall(rb"\bpassword: [\"']?" + reference, content))


@pytest.mark.timeout(600)
@pytest.mark.parametrize("damaged", [damaged_data, damaged_bytes])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_damaged_file_is_a_job_or_a_clear_error(
    seed: int, damaged: Callable[[str, random.Random], bytes]
) -> None:
    """Whatever an editor, a merge or an attacker has done to it; nothing is written, asked or started."""
    chance = random.Random(seed)
    for _ in range(ROUNDS // 2 + (damaged is damaged_data) * (ROUNDS % 2)):
        content = damaged(chance.choice([COMPLETE, COMPLETE, TEMPLATE]), chance)
        with effects() as seen:
            result = outcome(content)
        assert seen == []
        if isinstance(result, ConfigError):
            assert_clear(result)
        else:
            assert result.name == "job"
        if has_password_in_place(content):
            assert_no_secret(texts(result), SECRET)


def outcome(content: bytes) -> Job | ConfigError:
    """The job or the error; any other exception is a failed test."""
    try:
        return load_config("job.yaml", {"SOURCE_PASSWORD": SECRET}, content=content)
    except ConfigError as error:
        return error


@pytest.mark.parametrize("text", [COMPLETE, TEMPLATE], ids=["complete", "template"])
def test_without_damage_they_are_valid(text: str) -> None:
    """What is damaged above is sound, and stays sound on its way through YAML."""
    for content in (text.encode(), damaged_data(text, _Harmless())):
        assert isinstance(outcome(content), Job)


class _Harmless(random.Random):
    """Chooses the first of everything, and changes nothing."""

    def choice(self, seq: Any) -> Any:  # noqa: ANN401
        """No damage where one is to be chosen."""
        return (lambda *_: None) if seq is DAMAGES else seq[0]
