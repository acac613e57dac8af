"""The command `publish`: what the service knows, as a transaction Bundle, as files, or on the FHIR server."""

import sys
from collections import Counter
from pathlib import Path

import msgspec

from service.core.knowledge import Knowledge
from service.errors import ServerMisread, ServerUnsupported, SettingsError
from service.fhir.client import open_client
from service.fhir.models import validated
from service.fhir.release import Release
from service.publish.canonical import Resource
from service.publish.deliver import TO_WRITE, Compared, Standing, compare, deliver
from service.publish.published import publish, transaction
from service.settings import Settings


def print_bundle(knowledge: Knowledge) -> None:
    """One transaction on standard output."""
    for resource in publish(knowledge).resources:
        validated(resource)
    sys.stdout.write(_as_text(transaction(publish(knowledge))))


def write_files(knowledge: Knowledge, directory: Path) -> None:
    """A file a definition, `Type-id.json`. Raises `SettingsError` where the directory cannot be written."""
    resources = publish(knowledge).resources
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for resource in resources:
            path = directory / f"{resource['resourceType']}-{resource['id']}.json"
            path.write_text(_as_text(validated(resource)), encoding="utf-8")
    except OSError as error:
        raise SettingsError(f"--out: cannot be written ({error.strerror})") from None
    sys.stdout.write(f"{len(resources)} definitions written\n")


async def publish_to_server(settings: Settings, knowledge: Knowledge) -> None:
    """Write what the FHIR server lacks or has otherwise; a second run writes nothing.

    In shadow mode it says only what it would write. Raises `ServerMisread` where a definition could not be
    placed, after all the others have been.
    """
    async with open_client(settings) as client:
        if await client.release() is not Release.R4:
            raise ServerUnsupported("the definitions are those of R4; a server of R5 has others")
        compared = await compare(client, publish(knowledge).resources)
        if settings.write == "on":
            await deliver(client, compared)
    for one in compared:
        if one.standing is not Standing.SAME:
            sys.stdout.write(f"{one.reference}: {one.standing}\n")
    sys.stdout.write(_summary(compared, settings))
    if any(one.standing is Standing.TAKEN for one in compared):
        raise ServerMisread("an id is taken on the FHIR server; that definition was left as it is")


def _summary(compared: list[Compared], settings: Settings) -> str:
    counts = Counter(one.standing in TO_WRITE for one in compared)
    verb = "written" if settings.write == "on" else "to write (TRD_WRITE is off)"
    return f"{len(compared)} definitions, {counts[True]} {verb}\n"


def _as_text(resource: Resource) -> str:
    return msgspec.json.format(msgspec.json.encode(resource), indent=2).decode() + "\n"
