"""Everything that this service writes between R4 and R5, both ways; care plans are in `plans`.

https://hl7.org/fhir/R5/guidanceresponse.html, provenance.html, device.html.
"""

from collections.abc import Callable
from typing import Any

from service.fhir.loose import Resource, part, parts, rename, split_all, text
from service.fhir.r5.plans import plan_in_r4, plan_in_r5

Translate = Callable[[Resource], Resource]


def render_in_r5(resource: Resource) -> Resource:
    """A resource that this service renders in R4, as R5 has it."""
    return _IN_R5[resource["resourceType"]](_with_contained(resource, _IN_R5))


def read_from_r5(resource: Resource) -> Resource:
    """A resource of a kind that this service writes, as R4 has it."""
    return WRITTEN_IN_R4[resource["resourceType"]](_with_contained(resource, WRITTEN_IN_R4))


def _with_contained(resource: Resource, translators: dict[str, Translate]) -> Resource:
    """A copy of a resource in which those that it contains are translated, such as our Device."""
    copied = dict(resource)
    if isinstance(resource.get("contained"), list):
        copied["contained"] = [_contained(one, translators) for one in resource["contained"]]
    return copied


def _contained(resource: Any, translators: dict[str, Translate]) -> Any:
    translate = translators.get(text(part(resource).get("resourceType")))
    return resource if translate is None else translate(dict(resource))


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
    rename(device, "deviceName", "name")
    _rename_each(device, "name", "name", "value")
    return device | ({"type": [device["type"]]} if isinstance(device.get("type"), dict) else {})


def _device_in_r4(device: Resource) -> Resource:
    """R5 allows several types; ours has one."""
    rename(device, "name", "deviceName")
    _rename_each(device, "deviceName", "value", "name")
    types = parts(device.get("type"))
    return device | ({"type": types[0]} if len(types) == 1 else {})


def _rename_each(resource: Resource, element: str, old: str, new: str) -> None:
    """Give a part of each of several elements another name."""
    names = [dict(one) if isinstance(one, dict) else one for one in parts(resource.get(element))]
    for name in names:
        if isinstance(name, dict):
            rename(name, old, new)
    if names:
        resource[element] = names


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
