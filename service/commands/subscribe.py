"""The command `subscribe`: have the FHIR server notify this service of changes."""

from service.core.knowledge import Knowledge
from service.errors import SettingsError
from service.fhir.client import FhirClient
from service.gather.subscriptions import Subscribed, subscribe
from service.settings import Settings


def find_endpoint(settings: Settings) -> str:
    """The address that the FHIR server is to notify. Raises `SettingsError` where none is set."""
    if settings.public_url is None:
        raise SettingsError("TRD_PUBLIC_URL: not set; set the address that the FHIR server is to notify")
    return f"{str(settings.public_url).rstrip('/')}/hooks/fhir"


async def subscribe_to_changes(
    client: FhirClient, settings: Settings, knowledge: Knowledge
) -> list[Subscribed]:
    """Create or repair the Subscriptions, with the secret that notifications must present."""
    secret = settings.hook_secret.get_secret_value() if settings.hook_secret else None
    return await subscribe(client, find_endpoint(settings), secret, knowledge)
