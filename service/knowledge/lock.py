"""The lock: the sha256, version, date and source of every list."""

import hashlib
import tomllib
from datetime import date
from pathlib import Path
from typing import cast

LOCK = "lock.toml"


def lists_in(directory: Path) -> list[Path]:
    """Every list that the lock must hold, in a stable order."""
    return sorted(p for p in directory.rglob("*") if p.suffix in {".csv", ".toml"} and p.name != LOCK)


def digest_of(path: Path) -> str:
    """The sha256 of a list."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_lock(directory: Path, today: date) -> str:
    """Write the lock anew. A list that changed gets today's date; version and source are kept.

    Returns the text of the lock.
    """
    path = directory / LOCK
    known = {entry["file"]: entry for entry in read_lock(path)} if path.exists() else {}
    parts = ["# Pins every list. Written by `trd-careplan mappings lock`; `mappings check` compares.\n"]
    for listed in lists_in(directory):
        name = listed.relative_to(directory).as_posix()
        sha256 = digest_of(listed)
        before = known.get(name, {})
        changed = before.get("sha256") != sha256
        when = today.isoformat() if changed else str(before["date"])
        version = str(before.get("version", "1"))
        if changed and before:
            version = str(int(version) + 1)
        parts.append(
            f'\n[[list]]\nfile = "{name}"\nversion = "{version}"\ndate = "{when}"\nsha256 = "{sha256}"\n'
            f'source = "{before.get("source", "named in each row or value of the file")}"\n'
        )
    text = "".join(parts)
    path.write_text(text, encoding="utf-8")
    return text


def read_lock(path: Path) -> list[dict[str, str]]:
    """The entries of a lock file, one a list."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("list", [])
    return cast("list[dict[str, str]]", entries)
