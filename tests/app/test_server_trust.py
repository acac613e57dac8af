"""Who may come in."""

import pytest

from service.app import build_app
from service.doors.local import is_loopback
from service.doors.trust import check_trust
from service.errors import SettingsError
from tests.app.serving import SECRET, TOKEN, PretendQueue, issue_of, on_server, serving
from tests.support import PretendServer, a_patient, case_bundle, client_of, reviewer, settings

CASE = case_bundle("two-documented-failures-propose-treatment")
OPERATIONS = [
    ("GET", "/fhir/Patient/propose-two/$assess-treatment-resistance"),
    ("POST", "/fhir/Patient/propose-two/$assess-treatment-resistance"),
    ("POST", "/fhir/Patient/propose-two/$propose-care-plan"),
    ("POST", "/fhir/$assess-treatment-resistance"),
    ("POST", "/fhir/Patient/$assess-treatment-resistance"),
]
OPEN = ["/fhir/metadata", "/fhir/OperationDefinition/propose-care-plan", "/health/live", "/health/ready"]
HOOK = "/hooks/fhir"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# --- before it starts -----------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.9.10", "::1", "localhost", "LOCALHOST"])
def test_on_loopback_it_starts_without_secrets(host: str) -> None:
    assert is_loopback(host)
    check_trust(settings(host=host))


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org", "", "localhost.example"])  # noqa: S104
def test_elsewhere_it_refuses_to_start_without_its_secrets(host: str) -> None:
    assert not is_loopback(host)
    check_trust(settings(host=host, api_token=TOKEN, hook_secret=SECRET))
    for given, missing in (
        ({}, "TRD_API_TOKEN, TRD_HOOK_SECRET: not set"),
        ({"api_token": TOKEN}, "TRD_HOOK_SECRET: not set"),
        ({"hook_secret": SECRET}, "TRD_API_TOKEN: not set"),
        ({"api_token": TOKEN, "hook_secret": ""}, "TRD_HOOK_SECRET: not set"),
    ):
        with pytest.raises(SettingsError) as refused:
            check_trust(settings(host=host, **given))
        assert str(refused.value).startswith(missing)
        assert TOKEN not in str(refused.value)


def test_no_application_is_built_that_others_could_use_without_a_secret() -> None:
    with pytest.raises(SettingsError):
        build_app(settings(host="192.0.2.1"), reviewer(), client_of(PretendServer([])), PretendQueue())


# --- tokens and secrets ---------------------------------------------------------------------------

WRONG: list[dict[str, str]] = [
    {},
    bearer("else"),
    bearer(""),
    bearer(TOKEN[:-1]),
    bearer(f"{TOKEN}x"),
    bearer("ünïcödé"),
    {"Authorization": TOKEN},
    {"Authorization": f"Basic {TOKEN}"},
    {"X-Hook-Secret": TOKEN},
]


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
@pytest.mark.parametrize("headers", WRONG)
async def test_an_operation_needs_the_token_wherever_one_is_set(host: str, headers: dict[str, str]) -> None:
    server = on_server(CASE)
    async with serving(server, host=host, api_token=TOKEN, hook_secret=SECRET) as site:
        for method, path in OPERATIONS:
            answer = await site.request(method, path, headers=headers)
            assert (await issue_of(answer, 401))["code"] == "login"
            assert answer.headers["WWW-Authenticate"] == "Bearer"

    assert server.asked == []


async def test_with_the_token_the_operations_answer() -> None:
    async with serving(on_server(CASE), api_token=TOKEN) as site:
        for word in ("Bearer", "bearer"):
            answer = await site.get(OPERATIONS[0][1], headers={"Authorization": f"{word} {TOKEN}"})
            assert answer.status == 200


@pytest.mark.parametrize("headers", [*WRONG, bearer(TOKEN), {"X-Hook-Secret": f"{SECRET} "[:-2]}])
async def test_a_hook_needs_its_own_secret(headers: dict[str, str]) -> None:
    queue = PretendQueue()
    async with serving(queue=queue, api_token=TOKEN, hook_secret=SECRET) as site:
        for method, path in (("PUT", HOOK), ("POST", HOOK), ("DELETE", f"{HOOK}/Condition/c")):
            answer = await site.request(method, path, headers=headers, json=a_patient())
            assert (await issue_of(answer, 401))["code"] == "login"

    assert queue.empty


async def test_a_hook_secret_comes_in_its_own_header_or_as_a_bearer_token() -> None:
    queue = PretendQueue()
    async with serving(queue=queue, hook_secret=SECRET) as site:
        for headers in (
            {"X-Hook-Secret": SECRET},
            bearer(SECRET),
            bearer("else") | {"X-Hook-Secret": SECRET},
        ):
            assert (await site.put(HOOK, headers=headers, json=a_patient())).status == 200

    assert queue.patients == ["ann"] * 3


@pytest.mark.parametrize("host", ["127.0.0.1", "192.0.2.1"])
async def test_health_and_what_the_service_says_of_itself_are_open(host: str) -> None:
    async with serving(host=host, api_token=TOKEN, hook_secret=SECRET) as site:
        for path in OPEN:
            assert (await site.get(path, headers={"Host": "trd.example"})).status == 200


async def test_metrics_are_open_to_this_machine_and_to_the_token() -> None:
    async with serving() as site:
        assert (await site.get("/metrics")).status == 200
    async with serving(api_token=TOKEN) as site:
        assert (await site.get("/metrics")).status == 200
        assert (await site.get("/metrics", headers={"Host": "trd.example"})).status == 403
        named = {"Host": "trd.example", **bearer(TOKEN)}
        assert (await site.get("/metrics", headers=named)).status == 200
    async with serving(host="192.0.2.1", api_token=TOKEN, hook_secret=SECRET) as site:
        assert (await site.get("/metrics")).status == 401
        assert (await site.get("/metrics", headers=bearer(TOKEN))).status == 200


# --- what a web page could send from a browser on this machine ------------------------------------


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8080", "localhost.evil.example", "", "[", "192.0.2.1"]
)
async def test_a_foreign_host_name_is_refused_where_no_token_is_set(host: str) -> None:
    server, queue = on_server(CASE), PretendQueue()
    async with serving(server, queue=queue) as site:
        for method, path in (*OPERATIONS, ("PUT", HOOK), *(("GET", path) for path in (*OPEN, "/metrics"))):
            answer = await site.request(method, path, headers={"Host": host}, json=None)
            assert (await issue_of(answer, 403))["code"] == "forbidden"

    assert server.asked == []
    assert queue.empty


@pytest.mark.parametrize("host", ["localhost", "localhost:8080", "127.0.0.1:1", "[::1]:8080", "LocalHost"])
async def test_a_name_of_this_machine_is_not_refused(host: str) -> None:
    async with serving(on_server(CASE)) as site:
        assert (await site.get(OPERATIONS[0][1], headers={"Host": host})).status == 200


async def test_a_page_of_another_site_cannot_post() -> None:
    server, queue = on_server(CASE), PretendQueue()
    async with serving(server, queue=queue) as site:
        for origin in ("https://evil.example", "null", "http://["):
            for method, path in (*OPERATIONS, ("POST", HOOK)):
                answer = await site.request(method, path, headers={"Origin": origin})
                assert (await issue_of(answer, 403))["code"] == "forbidden"
        own = {"Origin": "http://localhost:8080"}
        assert (await site.get(OPERATIONS[0][1], headers=own)).status == 200

    assert queue.empty


async def test_a_hook_with_its_secret_may_use_any_name() -> None:
    async with serving(hook_secret=SECRET) as site:
        headers = {"Host": "trd.example", "X-Hook-Secret": SECRET}
        assert (await site.put(HOOK, headers=headers, json=a_patient())).status == 200
