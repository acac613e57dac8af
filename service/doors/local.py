"""Which callers are on this machine, and what a web page could send here from a browser on it."""

from ipaddress import ip_address
from urllib.parse import urlsplit

from aiohttp import hdrs, web


def is_loopback(host: str) -> bool:
    """Whether a host name or address is of this machine only."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def check_local(request: web.Request) -> None:
    """Refuse what a web page could send here from a browser on this machine.

    A foreign `Host` is DNS rebinding: https://owasp.org/www-community/attacks/DNS_Rebinding. A foreign
    `Origin` is a page of another site that posts to this one.
    """
    origin = request.headers.get(hdrs.ORIGIN)
    if not is_local_address(f"//{request.headers.get(hdrs.HOST, '')}"):
        raise web.HTTPForbidden
    if origin is not None and not is_local_address(origin):
        raise web.HTTPForbidden


def is_local_address(address: str) -> bool:
    """Whether an address of the web is of this machine."""
    try:
        return is_loopback(urlsplit(address).hostname or "")
    except ValueError:
        return False
