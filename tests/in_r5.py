"""The records of the tests as a server of R5 holds them: the opposite of `service.fhir.r5.records`.

Only what the fixtures say is translated. What is written to a server is translated by the service itself.
The functions that take a server do nothing where that is one of R4.
"""

from collections.abc import Callable, Iterable
from functools import cache

import httpx

from service.fhir.kinds import WRITTEN_KINDS
from service.fhir.r5.plans import plan_in_r5
from service.fhir.r5.records import resource_in_r4
from service.fhir.release import Release, release_of
from tests.servers import load as put_all
from tests.support import IN_MEMORY, Resource

_ADHERENCE = "http://hl7.org/fhir/CodeSystem/medication-statement-adherence"
_ADHERENCE_CODES = {
    "active": "taking",
    "completed": "stopped",
    "stopped": "stopped",
    "on-hold": "on-hold",
    "not-taken": "not-taking",
    "unknown": "unknown",
}


def in_r5(resource: Resource) -> Resource:
    """An R4 resource of a record in R5."""
    translate = _TRANSLATORS.get(resource["resourceType"])
    return resource if translate is None else translate(dict(resource))


def bundle_in_r5(bundle: Resource) -> Resource:
    """A Bundle with every resource in R5."""
    entries = [entry | {"resource": in_r5(entry["resource"])} for entry in bundle["entry"]]
    return bundle | {"entry": entries}


@cache
def release_at(server: str) -> Release:
    """The release that a server says it speaks."""
    with httpx.Client(trust_env=False, timeout=60, transport=IN_MEMORY.get(server)) as http:
        statement = http.get(f"{server}/metadata").raise_for_status().json()
    return release_of(statement["fhirVersion"])


def load(server: str, bundle_or_resources: Resource | Iterable[Resource]) -> None:
    """Load R4 resources on a server, in its release."""
    if release_at(server) is Release.R4:
        put_all(server, bundle_or_resources)
    elif isinstance(bundle_or_resources, dict):
        put_all(server, bundle_in_r5(bundle_or_resources))
    else:
        put_all(server, [in_r5(resource) for resource in bundle_or_resources])


def as_sent(server: str, resource: Resource) -> Resource:
    """An R4 resource in the release of a server."""
    return resource if release_at(server) is Release.R4 else in_r5(resource)


def as_read(server: str, resource: Resource) -> Resource:
    """A resource of a server in R4, where the service writes it."""
    in_r5 = release_at(server) is Release.R5 and resource["resourceType"] in WRITTEN_KINDS
    return resource_in_r4(resource) if in_r5 else resource


def _statement(statement: Resource) -> Resource:
    _put_medicine(statement)
    derived = [*statement.pop("basedOn", []), *statement.get("derivedFrom", [])]
    if derived:
        statement["derivedFrom"] = derived
    if "informationSource" in statement:
        statement["informationSource"] = [statement["informationSource"]]
    if "dosage" in statement:
        statement["dosage"] = [_dosage(dosage) for dosage in statement["dosage"]]
    status, reasons = statement["status"], statement.pop("statusReason", [])
    if status in _ADHERENCE_CODES:
        statement["status"] = "recorded"
    ended = status == "completed" and "end" in statement.get("effectivePeriod", {}) and not reasons
    if status in _ADHERENCE_CODES and not ended:
        code = {"coding": [{"system": _ADHERENCE, "code": _ADHERENCE_CODES[status]}]}
        statement["adherence"] = {"code": code} | ({"reason": reasons[0]} if reasons else {})
    if status == "intended":
        statement["status"] = "draft"
    return statement


def _request(request: Resource) -> Resource:
    _put_medicine(request)
    if "dosageInstruction" in request:
        request["dosageInstruction"] = [_dosage(dosage) for dosage in request["dosageInstruction"]]
    _rename(request, "reportedBoolean", "reported")
    return request


def _dispense(dispense: Resource) -> Resource:
    _put_medicine(dispense)
    if "dosageInstruction" in dispense:
        dispense["dosageInstruction"] = [_dosage(dosage) for dosage in dispense["dosageInstruction"]]
    if "statusReasonCodeableConcept" in dispense:
        dispense["notPerformedReason"] = {"concept": dispense.pop("statusReasonCodeableConcept")}
    return dispense


def _administration(administration: Resource) -> Resource:
    _put_medicine(administration)
    _rename(administration, "effectiveDateTime", "occurenceDateTime")
    _rename(administration, "effectivePeriod", "occurencePeriod")
    return administration


def _medication(medication: Resource) -> Resource:
    if "ingredient" in medication:
        medication["ingredient"] = [_ingredient(dict(one)) for one in medication["ingredient"]]
    return medication


def _ingredient(ingredient: Resource) -> Resource:
    for element, part in (("itemCodeableConcept", "concept"), ("itemReference", "reference")):
        if element in ingredient:
            ingredient["item"] = {part: ingredient.pop(element)}
    _rename(ingredient, "strength", "strengthRatio")
    return ingredient


def _procedure(procedure: Resource) -> Resource:
    _rename(procedure, "performedDateTime", "occurrenceDateTime")
    _rename(procedure, "performedPeriod", "occurrencePeriod")
    return procedure


def _allergy(allergy: Resource) -> Resource:
    if "type" in allergy:
        system = "http://hl7.org/fhir/allergy-intolerance-type"
        allergy["type"] = {"coding": [{"system": system, "code": allergy["type"]}]}
    return allergy


def _plan(plan: Resource) -> Resource:
    contained = [in_r5(one) for one in plan.get("contained", [])]
    return plan_in_r5(plan | ({"contained": contained} if contained else {}))


_TRANSLATORS: dict[str, Callable[[Resource], Resource]] = {
    "MedicationStatement": _statement,
    "MedicationRequest": _request,
    "MedicationDispense": _dispense,
    "MedicationAdministration": _administration,
    "Medication": _medication,
    "Procedure": _procedure,
    "AllergyIntolerance": _allergy,
    "CarePlan": _plan,
    "List": lambda given: given | {"subject": [given["subject"]]},
}


def _put_medicine(record: Resource) -> None:
    if "contained" in record:
        record["contained"] = [in_r5(one) for one in record["contained"]]
    for element, part in (("medicationCodeableConcept", "concept"), ("medicationReference", "reference")):
        if element in record:
            record["medication"] = {part: record.pop(element)}
    reasons = [{"concept": reason} for reason in record.pop("reasonCode", [])]
    reasons += [{"reference": reason} for reason in record.pop("reasonReference", [])]
    if reasons:
        record["reason"] = reasons


def _dosage(given: Resource) -> Resource:
    dosage = dict(given)
    _rename(dosage, "asNeededBoolean", "asNeeded")
    if "asNeededCodeableConcept" in dosage:
        dosage["asNeededFor"] = [dosage.pop("asNeededCodeableConcept")]
    return dosage


def _rename(record: Resource, old: str, new: str) -> None:
    if old in record:
        record[new] = record.pop(old)
