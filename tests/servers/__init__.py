"""Real FHIR servers for the tests, started on loopback with private temporary data.

`running_hapi` starts HAPI FHIR (Java, about 20 seconds) and `running_sekmet` starts sekmet-fhir
(Python, about 2 seconds). Both are context managers that yield the FHIR base URL and stop the
server at the end, so they suit session-scoped fixtures. `load` puts resources on either.

Use the URL exactly as yielded: sekmet-fhir writes it into every link, whatever host was asked.
"""

from service.sandbox import LoadRefusedError, MissingToolError, ServerStartError, load, running_sekmet

from .hapi import hapi_jar, running_hapi

__all__ = [
    "LoadRefusedError",
    "MissingToolError",
    "ServerStartError",
    "hapi_jar",
    "load",
    "running_hapi",
    "running_sekmet",
]
