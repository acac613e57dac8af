"""Everything written to a server of R4 passes through the R4 models of `fhir.resources`; see `r5.models`."""

from typing import Any

from fhir.resources.R4B import get_fhir_model_class

from service.fhir.kinds import WRITTEN_KINDS

_MODELS: dict[str, Any] = {kind: get_fhir_model_class(kind) for kind in WRITTEN_KINDS}


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
