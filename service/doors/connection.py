"""Connections: no answer names the library that serves it, and what is no HTTP gets a plain refusal."""

from http import HTTPStatus

from aiohttp import hdrs, web

from service import __version__
from service.doors.exchange import REQUEST_ID

_SERVER = f"trd-careplan/{__version__}"


class DoorRunner(web.AppRunner):
    """Serves an application over connections of ours."""

    __slots__ = ()

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        return _Server(made.request_handler, request_factory=made.request_factory, **self._kwargs)


class _Server(web.Server):
    def __call__(self) -> web.RequestHandler:
        return _Connection(self, loop=self._loop, **self._kwargs)


class _Connection(web.RequestHandler):
    """A connection; refusals of the library, which quote the request, are replaced by the status alone."""

    __slots__ = ()

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer of a door, or a plain refusal of what reached none, under our name."""
        answer = resp if REQUEST_ID in resp.headers else _refusal(HTTPStatus(resp.status))
        answer.headers[hdrs.SERVER] = _SERVER
        return await super().finish_response(request, answer, start_time)


def _refusal(status: HTTPStatus) -> web.Response:
    refusal = web.Response(status=status, text=f"{status.value} {status.phrase}\n")
    refusal.force_close()
    return refusal
