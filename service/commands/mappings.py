"""The commands `mappings check` and `mappings lock`: the clinical lists on disk."""

from datetime import date
from pathlib import Path

from service.knowledge import lists_in, load_knowledge, write_lock
from service.render.terminal import count


def check_lists(directory: Path, criteria: str) -> str:
    """Check every list for both regions, and report how many there are and their version.

    Raises `MappingsError` that names each file, line and fault.
    """
    for region in ("us", "eu"):
        knowledge = load_knowledge(directory, criteria=criteria, region=region)
    return f"{count(len(lists_in(directory)), 'list')}, no fault; knowledge version {knowledge.version}"


def lock_lists(directory: Path, today: date) -> str:
    """Pin every list as it is now, after a reviewed change, and report how many there are."""
    write_lock(directory, today)
    return f"{count(len(lists_in(directory)), 'list')} pinned"
