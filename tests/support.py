"""What the tests share: the named cases, a reviewer to judge them, and a pretend FHIR server to read from."""

import asyncio
import io
import json
import os
import subprocess
import sys
import time
import tomllib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, redirect_stderr, redirect_stdout
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from unittest.mock import patch

import httpx
import msgspec
import pytest
from pydantic_settings import PydanticBaseSettingsSource

from service import cli
from service.fhir.client import FhirClient, open_client
from service.fhir.kinds import READ_KINDS
from service.fhir.sources import Gathered
from service.fhir.views import CapabilityView
from service.gather.files import read_bundle
from service.knowledge.dialects import NO_DIALECTS, Dialects
from service.review import Review, Reviewer
from service.settings import Settings

Resource = dict[str, Any]

ROOT = Path(__file__).resolve().parents[1]
CASES = ROOT / "fixtures" / "cases"
AS_OF = date(2026, 11, 23)
BASE = "http://fhir.test/r4"
"""The pretend server's address; nothing is ever sent to it."""
RXNORM = "http://www.nlm.nih.gov/research/umls/rxnorm"


# --- cases and reviews ----------------------------------------------------------------------------


class _Given(Settings):
    """Settings that are given: to look for the others in the environment took longer than most tests."""

    @classmethod
    def settings_customise_sources(cls, *_: Any, **sources: Any) -> tuple[PydanticBaseSettingsSource, ...]:
        return (sources["init_settings"],)


def settings(**values: object) -> Settings:
    """Settings of a test: no `.env`, criteria set `seed`, region US, and what is given."""
    given = _Given.model_validate({"criteria": "seed", "region": "us", **values})
    return Settings.model_construct(given.model_fields_set, **dict(given))


@cache
def reviewer(
    as_of: date = AS_OF, criteria: str = "seed", region: str = "us", timezone: str = "UTC"
) -> Reviewer:
    """A reviewer of the criteria set `seed` in the US, unless said otherwise."""
    return Reviewer.prepare(settings(criteria=criteria, region=region, timezone=timezone), as_of)


def case_names() -> list[str]:
    """Every case of `fixtures/cases`, in order."""
    return sorted(path.name for path in CASES.iterdir() if path.is_dir())


def case_bytes(name: str) -> bytes:
    """The bundle of a case as it is on disk."""
    return (CASES / name / "bundle.json").read_bytes()


def cases_of_servers() -> list[str]:
    """The cases that a server can hold: a Composition is the head of a document, which is a file."""
    return [name for name in case_names() if b'"Composition"' not in case_bytes(name)]


def cases_of_every_server() -> list[str]:
    """Those without a kind of resource that sekmet-fhir does not know."""
    unknown = (b'"QuestionnaireResponse"', b'"List"')
    return [name for name in cases_of_servers() if not any(kind in case_bytes(name) for kind in unknown)]


FEW = [
    "two-documented-failures-propose-treatment",
    "a-deceased-patient-is-declined",
    "a-phq-9-item-9-alerts-and-leaves-acute-suicidality-open",
    "a-recorded-pregnancy-status-needs-review",
    "an-active-esketamine-plan-is-left-alone",
    "an-adjustment-disorder-is-not-major-depression",
    "an-allergy-to-ketamine-excludes",
    "no-medicine-on-record-is-missing-information",
    "suicidal-thoughts-recorded-thirty-days-ago-propose-the-acute-protocol-alone",
    "when-both-pathways-are-met-the-treatment-resistance-protocol-is-proposed",
]
"""Cases of each decision, and of each pathway."""


def each_of(names: list[str]) -> pytest.MarkDecorator:
    """Every one of these cases; in `make test` a few of them."""
    marked = [name if name in FEW else pytest.param(name, marks=pytest.mark.matrix) for name in names]
    return pytest.mark.parametrize("name", marked)


each_case = each_of(case_names())
"""Every case; in `make test` a few of them."""
each_case_of_servers = each_of(cases_of_servers())


def case_reviewer(name: str) -> Reviewer:
    """The reviewer that a case is meant for."""
    expected = tomllib.loads((CASES / name / "expected.toml").read_text(encoding="utf-8"))
    return reviewer(
        expected["as_of"],
        expected.get("criteria_id", "seed"),
        expected.get("region", "us"),
        expected.get("timezone", "UTC"),
    )


def case_review(name: str) -> Review:
    """The review of a case, read from its file."""
    return case_reviewer(name).review(read_bundle(case_bytes(name)))


def case_answer(name: str) -> str:
    """The answer to a case, read from its file."""
    return answer_of(case_review(name))


def case_bundle(name: str) -> Resource:
    """The bundle of a case, to change at will."""
    bundle: Resource = json.loads(case_bytes(name))
    return bundle


def resources_of(bundle: Resource) -> list[Resource]:
    """The resources of a Bundle."""
    return [entry["resource"] for entry in bundle["entry"]]


def patient_id_of(bundle: Resource) -> str:
    """The id of the one Patient of a Bundle."""
    (found,) = [r["id"] for r in resources_of(bundle) if r["resourceType"] == "Patient"]
    return str(found)


def answer_of(review: Review) -> str:
    """The JSON that a review is answered with."""
    return review.answer.model_dump_json()


def contents_of(gathered: Gathered) -> set[str]:
    """What was gathered, as `Type/id`."""
    return {f"{source.head.resource_type}/{source.head.id}" for source in gathered.sources}


# --- builders -------------------------------------------------------------------------------------


def a_patient(identity: str = "ann", **elements: object) -> Resource:
    """A woman of 45, unless said otherwise."""
    return {"resourceType": "Patient", "id": identity, "birthDate": "1981-04-12", **elements}


def a_condition(identity: str, patient: str = "ann", **elements: object) -> Resource:
    """An active, severe major depression since June 2025, unless said otherwise."""
    code = {"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "F33.2"}
    clinical = {"system": "http://terminology.hl7.org/CodeSystem/condition-clinical", "code": "active"}
    return {
        "resourceType": "Condition",
        "id": identity,
        "clinicalStatus": {"coding": [clinical]},
        "code": {"coding": [code]},
        "subject": {"reference": f"Patient/{patient}"},
        "onsetDateTime": "2025-06-01",
        **elements,
    }


def a_statement(
    identity: str, patient: str = "ann", *, medication: str | None = None, **elements: object
) -> Resource:
    """Sertraline for 13 weeks without effect, unless said otherwise; `medication` refers to it instead."""
    code = {"system": RXNORM, "code": "36437", "display": "sertraline"}
    medicine: Resource = {"medicationCodeableConcept": {"coding": [code]}}
    if medication is not None:
        medicine = {"medicationReference": {"reference": medication}}
    return {
        "resourceType": "MedicationStatement",
        "id": identity,
        "status": "stopped",
        "statusReason": [{"text": "Ineffective"}],
        "subject": {"reference": f"Patient/{patient}"},
        "effectivePeriod": {"start": "2025-07-01", "end": "2025-09-30"},
        **medicine,
        **elements,
    }


def with_two_trials() -> list[Resource]:
    """A patient with a depression for whom two medicines, sertraline and venlafaxine, did nothing."""
    venlafaxine = {"system": RXNORM, "code": "39786", "display": "venlafaxine"}
    second = a_statement(
        "venlafaxine",
        medicationCodeableConcept={"coding": [venlafaxine]},
        effectivePeriod={"start": "2025-10-05", "end": "2026-01-17"},
    )
    return [a_patient(), a_condition("depression"), a_statement("sertraline"), second]


def a_medication(identity: str) -> Resource:
    """Venlafaxine."""
    code = {
        "system": "http://www.nlm.nih.gov/research/umls/rxnorm",
        "code": "39786",
        "display": "venlafaxine",
    }
    return {"resourceType": "Medication", "id": identity, "code": {"coding": [code]}}


def an_allergy(identity: str, patient: str = "ann") -> Resource:
    """An allergy to penicillin."""
    return {
        "resourceType": "AllergyIntolerance",
        "id": identity,
        "code": {"text": "Penicillin"},
        "patient": {"reference": f"Patient/{patient}"},
    }


def a_bundle(resources: Iterable[Resource], *, kind: str = "collection", **elements: object) -> Resource:
    """A Bundle of resources."""
    entries = [{"fullUrl": f"{BASE}/{r['resourceType']}/{r['id']}", "resource": r} for r in resources]
    return {"resourceType": "Bundle", "type": kind, "entry": entries, **elements}


def a_long_record(identity: str, *, statements: int, conditions: int) -> list[Resource]:
    """A patient whose record takes several pages, some of its medicines by reference."""
    medications = [a_medication(f"{identity}-med-{n}") for n in range(5)]
    return [
        a_patient(identity),
        *medications,
        *(
            a_condition(
                f"{identity}-condition-{n}",
                identity,
                code={"text": f"Finding {n}"},
                onsetDateTime=f"{2000 + n % 20}",
            )
            for n in range(conditions - 1)
        ),
        a_condition(f"{identity}-depression", identity),
        *(
            a_statement(
                f"{identity}-statement-{n}",
                identity,
                medication=f"Medication/{medications[n % 25]['id']}" if n % 25 < len(medications) else None,
                effectivePeriod={
                    "start": f"{2005 + n % 20}-{1 + n % 12:02}-01",
                    "end": f"{2005 + n % 20}-{1 + n % 12:02}-28",
                },
            )
            for n in range(statements)
        ),
    ]


# --- a pretend server -----------------------------------------------------------------------------

Handler = Callable[[httpx.Request], httpx.Response]


class PretendServer:
    """A FHIR server in memory, for `httpx.MockTransport`. `asked` is every request, in order.

    `answers` replaces the answer to a path under the base; `everything`, `offered` and `includes` say what
    its CapabilityStatement advertises, and asking for more is a failure of the test.
    """

    def __init__(  # noqa: PLR0913 - each is one trait of a server
        self,
        resources: Iterable[Resource],
        *,
        everything: bool = True,
        offered: Iterable[str] = READ_KINDS,
        includes: bool = True,
        page: int = 1000,
        answers: Mapping[str, Handler] | None = None,
    ) -> None:
        self.resources = list(resources)
        self.everything = everything
        self.offered = tuple(offered)
        self.includes = includes
        self.page = page
        self.answers = dict(answers or {})
        self.asked: list[httpx.Request] = []

    @property
    def paths(self) -> list[str]:
        """What was asked, in order, as paths under the base with their parameters."""
        return [str(request.url).removeprefix(f"{BASE}/") for request in self.asked]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        path = request.url.path.removeprefix("/r4/")
        if path in self.answers:
            return self.answers[path](request)
        if path == "metadata":
            return fhir_response(self._capability())
        kind, _, rest = path.partition("/")
        if rest.endswith("/$everything"):
            assert self.everything, "$everything is not advertised"
            return self._page(self._compartment(rest.removesuffix("/$everything")), request)
        if rest:
            return self._read(kind, rest)
        assert kind in self.offered, f"{kind} is not offered"
        return self._page(self._search(kind, request.url.params), request)

    def _capability(self) -> Resource:
        kinds: list[Resource] = [{"type": kind} for kind in self.offered]
        for kind in kinds:
            if kind["type"] == "Patient" and self.everything:
                kind["operation"] = [{"name": "everything"}]
            if kind["type"] == "MedicationStatement" and self.includes:
                kind["searchInclude"] = ["*", "MedicationStatement:medication"]
        return {
            "resourceType": "CapabilityStatement",
            "fhirVersion": "4.0.1",
            "rest": [{"mode": "server", "resource": kinds}],
        }

    def _read(self, kind: str, identity: str) -> httpx.Response:
        for resource in self.resources:
            if (resource["resourceType"], resource["id"]) == (kind, identity):
                return fhir_response(resource)
        return httpx.Response(404)

    def _compartment(self, patient: str) -> list[Resource]:
        return [r for r in self.resources if _names(r, patient) or r["resourceType"] == "Medication"]

    def _search(self, kind: str, params: httpx.QueryParams) -> list[Resource]:
        assert "_include" not in params or self.includes, "_include is not advertised"
        found = [r for r in self.resources if r["resourceType"] == kind and _names(r, params["patient"])]
        if "_include" not in params:
            return found
        wanted = {r.get("medicationReference", {}).get("reference") for r in found}
        return found + [r for r in self.resources if f"{r['resourceType']}/{r['id']}" in wanted]

    def _page(self, found: list[Resource], request: httpx.Request) -> httpx.Response:
        first = int(request.url.params.get("_offset", 0))
        following = first + self.page
        link = []
        if following < len(found):
            address = request.url.copy_set_param("_offset", following)
            link = [{"relation": "next", "url": str(address)}]
        return fhir_response(a_bundle(found[first:following], kind="searchset", link=link))


def _names(resource: Resource, patient: str) -> bool:
    owner = resource.get("subject") or resource.get("patient") or {}
    mine = (resource["resourceType"], resource["id"]) == ("Patient", patient)
    return mine or owner.get("reference") == f"Patient/{patient}"


def fhir_response(content: object, status: int = 200) -> httpx.Response:
    """An answer as a FHIR server gives it."""
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    return httpx.Response(status, headers={"Content-Type": "application/fhir+json"}, content=body)


def client_of(  # noqa: PLR0913 - the parts of a client
    handler: Handler,
    *,
    seconds: float = 5,
    attempts: int = 3,
    connections: int = 4,
    base: str = BASE,
    dialects: Dialects = NO_DIALECTS,
    now: Callable[[], float] = time.monotonic,
) -> FhirClient:
    """A client whose requests go to a handler and nowhere else."""
    http = httpx.AsyncClient(transport=httpx.MockTransport(handler))
    return FhirClient(
        base, http, seconds=seconds, attempts=attempts, connections=connections, dialects=dialects, now=now
    )


class InMemory(httpx.MockTransport):
    """A handler that is met as a server is: while one request is under way, others go ahead."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        await asyncio.sleep(0)
        return await super().handle_async_request(request)


IN_MEMORY: dict[str, InMemory] = {}
"""The pretended servers that have no socket, by their address."""

# --- real servers ---------------------------------------------------------------------------------


@asynccontextmanager
async def client_at(base: str, *, searches: bool = False, **values: object) -> AsyncIterator[FhirClient]:
    """A client of a real server; with `searches`, one that never learns of `$everything`."""
    async with open_client(settings(fhir_base_url=base, **values)) as client:
        if searches:
            client._stated = without_everything(await client.capability()), await client.release()
        yield client


def without_everything(capability: CapabilityView) -> CapabilityView:
    """What a server would advertise if it had no `$everything`."""
    copy = msgspec.json.decode(msgspec.json.encode(capability), type=CapabilityView)
    for rest in copy.rest:
        for resource in rest.resource:
            resource.operation.clear()
    return copy


async def reviewed_at(
    base: str, patient_id: str, *, searches: bool = False, by: Reviewer | None = None
) -> Review:
    """The review of a patient of a real server."""
    async with client_at(base, searches=searches) as client:
        return await (by or reviewer()).review_patient(client, patient_id)


class Ran(NamedTuple):
    """What a command printed, and the code that it ended with."""

    returncode: int
    stdout: str
    stderr: str


def run_command(*arguments: str, **environment: str) -> Ran:
    """Run `trd-careplan` as a user would, with these settings and no others, but within this process.

    A process of its own would spend a second on imports. It has a thread of its own, since a command starts
    an event loop and the test may be in one. What serves is run by `run_program`.
    """
    out, err = (io.TextIOWrapper(io.BytesIO(), encoding="utf-8") for _ in range(2))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRD_")}
    with (
        patch.dict(os.environ, {**kept, **environment}, clear=True),
        patch.object(sys, "argv", ["trd-careplan", *arguments]),
        redirect_stdout(out),
        redirect_stderr(err),
        ThreadPoolExecutor(1) as alone,
    ):
        code = alone.submit(_exit_code_of_main).result(timeout=60)
    return Ran(code, _text_of(out), _text_of(err))


def run_program(*arguments: str, **environment: str) -> Ran:
    """Run the installed program `trd-careplan` in a process of its own, with these settings and no others."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("TRD_")}
    done = subprocess.run(
        [Path(sys.executable).with_name("trd-careplan"), *arguments],
        env={**kept, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Ran(done.returncode, done.stdout, done.stderr)


def _exit_code_of_main() -> int:
    try:
        cli.main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


def _text_of(stream: io.TextIOWrapper) -> str:
    stream.seek(0)
    return stream.read()
