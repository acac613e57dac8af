"""Care plans between R4 and R5, both ways: https://hl7.org/fhir/R5/careplan.html.

R5 has no `activity.detail`: an activity is a request contained in the plan, a MedicationRequest for a
medicine and a ServiceRequest for all else, to which `plannedActivityReference` leads. Read back, a plan that
nobody touched is the R4 plan that was written, and whatever a person changes shows.
"""

from typing import Any

from service.fhir.loose import Resource, part, parts, rename, split_all, text
from service.fhir.names import same_content

_MEDICATION_STATUS = {
    "not-started": "draft",
    "scheduled": "active",
    "in-progress": "active",
    "on-hold": "on-hold",
    "completed": "completed",
    "cancelled": "cancelled",
    "stopped": "stopped",
    "unknown": "unknown",
    "entered-in-error": "entered-in-error",
}
_SERVICE_STATUS = {**_MEDICATION_STATUS, "cancelled": "revoked", "stopped": "revoked"}
_ACTIVITY_STATUS = {
    "draft": "not-started",
    "active": "scheduled",
    "on-hold": "on-hold",
    "completed": "completed",
    "cancelled": "cancelled",
    "revoked": "cancelled",
    "ended": "stopped",
    "stopped": "stopped",
    "unknown": "unknown",
    "entered-in-error": "entered-in-error",
}
"""Status of an R4 activity by that of a request."""

_THE_SAME = ("doNotPerform", "modifierExtension")
"""What turns a request round, and an R4 activity in the same way."""

UNTOLD = "request"
"""What the request of an activity says beyond the R4 detail, under this name so that it shows as an edit."""


# --- R4 to R5 -------------------------------------------------------------------------------------


def plan_in_r5(given: Resource) -> Resource:
    """An R4 CarePlan in R5, with one contained request an activity."""
    plan = dict(given)
    rename(plan, "author", "custodian")
    if "addresses" in plan:
        plan["addresses"] = [{"reference": condition} for condition in plan["addresses"]]
    activities = plan.pop("activity", [])
    details = [
        (f"activity-{number}", activity["detail"])
        for number, activity in enumerate(activities, start=1)
        if "detail" in activity
    ]
    requests = [_request(detail, identity, plan.get("subject")) for identity, detail in details]
    if requests:
        plan["contained"] = [*plan.get("contained", []), *requests]
    if activities:
        plan["activity"] = [_activity_in_r5(one, number) for number, one in enumerate(activities, start=1)]
    return plan


def _activity_in_r5(given: Resource, number: int) -> Resource:
    activity = dict(given)
    rename(activity, "reference", "plannedActivityReference")
    if "detail" in activity:
        planned = {"reference": f"#activity-{number}"}
        title = part(activity.pop("detail").get("code")).get("text")
        activity["plannedActivityReference"] = planned if title is None else planned | {"display": title}
    performed = [{"concept": concept} for concept in activity.pop("outcomeCodeableConcept", [])]
    performed += [{"reference": reference} for reference in activity.pop("outcomeReference", [])]
    return activity | ({"performedActivity": performed} if performed else {})


def _request(detail: Resource, identity: str, subject: Any) -> Resource:
    """The request that says what an R4 detail says; the title of a medicine is the text that leads there."""
    medicine = "productCodeableConcept" in detail
    kind = "MedicationRequest" if medicine else "ServiceRequest"
    status = (_MEDICATION_STATUS if medicine else _SERVICE_STATUS).get(text(detail.get("status")), "unknown")
    request = {"resourceType": kind, "id": identity, "status": status, "intent": "proposal"}
    elements = _of_medicine(detail) if medicine else _of_service(detail)
    elements |= {name: detail[name] for name in _THE_SAME if name in detail}
    return request | {"subject": subject} | {k: v for k, v in elements.items() if v not in (None, [], [{}])}


def _of_medicine(detail: Resource) -> Resource:
    """A dose a date: what is said of it is its instruction."""
    quantity = detail.get("quantity")
    dosage = {
        "text": detail.get("description"),
        "timing": detail.get("scheduledTiming"),
        "doseAndRate": None if quantity is None else [{"doseQuantity": quantity}],
    }
    return {
        "medication": {"concept": detail["productCodeableConcept"]},
        "effectiveDosePeriod": detail.get("scheduledPeriod"),
        "dosageInstruction": [{k: v for k, v in dosage.items() if v is not None}],
    }


def _of_service(detail: Resource) -> Resource:
    timing, said = detail.get("scheduledTiming"), detail.get("description")
    events = parts(part(timing).get("event"))
    dated = len(events) == 1 and part(timing).keys() == {"event"}
    return {
        "code": {"concept": detail["code"]} if "code" in detail else None,
        "occurrenceDateTime": events[0] if dated else None,
        "occurrenceTiming": None if dated else timing,
        "occurrencePeriod": detail.get("scheduledPeriod"),
        "note": None if said is None else [{"text": said}],
    }


# --- R5 to R4 -------------------------------------------------------------------------------------


def plan_in_r4(given: Resource) -> Resource:
    """An R5 CarePlan in R4: its contained requests are the details of its activities again."""
    plan = dict(given)
    rename(plan, "custodian", "author")
    if isinstance(plan.get("addresses"), list):
        plan["addresses"] = [_condition(one) for one in plan["addresses"]]
    contained = {
        f"#{one['id']}": one
        for one in parts(plan.get("contained"))
        if isinstance(one, dict) and isinstance(one.get("id"), str)
    }
    planned = [part(one).get("plannedActivityReference") for one in parts(plan.get("activity"))]
    used = [contained[a] for one in planned if (a := text(part(one).get("reference"))) in contained]
    if used:
        others = [one for one in plan.pop("contained") if not any(one is request for request in used)]
        plan |= {"contained": others} if others else {}
    if isinstance(plan.get("activity"), list):
        subject = plan.get("subject")
        plan["activity"] = [_activity_in_r4(one, contained, subject) for one in plan["activity"]]
    return plan


def _condition(given: Any) -> Any:
    """A condition addressed, by reference as in R4; one by code alone stays as it is."""
    reference = part(given).get("reference")
    return reference if same_content(given, {"reference": reference}) else given


def _activity_in_r4(given: Any, contained: dict[str, Resource], subject: Any) -> Any:
    if not isinstance(given, dict):
        return given
    activity = dict(given)
    performed = activity.pop("performedActivity", None)
    split_all(activity, performed, concepts="outcomeCodeableConcept", references="outcomeReference")
    planned = part(activity.get("plannedActivityReference"))
    request = contained.get(text(planned.get("reference")))
    if request is None:
        rename(activity, "plannedActivityReference", "reference")
        return activity
    del activity["plannedActivityReference"]
    return activity | {"detail": _detail(request, planned.get("display"), contained, subject)}


def _detail(request: Resource, title: Any, contained: dict[str, Resource], subject: Any) -> Resource:
    """What a contained request says, as the detail of an R4 activity, and whatever else it says beside it."""
    match request.get("resourceType"):
        case "MedicationRequest":
            known = _from_medicine(request, title, contained)
        case "ServiceRequest":
            known = _from_service(request)
        case _:
            known = {}
    status = _ACTIVITY_STATUS.get(text(request.get("status")))
    same = {name: request[name] for name in _THE_SAME if name in request}
    detail = {k: v for k, v in (known | {"status": status} | same).items() if v is not None}
    told = _request(detail, request["id"], subject) if known else {}
    untold = {k: v for k, v in request.items() if not same_content(v, told.get(k))}
    return detail | {UNTOLD: untold} if untold else detail


def _from_medicine(request: Resource, title: Any, contained: dict[str, Resource]) -> Resource:
    """A dose with dates of its own is a session; one by a rule alone is what follows them."""
    dosages = parts(request.get("dosageInstruction"))
    dosage = part(dosages[0]) if dosages else {}
    doses = parts(dosage.get("doseAndRate"))
    timing, medicine = dosage.get("timing"), part(request.get("medication"))
    elsewhere = contained.get(text(part(medicine.get("reference")).get("reference")), {})
    return {
        "kind": "MedicationRequest" if "event" in part(timing) else None,
        "code": None if title is None else {"text": title},
        "productCodeableConcept": medicine.get("concept") or elsewhere.get("code"),
        "scheduledTiming": timing,
        "scheduledPeriod": request.get("effectiveDosePeriod"),
        "quantity": part(doses[0]).get("doseQuantity") if doses else None,
        "description": dosage.get("text"),
    }


def _from_service(request: Resource) -> Resource:
    notes = parts(request.get("note"))
    day = request.get("occurrenceDateTime")
    return {
        "code": part(request.get("code")).get("concept"),
        "scheduledTiming": request.get("occurrenceTiming") if day is None else {"event": [day]},
        "scheduledPeriod": request.get("occurrencePeriod"),
        "description": part(notes[0]).get("text") if notes else None,
    }
