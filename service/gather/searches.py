"""Search a FHIR server for the resources of one patient, one kind at a time, and check that all have come."""

import asyncio
from collections.abc import Coroutine, Iterable
from datetime import datetime
from http import HTTPStatus
from typing import Any, NamedTuple, TypeVar

import msgspec

from service.core.knowledge import Knowledge
from service.core.records import VersionedReference
from service.core.results import codes_to_ask_for
from service.core.treatment.course import ESKETAMINE
from service.errors import NotFhir, NotJson, ServerMisread, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import NAME_A_MEDICINE, READ_KINDS, SEARCHED_BY_CODE, WATCHED_BY_MEDICINE
from service.fhir.outcomes import Completeness, is_outcome, read_completeness, withhold
from service.fhir.sources import Source, take_resource
from service.fhir.views import BundleView, ResourceCapability
from service.knowledge.dialects import Dialect

Answer = TypeVar("Answer")

PAGE_SIZE = "200"
_NOT_SEARCHED = frozenset({HTTPStatus.FORBIDDEN, HTTPStatus.METHOD_NOT_ALLOWED, HTTPStatus.NOT_IMPLEMENTED})
"""How a server answers who searches for what it does not show, or lets nobody search for."""
UNPROCESSABLE = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.UNPROCESSABLE_ENTITY})
_OF_THE_SEARCH = frozenset(
    {
        "required",
        "not-supported",
        "invalid",
        "value",
        "code-invalid",
        "business-rule",
        "too-costly",
        "too-long",
    }
)
"""Why such an answer would be the same again: the search lacks a parameter, or has one that is not taken."""


def search_parameters(
    kind: str, offered: ResourceCapability, patient_id: str, knowledge: Knowledge
) -> dict[str, str]:
    """How to search for the resources of one kind that are about a patient."""
    params = {"patient": patient_id, "_count": PAGE_SIZE, **code_parameter(kind, knowledge)}
    medication = f"{kind}:medication"
    if kind in NAME_A_MEDICINE and medication in offered.search_include:
        params["_include"] = medication
    return params


def code_parameter(kind: str, knowledge: Knowledge) -> dict[str, str]:
    """The search parameter with the listed codes; none for a kind that is searched for as a whole."""
    return {"code": ",".join(observation_codes(knowledge))} if kind in SEARCHED_BY_CODE else {}


def watch_parameter(kind: str, knowledge: Knowledge) -> dict[str, str]:
    """The search parameter that limits which changes of a kind are watched; none for all of them."""
    if kind not in WATCHED_BY_MEDICINE:
        return code_parameter(kind, knowledge)
    listed = knowledge.medicine_codes.exact.items()
    treating = {code for code, meaning in listed if meaning.ingredient == ESKETAMINE}
    return {"code": ",".join(_with_addresses(treating, knowledge))}


def observation_codes(knowledge: Knowledge) -> list[str]:
    """The observations to ask for, each as `system|code`."""
    return _with_addresses(codes_to_ask_for(knowledge), knowledge)


def _with_addresses(codes: Iterable[tuple[str, str]], knowledge: Knowledge) -> list[str]:
    """Codes as a search asks for them, each with the address of its system."""
    uris: dict[str, str] = {}
    for uri, system in knowledge.systems.items():
        uris.setdefault(system, uri)
    return sorted(f"{uris[system]}|{code}" for system, code in codes)


async def side_by_side(*work: Coroutine[Any, Any, Answer]) -> list[Answer]:
    """Run everything at once. The first error cancels the rest, and is raised as itself, not in a group."""
    try:
        async with asyncio.TaskGroup() as tasks:
            started = [tasks.create_task(one) for one in work]
    except ExceptionGroup as faults:
        raise faults.exceptions[0] from None
    return [task.result() for task in started]


class KindShown(NamedTuple):
    """What searches for one kind of resource showed.

    `refused` says that the server does not show it, or withholds some of it; `partial` that there may be
    more.
    """

    sources: list[Source]
    refused: bool = False
    partial: bool = False


async def search_kind(client: FhirClient, kind: str, params: dict[str, str]) -> KindShown:
    """The resources of one kind. A search that is refused is repeated as the server's dialect declares."""
    declared = (await client.dialect()).searches.get(kind)
    if declared is None:
        return await _search(client, kind, params)
    try:
        return await _shown(client, kind, params)
    except ServerRefused as refused:
        if refused.status not in UNPROCESSABLE:
            return await _not_shown(client, refused)
    found = await side_by_side(*(_search(client, kind, {**params, **more}) for more in declared.parameters))
    sources = {(source.reference, bytes(source.content)): source for one in found for source in one.sources}
    return KindShown(list(sources.values()), any(one.refused for one in found), declared.partial)


async def _search(client: FhirClient, kind: str, params: dict[str, str]) -> KindShown:
    """One search; nothing is found where the server does not show the kind to us, or not by such a search."""
    try:
        return await _shown(client, kind, params)
    except ServerRefused as refused:
        return await _not_shown(client, refused)


async def _shown(client: FhirClient, kind: str, params: dict[str, str]) -> KindShown:
    sources = await read_all_pages(client, kind, params)
    shown = [source for source in sources if not is_outcome(source)]
    return KindShown(shown, withhold(sources, await client.dialect()))


async def _not_shown(client: FhirClient, refused: ServerRefused) -> KindShown:
    """Nothing; raises the refusal where it does not say that the kind is not shown."""
    if is_not_shown(refused, await client.dialect()):
        return KindShown([], refused=True)
    raise refused


def is_not_shown(refused: ServerRefused, dialect: Dialect) -> bool:
    """Whether the refusal of a search says that a kind is not shown to us, or not by such a search."""
    told = _OF_THE_SEARCH if refused.status in UNPROCESSABLE else frozenset()
    return refused.status in _NOT_SEARCHED or not (told | dialect.withheld).isdisjoint(refused.issues)


async def read_all_pages(client: FhirClient, path: str, params: dict[str, str]) -> list[Source]:
    """The resources of every page, once each. Raises `ServerMisread` where the answer is not complete.

    An OperationOutcome is among them only where it says that some are withheld.
    """
    return (await _read_all(client, path, params)).sources


async def read_everything(client: FhirClient, path: str, params: dict[str, str]) -> list[Source]:
    """The resources of every page of an operation, which counts what it answers with, and never estimates.

    Raises `ServerMisread` where fewer came than the total.
    """
    answer = await _read_all(client, path, params)
    if answer.total is not None and answer.entries < answer.total:
        raise ServerMisread(
            f"GET {path}: the answer has {answer.entries} of {answer.total} resources, so it is incomplete"
        )
    return answer.sources


class _Searched(NamedTuple):
    """The resources of every page, once each; how many entries came, and how many there are said to be."""

    sources: list[Source]
    entries: int
    total: int | None


async def _read_all(client: FhirClient, path: str, params: dict[str, str]) -> _Searched:
    sources: dict[tuple[VersionedReference, bytes], Source] = {}
    entries, total = 0, None
    dialect = await client.dialect()
    for page in await client.all_pages(path, params):
        total = page.total if page.total is not None else total
        entries += len(page.entry)
        for source in _entries(page, path, dialect):
            sources.setdefault((source.reference, bytes(source.content)), source)
    return _Searched(_as_stored_last(sources.values()), entries, total)


def _as_stored_last(sources: Iterable[Source]) -> list[Source]:
    """Each resource once: one that changes while the pages are read may stand on two of them.

    Where the server does not say which was stored last, all are kept, for the reader to judge.
    """
    found: dict[tuple[str | None, str | None], list[Source]] = {}
    for source in sources:
        found.setdefault((source.head.resource_type, source.head.id), []).append(source)
    return [kept for same in found.values() for kept in _latest(same)]


def _latest(same: list[Source]) -> list[Source]:
    if len(same) == 1 or same[0].head.id is None:
        return same
    moments = [read_moment(source.head.meta.last_updated) for source in same]
    known = [moment for moment in moments if moment is not None]
    if len(known) < len(same):
        return same
    return [source for source, moment in zip(same, moments, strict=True) if moment == max(known)]


def read_moment(text: str | None) -> datetime | None:
    """When a resource was stored; `None` where that is not said with a time zone."""
    try:
        moment = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else None


def _entries(page: BundleView, path: str, dialect: Dialect) -> Iterable[Source]:
    for entry in page.entry:
        if not bytes(entry.resource):
            raise ServerMisread(f"GET {path}: an entry has no resource")
        source = take_answer(entry.resource, entry.full_url, f"GET {path}")
        if is_outcome(source):
            yield from _heed(source, path, dialect)
        elif source.head.resource_type == "Bundle":
            raise ServerMisread(
                f"GET {path}: an entry is itself a Bundle, so it is not a resource of a record"
            )
        elif source.head.resource_type is None or source.head.resource_type in READ_KINDS:
            yield source


def _heed(outcome: Source, path: str, dialect: Dialect) -> Iterable[Source]:
    """An outcome among the results, where it says that some are withheld.

    Raises `ServerMisread` where it says that the answer may be incomplete.
    """
    match read_completeness(outcome.content, dialect):
        case Completeness.INCOMPLETE:
            message = f"GET {path}: the answer reports an error of the server, so it may be incomplete"
            raise ServerMisread(message)
        case Completeness.WITHHELD:
            yield outcome
        case Completeness.COMPLETE:
            return


def take_answer(content: bytes | msgspec.Raw, url: str | None, where: str) -> Source:
    """One resource of an answer. Raises `ServerMisread` for what is no FHIR resource."""
    try:
        return take_resource(content, url)
    except (NotJson, NotFhir):
        raise ServerMisread(f"{where}: the answer is not a FHIR resource") from None
