"""Ask the service in this container how it is: exit 0 when it answers 200. The image has no curl."""  # noqa: INP001 - a script

import os
import sys
import urllib.request

_SECONDS = 5

address = f"http://127.0.0.1:{os.environ.get('TRD_PORT', '8080')}{sys.argv[1]}"
try:
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(address, timeout=_SECONDS).close()
except OSError as error:
    sys.exit(f"{address}: {error}")
