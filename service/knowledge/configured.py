"""The clinical lists as the settings choose them: the one place where the choice is made."""

from pathlib import Path

from service.core.knowledge import Knowledge
from service.knowledge.load import load_knowledge, mappings_directory
from service.settings import Settings


def find_lists(settings: Settings) -> Path:
    """The directory of the clinical lists: that of the settings, else the packaged one."""
    return settings.mappings or mappings_directory()


def load_lists(settings: Settings) -> Knowledge:
    """Load the lists, the site's own with them. Raises `MappingsError` where they are faulty."""
    return load_knowledge(
        find_lists(settings),
        criteria=settings.criteria,
        region=settings.region,
        site_directory=settings.site_mappings,
    )
