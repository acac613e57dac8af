"""FHIR servers in the shape of what vendors state: kinds, searches, warnings, ids, pages, throttling.

Epic, Oracle Health Millennium and MEDITECH follow CapabilityStatements, named in `mappings/servers/`.
athenahealth and HealthLake follow public documentation alone: no statement of theirs was read.
"""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any

import httpx

from service.fhir.kinds import READ_KINDS
from tests.support import BASE, PretendServer, Resource, fhir_response

READ, SEARCH = "read", "search-type"
_IN_EPIC = "urn:oid:1.2.840.114350.1.13.0.1.7.2.657369"
_ALWAYS_KNOWN = {"_offset"}


def an_outcome(code: str, severity: str = "error", number: str | None = None) -> Resource:
    """An OperationOutcome with one issue; its texts name a person, whom nothing may repeat."""
    coding = {"coding": [{"system": _IN_EPIC, "code": number}]} if number else {}
    issue = {"severity": severity, "code": code, "details": {**coding, "text": "Ann Miller, born 1981"}}
    return {"resourceType": "OperationOutcome", "issue": [issue]}


@dataclass(frozen=True, slots=True)
class Offered:
    """What a server offers of a kind: search parameters, those without which a search is refused, operations.

    Where a `choice` stands, a parameter takes these values only. A kind without parameters is read by its id.
    """

    parameters: frozenset[str]
    required: frozenset[str] = frozenset()
    one_of: frozenset[str] = frozenset()
    choice: Mapping[str, frozenset[str]] = field(default_factory=dict)
    operations: tuple[str, ...] = ()


def offer(parameters: str = "", required: str = "", **others: Any) -> Offered:
    """What is offered of a kind, each name once."""
    return Offered(frozenset(parameters.split()), frozenset(required.split()), **others)


@dataclass(frozen=True, slots=True)
class Writing:
    """What the servers of a vendor let be written: the interactions by kind, and how they answer.

    Extensions are not kept, and what is attached is then found under an address. With `empty_answers`, a
    create is answered 201 without a body, as Oracle does. What does not fit `takes` is refused.
    """

    interactions: Mapping[str, tuple[str, ...]]
    empty_answers: bool = False
    takes: Callable[[Resource], bool] = lambda _: True


def _oracle_takes(resource: Resource) -> bool:
    """Whether a document is as Oracle documents it: `docStatus`, author, an end with a time, a charset."""
    if resource["resourceType"] != "DocumentReference":
        return True
    (content,), (author,) = resource["content"], resource["author"]
    return (
        resource["docStatus"] in {"final", "amended"}
        and author["reference"].startswith("Practitioner/")
        and "T" in resource["context"]["period"]["end"]
        and "charset" in content["attachment"]["contentType"]
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Vendor:
    """How the servers of one vendor answer.

    `remark` comes with every search. `id_length` is how long ids are. `versions` is whether resources have a
    version. `ignores_unknown` is whether parameters that are not offered are passed over, not refused.
    `writing` is what it lets be written. `throttled` is the answer of a server that is overloaded.
    """

    dialect: str
    says: Resource
    kinds: Mapping[str, Offered]
    chosen: bool = False
    remark: Resource | None = None
    id_length: int = 0
    versions: bool = True
    ignores_unknown: bool = True
    page: int = 1000
    writing: Writing | None = None
    throttled: Callable[[], httpx.Response] = lambda: httpx.Response(429)

    @property
    def unscreened(self) -> set[str]:
        """The kinds that are read and that the server does not let be searched for."""
        return {kind for kind in READ_KINDS if not self.searches(kind)}

    def searches(self, kind: str) -> bool:
        """Whether the resources of a kind are found."""
        return kind in self.kinds and bool(self.kinds[kind].parameters)


EPIC = Vendor(
    dialect="epic",
    says={"software": {"name": "Epic", "version": "May 2026"}},
    kinds={
        "Patient": offer("_id identifier birthdate family given _count", operations=("match", "summary")),
        "Condition": offer("patient subject category clinical-status code _count"),
        "MedicationRequest": offer("patient subject category date intent status _count"),
        "MedicationDispense": offer("patient subject category status _count"),
        "MedicationAdministration": offer("patient subject status effective-time _count"),
        "Medication": offer("_id"),
        "AllergyIntolerance": offer("patient clinical-status _count"),
        "Observation": offer(
            "patient subject category code date _count", one_of=frozenset({"category", "code"})
        ),
        "Procedure": offer("patient subject category code date _count"),
        "QuestionnaireResponse": offer("patient subject encounter _count"),
        "Flag": offer("patient subject category status _count"),
        "List": offer("patient subject code _count"),
        "CarePlan": offer("patient subject category status _count", "category"),
        "DocumentReference": offer("patient subject author type category date docstatus status _id _count"),
        "Communication": offer("patient subject category encounter _id _count"),
    },
    writing=Writing({"DocumentReference": ("create", "update"), "Communication": ("create",)}),
    remark=an_outcome("processing", "warning", "4119"),
    id_length=88,
    versions=False,
)
ORACLE = Vendor(
    dialect="oracle-millennium",
    says={"publisher": "Oracle Health"},
    kinds={
        "Patient": offer("_id identifier name birthdate _count"),
        "Condition": offer("_id patient subject clinical-status category _lastUpdated _count"),
        "MedicationRequest": offer("_id patient intent status _lastUpdated _count"),
        "MedicationDispense": offer("_id patient date _lastUpdated _count"),
        "MedicationAdministration": offer("_id patient status effective-time _count"),
        "AllergyIntolerance": offer("_id patient clinical-status _lastUpdated _count"),
        "Observation": offer("_id patient subject category code date _lastUpdated _count"),
        "Procedure": offer("_id patient subject date _lastUpdated _count"),
        "QuestionnaireResponse": offer("_id patient _count"),
        "CarePlan": offer(
            "_id date patient category _count", "category", choice={"category": frozenset({"assess-plan"})}
        ),
        "DocumentReference": offer("_id patient encounter period type category date _lastUpdated _count"),
        "Communication": offer("_id category received recipient", "category received recipient"),
        "Provenance": offer("_id target"),
    },
    writing=Writing(
        {
            "DocumentReference": ("create", "update"),
            "Communication": ("create", "patch"),
            "Provenance": ("create",),
        },
        empty_answers=True,
        takes=_oracle_takes,
    ),
    ignores_unknown=False,
    page=3,
)
MEDITECH = Vendor(
    dialect="meditech",
    says={
        "software": {"name": "Interoperability Services: US Core STU6 FHIR R4", "version": "2.0.0"},
        "publisher": "Medical Information Technology, Inc",
    },
    kinds={
        "Patient": offer("_id _count identifier name birthdate", operations=("everything", "export")),
        "Condition": offer("_id _count patient category clinical-status code"),
        "MedicationRequest": offer("_id _count patient intent status"),
        "MedicationDispense": offer("_id _count patient status type"),
        "Medication": offer("_id"),
        "AllergyIntolerance": offer("_id patient _count"),
        "Observation": offer("_id patient category code date _count"),
        "Procedure": offer("_id _count patient date code status"),
        "QuestionnaireResponse": offer("_count _id authored patient questionnaire status"),
        "CarePlan": offer("_id _count patient category status"),
        "Communication": offer("_id _count patient subject sender recipient sent part-of in-response-to"),
        "DocumentReference": offer("_id patient type period status category"),
    },
    writing=Writing({"Communication": ("create",)}),
)
ATHENAHEALTH = Vendor(
    dialect="athenahealth",
    says={},
    chosen=True,
    kinds={
        "Patient": offer("_id identifier name birthdate _count"),
        "Condition": offer("patient category _count"),
        "MedicationRequest": offer("patient intent _count", "intent"),
        "Medication": offer("_id"),
        "AllergyIntolerance": offer("patient _count"),
        "Observation": offer("patient category code _count"),
        "Procedure": offer("patient date _count"),
        "QuestionnaireResponse": offer("patient _count"),
        "CarePlan": offer(),
    },
)
HEALTHLAKE = Vendor(
    dialect="healthlake",
    says={},
    kinds={kind: offer("patient subject code category _id _lastUpdated _count") for kind in READ_KINDS},
    page=3,
    throttled=lambda: httpx.Response(
        400,
        headers={"Content-Type": "application/json"},
        content=b'{"__type": "ThrottlingException", "message": "Rate exceeded"}',
    ),
)
VENDORS = {one.dialect: one for one in (EPIC, ORACLE, MEDITECH, ATHENAHEALTH, HEALTHLAKE)}


class VendorDouble(PretendServer):
    """A server of a vendor that holds a record; what it does not offer is there and is not shown.

    `throttles` is how many requests are answered as by an overloaded server, from now on. `sent` is every
    resource that was stored, as it came. `cut_after` is after how many more requests the connection is cut,
    and `loses_answer` whether the answer to the last of them is lost. With
    `cuts_after_write` the next write is the last one. `cuts_at` names a kind whose writing is cut: before it
    is stored (0), or before it is answered (1). `meanwhile` happens once, before a write is taken.
    """

    def __init__(self, vendor: Vendor, resources: Iterable[Resource]) -> None:
        self.vendor = vendor
        self.throttles = 0
        self.sent: list[Resource] = []
        self.cut_after: int | None = None
        self.loses_answer = False
        self.cuts_after_write = False
        self.cuts_at: tuple[str, int] | None = None
        self.meanwhile: Callable[[], object] | None = None
        everything = "everything" in vendor.kinds["Patient"].operations
        held = [self._as_kept(resource) for resource in lengthened(resources, vendor.id_length)]
        super().__init__(held, everything=everything, offered=vendor.kinds, includes=False, page=vendor.page)

    @property
    def shown(self) -> list[Resource]:
        """What the server shows of its record, as a person would put it into a file."""
        return [one for one in self.resources if self._shows(one)]

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.throttles:
            self.throttles -= 1
            self.asked.append(request)
            return self.vendor.throttled()
        if self.cut_after == 0:
            raise httpx.ConnectError("the connection is cut", request=request)
        if self.cut_after is not None:
            self.cut_after -= 1
        answer = self._answered(request)
        if self.cuts_after_write and request.method != "GET":
            self.cuts_after_write, self.cut_after, self.loses_answer = False, 0, True
        if self.cut_after == 0 and self.loses_answer:
            raise httpx.ReadError("the answer is lost", request=request)
        return answer

    def _answered(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/r4/")
        kind, _, rest = path.partition("/")
        if path != "metadata" and kind not in self.vendor.kinds:
            return self._refused(request, 404, an_outcome("not-supported"))
        if request.method != "GET":
            return self._written(kind, rest, request)
        if path == "metadata" or rest:
            return super().__call__(request)
        if kind == "Patient" and "identifier" in request.url.params:
            self.asked.append(request)
            return self._page(self._identified(request.url.params["identifier"]), request)
        return self._refusal(kind, request) or super().__call__(request)

    def _written(self, kind: str, identity: str, request: httpx.Request) -> httpx.Response:
        """Store a resource, each time under another id where it is new, whatever stands there already."""
        if self.cuts_at == (kind, 0):
            raise httpx.ConnectError("the connection is cut", request=request)
        answer = self._stored(kind, identity, request)
        if self.cuts_at == (kind, 1):
            raise httpx.ReadError("the answer is lost", request=request)
        return answer

    def _stored(self, kind: str, identity: str, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        writing = self.vendor.writing
        code = {"POST": "create", "PUT": "update"}[request.method]
        if writing is None or code not in writing.interactions.get(kind, ()):
            return fhir_response(an_outcome("not-supported"), 405)
        resource = json.loads(request.content)
        if not writing.takes(resource):
            return fhir_response(an_outcome("business-rule"), 422)
        if code == "create":
            self.sent.append(resource)
            return self._created(self.keep(resource | {"id": str(len(self.sent))}))
        standing = next((one for one in self.resources if _is_at(one, kind, identity)), None)
        if standing is None:
            return fhir_response(an_outcome("not-found"), 404)
        if request.headers.get("If-Match", _etag(standing)) != _etag(standing):
            return fhir_response(an_outcome("conflict"), 409)
        self.sent.append(resource)
        return fhir_response(self.keep(resource))

    def _created(self, stored: Resource) -> httpx.Response:
        where = {"Location": f"{BASE}/{stored['resourceType']}/{stored['id']}"}
        if self.vendor.writing is not None and self.vendor.writing.empty_answers:
            headers = {**where, "ETag": _etag(stored), "Content-Type": "text/html"}
            return httpx.Response(201, headers=headers)
        answer = fhir_response(stored, 201)
        answer.headers.update(where)
        return answer

    def keep(self, resource: Resource) -> Resource:
        """Store a version of a resource, as such a server keeps it; gives what stands then."""
        kind, identity = resource["resourceType"], resource["id"]
        before = next((one for one in self.resources if _is_at(one, kind, identity)), None)
        stored = {name: value for name, value in _as_stored(resource).items() if name != "meta"}
        if self.vendor.versions:
            number = int(before["meta"]["versionId"]) if before else 0
            stored["meta"] = {"versionId": str(number + 1)}
        self.resources = [one for one in self.resources if one is not before] + [stored]
        return stored

    def of_type(self, kind: str) -> list[Resource]:
        """The resources of a type, as they stand."""
        return [one for one in self.resources if one["resourceType"] == kind]

    def _refused(self, request: httpx.Request, status: int, outcome: Resource) -> httpx.Response:
        self.asked.append(request)
        return fhir_response(outcome, status)

    def _refusal(self, kind: str, request: httpx.Request) -> httpx.Response | None:
        """How a search is refused, if it is."""
        offered, asked = self.vendor.kinds[kind], set(request.url.params) - _ALWAYS_KNOWN
        if not offered.parameters:
            return self._refused(request, 405, an_outcome("not-supported"))
        lacking = offered.required - asked or (offered.one_of if not offered.one_of & asked else None)
        if lacking or not {"patient", "subject", "_id", "target"} & asked:
            return self._refused(request, 400, an_outcome("required", number="59108"))
        unknown = asked - offered.parameters
        wrong = any(request.url.params.get(name) not in values for name, values in offered.choice.items())
        if wrong or (unknown and not self.vendor.ignores_unknown):
            return self._refused(request, 400, an_outcome("invalid", number="59100"))
        return None

    def _identified(self, named: str) -> list[Resource]:
        system, _, value = named.partition("|")
        wanted = {"system": system, "value": value}
        patients = [one for one in self.resources if one["resourceType"] == "Patient"]
        return [one for one in patients if wanted in one.get("identifier", [])]

    def _search(self, kind: str, params: httpx.QueryParams) -> list[Resource]:
        if "target" in params:
            return [one for one in self.of_type(kind) if _is_about(one, params["target"])]
        found = super()._search(kind, params)
        asked = ("category", "intent", "type")
        return [one for one in found if all(_has(one, element, params) for element in asked)]

    def _compartment(self, patient: str) -> list[Resource]:
        return [one for one in super()._compartment(patient) if self._shows(one)]

    def _page(self, found: list[Resource], request: httpx.Request) -> httpx.Response:
        answer = super()._page(found, request)
        if self.vendor.remark is None:
            return answer
        bundle = json.loads(answer.content)
        bundle["entry"].append({"resource": self.vendor.remark, "search": {"mode": "outcome"}})
        return fhir_response(bundle)

    def _capability(self) -> Resource:
        kinds = [
            {
                "type": kind,
                "interaction": [{"code": code} for code in self._interactions(kind)],
                "searchParam": [{"name": name} for name in sorted(one.parameters)],
                "operation": [{"name": name} for name in one.operations],
            }
            for kind, one in self.vendor.kinds.items()
        ]
        statement = {"resourceType": "CapabilityStatement", "fhirVersion": "4.0.1", **self.vendor.says}
        return {**statement, "rest": [{"mode": "server", "resource": kinds}]}

    def _interactions(self, kind: str) -> list[str]:
        written = self.vendor.writing.interactions.get(kind, ()) if self.vendor.writing else ()
        return [READ, *([SEARCH] if self.vendor.kinds[kind].parameters else []), *written]

    def _as_kept(self, resource: Resource) -> Resource:
        return resource if self.vendor.versions else {k: v for k, v in resource.items() if k != "meta"}

    def _shows(self, resource: Resource) -> bool:
        return resource["resourceType"] in {"Patient", "Medication"} & {*self.vendor.kinds} or (
            self.vendor.searches(resource["resourceType"])
        )


def lengthened(resources: Iterable[Resource], length: int) -> list[Resource]:
    """Resources with ids of a length, and the references to them."""
    resources = list(resources)
    text = json.dumps(resources)
    for one in resources if length else []:
        kind, identity = one["resourceType"], one["id"]
        longer = identity.ljust(length, "x")
        text = text.replace(f'"{kind}/{identity}"', f'"{kind}/{longer}"')
        text = text.replace(f'"{kind}", "id": "{identity}"', f'"{kind}", "id": "{longer}"')
    found: list[Resource] = json.loads(text)
    return found


def with_category(resources: Iterable[Resource], code: str) -> list[Resource]:
    """The same resources, the plans of care in a category."""
    return [
        one if one["resourceType"] != "CarePlan" else {**one, "category": [{"coding": [{"code": code}]}]}
        for one in resources
    ]


def _has(resource: Resource, element: str, params: httpx.QueryParams) -> bool:
    """Whether an element has one of the codes that are asked for; where nothing is asked for, it has."""
    wanted = params.get(element)
    if wanted is None:
        return True
    value = resource.get(element, [])
    values = [value] if isinstance(value, dict) else value
    codes = {value} if isinstance(value, str) else {c["code"] for v in values for c in v.get("coding", [])}
    return bool(codes.intersection(one.rpartition("|")[2] for one in wanted.split(",")))


def _is_at(resource: Resource, kind: str, identity: str) -> bool:
    return (resource["resourceType"], resource["id"]) == (kind, identity)


def _is_about(provenance: Resource, name: str) -> bool:
    """Whether a Provenance is of a version of a resource."""
    return any(one["reference"].partition("/_history")[0] == name for one in provenance["target"])


def _etag(resource: Resource) -> str:
    return f'W/"{resource.get("meta", {}).get("versionId", "")}"'


def _as_stored(value: Any) -> Any:
    """A resource as it is kept: without extensions, and with an address in place of what is attached."""
    if isinstance(value, list):
        return [_as_stored(one) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {name: _as_stored(one) for name, one in value.items() if name not in {"extension", "data"}}
    return {**kept, "url": f"{BASE}/Binary/{_digest(value['data'])}"} if "data" in value else kept


def _digest(data: str) -> str:
    return sha256(data.encode()).hexdigest()[:16]


def remarking(vendor: Vendor, code: str, severity: str, number: str) -> Vendor:
    """The same servers with another remark beside every search."""
    return replace(vendor, remark=an_outcome(code, severity, number))
