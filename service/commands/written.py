"""What this service wrote on the FHIR server: plans, assessments and Tasks, as they stand. Reads only."""

from collections import Counter
from collections.abc import AsyncIterator, Iterable
from dataclasses import dataclass
from datetime import date, datetime
from typing import get_args
from zoneinfo import ZoneInfo

from service.apply.origins import Origin, all_origins
from service.apply.standing import find_assessment
from service.apply.stored import as_signed
from service.apply.tasks import find_tasks
from service.commands.compare import PrintedPart
from service.core.decision import DecisionName, ReasonOfDecision
from service.core.documents import DocumentOfRecord
from service.core.records import VersionedReference
from service.fhir.client import FhirClient
from service.fhir.kinds import LISTED_AS, PATIENT_ELEMENTS, ListedAs
from service.fhir.loose import Resource, part, text
from service.fhir.names import is_edited
from service.fhir.references import read_reference
from service.gather.ours import find_our_assessments, find_our_plans
from service.render.terminal import Rows, Terminal, count

_PAGE_SIZE = "100"
_DECISION_OF = {
    ReasonOfDecision.TRD: DecisionName.PROPOSE,
    ReasonOfDecision.ACUTE_SUICIDALITY: DecisionName.PROPOSE,
    ReasonOfDecision.CONTINUATION: DecisionName.PROPOSE,
    ReasonOfDecision.SAFETY_REVIEW: DecisionName.NEEDS_REVIEW,
    ReasonOfDecision.MISSING_INFORMATION: DecisionName.NEEDS_INFORMATION,
}
"""Any other reason is one to decline."""


class Written(PrintedPart):
    """One resource that this service wrote, as it stands, and how its last version of ours came about.

    `edited` when a person changed it since. `day` is when we last wrote it, at the site. What is not on
    record is `null`.
    """

    resource: str
    kind: ListedAs
    patient: str
    status: str | None
    edited: bool
    day: date | None
    decision: DecisionName | None
    reason: ReasonOfDecision | None
    criteria: str | None
    knowledge: str | None
    software: str | None
    cause: str | None


@dataclass(frozen=True, slots=True)
class WrittenFilter:
    """A selection of what was written; `None` selects all.

    `decision` is the decision or its reason; `version` that of the knowledge or the software, or the id and
    version of the criteria set; `since` and `until` are days at the site, both included.
    """

    patient: str | None = None
    decision: str | None = None
    version: str | None = None
    since: date | None = None
    until: date | None = None

    def includes(self, one: Written) -> bool:
        """Whether a resource is asked for."""
        return (
            self.patient in {None, read_reference(one.patient).id_of("Patient")}
            and self.decision in {None, one.decision, one.reason}
            and self.version in {None, one.knowledge, one.software, one.criteria}
            and (self.since is None or (one.day is not None and one.day >= self.since))
            and (self.until is None or (one.day is not None and one.day <= self.until))
        )


@dataclass(frozen=True, slots=True)
class Listed:
    """A resource of ours and its facts; `origin` is the origin of the last version that we wrote.

    `document` is what stands in place of a plan, where the server takes none.
    """

    written: Written
    content: Resource
    origin: Origin | None
    document: DocumentOfRecord | None = None


class _Origins:
    """The origins of everything of ours, by version and by resource."""

    def __init__(self, origins: Iterable[Origin]) -> None:
        self.by_version: dict[str, Origin] = {}
        self.latest: dict[str, Origin] = {}
        for origin in origins:
            for target in origin.targets:
                self.by_version[target] = origin
                self.latest[read_reference(target).address] = origin

    def of(self, version: str) -> Origin | None:
        return self.by_version.get(version) or self.latest.get(read_reference(version).address)


async def find_written(client: FhirClient, wanted: WrittenFilter, timezone: str) -> AsyncIterator[Listed]:
    """Everything asked for, page by page: the plans, then the assessments, then the Tasks."""
    origins = _Origins(await all_origins(client))
    for contents in (_plans(client, wanted), _assessments(client, wanted), _tasks(client, wanted)):
        async for content in contents:
            listed = _listed(content, origins, timezone)
            if wanted.includes(listed.written):
                yield listed


async def list_written(client: FhirClient, wanted: WrittenFilter, timezone: str) -> list[Listed]:
    """Everything asked for, at once."""
    return [listed async for listed in find_written(client, wanted, timezone)]


async def _plans(client: FhirClient, wanted: WrittenFilter) -> AsyncIterator[Resource]:
    """Our plans, with the signatures that the server may have dropped."""
    params = {} if wanted.patient is None else {"patient": wanted.patient}
    async for content in find_our_plans(client, _count=_PAGE_SIZE, **params):
        yield await as_signed(client, content)


async def _assessments(client: FhirClient, wanted: WrittenFilter) -> AsyncIterator[Resource]:
    """Our assessments: a patient's by its id, else all."""
    if wanted.patient is None:
        async for content in find_our_assessments(client, _count=_PAGE_SIZE):
            yield content
        return
    found = await find_assessment(client, wanted.patient)
    if found is not None:
        yield found


async def _tasks(client: FhirClient, wanted: WrittenFilter) -> AsyncIterator[Resource]:
    for task in await find_tasks(client, wanted.patient):
        yield task


def _listed(content: Resource, origins: _Origins, timezone: str) -> Listed:
    kind = LISTED_AS[content["resourceType"]]
    meta = content.get("meta", {})
    name = str(VersionedReference(content["resourceType"], content["id"], meta.get("versionId")))
    origin = origins.of(name)
    output = _output(content) if kind == "assessment" else {}
    reason = _reason((origin.decision if origin else None) or output.get("decision-reason"))
    written = Written(
        resource=name,
        kind=kind,
        patient=text(part(content.get(PATIENT_ELEMENTS[content["resourceType"]])).get("reference")),
        status=content.get("status"),
        edited=kind != "assessment" and is_edited(content),
        day=_day((origin.recorded if origin else None) or meta.get("lastUpdated"), timezone),
        decision=None if reason is None else _DECISION_OF.get(reason, DecisionName.DECLINE),
        reason=reason,
        criteria=" ".join(origin.criteria) if origin and origin.criteria else None,
        knowledge=(origin.knowledge if origin else None) or output.get("knowledge-version"),
        software=origin.software if origin else None,
        cause=origin.cause if origin else None,
    )
    return Listed(written, content, origin)


def _output(guidance: Resource) -> dict[str, str]:
    """The output parameters of an assessment, by name."""
    return {
        parameter["name"]: str(parameter.get("valueCode") or parameter.get("valueString"))
        for contained in guidance.get("contained", [])
        for parameter in contained.get("parameter", [])
        if "valueCode" in parameter or "valueString" in parameter
    }


def _reason(code: str | None) -> ReasonOfDecision | None:
    return ReasonOfDecision(code) if code in set(ReasonOfDecision) else None


def _day(instant: str | None, timezone: str) -> date | None:
    """The day of an instant at the site."""
    try:
        return datetime.fromisoformat(instant or "").astimezone(ZoneInfo(timezone)).date()
    except ValueError:
        return None


def print_written(console: Terminal, found: Iterable[Written]) -> None:
    """Print what was written as a table, the last day first."""
    rows = sorted(found, key=lambda one: (one.day or date.min, one.resource), reverse=True)
    table = Rows(
        "resource", "day", "patient", "status", "decision", "criteria", "knowledge", "software", "by"
    )
    for one in rows:
        reason = f" ({one.reason})" if one.reason else ""
        decision = "-" if one.decision is None else f"{one.decision.value}{reason}"
        status = f"{one.status}{', edited' if one.edited else ''}"
        versions = (one.criteria or "-", one.knowledge or "-", one.software or "-", one.cause or "-")
        table.add(one.resource, str(one.day or "-"), one.patient, status, decision, *versions)
    console.print(table)
    numbers = Counter(one.kind for one in rows)
    shown = (kind for kind in get_args(ListedAs) if numbers[kind] or kind != "document")
    counts = ", ".join(count(numbers[kind], kind) for kind in shown)
    console.print(counts, style="dim")
