"""Who may call CDS Hooks: tokens of listed issuers, each for one address and once."""

import json
import time
import uuid
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from warnings import catch_warnings

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer
from joserfc import jwt
from joserfc.errors import SecurityWarning
from joserfc.jwk import ECKey, OctKey, RSAKey

from service.doors import callers
from service.doors.callers import Callers, Refusal, check_callers
from service.doors.key_sets import KeySets
from service.doors.tokens import read_token
from service.doors.trust import CALLERS
from service.errors import SettingsError
from service.fhir.auth import Algorithm
from service.fhir.keys import make_key
from service.settings import Settings, load_settings
from tests.app.hooks import PROPOSED, of_case
from tests.app.serving import SECRET, TOKEN, Site, issue_of, serving
from tests.support import settings

ISSUER = "https://ehr.example"
KEYS_AT = "https://ehr.example/jwks.json"
PUBLIC = "https://trd.example/site"
HOOK = "/cds-services/esketamine-patient-view"
KEYS = {algorithm: make_key(algorithm) for algorithm in Algorithm}
OTHER = make_key(Algorithm.ES384)
NOW = 1_800_000_000.0
LISTED = {"cds_clients": json.dumps({ISSUER: KEYS_AT}), "public_url": PUBLIC}


def public(*keys: ECKey | RSAKey) -> bytes:
    """The public halves, as an issuer publishes them."""
    described = [{**key.as_dict(private=False), "kid": key.thumbprint()} for key in keys]
    return json.dumps({"keys": described}).encode()


@dataclass
class Published:
    """The keys of an issuer, and how often they were fetched."""

    content: bytes = public(*KEYS.values())
    fetched: list[str] = field(default_factory=list)
    fault: Exception | None = None

    async def __call__(self, address: str) -> bytes:
        self.fetched.append(address)
        if self.fault is not None:
            raise self.fault
        return self.content


@dataclass
class Clock:
    now: float = NOW

    def __call__(self) -> float:
        return self.now


def a_token(key: Any = KEYS[Algorithm.ES384], header: dict[str, Any] | None = None, **claims: Any) -> str:
    """A token as an EHR makes one, with other claims where given; `None` leaves one out."""
    said = {
        "iss": ISSUER,
        "aud": f"{PUBLIC}{HOOK}",
        "exp": int(NOW) + 300,
        "iat": int(NOW),
        "jti": str(uuid.uuid4()),
        **claims,
    }
    algorithm = "RS384" if isinstance(key, RSAKey) else "HS256" if isinstance(key, OctKey) else "ES384"
    head = {"alg": algorithm, "kid": key.thumbprint(), "typ": "JWT", "jku": KEYS_AT, **(header or {})}
    return jwt.encode(
        {name: value for name, value in head.items() if value is not None},
        {name: value for name, value in said.items() if value is not None},
        key,
        algorithms=[algorithm],
    )


def the_callers(
    fetch: Published | None = None, clock: Callable[[], float] | None = None, **values: object
) -> Callers:
    return Callers(settings(**{**LISTED, **values}), fetch=fetch or Published(), now=clock or Clock())


class Asked:
    """A request, as far as a caller is judged by it."""

    path = HOOK
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed


async def refusal(token: str | None, by: Callers | None = None) -> Refusal | None:
    return await (by or the_callers()).refusal_of(Asked(), token)  # type: ignore[arg-type]


# --- tokens -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", Algorithm)
@pytest.mark.parametrize("audience", [f"{PUBLIC}{HOOK}", ["https://else.example", f"{PUBLIC}{HOOK}"]])
@pytest.mark.parametrize("address", [KEYS_AT, None])
async def test_a_token_of_a_listed_issuer_is_let_in(
    algorithm: Algorithm, audience: Any, address: Any
) -> None:
    token = a_token(KEYS[algorithm], {"jku": address}, aud=audience)

    assert await refusal(token) is None


def _forged(**header: str) -> str:
    """A token with another head, and no signature that fits."""
    head, body, signature = a_token().split(".")
    changed = {**json.loads(_padded(head)), **header}
    return f"{urlsafe_b64encode(json.dumps(changed).encode()).decode().rstrip('=')}.{body}.{signature}"


def _padded(part: str) -> bytes:
    return urlsafe_b64decode(part + "=" * (-len(part) % 4))


REFUSED: dict[str, tuple[str | None, Refusal]] = {
    "none": (None, Refusal.NO_TOKEN),
    "the api token": (TOKEN, Refusal.MALFORMED),
    "not three parts": ("a.b", Refusal.MALFORMED),
    "not base64": ("ä.b.c", Refusal.MALFORMED),
    "not JSON": ("e30.e30.", Refusal.MALFORMED),
    "too long": ("a" * 9000, Refusal.MALFORMED),
    "alg none": (_forged(alg="none"), Refusal.MALFORMED),
    "alg of a shared secret": (
        a_token(OctKey.import_key("a-secret-of-thirty-two-characters")),
        Refusal.MALFORMED,
    ),
    "alg of another kind of key": (_forged(alg="RS384"), Refusal.SIGNATURE),
    "no kid": (a_token(header={"kid": None}), Refusal.MALFORMED),
    "no jti": (a_token(jti=None), Refusal.MALFORMED),
    "an endless jti": (a_token(jti="x" * 300), Refusal.MALFORMED),
    "no exp": (a_token(exp=None), Refusal.MALFORMED),
    "no iat": (a_token(iat=None), Refusal.MALFORMED),
    "an exp that is text": (a_token(exp="later"), Refusal.MALFORMED),
    "no aud": (a_token(aud=None), Refusal.MALFORMED),
    "another issuer": (a_token(iss="https://evil.example"), Refusal.ISSUER),
    "keys of its own": (a_token(header={"jku": "https://evil.example/jwks"}), Refusal.KEY_ADDRESS),
    "a key that is not published": (a_token(OTHER), Refusal.KEY),
    "signed by another": (a_token(OTHER, {"kid": KEYS[Algorithm.ES384].thumbprint()}), Refusal.SIGNATURE),
    "another audience": (a_token(aud="https://else.example"), Refusal.AUDIENCE),
    "the audience of another service": (a_token(aud=f"{PUBLIC}{HOOK}/feedback"), Refusal.AUDIENCE),
    "a longer audience": (a_token(aud=f"{PUBLIC}{HOOK}/"), Refusal.AUDIENCE),
    "ended": (a_token(exp=int(NOW) - 61), Refusal.ENDED),
    "of the future": (a_token(iat=int(NOW) + 61), Refusal.NOT_BEGUN),
    "valid for a day": (a_token(exp=int(NOW) + 86_400), Refusal.TOO_LONG),
}


@pytest.mark.parametrize(("token", "why"), REFUSED.values(), ids=REFUSED)
async def test_any_other_token_is_refused(token: str | None, why: Refusal) -> None:
    assert await refusal(token) is why


async def test_a_changed_token_is_refused() -> None:
    head, body, signature = a_token().split(".")
    other = a_token(jti="else").split(".")[1]

    assert await refusal(f"{head}.{other}.{signature}") is Refusal.SIGNATURE
    assert await refusal(f"{head}.{body}.") is Refusal.SIGNATURE


async def test_a_weak_key_is_refused() -> None:
    with catch_warnings(action="ignore", category=SecurityWarning):
        weak = RSAKey.generate_key(1024)
        token, keys = a_token(weak), public(weak)

    assert await refusal(token, the_callers(Published(keys))) is Refusal.SIGNATURE


async def test_a_token_is_good_for_one_call() -> None:
    by, token = the_callers(), a_token()

    assert await refusal(token, by) is None
    assert await refusal(token, by) is Refusal.REPLAYED
    assert await refusal(a_token(), by) is None


async def test_what_is_remembered_of_tokens_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(callers, "_MOST_REMEMBERED", 3)
    clock = Clock()
    by = the_callers(clock=clock)
    for _ in range(3):
        assert await refusal(a_token(), by) is None
    with pytest.raises(web.HTTPServiceUnavailable):
        await refusal(a_token(), by)

    clock.now += 400
    assert await refusal(a_token(iat=int(clock.now), exp=int(clock.now) + 300), by) is None


# --- keys -------------------------------------------------------------------------------------------


async def test_keys_are_fetched_once_and_for_an_unknown_one_at_most_once_a_minute() -> None:
    published, clock = Published(public(KEYS[Algorithm.ES384])), Clock()
    by = the_callers(published, clock)
    assert await refusal(a_token(), by) is None
    assert await refusal(a_token(), by) is None
    assert published.fetched == [KEYS_AT]

    published.content = public(*KEYS.values())
    assert await refusal(a_token(KEYS[Algorithm.RS384]), by) is Refusal.KEY
    assert published.fetched == [KEYS_AT]

    clock.now += 60
    assert await refusal(a_token(KEYS[Algorithm.RS384]), by) is None
    assert published.fetched == [KEYS_AT] * 2


async def test_keys_are_those_of_the_last_hour_or_the_last_that_could_be_had() -> None:
    published, clock = Published(), Clock()
    by = the_callers(published, clock)
    assert await refusal(a_token(), by) is None

    clock.now += 3600
    published.fault = TimeoutError()
    renewed: dict[str, Any] = {"iat": int(clock.now), "exp": int(clock.now) + 300}
    assert await refusal(a_token(**renewed), by) is None

    clock.now += 60
    published.fault, published.content = None, public(OTHER)
    assert await refusal(a_token(**renewed), by) is Refusal.KEY


@pytest.mark.parametrize(
    "content", [b"", b"[]", b'{"keys": [1]}', b'{"keys": []}', b'{"keys": [{"kid": 1}]}']
)
async def test_without_keys_nobody_is_let_in(content: bytes) -> None:
    with pytest.raises(web.HTTPServiceUnavailable):
        await refusal(a_token(), the_callers(Published(content)))


@asynccontextmanager
async def publishing(answer: web.Response) -> AsyncIterator[str]:
    """An issuer on this machine that answers so; gives the address of its keys."""
    app = web.Application()

    async def keys(_: web.Request) -> web.Response:
        return answer

    app.router.add_get("/jwks", keys)
    async with TestServer(app) as server:
        yield str(server.make_url("/jwks"))


async def test_keys_are_fetched_from_the_address_of_the_settings_and_from_nowhere_else() -> None:
    key = KEYS[Algorithm.ES384]
    for answer, found in (
        (web.Response(body=public(key), content_type="application/json"), True),
        (web.Response(body=b" " * 300_000 + public(key)), False),
        (web.Response(status=302, headers={"Location": "http://127.0.0.1:9/"}), False),
        (web.Response(status=500), False),
    ):
        async with publishing(answer) as address:
            sets = KeySets(settings(cds_clients={ISSUER: address}))
            if found:
                assert await sets.find(address, key.thumbprint())
            else:
                with pytest.raises(web.HTTPServiceUnavailable):
                    await sets.find(address, key.thumbprint())


# --- at the doors -------------------------------------------------------------------------------------

DOORS: list[tuple[str, str, Any]] = [
    ("GET", "/cds-services", None),
    ("POST", HOOK, of_case(PROPOSED)),
    ("POST", f"{HOOK}/feedback", {"feedback": []}),
]


@asynccontextmanager
async def listing(**values: Any) -> AsyncIterator[Site]:
    """A service that lists an issuer, whose keys are there."""
    async with serving(**{**LISTED, **values}) as site:
        assert site.app is not None
        site.app._state[CALLERS] = Callers(settings(**LISTED, **values), fetch=Published())
        yield site


def fresh(path: str) -> str:
    now = int(time.time())
    return a_token(aud=f"{PUBLIC}{path}", iat=now, exp=now + 300)


async def test_every_door_asks_for_a_token_of_its_own_address() -> None:
    async with listing(host="192.0.2.1", api_token=TOKEN, hook_secret=SECRET) as site:
        for method, path, body in DOORS:
            named = {"Host": "else.example"}
            for given in ({}, {"Authorization": f"Bearer {TOKEN}"}):
                answer = await site.request(method, path, json=body, headers=named | given)
                assert (await issue_of(answer, 401))["code"] == "login"
                assert answer.headers["WWW-Authenticate"] == "Bearer"
            shown = {"Authorization": f"Bearer {fresh(path)}"}
            assert (await site.request(method, path, json=body, headers=named | shown)).status == 200
            assert (await site.request(method, path, json=body, headers=named | shown)).status == 401


async def test_where_no_issuer_is_listed_the_doors_are_open_to_this_machine_only() -> None:
    async with serving() as site:
        for method, path, body in DOORS:
            assert (await site.request(method, path, json=body)).status == 200
            for foreign in ({"Host": "trd.example"}, {"Origin": "https://evil.example"}):
                assert (await site.request(method, path, json=body, headers=foreign)).status == 403


async def test_elsewhere_they_are_closed_and_the_api_token_opens_none() -> None:
    async with serving(host="192.0.2.1", api_token=TOKEN, hook_secret=SECRET) as site:
        for method, path, body in DOORS:
            for token in (TOKEN, fresh(path)):
                shown = {"Authorization": f"Bearer {token}"}
                assert (await site.request(method, path, json=body, headers=shown)).status == 401


async def test_a_preflight_is_answered_to_anybody_and_says_which_page_may_call() -> None:
    asked = {"Origin": "https://ehr.example", "Access-Control-Request-Method": "POST"}
    async with listing(host="192.0.2.1", api_token=TOKEN, hook_secret=SECRET) as site:
        for _, path, _ in DOORS:
            answer = await site.options(path, headers=asked | {"Host": "trd.example"})
            assert answer.status == 204
            assert answer.headers["Access-Control-Allow-Origin"] == "https://ehr.example"
            assert answer.headers["Access-Control-Allow-Headers"] == "Authorization, Content-Type"
        refused = await site.get("/cds-services", headers=asked)
        assert (refused.status, refused.headers["Access-Control-Allow-Origin"]) == (
            401,
            "https://ehr.example",
        )
        assert "Access-Control-Allow-Origin" not in (await site.get("/health/live", headers=asked)).headers
    async with serving() as site:
        foreign = await site.options(HOOK, headers=asked)
        own = await site.options(HOOK, headers=asked | {"Origin": "http://localhost:3000"})
        assert "Access-Control-Allow-Origin" not in foreign.headers
        assert own.headers["Access-Control-Allow-Origin"] == "http://localhost:3000"


# --- settings -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["http://127.0.0.1:8080/jwks", "http://localhost/jwks", KEYS_AT])
def test_the_keys_of_an_issuer_are_at_an_address_of_https_or_on_this_machine(address: str) -> None:
    check_callers(settings(cds_clients={ISSUER: address}, public_url=PUBLIC))


@pytest.mark.parametrize("address", ["http://ehr.example/jwks", "ftp://ehr.example", "jwks.json", ""])
def test_other_addresses_of_keys_stop_the_start(address: str) -> None:
    with pytest.raises(SettingsError, match="TRD_CDS_CLIENTS"):
        check_callers(settings(cds_clients={ISSUER: address}, public_url=PUBLIC))


def test_listed_issuers_need_the_address_that_tokens_are_for() -> None:
    with pytest.raises(SettingsError, match="TRD_PUBLIC_URL: not set"):
        check_callers(settings(cds_clients={ISSUER: KEYS_AT}))


def test_the_settings_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRD_CDS_CLIENTS", json.dumps({ISSUER: KEYS_AT}))
    monkeypatch.setenv("TRD_CDS_FHIR_SERVERS", "https://ehr.example/r4/, http://other.example/fhir")
    found: Settings = load_settings()

    assert found.cds_clients == {ISSUER: KEYS_AT}
    assert found.cds_fhir_servers == ("https://ehr.example/r4", "http://other.example/fhir")


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("TRD_CDS_CLIENTS", "[]"),
        ("TRD_CDS_CLIENTS", "{no"),
        ("TRD_CDS_CLIENTS", '{"a": 1}'),
        ("TRD_CDS_FHIR_SERVERS", "ehr.example/r4"),
        ("TRD_CDS_FHIR_SERVERS", "https://user@ehr.example/r4"),
        ("TRD_CDS_FHIR_SERVERS", "https://[ehr/r4"),
    ],
)
def test_bad_values_are_named_and_not_repeated(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as refused:
        load_settings()

    assert str(refused.value).startswith(variable)
    assert value not in str(refused.value)


def test_a_token_that_nests_without_end_is_none() -> None:
    deep = urlsafe_b64encode(b"[" * 6000).decode()

    assert read_token(f"{deep}.{deep}.x") is None
