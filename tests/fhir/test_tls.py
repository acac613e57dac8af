"""Certificates and proxies, over real connections."""

import inspect
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trustme
from aiohttp import web
from aiohttp.test_utils import TestServer

from service.errors import ServerUnreachable, SettingsError
from service.fhir.client import open_client
from tests.support import settings

STATEMENT = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1"}


@pytest.fixture(autouse=True)
def _each_context_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others share one; here it matters what was loaded into it."""
    monkeypatch.setattr(ssl, "create_default_context", inspect.unwrap(ssl.create_default_context))


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA, tmp_path: Path) -> Path:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    return tmp_path / "ca.pem"


@asynccontextmanager
async def serving(authority: trustme.CA, *, asks: bool = False) -> AsyncIterator[str]:
    """A FHIR server with a certificate of an authority; it may ask for one of a client as well."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(context)
    if asks:
        authority.configure_trust(context)
        context.verify_mode = ssl.CERT_REQUIRED
    app = web.Application()
    app.router.add_get("/fhir/metadata", _metadata)
    server = TestServer(app, host="localhost")
    await server.start_server(ssl=context)
    try:
        yield f"https://localhost:{server.port}/fhir"
    finally:
        await server.close()


async def _metadata(_: web.BaseRequest) -> web.Response:
    return web.json_response(STATEMENT, content_type="application/fhir+json")


async def reads(base: str, **chosen: object) -> bool:
    async with open_client(settings(fhir_base_url=base, fhir_attempts=1, **chosen)) as client:
        try:
            return (await client.capability()).fhir_version == "4.0.1"
        except ServerUnreachable:
            return False


async def test_the_authority_of_a_hospital_is_trusted_where_it_is_named(
    authority: trustme.CA, trusted: Path
) -> None:
    async with serving(authority) as base:
        assert await reads(base, fhir_ca=trusted)
        assert not await reads(base)


async def test_a_server_that_asks_for_a_certificate_is_shown_one(
    authority: trustme.CA, trusted: Path, tmp_path: Path
) -> None:
    ours = authority.issue_cert("service.example.org")
    ours.private_key_and_cert_chain_pem.write_to_path(tmp_path / "ours.pem")
    async with serving(authority, asks=True) as base:
        assert await reads(base, fhir_ca=trusted, fhir_cert=tmp_path / "ours.pem")
        assert not await reads(base, fhir_ca=trusted)


@pytest.mark.parametrize("setting", ["fhir_ca", "fhir_cert"])
async def test_a_file_without_a_certificate_stops_the_start(setting: str, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").write_text("")
    for path in (tmp_path / "empty.pem", tmp_path / "nowhere.pem"):
        chosen = settings(fhir_base_url="https://localhost/fhir", **{setting: path})
        with pytest.raises(SettingsError, match=f"TRD_{setting.upper()}"):
            async with open_client(chosen):
                pass


async def test_a_proxy_of_the_environment_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    async def pass_on(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(str(request.url))
        return await _metadata(request)

    runner = web.ServerRunner(web.Server(pass_on))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    monkeypatch.setenv("HTTP_PROXY", f"http://{host}:{port}")
    try:
        assert await reads("http://fhir.hospital.example/fhir")
    finally:
        await runner.cleanup()
    assert asked == ["http://fhir.hospital.example/fhir/metadata"]
