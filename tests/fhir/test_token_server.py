"""Client credentials at a token server that is not ours: `oidc-provider-mock`, over real connections.

It speaks the authorization code grant only. The grant for services is that of authlib, the library that it is
made with; clients, secrets and tokens are its own.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from unittest.mock import patch

import flask
import httpx
import pytest
from httpx_aiohttp import HttpxAiohttpClient
from pydantic import SecretStr

from service.errors import NotAuthorized
from service.fhir.client import open_client
from service.settings import Settings
from tests.contract_write import TWO_FAILURES
from tests.fhir.double import FhirDouble
from tests.support import BASE, InMemory, case_bundle, patient_id_of, resources_of, reviewer, settings

with warnings.catch_warnings(record=True):  # of authlib, about its own parts
    import oidc_provider_mock  # type: ignore[import-untyped]
    from authlib.oauth2.rfc6749 import ClientCredentialsGrant  # type: ignore[import-untyped]
    from oidc_provider_mock._app import RefreshTokenGrant  # type: ignore[import-untyped]
    from oidc_provider_mock._server import _threaded_server  # type: ignore[import-untyped]
    from oidc_provider_mock._storage import Client  # type: ignore[import-untyped]

SCOPES = "system/*.rs system/*.cruds"
PATIENT = patient_id_of(case_bundle(TWO_FAILURES))
EACH_METHOD = pytest.mark.parametrize("method", ["client_secret_basic", "client_secret_post"])


class _ForServices(ClientCredentialsGrant, RefreshTokenGrant):  # type: ignore[misc]
    """A client that acts for itself, which the server takes for one of its users.

    The token endpoint gives tokens for two kinds of grant only, so that this one must be of one of them.
    """

    TOKEN_ENDPOINT_AUTH_METHODS = ("client_secret_basic", "client_secret_post")

    def authenticate_token_endpoint_client(self) -> Client:
        client: Client = super().authenticate_token_endpoint_client()
        self.request.user = oidc_provider_mock.User(sub=client.id)
        flask.g.oidc_provider_mock_storage.store_user(self.request.user)
        return client


@contextmanager
def token_server(*, for_services: bool = True) -> Iterator[str]:
    app = oidc_provider_mock.app(require_client_registration=True)
    grants = (*Client.GRANT_TYPES_SUPPORTED, "client_credentials")
    if for_services:
        app.before_request(lambda: flask.g._authlib_authorization_server.register_grant(_ForServices))
    with (
        patch.object(Client, "GRANT_TYPES_SUPPORTED", grants),
        _threaded_server(app=app, host="127.0.0.1", poll_interval=0.01) as server,
    ):
        yield f"http://127.0.0.1:{server.server_port}"


def registered(origin: str, method: str) -> Settings:
    """The settings of a client that is registered with the token server by its own door."""
    asked = {
        "redirect_uris": ["https://service.example/"],
        "token_endpoint_auth_method": method,
        "scope": SCOPES,
    }
    client = httpx.post(f"{origin}/oauth2/clients", json=asked, trust_env=False).raise_for_status().json()
    return settings(
        fhir_base_url=BASE,
        fhir_auth="client-secret",
        fhir_client_id=client["client_id"],
        fhir_client_secret=client["client_secret"],
        fhir_scopes=SCOPES,
    )


@contextmanager
def guarded_by(origin: str, method: str, double: FhirDouble) -> Iterator[list[int]]:
    """A FHIR server that asks the token server about every token; yields what it answered with."""
    answered = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.path.endswith("/.well-known/smart-configuration"):
            token_url = f"{origin}/oauth2/token"
            return httpx.Response(
                200, json={"token_endpoint": token_url, "token_endpoint_auth_methods_supported": [method]}
            )
        shown = {"Authorization": request.headers.get("Authorization", "")}
        known = httpx.get(f"{origin}/userinfo", headers=shown, trust_env=False).is_success
        response = double(request) if known else httpx.Response(401)
        answered.append(response.status_code)
        return response

    met = partial(HttpxAiohttpClient, mounts={"http://fhir.test": InMemory(answer)})
    with patch("service.fhir.client.HttpxAiohttpClient", met):
        yield answered


def a_double() -> FhirDouble:
    return FhirDouble(resources_of(case_bundle(TWO_FAILURES)), base=BASE)


@EACH_METHOD
async def test_a_patient_is_reviewed_and_written_by_its_token(method: str) -> None:
    with token_server() as origin, guarded_by(origin, method, a_double()) as answered:
        async with open_client(registered(origin, method)) as client:
            done = await reviewer().propose(client, PATIENT)
            assert client.granted_scopes == SCOPES
    assert done.answer.care_plan.action == "create"
    assert 401 not in answered


@EACH_METHOD
async def test_a_wrong_secret_gets_no_token(method: str) -> None:
    with token_server() as origin, guarded_by(origin, method, a_double()):
        wrong = registered(origin, method).model_copy(update={"fhir_client_secret": SecretStr("wrong")})
        async with open_client(wrong) as client:
            with pytest.raises(NotAuthorized, match=r"refused this client \(\d+ invalid_client\)"):
                await client.get(f"Patient/{PATIENT}")


@EACH_METHOD
async def test_a_secret_may_have_any_characters(method: str) -> None:
    with token_server() as origin, guarded_by(origin, method, a_double()):
        with patch("oidc_provider_mock._app.secrets.token_urlsafe", lambda _: "50%25 a+b/c:=="):
            known = registered(origin, method)
        async with open_client(known) as client:
            assert await client.get(f"Patient/{PATIENT}")


async def test_a_server_without_this_grant_is_said_to_refuse_it() -> None:
    with token_server(for_services=False) as origin:
        method = "client_secret_basic"
        with guarded_by(origin, method, a_double()):
            async with open_client(registered(origin, method)) as client:
                with pytest.raises(NotAuthorized, match="unsupported_grant_type"):
                    await client.get(f"Patient/{PATIENT}")
