"""A FHIR server to try the service on, with synthetic patients; for the demo and for tests.

`running_sekmet` starts sekmet-fhir (Python, about 2 seconds) on loopback with temporary data, and `load` puts
resources on any server. Use the URL exactly as yielded: sekmet-fhir writes it into every link.
"""

from service.demo.sandbox.calling import call_hook
from service.demo.sandbox.loading import LoadRefusedError, delete, load
from service.demo.sandbox.processes import MissingToolError, ServerStartError
from service.demo.sandbox.sekmet import running_sekmet

__all__ = [
    "LoadRefusedError",
    "MissingToolError",
    "ServerStartError",
    "call_hook",
    "delete",
    "load",
    "running_sekmet",
]
