"""Passwords of restored users: generated, or given."""

from pathlib import Path

import pytest

from copying.metadata.passwords import GeneratedPasswords, GivenPasswords, NoPassword

NAMES = ("a", "b c", "d: e", "yes", "\n", '"\\', "\U0001f600", "\x7f", "\udcff")


def test_generated_passwords_are_long_and_kept_in_a_file_that_only_its_owner_may_read(tmp_path: Path) -> None:
    """It is on the disk when it is told; the next restore finds the same ones, and so does who gives the file."""
    file = tmp_path / "new" / "passwords.json"
    passwords = GeneratedPasswords(file)
    found = {name: passwords.of(name) for name in NAMES}
    assert len(set(found.values())) == len(NAMES)
    assert min(map(len, found.values())) >= 32
    assert file.stat().st_mode & 0o777 == 0o600
    for again in (passwords, GeneratedPasswords(file), GivenPasswords(file)):
        assert {name: again.of(name) for name in NAMES} == found


def test_given_passwords_are_texts_whatever_they_look_like(tmp_path: Path) -> None:
    """`007` and `yes` are no numbers and no flags."""
    file = tmp_path / "passwords.yaml"
    file.write_text("reader: 007\n'a b': yes\nwriter: 'it''s'\n")
    passwords = GivenPasswords(file)
    assert [passwords.of(name) for name in ("reader", "a b", "writer")] == ["007", "yes", "it's"]
    with pytest.raises(NoPassword, match="has no password for it"):
        passwords.of("other")


@pytest.mark.parametrize("text", ["- secret", "a: [secret]", "{secret", "", "a: {b: secret}"])
def test_a_file_of_another_kind_is_refused_without_showing_it(text: str, tmp_path: Path) -> None:
    """The message says how to write it."""
    file = tmp_path / "passwords.yaml"
    file.write_text(text)
    with pytest.raises(NoPassword, match="name: password") as raised:
        GivenPasswords(file)
    assert "secret" not in str(raised.value)


def test_a_file_that_cannot_be_read_or_written_is_named(tmp_path: Path) -> None:
    """Without a written password no user is made."""
    with pytest.raises(NoPassword, match="cannot be read"):
        GivenPasswords(tmp_path / "none")
    (tmp_path / "file").write_text("")
    with pytest.raises(NoPassword, match="cannot be written"):
        GeneratedPasswords(tmp_path / "file" / "passwords").of("a")
