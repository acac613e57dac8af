"""The commands `mappings check` and `mappings lock`: the clinical lists on disk, and the site's own."""

from datetime import date
from pathlib import Path

from service.core.knowledge import Knowledge, SiteLists
from service.errors import MappingsError, SettingsError
from service.knowledge import (
    LOCK,
    Signature,
    lists_in,
    load_knowledge,
    write_lock,
    write_site_lock,
)
from service.render.terminal import count


def check_lists(directory: Path, criteria: str, site: Path | None = None) -> str:
    """Check every list for both regions; report how many there are, their version, and what the site adds.

    Raises `MappingsError` that names each file, line and fault.
    """
    knowledge = _load(directory, criteria, site)
    checked = f"{count(len(lists_in(directory)), 'list')}, no fault; knowledge version {knowledge.version}"
    return "\n".join([checked, *_added(knowledge.site)])


def lock_lists(directory: Path, today: date) -> str:
    """Pin every list as it is now, after a reviewed change, and report how many there are."""
    write_lock(directory, today)
    return f"{count(len(lists_in(directory)), 'list')} pinned"


def lock_site_lists(site: Path, directory: Path, criteria: str, *, signed: Signature, today: date) -> str:
    """Pin the site's own lists as they are now, and report what they add.

    Raises `MappingsError` where they are faulty; then the lock stays as it was. Raises `SettingsError` where
    there is no such directory.
    """
    if not site.is_dir():
        raise SettingsError("--site: the directory is not there")
    lock = site / LOCK
    before = lock.read_bytes() if lock.exists() else None
    write_site_lock(site, signed, today)
    try:
        knowledge = _load(directory, criteria, site)
    except MappingsError:
        _put_back(lock, before)
        raise
    return "\n".join([f"{count(len(knowledge.site.rows), 'site list')} pinned", *_added(knowledge.site)])


def _put_back(lock: Path, before: bytes | None) -> None:
    if before is None:
        lock.unlink()
    else:
        lock.write_bytes(before)


def _load(directory: Path, criteria: str, site: Path | None) -> Knowledge:
    """The knowledge, checked for both regions."""
    us, _ = (
        load_knowledge(directory, criteria=criteria, region=region, site_directory=site)
        for region in ("us", "eu")
    )
    return us


def _added(site: SiteLists) -> list[str]:
    """What the site's own lists add: their version, and the rows of each file."""
    if not site.version:
        return []
    rows = [f"{name}: {count(number, 'row')} added" for name, number in sorted(site.rows.items())]
    return [f"site lists, version {site.version}", *rows]
