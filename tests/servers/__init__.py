"""Real FHIR servers for the tests, started on loopback with private temporary data.

`running_hapi` starts HAPI FHIR (Java, about 20 seconds) and `running_sekmet` starts sekmet-fhir
(Python, about 2 seconds). Both are context managers that yield the FHIR base URL and stop the
server at the end, so they suit session-scoped fixtures. `running_double` is a server in memory with the
traits of others, `double_in_memory` the same without HTTP, `proxied` a real server that seems to do less.
`load` puts resources on any of them.

Use the URL exactly as yielded: sekmet-fhir writes it into every link, whatever host was asked.
"""

from service.demo.sandbox import LoadRefusedError, MissingToolError, ServerStartError, running_sekmet

from .doubles import double_in_memory, running_double, serving_double
from .hapi import BRIEFLY, hapi_jar, running_hapi
from .proxy import proxied
from .stage import front_at, load

__all__ = [
    "BRIEFLY",
    "LoadRefusedError",
    "MissingToolError",
    "ServerStartError",
    "double_in_memory",
    "front_at",
    "hapi_jar",
    "load",
    "proxied",
    "running_double",
    "running_hapi",
    "running_sekmet",
    "serving_double",
]
