"""The lock: the sha256, version, date and source of every list."""

import hashlib
import json
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import NamedTuple, cast

from service.errors import MappingsError

LOCK = "lock.toml"
SITE_ID = r"[a-z0-9-]{1,31}"


def lists_in(directory: Path) -> list[Path]:
    """Every list that the lock must hold, in a stable order."""
    return sorted(p for p in directory.rglob("*") if p.suffix in {".csv", ".toml"} and p.name != LOCK)


def digest_of(path: Path) -> str:
    """The sha256 of a list."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def check_lock(directory: Path, note: Callable[[str, str], None]) -> Mapping[str, Mapping[str, str]]:
    """The entries of the lock by file, each list compared with its sha256; none where there is no lock.

    `note` takes each fault with the file that it is of.
    """
    path = directory / LOCK
    if not path.exists():
        note(LOCK, "missing; every list must be pinned")
        return {}
    try:
        locked = {entry["file"]: entry for entry in read_lock(path)}
        for entry in locked.values():
            _check_entry(entry)
    except (ValueError, KeyError) as error:
        note(LOCK, f"cannot be read: {type(error).__name__}")
        return {}
    present = {p.relative_to(directory).as_posix(): p for p in lists_in(directory)}
    for name in sorted(present.keys() - locked.keys()):
        note(name, "not in the lock")
    for name in sorted(locked.keys() - present.keys()):
        note(name, "in the lock, but missing")
    for name in sorted(present.keys() & locked.keys()):
        if digest_of(present[name]) != locked[name].get("sha256"):
            note(name, "differs from its sha256 in the lock")
    return locked


def _check_entry(entry: Mapping[str, str]) -> None:
    """Raise `KeyError` or `ValueError` where the lock does not state version and day of a list."""
    str(entry["version"])
    date.fromisoformat(str(entry["date"]))


def version_of(directory: Path, locked: Mapping[str, Mapping[str, str]]) -> str:
    """The version of all the lists together: the latest day in the lock, and a digest of the lock."""
    if not locked:
        return "unlocked"
    latest = max(str(entry["date"]) for entry in locked.values())
    return f"{latest}.{digest_of(directory / LOCK)[:8]}"


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
        before = known.get(name, {})
        stated = stated_version(listed)
        if _is_changed(listed, before) and stated is not None and stated == before.get("stated_version"):
            faults.append(f"{name}: changed, but still states version {stated}; raise its version")
        parts.append(
            _entry(name, listed, before, today)
            + (f'stated_version = "{stated}"\n' if stated is not None else "")
            + f'source = "{before.get("source", "named in each row or value of the file")}"\n'
        )
    if faults:
        raise MappingsError(faults)
    text = "".join(parts)
    path.write_text(text, encoding="utf-8")
    return text


class Signature(NamedTuple):
    """Who signs the site's own lists: the id of the site, and who reviewed what is new or changed."""

    site: str | None = None
    reviewer: str | None = None


def write_site_lock(directory: Path, signed: Signature, today: date) -> None:
    """Write the lock of the site's own lists anew, as `write_lock` does.

    What is not signed anew is kept. Raises `MappingsError` where the id of the site, or the reviewer of a
    list that is new or changed, is not given.
    """
    path = directory / LOCK
    known = {entry["file"]: entry for entry in read_lock(path)} if path.exists() else {}
    identity = signed.site or (read_site_id(path) if path.exists() else None)
    if identity is None or not re.fullmatch(SITE_ID, identity):
        raise MappingsError(
            [f"{LOCK}: no id of the site; give one of small letters, digits and hyphens (--id)"]
        )
    parts = [
        f'# Pins the lists of a site. Written by `trd-careplan mappings lock --site`.\n\nid = "{identity}"\n'
    ]
    unsigned = []
    for listed in lists_in(directory):
        name = listed.relative_to(directory).as_posix()
        before = known.get(name, {})
        reviewer = signed.reviewer if _is_changed(listed, before) else before.get("reviewer")
        if not reviewer:
            unsigned.append(f"{name}: new or changed; name who reviewed it (--reviewer)")
        parts.append(f"{_entry(name, listed, before, today)}reviewer = {json.dumps(reviewer)}\n")
    if unsigned:
        raise MappingsError(unsigned)
    path.write_text("".join(parts), encoding="utf-8")


def read_site_id(path: Path) -> str | None:
    """The id that the lock of a site's lists states; `None` where it states none that is allowed."""
    try:
        stated = tomllib.loads(path.read_text(encoding="utf-8")).get("id")
    except (OSError, ValueError):
        return None
    return stated if isinstance(stated, str) and re.fullmatch(SITE_ID, stated) else None


def _is_changed(listed: Path, before: Mapping[str, str]) -> bool:
    return before.get("sha256") != digest_of(listed)


def _entry(name: str, listed: Path, before: Mapping[str, str], today: date) -> str:
    """What the lock says of every list. One that changed gets today's date and the next version."""
    version, when = str(before.get("version", "1")), str(before.get("date", ""))
    if _is_changed(listed, before):
        version, when = str(int(version) + 1) if before else "1", today.isoformat()
    return (
        f'\n[[list]]\nfile = "{name}"\nversion = "{version}"\ndate = "{when}"\n'
        f'sha256 = "{digest_of(listed)}"\n'
    )


def stated_version(path: Path) -> str | None:
    """The version that a criteria set or a protocol states of itself; `None` for other lists."""
    text = path.read_text(encoding="utf-8", errors="replace") if path.suffix == ".toml" else ""
    stated = re.search(r'^version\s*=\s*"([^"]*)"', text, re.MULTILINE)
    return stated[1] if stated is not None else None


def read_lock(path: Path) -> list[dict[str, str]]:
    """The entries of a lock file, one a list."""
    entries = tomllib.loads(path.read_text(encoding="utf-8")).get("list", [])
    return cast("list[dict[str, str]]", entries)
