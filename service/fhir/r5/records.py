"""Read what a server of R5 says as the R4 that everything inside reads: https://hl7.org/fhir/R5/.

Translated are the elements that are read here; all others stay as they are. What is malformed is passed on
under its R4 name, so that the reader says at which element. Readings that R5 leaves open are settled in
docs/decisions/0015.
"""

from collections.abc import Callable
from typing import Any

import msgspec

from service.fhir.kinds import WRITTEN_KINDS
from service.fhir.loose import Resource, part, parts, rename, split, split_all, text
from service.fhir.r5.written import read_from_r5
from service.fhir.sources import UNDECODABLE

NOT_AS_DIRECTED = "not taken as directed"
"""The dosage of a medicine that was taken, but not as the record has it: a dose that cannot be read."""

_TAKING_OTHERWISE = "taking-not-as-directed"
_ADHERENCE = {
    "taking": "active",
    "taking-as-directed": "active",
    _TAKING_OTHERWISE: "active",
    "not-taking": "not-taken",
    "on-hold": "on-hold",
    "on-hold-as-directed": "on-hold",
    "on-hold-not-as-directed": "on-hold",
    "stopped": "stopped",
    "stopped-as-directed": "stopped",
    "stopped-not-as-directed": "stopped",
    "unknown": "unknown",
}
"""Status of an R4 statement by https://hl7.org/fhir/R5/codesystem-medication-statement-adherence.html"""


def in_r4(content: bytes | msgspec.Raw) -> bytes | msgspec.Raw:
    """A resource of R5 as R4 has it; as it came where the releases agree, or it cannot be read."""
    try:
        resource = msgspec.json.decode(content)
    except UNDECODABLE:
        return content
    translated = resource_in_r4(resource)
    return content if translated is resource else msgspec.json.encode(translated)


def resource_in_r4(resource: Resource) -> Resource:
    """The same for a resource that is decoded already."""
    translate = _TRANSLATORS.get(text(resource.get("resourceType")))
    return resource if translate is None else translate(dict(resource))


# --- medicines ------------------------------------------------------------------------------------


def _statement(given: Resource) -> Resource:
    statement = _with_medicine(given)
    _put_timing(statement, "effective", statement.pop("effectiveTiming", None))
    _put_dosages(statement, "dosage")
    statement["status"] = _statement_status(statement)
    adherence = statement.pop("adherence", None)
    if "reason" in part(adherence):
        statement["statusReason"] = [adherence["reason"]]
    if adherence is not None and not _confirms_the_dose(adherence):
        statement["dosage"] = [{"text": NOT_AS_DIRECTED}]
    return statement


def _statement_status(statement: Resource) -> Any:
    """Whether it is taken, which R5 keeps apart from whether the record is finished.

    A draft proves nothing. Without adherence, a period that ended is over; one without an end was still going
    on when it was asserted, and where nobody says when that was, it is not known.
    """
    status = statement.get("status")
    if status == "draft":
        return "intended"
    if status != "recorded":
        return status
    if "adherence" in statement:
        told = {_ADHERENCE[code] for code in _adherence(statement["adherence"])}
        return told.pop() if len(told) == 1 else "unknown"
    period = part(statement.get("effectivePeriod"))
    if "end" in period:
        return "completed"
    return "active" if "start" in period and "dateAsserted" in statement else "unknown"


def _adherence(adherence: Any) -> set[str]:
    """The codes of an adherence that R5 knows; its text where it has no code."""
    concept = part(part(adherence).get("code"))
    codes = {text(part(coding).get("code")) for coding in parts(concept.get("coding"))} - {""}
    return (codes or {text(concept.get("text")).strip().lower().replace(" ", "-")}) & _ADHERENCE.keys()


def _confirms_the_dose(adherence: Any) -> bool:
    """Whether the adherence allows that the medicine was taken as the dosage says."""
    known = _adherence(adherence)
    return _TAKING_OTHERWISE not in known and len({_ADHERENCE[code] for code in known}) == 1


def _request(given: Resource) -> Resource:
    request = _with_medicine(given)
    _put_dosages(request, "dosageInstruction")
    if request.get("status") == "ended":
        request["status"] = "stopped"
    sources = parts(request.pop("informationSource", None))
    if "reported" in request:
        rename(request, "reported", "reportedBoolean")
    elif sources:
        request["reportedReference"] = sources[0]
    if "effectiveDosePeriod" in request:
        period = request.pop("effectiveDosePeriod")
        request["dispenseRequest"] = {**part(request.get("dispenseRequest")), "validityPeriod": period}
    return request


def _dispense(given: Resource) -> Resource:
    dispense = _with_medicine(given)
    _put_dosages(dispense, "dosageInstruction")
    reason = dispense.pop("notPerformedReason", None)
    split(dispense, reason, concept="statusReasonCodeableConcept", reference="statusReasonReference")
    return dispense


def _administration(given: Resource) -> Resource:
    administration = _with_medicine(given)
    rename(administration, "occurenceDateTime", "effectiveDateTime")  # the spelling is R5's
    rename(administration, "occurencePeriod", "effectivePeriod")
    _put_timing(administration, "effective", administration.pop("occurenceTiming", None))
    return administration


def _medication(given: Resource) -> Resource:
    """A Medication with its ingredients as R4 has them. Other kinds of strength have no place there."""
    medication = dict(given)
    if isinstance(medication.get("ingredient"), list):
        medication["ingredient"] = [
            _ingredient(one) if isinstance(one, dict) else one for one in given["ingredient"]
        ]
    return medication


def _ingredient(given: Resource) -> Resource:
    ingredient = dict(given)
    split(ingredient, ingredient.pop("item", None), concept="itemCodeableConcept", reference="itemReference")
    rename(ingredient, "strengthRatio", "strength")
    return ingredient


def _procedure(given: Resource) -> Resource:
    procedure = dict(given)
    rename(procedure, "occurrenceDateTime", "performedDateTime")
    rename(procedure, "occurrencePeriod", "performedPeriod")
    _put_timing(procedure, "performed", procedure.pop("occurrenceTiming", None))
    return procedure


def _list(given: Resource) -> Resource:
    """A List is about one subject in R4; one about several stays as it is, and cannot be read."""
    subjects = parts(given.get("subject"))
    return given | {"subject": subjects[0]} if len(subjects) == 1 else given


_TRANSLATORS: dict[str, Callable[[Resource], Resource]] = {
    "MedicationStatement": _statement,
    "MedicationRequest": _request,
    "MedicationDispense": _dispense,
    "MedicationAdministration": _administration,
    "Medication": _medication,
    "Procedure": _procedure,
    "List": _list,
    **dict.fromkeys(WRITTEN_KINDS, read_from_r5),
}


# --- elements -------------------------------------------------------------------------------------


def _with_medicine(given: Resource) -> Resource:
    """A record of a medicine with its medicine and its reasons as R4 has them."""
    record = dict(given)
    if isinstance(record.get("contained"), list):
        record["contained"] = [
            _medication(one) if part(one).get("resourceType") == "Medication" else one
            for one in given["contained"]
        ]
    medicine, reasons = record.pop("medication", None), record.pop("reason", None)
    split(record, medicine, concept="medicationCodeableConcept", reference="medicationReference")
    split_all(record, reasons, concepts="reasonCode", references="reasonReference")
    return record


def _put_timing(record: Resource, element: str, timing: Any) -> None:
    """Put a Timing into what R4 has: the bounds of its rule, or its one event; more than that is undated."""
    bounds = part(part(timing).get("repeat")).get("boundsPeriod")
    events = parts(part(timing).get("event"))
    if bounds is not None:
        record[f"{element}Period"] = bounds
    elif len(events) == 1:
        record[f"{element}DateTime"] = events[0]


def _put_dosages(record: Resource, element: str) -> None:
    """Give dosages the two elements that R4 has for "as needed"."""
    if isinstance(record.get(element), list):
        record[element] = [_dosage(one) if isinstance(one, dict) else one for one in record[element]]


def _dosage(given: Resource) -> Resource:
    dosage = dict(given)
    rename(dosage, "asNeeded", "asNeededBoolean")
    needed_for = parts(dosage.pop("asNeededFor", None))
    if needed_for:
        dosage["asNeededCodeableConcept"] = needed_for[0]
    return dosage
