"""The way to a first shadow review, as `docs/connecting.md` has it: every block of it is run."""

import base64
import inspect
import re
import shlex
import ssl
import sys
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from functools import partial
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest
import trustme
from aiohttp import web
from httpx_aiohttp import HttpxAiohttpClient

from service import clock
from service.demo.sandbox.processes import free_port, running
from service.fhir.keys import read_keys
from tests.contract_write import TWO_FAILURES
from tests.fhir.authorizing import Authorizing, Entra
from tests.fhir.double import FhirDouble
from tests.servers.loopback import on_loopback
from tests.servers.vendors import EPIC, ORACLE, VendorDouble, with_category
from tests.support import (
    AS_OF,
    BASE,
    ROOT,
    Handler,
    InMemory,
    Ran,
    Resource,
    case_bundle,
    resources_of,
    run_command,
)

PAGE = (ROOT / "docs" / "connecting.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## From a registered client")[2].partition("\n## ")[0]
BLOCKS = re.findall(r"```dotenv\n(.*?)```", SECTION, re.DOTALL)
KEYS, COMMANDS = (block.splitlines() for block in re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL))
KEPT_IN = "/etc/trd-careplan"
SECRET = "correct-horse-battery-staple"  # noqa: S105 - of nobody
MRN = {"system": "http://hospital.example/mrn", "value": "1234567"}
LISTED_BY_ORACLE = frozenset(
    f"system/{kind}.read"
    for kind in [
        "Patient",
        "Condition",
        "MedicationRequest",
        "MedicationDispense",
        "MedicationAdministration",
        "AllergyIntolerance",
        "Observation",
        "Procedure",
        "QuestionnaireResponse",
        "CarePlan",
        "Provenance",
        "DocumentReference",
    ]
)
"""Of `scopes_supported` of the smart-configuration of its sandbox, 2026-08-14."""


def a_record() -> list[Resource]:
    record = resources_of(case_bundle(TWO_FAILURES))
    return [one | {"identifier": [MRN]} if one["resourceType"] == "Patient" else one for one in record]


def settings_in(block: str) -> dict[str, str]:
    return {
        name: value.strip("\"'") for name, _, value in (line.partition("=") for line in block.splitlines())
    }


def at(base: str, server: Handler) -> Handler:
    """A server of the tests at the address of a block."""

    def answer(request: httpx.Request) -> httpx.Response:
        url = str(request.url)
        if not url.startswith(base):
            return server(request)
        asked = httpx.Request(
            request.method, url.replace(base, BASE), headers=request.headers, content=request.content
        )
        answered = server(asked)
        body = answered.content.replace(BASE.encode(), base.encode())
        headers = {"Content-Type": answered.headers.get("Content-Type", "")}
        return httpx.Response(answered.status_code, headers=headers, content=body)

    return answer


@pytest.fixture(autouse=True)
def _on_the_day_of_the_case(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "today", lambda _: AS_OF)


@contextmanager
def met(block: str, server: Handler) -> Iterator[None]:
    """Have the FHIR server and the token servers of a block answer without a socket."""
    way = InMemory(at(settings_in(block)["TRD_FHIR_BASE_URL"], server))
    with patch("service.fhir.client.HttpxAiohttpClient", partial(HttpxAiohttpClient, mounts={"all://": way})):
        yield


def run(line: str, folder: Path) -> Ran:
    """Run a line of the page in a folder; its files are kept there."""
    words = shlex.split(line.replace(KEPT_IN, str(folder)))
    set_before = dict(word.split("=", 1) for word in words if re.match(r"TRD_\w+=", word))
    with chdir(folder):
        return run_command(*words[len(set_before) + 1 :], COLUMNS="100", **set_before)


def set_up(folder: Path, block: str, replaced: tuple[str, str] = ("", "")) -> None:
    (folder / ".env").write_text(block.replace(KEPT_IN, str(folder)).replace(*replaced))
    for name in ("client-secret", "password"):
        (folder / name).write_text(SECRET)


def follow(folder: Path) -> dict[str, str]:
    """Run the commands but `serve`; what each printed, by its name."""
    printed = {}
    for line in COMMANDS[:-1]:
        ran = run(line, folder)
        assert (ran.returncode, ran.stderr) == (0, ""), ran.stdout
        printed[re.findall(r"trd-careplan (\w+)", line)[0]] = ran.stdout
    return printed


def served(folder: Path) -> httpx.Response:
    """Run the last command until the service is ready; what it says then of its health."""
    words, port = shlex.split(COMMANDS[-1]), free_port()
    number = words.index("trd-careplan")
    command = ["env", *words[:number], f"TRD_PORT={port}", sys.executable, "-m", "service"]
    ready = f"http://127.0.0.1:{port}/health/ready"
    with running([*command, *words[number + 1 :]], folder=folder, ready_url=ready, time_limit=60):
        return httpx.get(ready, trust_env=False)


def shows_a_shadow_review(printed: dict[str, str]) -> bool:
    return (
        "The service can assess the records of this server." in printed["check"]
        and "Written: nothing" in printed["propose"]
        and "propose" in printed["assess"].lower()
    )


def test_the_page_has_a_block_for_each_of_four_servers() -> None:
    assert [settings_in(block)["TRD_FHIR_AUTH"] for block in BLOCKS] == [
        "smart",
        "client-secret",
        "client-secret",
        "basic",
    ]
    assert {settings_in(block)["TRD_WRITE"] for block in BLOCKS} == {"off"}
    assert [re.findall(r"trd-careplan (\w+)", line)[0] for line in [*KEYS, *COMMANDS]] == [
        "keys",
        "check",
        "assess",
        "propose",
        "serve",
    ]


def test_epic(tmp_path: Path) -> None:
    block = BLOCKS[0]
    set_up(tmp_path, block.replace("RATE=5", "RATE=500"))
    assert run(KEYS[0], tmp_path).returncode == 0
    double = VendorDouble(EPIC, with_category(a_record(), "736271009"))
    server = Authorizing(double, keys=read_keys(tmp_path / "keys.json").public)
    with met(block, server):
        printed = follow(tmp_path)
    assert shows_a_shadow_review(printed)
    assert "epic, by what the server says of itself" in printed["check"]
    assert (server.refused, server.granted) == ([], 3)


def test_oracle_health_millennium(tmp_path: Path) -> None:
    block = BLOCKS[1]
    set_up(tmp_path, block)
    double = VendorDouble(ORACLE, a_record())
    server = Authorizing(
        double, secret=("our-client", SECRET), methods=("client_secret_basic",), supports=LISTED_BY_ORACLE
    )
    with met(block, server):
        printed = follow(tmp_path)
        set_up(tmp_path, re.sub("TRD_FHIR_SCOPES=.*\n", "", block))
        refused = run(COMMANDS[0], tmp_path)
    assert shows_a_shadow_review(printed)
    assert "oracle-millennium" in printed["check"]
    assert (refused.returncode, "invalid_scope" in refused.stdout) == (1, True)


def test_azure_health_data_services(tmp_path: Path) -> None:
    block = BLOCKS[2]
    base = settings_in(block)["TRD_FHIR_BASE_URL"]
    set_up(tmp_path, block)
    double = FhirDouble(a_record(), base=BASE)
    server = Entra(double, tenant="our-tenant", resource=base, secret=("our-client", SECRET))
    with met(block, server):
        printed = follow(tmp_path)
        set_up(tmp_path, block, (".default", "user_impersonation"))
        refused = run(COMMANDS[0], tmp_path)
    assert shows_a_shadow_review(printed)
    assert "those granted name no kinds" in " ".join(printed["check"].split())
    assert (double.posted, double.taken) == ([], [])
    assert (refused.returncode, "invalid_scope" in refused.stdout) == (1, True)


@contextmanager
def a_proxy(folder: Path, double: FhirDouble, shown: dict[str, str]) -> Iterator[str]:
    """A proxy that asks for a certificate, a password and a header; yields its address."""
    authority = trustme.CA()
    authority.cert_pem.write_to_path(folder / "hospital-ca.pem")
    ours = authority.issue_cert("trd-careplan.hospital.example")
    ours.private_key_and_cert_chain_pem.write_to_path(folder / "client.pem")
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.configure_trust(tls)
    tls.verify_mode = ssl.CERT_REQUIRED

    async def answer(request: web.Request) -> web.Response:
        if any(request.headers.get(name) != value for name, value in shown.items()):
            return web.Response(status=401)
        asked = httpx.Request(
            request.method,
            f"{request.scheme}://{request.host}{request.raw_path}",
            headers=dict(request.headers),
        )
        answered = double(asked)
        return web.Response(
            status=answered.status_code, headers=dict(answered.headers), body=answered.content
        )

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    with on_loopback(app, tls) as origin:
        double.base = f"{origin}/fhir"
        yield double.base


PASSWORD = base64.b64encode(f"trd-careplan:{SECRET}".encode()).decode()
SHOWN = {"Authorization": f"Basic {PASSWORD}", "X-Api-Key": "key-of-the-gateway"}


@pytest.fixture
def _each_context_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    """Others share one; here it matters what was loaded into it."""
    monkeypatch.setattr(ssl, "create_default_context", inspect.unwrap(ssl.create_default_context))


@pytest.mark.usefixtures("_each_context_anew")
def test_hapi_behind_a_proxy(tmp_path: Path) -> None:
    block, double = BLOCKS[3], FhirDouble(a_record())
    with a_proxy(tmp_path, double, SHOWN) as base:
        here = (settings_in(block)["TRD_FHIR_BASE_URL"], base)
        set_up(tmp_path, block, here)
        printed = follow(tmp_path)
        set_up(tmp_path, re.sub("TRD_FHIR_HEADERS=.*\n", "", block), here)
        without_header = run(COMMANDS[0], tmp_path)
        set_up(tmp_path, re.sub("TRD_FHIR_CERT=.*\n", "", block), here)
        without_certificate = run(COMMANDS[0], tmp_path)
    assert shows_a_shadow_review(printed)
    assert (double.posted, double.taken) == ([], [])
    assert (without_header.returncode, "(401)" in without_header.stdout) == (1, True)
    assert without_certificate.returncode == 1


@pytest.mark.matrix
def test_the_service_gets_ready_behind_a_proxy(tmp_path: Path) -> None:
    """A process of its own, which takes seconds to start."""
    block = BLOCKS[3]
    with a_proxy(tmp_path, FhirDouble(a_record()), SHOWN) as base:
        set_up(tmp_path, block, (settings_in(block)["TRD_FHIR_BASE_URL"], base))
        assert served(tmp_path).is_success
