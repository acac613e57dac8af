"""What the service shows a FHIR server, and what becomes of it when a token ends."""

import asyncio
import base64
import json
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, RSAKey

from service.commands.keys import KeyStep, change_keys
from service.errors import NotAuthorized, ServerError, ServerMisread, ServerRefused, SettingsError
from service.fhir.auth import Algorithm, GrantedToken, authentication
from service.fhir.client import FhirClient
from service.fhir.keys import read_keys
from service.knowledge import load_dialects, mappings_directory
from service.settings import Settings
from tests.contract_write import TWO_FAILURES
from tests.fhir.authorizing import TOKEN_URL, Authorizing, Handler
from tests.fhir.double import FhirDouble
from tests.servers.vendors import ATHENAHEALTH, EPIC, MEDITECH, ORACLE, Vendor, VendorDouble
from tests.support import BASE, case_bundle, patient_id_of, resources_of, reviewer, settings

SECRET = "correct-horse-battery-staple"  # noqa: S105 - of nobody
ALGORITHMS = pytest.mark.parametrize("algorithm", list(Algorithm))


def a_double() -> FhirDouble:
    return FhirDouble(resources_of(case_bundle(TWO_FAILURES)), base=BASE)


def a_client(server: Handler, chosen: Settings, **parts: Any) -> FhirClient:
    auth = authentication(chosen)
    http = httpx.AsyncClient(transport=httpx.MockTransport(server), auth=auth)
    if isinstance(auth, GrantedToken):
        auth.http = http
        for name, value in parts.items():
            setattr(auth, name, value)
    dialects = load_dialects(mappings_directory(), chosen.fhir_dialect)
    return FhirClient(
        BASE, http, seconds=5, attempts=2, connections=4, headers=chosen.headers, dialects=dialects
    )


def smart(key: Path, **others: object) -> Settings:
    of_auth = {"fhir_auth": "smart", "fhir_client_id": "our-client", "fhir_key": key}
    return settings(fhir_base_url=BASE, **(of_auth | others))


def with_secret(**others: object) -> Settings:
    of_auth = {"fhir_auth": "client-secret", "fhir_client_id": "our-client", "fhir_client_secret": SECRET}
    return settings(fhir_base_url=BASE, **(of_auth | others))


@pytest.fixture
def key(tmp_path: Path) -> Path:
    path = tmp_path / "keys.json"
    change_keys(path, KeyStep.NEW, Algorithm.ES384)
    return path


def public_of(path: Path) -> Any:
    return lambda: read_keys(path).public()


# --- SMART Backend Services -----------------------------------------------------------------------


@ALGORITHMS
async def test_a_patient_is_reviewed_and_written_behind_a_token(tmp_path: Path, algorithm: Algorithm) -> None:
    path = tmp_path / "keys.json"
    change_keys(path, KeyStep.NEW, algorithm)
    server = Authorizing(a_double(), keys=public_of(path))

    done = await reviewer().propose(a_client(server, smart(path)), patient_id_of(case_bundle(TWO_FAILURES)))

    assert done.answer.care_plan.action == "create"
    assert (server.granted, server.refused, server.unauthorized) == (1, [], 0)


async def test_a_hundred_requests_at_once_need_one_token(key: Path) -> None:
    server = Authorizing(a_double(), keys=public_of(key))
    client = a_client(server, smart(key))
    patient = f"Patient/{patient_id_of(case_bundle(TWO_FAILURES))}"
    found = await asyncio.gather(*(client.get(patient) for _ in range(100)))
    assert len(set(found)) == 1
    assert (server.granted, server.unauthorized) == (1, 0)


async def test_a_token_is_renewed_before_its_end(key: Path) -> None:
    server, seconds = Authorizing(a_double(), keys=public_of(key), life=300), [0.0]
    client = a_client(server, smart(key), _now=lambda: seconds[0])
    for at, granted in ((0, 1), (269, 1), (270, 2), (539, 2), (540, 3)):
        seconds[0] = at
        await client.get("metadata")
        assert server.granted == granted, f"after {at} s"
    assert server.unauthorized == 0


@pytest.mark.parametrize(("life", "good_for"), [(None, 270), (20, 10), (3600, 3570)])
async def test_how_long_a_token_is_used(key: Path, life: float | None, good_for: float) -> None:
    server, seconds = Authorizing(a_double(), keys=public_of(key), life=life), [0.0]
    client = a_client(server, smart(key), _now=lambda: seconds[0])
    for at, granted in ((0, 1), (good_for - 1, 1), (good_for, 2)):
        seconds[0] = at
        await client.get("metadata")
        assert server.granted == granted


async def test_a_token_that_the_server_no_longer_takes_is_renewed_once_for_all(key: Path) -> None:
    server = Authorizing(a_double(), keys=public_of(key))
    client = a_client(server, smart(key))
    await client.get("metadata")
    server.good.clear()
    await asyncio.gather(*(client.get("metadata") for _ in range(20)))
    assert server.granted == 2


async def test_a_token_that_ends_during_a_review_is_not_noticed(key: Path) -> None:
    server = Authorizing(a_double(), keys=public_of(key))
    served = server.server
    count = iter(range(1000))

    def forgetful(request: httpx.Request) -> httpx.Response:
        if next(count) % 3 == 2:
            server.good.clear()
        return served(request)

    server.server = forgetful
    done = await reviewer().propose(a_client(server, smart(key)), patient_id_of(case_bundle(TWO_FAILURES)))
    assert done.answer.care_plan.action == "create"
    assert server.granted > 1


async def test_a_server_that_takes_no_token_is_asked_twice_and_no_more(key: Path) -> None:
    server = Authorizing(a_double(), keys=public_of(key))
    client = a_client(lambda r: httpx.Response(401) if "metadata" in r.url.path else server(r), smart(key))
    with pytest.raises(ServerRefused, match="401"):
        await client.get("metadata")
    assert server.granted == 2


async def test_a_key_rotates_while_the_service_runs(key: Path) -> None:
    """The server knows the keys that are published; the next one before it signs."""
    server = Authorizing(a_double(), keys=public_of(key))
    client = a_client(server, smart(key))
    for step in (KeyStep.SHOW, KeyStep.NEXT, KeyStep.ROTATE, KeyStep.NEXT, KeyStep.ROTATE):
        change_keys(key, step, Algorithm.RS384)
        server.good.clear()
        await client.get("metadata")
    assert (server.granted, server.refused) == (5, [])


async def test_the_scopes_are_those_of_what_is_read_and_written(key: Path) -> None:
    for capabilities, read, written in (
        (("permission-v2",), "system/Condition.rs", "system/CarePlan.crus"),
        (("permission-v1",), "system/Condition.read", "system/CarePlan.write"),
    ):
        server = Authorizing(a_double(), keys=public_of(key), capabilities=capabilities)
        await a_client(server, smart(key)).get("metadata")
        assert {read, written} <= set(server.scopes[0].split())
        assert "*" not in server.scopes[0]
    await a_client(server, smart(key, fhir_scopes="system/*.read")).get("metadata")
    assert server.scopes[-1] == "system/*.read"


@pytest.mark.parametrize(
    ("vendor", "asked", "left_out"),
    [
        (
            EPIC,
            {"DocumentReference.crus", "CarePlan.rs", "Flag.rs"},
            {"Task", "Subscription", "Communication"},
        ),
        (ORACLE, {"DocumentReference.crus", "Provenance.crs"}, {"MedicationStatement", "Medication", "Flag"}),
        (MEDITECH, {"Communication.crs", "CarePlan.rs"}, {"DocumentReference", "Provenance"}),
        (ATHENAHEALTH, {"CarePlan.rs"}, {"DocumentReference", "Communication", "MedicationDispense"}),
    ],
    ids=lambda one: one.dialect if isinstance(one, Vendor) else "",
)
async def test_the_scopes_follow_what_the_server_states(
    key: Path, vendor: Vendor, asked: set[str], left_out: set[str]
) -> None:
    """Where no CarePlan is taken, what stands in its place is asked for; what is not offered never is."""
    server = Authorizing(VendorDouble(vendor, []), keys=public_of(key), states_to_all=True)
    await a_client(server, smart(key)).get("metadata")
    (scopes,) = (one.split() for one in server.scopes)
    assert {f"system/{one}" for one in asked} <= set(scopes)
    assert not {scope.partition(".")[0].removeprefix("system/") for scope in scopes} & left_out


async def test_a_roster_on_the_server_is_asked_for(key: Path) -> None:
    server = Authorizing(a_double(), keys=public_of(key))
    await a_client(server, smart(key, roster="Group/clinic")).get("metadata")
    await a_client(server, smart(key, roster=str(key))).get("metadata")
    assert ["system/Group.rs" in scopes.split() for scopes in server.scopes] == [True, False]


async def test_headers_of_a_gateway_go_to_the_fhir_server_and_to_no_other(key: Path) -> None:
    sent: dict[str, str | None] = {}
    server = Authorizing(a_double(), keys=public_of(key))

    def gateway(request: httpx.Request) -> httpx.Response:
        sent[str(request.url)] = request.headers.get("X-Api-Key")
        return server(request)

    chosen = smart(key, fhir_headers='{"X-Api-Key": "of-the-gateway"}')
    await a_client(gateway, chosen).refresh_capability()
    assert sent.pop(TOKEN_URL) is None
    assert {url.removeprefix(BASE) for url in sent} >= {"/metadata", "/.well-known/smart-configuration"}
    assert {*sent.values()} == {"of-the-gateway"}


async def test_a_client_that_is_not_known_is_told_so_and_nothing_else(key: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.json"
    change_keys(other, KeyStep.NEW, Algorithm.ES384)
    server = Authorizing(a_double(), keys=public_of(other))
    with pytest.raises(NotAuthorized) as told:
        await a_client(server, smart(key)).get("metadata")
    assert str(told.value) == "the token server refused this client (400 invalid_client)"
    assert server.refused == ["signature"]


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(503), ServerRefused),
        (httpx.Response(200, text="<html>log in</html>"), ServerMisread),
        (httpx.Response(200, json={"token": "?"}), ServerMisread),
        (httpx.Response(404), NotAuthorized),
    ],
)
async def test_a_token_server_that_fails(key: Path, answer: httpx.Response, error: type[ServerError]) -> None:
    server = Authorizing(a_double(), keys=public_of(key))
    client = a_client(lambda r: answer if str(r.url) == TOKEN_URL else server(r), smart(key))
    with pytest.raises(error, match="the token server"):
        await client.get("metadata")


async def test_a_server_without_a_configuration_needs_the_address(key: Path) -> None:
    server = Authorizing(a_double(), keys=public_of(key))

    def silent(request: httpx.Request) -> httpx.Response:
        return httpx.Response(404) if ".well-known" in request.url.path else server(request)

    with pytest.raises(ServerRefused, match="TRD_FHIR_TOKEN_URL"):
        await a_client(silent, smart(key)).get("metadata")
    await a_client(silent, smart(key, fhir_token_url=TOKEN_URL)).get("metadata")
    assert server.granted == 1


# --- the other ways -------------------------------------------------------------------------------


@pytest.mark.parametrize("methods", [(), ("client_secret_basic",), ("client_secret_post",)])
async def test_a_shared_secret(methods: tuple[str, ...]) -> None:
    server = Authorizing(a_double(), secret=("our-client", SECRET), methods=methods)
    await a_client(server, with_secret()).get("metadata")
    assert (server.granted, server.refused) == (1, [])


@pytest.mark.parametrize("methods", [("client_secret_basic",), ("client_secret_post",)])
@pytest.mark.parametrize("secret", ["a+b/c==", "50% of it", "Q~8.x:y-z", "schlüssel"])
async def test_a_secret_may_have_any_characters(methods: tuple[str, ...], secret: str) -> None:
    server = Authorizing(a_double(), secret=("our-client", secret), methods=methods)
    await a_client(server, with_secret(fhir_client_secret=secret)).get("metadata")
    assert (server.granted, server.refused) == (1, [])


async def test_a_wrong_secret_is_not_repeated() -> None:
    server = Authorizing(a_double(), secret=("our-client", "another"))
    with pytest.raises(NotAuthorized) as told:
        await a_client(server, with_secret()).get("metadata")
    assert SECRET not in str(told.value)


async def test_a_token_file_may_be_replaced(tmp_path: Path) -> None:
    path = tmp_path / "token"
    chosen = settings(fhir_base_url=BASE, fhir_auth="bearer", fhir_token_file=path)
    server = Authorizing(a_double())
    client = a_client(server, chosen)
    with pytest.raises(NotAuthorized, match="cannot be read"):
        await client.get("metadata")
    for token in ("first", "second"):
        path.write_text(f"{token}\n")
        server.good = {token}
        await client.get("metadata")
    path.write_text("two words")
    with pytest.raises(NotAuthorized, match="does not hold a token"):
        await client.get("metadata")


async def test_a_token_file_that_is_replaced_between_two_looks(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old")
    server = Authorizing(a_double())

    def replacing(request: httpx.Request) -> httpx.Response:
        path.write_text("new")
        server.good = {"new"}
        return server(request)

    chosen = settings(fhir_base_url=BASE, fhir_auth="bearer", fhir_token_file=path)
    await a_client(replacing, chosen).get("metadata")
    assert server.unauthorized == 1


async def test_a_password_and_further_headers() -> None:
    seen: list[httpx.Headers] = []

    def server(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers)
        return a_double()(request)

    chosen = settings(
        fhir_base_url=BASE,
        fhir_auth="basic",
        fhir_user="hospital",
        fhir_password=SECRET,
        fhir_headers='{"X-Api-Key": "k-1", "X-Tenant": "a"}',
    )
    await a_client(server, chosen).get("metadata")
    assert base64.b64decode(seen[0]["Authorization"].partition(" ")[2]).decode() == f"hospital:{SECRET}"
    assert (seen[0]["X-Api-Key"], seen[0]["X-Tenant"]) == ("k-1", "a")
    assert seen[0]["Accept"] == "application/fhir+json"


@pytest.mark.parametrize(
    ("chosen", "missing"),
    [
        ({"fhir_auth": "smart", "fhir_client_id": "x"}, "TRD_FHIR_KEY"),
        ({"fhir_auth": "client-secret", "fhir_client_id": "x"}, "TRD_FHIR_CLIENT_SECRET"),
        ({"fhir_auth": "client-secret", "fhir_client_secret": "x"}, "TRD_FHIR_CLIENT_ID"),
        ({"fhir_auth": "bearer"}, "TRD_FHIR_TOKEN_FILE"),
        ({"fhir_auth": "basic", "fhir_user": "x"}, "TRD_FHIR_PASSWORD"),
        ({"fhir_auth": "basic", "fhir_password": "x"}, "TRD_FHIR_USER"),
    ],
)
def test_what_is_missing_is_named(chosen: dict[str, object], missing: str) -> None:
    with pytest.raises(SettingsError, match=missing):
        authentication(settings(fhir_base_url=BASE, **chosen))


# --- keys -----------------------------------------------------------------------------------------


@ALGORITHMS
def test_keys_are_private_in_the_file_and_public_in_the_answer(tmp_path: Path, algorithm: Algorithm) -> None:
    path = tmp_path / "keys.json"
    shown = change_keys(path, KeyStep.NEW, algorithm)
    assert path.stat().st_mode & 0o777 == 0o600
    (public,) = shown["keys"]
    assert not {"d", "p", "q", "dp", "dq", "qi"} & public.keys()
    assert (public["alg"], public["use"], bool(public["kid"])) == (algorithm.value, "sig", True)
    token = jwt.decode(
        read_keys(path).sign({"sub": "x"}),
        KeySet.import_key_set(shown),  # type: ignore[arg-type]
        algorithms=[algorithm.value],
    )
    assert token.header == {"alg": algorithm.value, "kid": public["kid"], "typ": "JWT"}


@pytest.mark.parametrize("kind", ["RSA", "EC"])
def test_a_key_may_be_pem(tmp_path: Path, kind: str) -> None:
    made = RSAKey.generate_key(2048) if kind == "RSA" else ECKey.generate_key("P-384")
    path = tmp_path / "key.pem"
    path.write_bytes(made.as_pem(private=True))
    assert read_keys(path).public()["keys"][0]["kid"] == made.thumbprint()


def a_short_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=1024)  # noqa: S505 - to be refused
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "no key",
        "[]",
        '{"keys": []}',
        '{"kty": "oct", "k": "c2VjcmV0LXNlY3JldC1zZWNyZXQ"}',
        "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        json.dumps(KeySet.generate_key_set("EC", "P-256", count=1).as_dict(private=True)),
        json.dumps(KeySet.generate_key_set("EC", "P-384", count=1).as_dict(private=False)),
        a_short_key(),
    ],
    ids=["empty", "words", "a list", "no key", "a secret", "broken PEM", "another curve", "public", "short"],
)
def test_a_file_that_holds_no_key_to_sign_with_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "keys.json"
    path.write_text(content)
    with pytest.raises(SettingsError, match="TRD_FHIR_KEY") as told:
        read_keys(path)
    assert "c2VjcmV0" not in str(told.value)
