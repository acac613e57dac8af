"""The command `subscribe`: have the FHIR server notify this service of changes."""

from service.core.knowledge import Knowledge
from service.errors import SettingsError
from service.fhir.client import FhirClient
from service.fhir.release import Release
from service.gather.subscriptions import Subscribed, hook_key, subscribe
from service.gather.topic_subscriptions import subscribe_to_backported_topics, subscribe_to_topics
from service.settings import Settings


def find_address(settings: Settings) -> str:
    """The address at which the FHIR server reaches this service. Raises `SettingsError` where none is set."""
    if settings.public_url is None:
        raise SettingsError("TRD_PUBLIC_URL: not set; set the address that the FHIR server is to notify")
    return str(settings.public_url).rstrip("/")


async def subscribe_to_changes(
    client: FhirClient, settings: Settings, knowledge: Knowledge
) -> list[Subscribed]:
    """Create or repair the Subscriptions, with the secret that notifications must present.

    They are by topics on R5, and on R4 where `TRD_TOPICS` names some; else by criteria.
    """
    hooks = f"{find_address(settings)}/hooks"
    secret = settings.hook_secret.get_secret_value() if settings.hook_secret else None
    if await client.release() is Release.R5:
        keyed = f"{hooks}/topics/{hook_key(secret.encode())}" if secret else f"{hooks}/topics"
        return await subscribe_to_topics(client, keyed, secret, knowledge, topics=settings.topics)
    if settings.topics:
        return await subscribe_to_backported_topics(client, f"{hooks}/topics", secret, settings.topics)
    return await subscribe(client, f"{hooks}/fhir", secret, knowledge)
