"""Find whose records changed: by a sweep, by a resource that is named, or by the history of a deleted one."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import NamedTuple

from service import clock
from service.core.knowledge import Knowledge
from service.errors import NotFhir, NotJson, NotSwept, ServerMisread, ServerRefused, TooManyPages
from service.fhir.client import FhirClient
from service.fhir.kinds import WATCHED_KINDS
from service.fhir.outcomes import Completeness, is_outcome, read_completeness
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE, Source, find_owner, read_notified, read_owner, take_resource
from service.fhir.views import BundleView, EntryView
from service.gather.searches import PAGE_SIZE, read_moment, watch_parameter

LAST_UPDATED = "_lastUpdated"
"""https://hl7.org/fhir/R4/search.html#lastUpdated."""
_SHORTEST = timedelta(seconds=2)
"""A window that is as short is not split: a server may keep whole seconds only."""
_ROUNDED = timedelta(seconds=1)
_NOT_YET = "ge2999-01-01"

_SWEEP_MARGIN = timedelta(minutes=10)
"""How long ago a change may have been that is told now: HAPI tries for a minute, and clocks differ."""


def sweep_from(instant: datetime) -> str:
    """From when on to search for what changed by an instant: to the minute, so that many are one sweep."""
    return (instant - _SWEEP_MARGIN).replace(second=0, microsecond=0).isoformat(timespec="seconds")


class Window(NamedTuple):
    """The changes from an instant on, and before another one if there is one. Instants have whole seconds."""

    since: datetime
    until: datetime | None = None

    @property
    def wanted(self) -> list[str]:
        """What a search asks of the time of the last change."""
        since = f"ge{self.since.isoformat(timespec='seconds')}"
        return [since] if self.until is None else [since, f"lt{self.until.isoformat(timespec='seconds')}"]

    def halves(self, now: datetime) -> "tuple[Window, Window] | None":
        """Two windows that hold the same together; `None` where this one is too short."""
        length = (self.until or now) - self.since
        if length <= _SHORTEST:
            return None
        middle = (self.since + length / 2).replace(microsecond=0)
        return Window(self.since, middle), Window(middle, self.until)


class Changed(NamedTuple):
    """The ids of the patients with a change, and when the server stored the last change, if it says so."""

    patients: set[str]
    latest: datetime | None = None

    def with_more(self, more: "Changed") -> "Changed":
        """What two searches found together."""
        known = [one for one in (self.latest, more.latest) if one is not None]
        return Changed(self.patients | more.patients, max(known, default=None))


class SweptKinds(NamedTuple):
    """The kinds of resource that can be searched for changes, and those offered ones that cannot."""

    swept: tuple[str, ...]
    left_out: tuple[str, ...]


async def find_swept_kinds(client: FhirClient) -> SweptKinds:
    """Which watched kinds a server can be searched for by their last change, by its dialect and statement."""
    capability, dialect = await client.capability(), await client.dialect()
    told = dialect.tells_changes
    offered = [kind for kind in WATCHED_KINDS if kind in capability.resources]
    swept = [
        kind for kind in offered if (capability.may_search(kind, LAST_UPDATED) if told is None else told)
    ]
    return SweptKinds(tuple(swept), tuple(kind for kind in offered if kind not in swept))


async def find_patients_changed_since(client: FhirClient, since: datetime, knowledge: Knowledge) -> set[str]:
    """Ids of the patients with a change since an instant, over every kind of resource that is watched.

    Raises `NotSwept` where a kind that the server offers cannot be searched for changes.
    """
    kinds = await find_swept_kinds(client)
    if kinds.left_out:
        raise NotSwept(f"{', '.join(kinds.left_out)}: the FHIR server cannot be searched for what changed")
    found: set[str] = set()
    for kind in kinds.swept:
        found |= (await find_changed(client, kind, Window(since), knowledge)).patients
    return found


async def find_changed(client: FhirClient, kind: str, window: Window, knowledge: Knowledge) -> Changed:
    """The patients with a change of one kind in a window, which is split where it has too many pages.

    Raises `NotSwept` where the server overlooks that only changes are asked for, and as `FhirClient.pages`.
    """
    try:
        return await _search_changes(client, kind, window, knowledge)
    except TooManyPages:
        halves = window.halves(clock.now())
        if halves is None:
            raise
    earlier, later = [await find_changed(client, kind, half, knowledge) for half in halves]
    return earlier.with_more(later)


async def _search_changes(client: FhirClient, kind: str, window: Window, knowledge: Knowledge) -> Changed:
    params = {LAST_UPDATED: window.wanted, "_count": PAGE_SIZE, **watch_parameter(kind, knowledge)}
    found, heeds = Changed(set()), False
    async for page in client.pages(kind, params):
        sources = await _readable(client, page, kind)
        moments = [read_moment(source.head.meta.last_updated) for source in sources]
        if any(moment is not None and moment < window.since - _ROUNDED for moment in moments):
            raise _overlooked(kind)
        if None in moments and not heeds:
            await _check_heeded(client, kind)
            heeds = True
        latest = max((moment for moment in moments if moment is not None), default=None)
        found = found.with_more(Changed(_owners(sources), latest))
    return found


async def _check_heeded(client: FhirClient, kind: str) -> None:
    """Raise `NotSwept` where a search for changes of a far day finds some: the parameter is overlooked.

    It is asked for where resources do not say when they changed.
    """
    async for page in client.pages(kind, {LAST_UPDATED: _NOT_YET, "_count": "1"}):
        if await _readable(client, page, kind):
            raise _overlooked(kind)
        return


def _overlooked(kind: str) -> NotSwept:
    return NotSwept(f"GET {kind}: the server shows more than what changed, so it overlooks {LAST_UPDATED}")


async def _readable(client: FhirClient, page: BundleView, kind: str) -> list[Source]:
    """The resources of a kind on a page, without what cannot be read.

    Raises `ServerMisread` where the server says that the answer may not be complete.
    """
    sources = _take(bytes(entry.resource) for entry in page.entry)
    for outcome in filter(is_outcome, sources):
        if read_completeness(outcome.content, await client.dialect()) is Completeness.INCOMPLETE:
            raise ServerMisread(f"GET {kind}: the answer reports an error of the server")
    return [source for source in sources if source.head.resource_type == kind]


async def find_patients_of_changed(client: FhirClient, reference: str) -> set[str]:
    """Ids of the patients that a changed resource is about; by its history where it is gone by now.

    A resource of our own, and one that names no patient, is about none.
    """
    content = await client.get_if_there(reference)
    if content is None:
        return await find_patients_of_deleted(client, reference)
    try:
        source = take_resource(content)
        owner = read_notified(source)
    except (NotFhir, NotJson, *UNDECODABLE):
        raise ServerMisread(f"GET {reference}: the answer does not show whose it is") from None
    patient_id = None if owner.is_ours else find_owner(source, owner)
    return set() if patient_id is None else {patient_id}


async def find_deleted_since(client: FhirClient, instant: str) -> set[str]:
    """What was deleted since an instant, each as `Type/id`, of the kinds whose history the server shows.

    A search never finds what is deleted, so a sweep does not.
    """
    offered = await client.offered()
    found: set[str] = set()
    for kind in WATCHED_KINDS:
        if kind not in offered or not offered[kind].shows_history:
            continue
        params = {"_since": instant, "_count": PAGE_SIZE}
        async for page in client.pages(f"{kind}/_history", params):
            found |= {name for entry in page.entry if (name := _deleted(entry, kind))}
    return found


def _deleted(entry: EntryView, kind: str) -> str | None:
    """The resource that an entry of a history says was deleted."""
    if entry.request is None or entry.request.method != "DELETE":
        return None
    named = [read_reference(address) for address in (entry.request.url, entry.full_url)]
    return next((one.name for one in named if one.kind == kind), None)


async def find_patients_of_deleted(client: FhirClient, reference: str) -> set[str]:
    """Ids of the patients that a deleted resource was about, by its history; none where that is gone."""
    try:
        return {
            owner
            async for page in client.pages(f"{reference}/_history", {"_count": PAGE_SIZE})
            for owner in _owners(_take(bytes(entry.resource) for entry in page.entry))
        }
    except ServerRefused as refused:
        if refused.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return set()
        raise


def _take(contents: Iterable[bytes]) -> list[Source]:
    taken = []
    for content in contents:
        try:
            taken.append(take_resource(content))
        except (NotFhir, NotJson):
            continue
    return taken


def _owners(sources: Iterable[Source]) -> set[str]:
    """The patients of resources; what names none is left out."""
    owners = set()
    for source in sources:
        try:
            owners.add(read_owner(source))
        except NotFhir:
            continue
    return owners
