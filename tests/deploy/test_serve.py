"""`make serve` keeps the keys that it makes, where only their owner can read them."""

from __future__ import annotations

from pathlib import Path

from alerter.api.auth import MIN_ROOT_CHARS
from services.tools.tryout import kept_key


def mode(path: Path) -> str:
    return oct(path.stat().st_mode & 0o777)


def test_a_key_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "var" / "admin.key"
    key = kept_key(path)
    assert len(key) >= MIN_ROOT_CHARS
    assert mode(path) == "0o600"
    assert kept_key(path) == key
    assert kept_key(tmp_path / "var" / "post.key") != key


def test_a_key_file_that_others_could_read_or_that_is_empty_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "admin.key"
    path.write_text("a-key-of-our-own-choice\n")
    path.chmod(0o644)
    assert kept_key(path) == "a-key-of-our-own-choice"
    assert mode(path) == "0o600"
    path.write_text("")
    made = kept_key(path)
    assert len(made) >= MIN_ROOT_CHARS
    assert kept_key(path) == made
