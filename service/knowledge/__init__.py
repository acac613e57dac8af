"""`mappings/` on disk: load it, check it, pin it; and the site's own lists beside it."""

from service.knowledge.load import load_dialects, load_knowledge, mappings_directory
from service.knowledge.lock import LOCK, Signature, lists_in, write_lock, write_site_lock

__all__ = [
    "LOCK",
    "Signature",
    "lists_in",
    "load_dialects",
    "load_knowledge",
    "mappings_directory",
    "write_lock",
    "write_site_lock",
]
