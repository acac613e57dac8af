"""The knowledge of the product's own lists, loaded once in a process of tests."""

from functools import cache
from pathlib import Path

from service.core.knowledge import Knowledge
from service.knowledge import load_knowledge, mappings_directory


@cache
def knowledge_of(criteria: str = "seed", region: str = "us") -> Knowledge:
    """The knowledge of a criteria set and a region."""
    return load_knowledge(mappings_directory(), criteria=criteria, region=region)


def load_once(
    directory: Path, *, criteria: str, region: str, site_directory: Path | None = None
) -> Knowledge:
    """What `load_knowledge` gives. Lists of a test's own are loaded every time: they may have changed."""
    if directory == mappings_directory() and site_directory is None:
        return knowledge_of(criteria, region)
    return load_knowledge(directory, criteria=criteria, region=region, site_directory=site_directory)
