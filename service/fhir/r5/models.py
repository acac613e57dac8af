"""What is written to a server of R5: everything passes through the R5 models of `fhir.resources`.

Imported for such a server only; the models of R4 are in `service.fhir.models`.
"""

from typing import Any

from fhir.resources import get_fhir_model_class

from service.fhir.kinds import WRITTEN_KINDS
from service.fhir.r5.written import render_in_r5

_MODELS: dict[str, Any] = {kind: get_fhir_model_class(kind) for kind in WRITTEN_KINDS}

_OF_R5 = frozenset({"Subscription", "SubscriptionTopic"})


def validated_r5(resource: dict[str, Any]) -> dict[str, Any]:
    """A resource rendered in R4, as R5 has it, after its model has accepted its structure.

    Subscriptions and their topics are rendered in R5 already, as R4 has nothing like them. The id is left to
    the server, as in R4. Raises pydantic's `ValidationError`, which is a fault of this service.
    """
    kind = resource["resourceType"]
    rendered = resource if kind in _OF_R5 else render_in_r5(resource)
    model = get_fhir_model_class(kind) if kind in _OF_R5 else _MODELS[kind]
    model.model_validate({name: value for name, value in rendered.items() if name != "id"})
    return rendered
