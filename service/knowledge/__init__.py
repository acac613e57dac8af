"""`mappings/` on disk: load it, check it, pin it."""

from service.knowledge.load import load_dialects, load_knowledge, mappings_directory
from service.knowledge.lock import lists_in, write_lock

__all__ = ["lists_in", "load_dialects", "load_knowledge", "mappings_directory", "write_lock"]
