"""The lock: the sha256, version, date and source of every list."""

import hashlib
import re
import tomllib
from datetime import date
from pathlib import Path
from typing import cast

from service.errors import MappingsError

LOCK = "lock.toml"


def lists_in(directory: Path) -> list[Path]:
    """Every list that the lock must hold, in a stable order."""
    return sorted(p for p in directory.rglob("*") if p.suffix in {".csv", ".toml"} and p.name != LOCK)


def digest_of(path: Path) -> str:
    """The sha256 of a list."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write_lock(directory: Path, today: date) -> str:
    """Write the lock anew. A list that changed gets today's date and the next version; its source is kept.

    Returns the text of the lock. Raises `MappingsError` where a criteria set or a protocol changed and still
    states the version that is in the lock: plans name that version as what they rest on.
    """
    path = directory / LOCK
    known = {entry["file"]: entry for entry in read_lock(path)} if path.exists() else {}
    parts = ["# Pins every list. Written by `trd-careplan mappings lock`; `mappings check` compares.\n"]
    faults = []
    for listed in lists_in(directory):
        name = listed.relative_to(directory).as_posix()
        sha256 = digest_of(listed)
        before = known.get(name, {})
        changed = before.get("sha256") != sha256
        when = today.isoformat() if changed else str(before["date"])
        version = str(before.get("version", "1"))
        if changed and before:
            version = str(int(version) + 1)
        stated = stated_version(listed)
        if changed and stated is not None and stated == before.get("stated_version"):
            faults.append(f"{name}: changed, but still states version {stated}; raise its version")
        parts.append(
            f'\n[[list]]\nfile = "{name}"\nversion = "{version}"\ndate = "{when}"\nsha256 = "{sha256}"\n'
            + (f'stated_version = "{stated}"\n' if stated is not None else "")
            + f'source = "{before.get("source", "named in each row or value of the file")}"\n'
        )
    if faults:
        raise MappingsError(faults)
    text = "".join(parts)
    path.write_text(text, encoding="utf-8")
    return text


def stated_version(path: Path) -> str | None:
    """The version that a criteria set or a protocol states of itself; `None` for other lists."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.suffix == ".toml" else ""
    stated = re.search(r'^version\s*=\s*"([^"]*)"', text, re.MULTILINE)
    return stated[1] if stated is not None else None


def read_lock(path: Path) -> list[dict[str, str]]:
    """The entries of a lock file, one a list."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("list", [])
    return cast("list[dict[str, str]]", entries)
