"""Everything that this service writes between R4 and R5, both ways; care plans are in `r5_plans`.

https://hl7.org/fhir/R5/guidanceresponse.html, provenance.html, device.html.
"""

from collections.abc import Callable

from service.fhir.loose import Resource, parts, rename, split_all
from service.fhir.r5.plans import plan_in_r4, plan_in_r5

Translate = Callable[[Resource], Resource]


def render_in_r5(resource: Resource) -> Resource:
    """A resource that this service renders in R4, as R5 has it."""
    return _IN_R5[resource["resourceType"]](dict(resource))


def _guidance_in_r5(guidance: Resource) -> Resource:
    return guidance | {"result": [guidance["result"]]} if "result" in guidance else guidance


def _guidance_in_r4(guidance: Resource) -> Resource:
    """R5 allows several results; ours have one."""
    results = parts(guidance.get("result"))
    return guidance | {"result": results[0]} if results else guidance


def _provenance_in_r5(provenance: Resource) -> Resource:
    """Why something was done is what authorised it."""
    reasons = [{"concept": reason} for reason in provenance.pop("reason", [])]
    return provenance | ({"authorization": reasons} if reasons else {})


def _provenance_in_r4(provenance: Resource) -> Resource:
    authorized = provenance.pop("authorization", None)
    split_all(provenance, authorized, concepts="reason", references="authorization")
    return provenance


def _device_in_r5(device: Resource) -> Resource:
    names = [{"value": name["name"], "type": name["type"]} for name in device.pop("deviceName")]
    return device | {"name": names, "type": [device["type"]]}


def _device_in_r4(device: Resource) -> Resource:
    rename(device, "name", "deviceName")
    names = [dict(name) for name in parts(device.get("deviceName")) if isinstance(name, dict)]
    for name in names:
        rename(name, "value", "name")
    return device | {"deviceName": names, "type": next(iter(parts(device.get("type"))), None)}


def _task_in_r5(task: Resource) -> Resource:
    if "statusReason" in task:
        task["statusReason"] = {"concept": task["statusReason"]}
    return task


def _task_in_r4(task: Resource) -> Resource:
    """A reason by reference alone stays as it is, and shows as an edit."""
    reason = task.get("statusReason")
    if isinstance(reason, dict) and reason.keys() == {"concept"}:
        task["statusReason"] = reason["concept"]
    return task


_IN_R5: dict[str, Translate] = {
    "CarePlan": plan_in_r5,
    "GuidanceResponse": _guidance_in_r5,
    "Provenance": _provenance_in_r5,
    "Device": _device_in_r5,
    "Task": _task_in_r5,
}
WRITTEN_IN_R4: dict[str, Translate] = {
    "CarePlan": plan_in_r4,
    "GuidanceResponse": _guidance_in_r4,
    "Provenance": _provenance_in_r4,
    "Device": _device_in_r4,
    "Task": _task_in_r4,
}
"""How each kind that this service writes is read back; each is given a copy of the resource."""
