"""Why nothing can be written, whatever the decision, and what must be there before anything is."""

from enum import StrEnum

from service.core.plans import WriteTier
from service.errors import ServerError, ServerUnsupported, SettingsError
from service.fhir.client import FhirClient
from service.settings import Settings


class Held(StrEnum):
    """Why nothing can be written, whatever the decision: the settings, or what the FHIR server takes."""

    WRITE_OFF = "write-off"
    NOT_ALLOWED = "patient-not-allowed"
    NOT_TAKEN = "care-plan-not-taken"
    NO_AUTHOR = "no-document-author"

    @property
    def why(self) -> str:
        """The reason in words."""
        return _WHY_HELD[self]


_WHY_HELD = {
    Held.WRITE_OFF: "TRD_WRITE is off",
    Held.NOT_ALLOWED: "the patient is not among TRD_PATIENTS_ALLOWED",
    Held.NOT_TAKEN: "the FHIR server does not accept CarePlan resources, nor a document in their place",
    Held.NO_AUTHOR: "the FHIR server takes documents only of a person whom TRD_DOCUMENT_AUTHOR must name",
}


async def find_hold(client: FhirClient, settings: Settings, patient_id: str) -> Held | None:
    """Why nothing can be written for a patient; `None` where it can."""
    if settings.writes and not settings.allows(patient_id):
        return Held.NOT_ALLOWED
    return await find_general_hold(client, settings)


async def find_general_hold(client: FhirClient, settings: Settings) -> Held | None:
    """Why nothing can be written for any patient; `None` where it can."""
    if not settings.writes:
        return Held.WRITE_OFF
    tier = (await client.target()).tier
    if tier is WriteTier.RETURN_ONLY:
        return Held.NOT_TAKEN
    lacks_author = tier is WriteTier.DOCUMENT and not await _may_sign(client, settings.document_author)
    return Held.NO_AUTHOR if lacks_author else None


async def check_withdrawable(client: FhirClient, settings: Settings) -> None:
    """Make sure that plans can be revoked. The patients allowed do not matter (docs/decisions/0018).

    Raises `SettingsError` in shadow mode, and where an author is missing; `ServerUnsupported` where the
    server takes neither a CarePlan nor a document.
    """
    match await find_general_hold(client, settings):
        case None:
            return
        case Held.NOT_TAKEN as held:
            raise ServerUnsupported(f"{held.why}, so no draft can be revoked")
        case held:
            raise SettingsError(f"{held.why}, so no draft can be withdrawn")


async def check_task_owner(client: FhirClient, settings: Settings) -> None:
    """Make sure that Tasks can be addressed; a server that is away now may be there when one is written.

    Raises `SettingsError` where the server has nobody under `TRD_TASK_OWNER`: it could refuse every Task.
    """
    if settings.task_owner is None:
        return
    try:
        known = await client.get_if_there(settings.task_owner)
    except ServerError:
        return
    if known is None:
        raise SettingsError("TRD_TASK_OWNER: the FHIR server does not have this resource")


async def _may_sign(client: FhirClient, author: str | None) -> bool:
    """Whether the server takes a document of an author; `None` is this software."""
    authors = (await client.dialect()).document.authors
    return not authors or (author or "").partition("/")[0] in authors
