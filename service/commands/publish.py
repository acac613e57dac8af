"""The command `publish`: what the service knows, as a transaction Bundle, as files, or on the FHIR server."""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from service.apply.held import Held
from service.commands.output import write_file
from service.core.knowledge import Knowledge
from service.errors import OutputError, ServerMisread, ServerUnsupported
from service.fhir.client import FhirClient
from service.fhir.loose import Resource
from service.fhir.models import validated
from service.fhir.release import Release
from service.publish.deliver import TO_WRITE, Compared, Standing, compare, deliver
from service.publish.published import publish, transaction
from service.render.terminal import count
from service.settings import Settings


def render_bundle(knowledge: Knowledge) -> str:
    """All definitions as one transaction."""
    for resource in publish(knowledge).resources:
        validated(resource)
    return _as_text(transaction(publish(knowledge)))


def write_files(knowledge: Knowledge, directory: Path) -> int:
    """Write one file per definition, `Type-id.json`, and return how many.

    Raises `OutputError` where the directory cannot be written.
    """
    resources = publish(knowledge).resources
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{directory}: cannot be written ({error.strerror})") from None
    for resource in resources:
        path = directory / f"{resource['resourceType']}-{resource['id']}.json"
        write_file(path, _as_text(validated(resource)).encode())
    return len(resources)


async def publish_to_server(client: FhirClient, settings: Settings, knowledge: Knowledge) -> list[Compared]:
    """Write what the FHIR server lacks or has otherwise, and return how each definition stood before.

    A second run writes nothing, and neither does shadow mode.
    """
    if await client.release() is not Release.R4:
        raise ServerUnsupported("the server uses FHIR R5, and the definitions are for R4")
    compared = await compare(client, publish(knowledge).resources)
    if settings.writes:
        await deliver(client, compared)
    return compared


def check_placed(compared: Iterable[Compared]) -> None:
    """Raise `ServerMisread` where a definition could not be placed on the server."""
    if any(one.standing is Standing.TAKEN for one in compared):
        raise ServerMisread("another definition on the FHIR server uses the same id; it was not overwritten")


def report_published(compared: list[Compared], settings: Settings) -> list[str]:
    """A line for each definition that was not on the server as it is here, and how many were written."""
    verb = "written" if settings.writes else f"to write ({Held.WRITE_OFF.why})"
    changed = [
        f"{one.reference}: {verb}, it was {one.standing}"
        if one.standing in TO_WRITE
        else f"{one.reference}: {one.standing}"
        for one in compared
        if one.standing is not Standing.SAME
    ]
    written = sum(one.standing in TO_WRITE for one in compared)
    return [*changed, f"{count(len(compared), 'definition')}, {written} {verb}"]


def _as_text(resource: Resource) -> str:
    return msgspec.json.format(msgspec.json.encode(resource), indent=2).decode() + "\n"
