"""Render this software as a FHIR Device: https://hl7.org/fhir/R4/device.html."""

from service import __version__
from service.fhir.loose import Resource
from service.fhir.names import DEVICE_ID, DEVICE_IDENTIFIER


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
