"""Everything written to a server of R4 passes through the R4 models of `fhir.resources`; see `r5.models`."""

from typing import Any

from fhir.resources.R4B import get_fhir_model_class
from fhir.resources.R4B.careplan import CarePlan
from fhir.resources.R4B.device import Device
from fhir.resources.R4B.guidanceresponse import GuidanceResponse
from fhir.resources.R4B.provenance import Provenance
from fhir.resources.R4B.task import Task

_MODELS: dict[str, Any] = {
    "CarePlan": CarePlan,
    "Device": Device,
    "GuidanceResponse": GuidanceResponse,
    "Provenance": Provenance,
    "Task": Task,
}


def validated(resource: dict[str, Any]) -> dict[str, Any]:
    """The resource, after its model has accepted its structure.

    The id is left to the server, which may give one that FHIR does not allow. Raises pydantic's
    `ValidationError`, which is a fault of this service.
    """
    kind = resource["resourceType"]
    # What is only published is imported when it is: every review would wait for it otherwise.
    model: Any = _MODELS.get(kind) or get_fhir_model_class(kind)
    model.model_validate({name: value for name, value in resource.items() if name != "id"})
    return resource
