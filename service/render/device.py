"""Render this software as a FHIR Device: https://hl7.org/fhir/R4/device.html."""

from service import __version__
from service.fhir.loose import Resource
from service.fhir.names import DEVICE_ID, DEVICE_IDENTIFIER, DEVICE_INSIDE


def render_device() -> Resource:
    """This software, as the author of what it writes."""
    return {
        "resourceType": "Device",
        "id": DEVICE_ID,
        "identifier": [{"system": DEVICE_IDENTIFIER, "value": DEVICE_ID}],
        "status": "active",
        "deviceName": [{"name": "trd-careplan", "type": "user-friendly-name"}],
        "type": {"text": "Clinical decision support software"},
        "version": [{"value": __version__}],
    }


def with_device_inside(resource: Resource) -> Resource:
    """A resource that contains this software, for a server that keeps no Device of ours."""
    inside = render_device() | {"id": DEVICE_INSIDE}
    others = [one for one in resource.get("contained", []) if one.get("id") != DEVICE_INSIDE]
    return {**resource, "contained": [*others, inside]}
