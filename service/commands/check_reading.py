"""What the command `check` finds out about reading: each kind is asked for once, as a review does."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from statistics import median
from typing import NamedTuple

from service.commands.check_findings import CheckFinding, failed, ok, said, warning
from service.core.knowledge import Knowledge
from service.core.records import MEDICINE_RECORDS
from service.errors import InputError, NotFhir, NotJson, ServerError, ServerRefused
from service.fhir.client import FhirClient
from service.fhir.kinds import EVERYTHING_KINDS, READ_KINDS, SCREENED_KINDS, SEARCHED_KINDS
from service.fhir.outcomes import Completeness, is_outcome, read_completeness
from service.fhir.sources import take_resource
from service.fhir.views import BundleView, ResourceCapability
from service.gather.identified import PatientName, find_named
from service.gather.searches import UNPROCESSABLE, is_not_shown, search_parameters
from service.knowledge.dialects import PLAIN, Dialect
from service.settings import Settings

_NOBODY = "trd-careplan-check"
"""An id that no server has."""
_NOT_THERE = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_UNKNOWN_PATIENT = _NOT_THERE | UNPROCESSABLE
"""How a server may answer a search for the records of a patient that it does not have."""
_WHOEVER_IS_ASKED_FOR = frozenset({"required", "not-supported"})
"""The codes of an issue that is not about the patient."""
_SLOW_PART = 1 / 3
"""The part of the time allowed for an answer beyond which the slowest one is too near to it."""


async def find_reading(
    client: FhirClient,
    settings: Settings,
    knowledge: Knowledge,
    *,
    patient: PatientName | None,
    timer: Callable[[], float],
) -> list[CheckFinding]:
    """What can be read of a patient, or of nobody; only that there is no such patient where that is so."""
    try:
        patient_id = None if patient is None else await find_named(client, patient)
    except (InputError, ServerError) as error:
        return [failed("Patient", said(error), "Name another by --patient.")]
    asker = _Asker(client, await client.offered(), await client.dialect(), knowledge, patient_id)
    return await _find_readable(asker, settings, timer)


class _KindAsked(NamedTuple):
    """What came of asking for one kind of resource; `unscreened` where it is left out of every review."""

    kind: str
    finding: CheckFinding
    unscreened: bool = False


def _left_out(kind: str, found: str, to_do: str) -> _KindAsked:
    return _KindAsked(kind, warning(kind, found, f"{to_do} Until then it is left out."), unscreened=True)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Asks a server for one kind after the other, as a review does; without a patient, for nobody."""

    client: FhirClient
    offered: Mapping[str | None, ResourceCapability]
    dialect: Dialect
    knowledge: Knowledge
    patient_id: str | None

    @property
    def offers_everything(self) -> bool:
        patient = self.offered.get("Patient")
        return patient is not None and any(one.name == "everything" for one in patient.operation)

    async def ask(self, kind: str) -> _KindAsked:
        """Ask for one kind: a search where a review searches, else one resource by its id."""
        if kind not in self.offered:
            return self._not_offered(kind)
        searched = kind in SEARCHED_KINDS
        if searched and not self.offered[kind].can_be_searched:
            return self._not_searched(kind, "the server offers no search for it")
        try:
            return await (self._search(kind) if searched else self._read(kind))
        except ServerRefused as refused:
            return (self._search_refused if searched else self._read_refused)(kind, refused)
        except ServerError as error:
            return self._failed(kind, said(error))

    def _not_offered(self, kind: str) -> _KindAsked:
        found = "the server does not offer it"
        if kind not in self.dialect.lacks:
            return _left_out(kind, found, "Ask the server's operator for it.")
        to_do = f"None of this vendor does (docs/servers/{self.dialect.id}.md); it is left out."
        return _KindAsked(kind, warning(kind, found, to_do), unscreened=True)

    async def _read(self, kind: str) -> _KindAsked:
        if kind != "Patient" or self.patient_id is None:
            await self.client.get(f"{kind}/{_NOBODY}")
        elif self.offers_everything:
            path, params = f"Patient/{self.patient_id}/$everything", {"_type": "Patient", "_count": "1"}
            await self._first_page(path, params)
        else:
            await self.client.get(f"Patient/{self.patient_id}")
        return _KindAsked(kind, ok(kind, "read"))

    async def _search(self, kind: str) -> _KindAsked:
        """Search once; where that is refused, as the dialect of the server declares."""
        found = search_parameters(kind, self.offered[kind], self.patient_id or _NOBODY, self.knowledge)
        params, declared = found | {"_count": "1"}, self.dialect.searches.get(kind)
        try:
            return self._searched(kind, [await self._first_page(kind, params)])
        except ServerRefused as refused:
            if declared is None or refused.status not in UNPROCESSABLE:
                raise
        pages = [await self._first_page(kind, {**params, **more}) for more in declared.parameters]
        asked = self._searched(kind, pages)
        if not declared.partial or asked.unscreened:
            return asked
        to_do = f"Every answer lists it as not screened (docs/servers/{self.dialect.id}.md)."
        partly = warning(kind, "searched in the categories of the dialect: others may hold more", to_do)
        return _KindAsked(kind, partly, unscreened=True)

    def _searched(self, kind: str, pages: Iterable[BundleView]) -> _KindAsked:
        match _completeness(pages, self.dialect):
            case Completeness.COMPLETE:
                return _KindAsked(kind, ok(kind, "searched"))
            case Completeness.WITHHELD:
                to_do = "Have this client given the right to all of them."
                return _left_out(kind, "the server withholds some", to_do)
            case Completeness.INCOMPLETE:
                return self._failed(kind, "the answer reports an error of the server")

    async def _first_page(self, path: str, params: dict[str, str]) -> BundleView:
        async for page in self.client.pages(path, params):
            return page
        raise AssertionError  # pragma: no cover - there is a first page, or an error

    def _read_refused(self, kind: str, refused: ServerRefused) -> _KindAsked:
        if refused.status not in _NOT_THERE:
            return self._failed(kind, said(refused))
        if kind == "Patient" and self.patient_id is not None:
            no_such = failed(kind, "the server has no such patient", "Name another by --patient.")
            return _KindAsked(kind, no_such)
        return _KindAsked(kind, ok(kind, "may be read"))

    def _search_refused(self, kind: str, refused: ServerRefused) -> _KindAsked:
        about_search = not _WHOEVER_IS_ASKED_FOR.isdisjoint(refused.issues)
        if refused.status in _UNKNOWN_PATIENT and self.patient_id is None and not about_search:
            found = f"{said(refused)}, perhaps because it has no such patient"
            return _KindAsked(kind, warning(kind, found, "Check again with --patient and a test patient."))
        if not is_not_shown(refused, self.dialect):
            return self._failed(kind, said(refused))
        if refused.status == HTTPStatus.FORBIDDEN:
            return _left_out(kind, said(refused), "Have this client given the right to it.")
        return self._not_searched(kind, said(refused))

    def _not_searched(self, kind: str, found: str) -> _KindAsked:
        if self._comes_by_everything(kind):
            return _by_everything(kind, found)
        if self.dialect is not PLAIN:
            to_do = f"It is left out (docs/servers/{self.dialect.id}.md)."
            return _KindAsked(kind, warning(kind, found, to_do), unscreened=True)
        to_do = "Set TRD_FHIR_DIALECT where one fits (docs/servers.md), or ask the server's operator."
        return _left_out(kind, found, to_do)

    def _failed(self, kind: str, found: str) -> _KindAsked:
        """What a review stops at; a search that `$everything` stands for is made in few of them."""
        if self._comes_by_everything(kind):
            return _by_everything(kind, found)
        return _KindAsked(kind, failed(kind, found, "Mend it on the server: every review stops at this."))

    def _comes_by_everything(self, kind: str) -> bool:
        return self.offers_everything and kind in EVERYTHING_KINDS and kind != "Patient"


def _by_everything(kind: str, found: str) -> _KindAsked:
    to_do = "Mend it on the server: it is searched for after patients were merged."
    return _KindAsked(kind, warning(kind, f"{found}; it comes by $everything", to_do))


def _completeness(pages: Iterable[BundleView], dialect: Dialect) -> Completeness:
    told = {_told_by(bytes(entry.resource), dialect) for page in pages for entry in page.entry}
    return next((one for one in _WORST_FIRST if one in told), Completeness.COMPLETE)


_WORST_FIRST = (Completeness.INCOMPLETE, Completeness.WITHHELD)


def _told_by(content: bytes, dialect: Dialect) -> Completeness:
    try:
        source = take_resource(content)
    except (NotJson, NotFhir):
        return Completeness.INCOMPLETE
    return read_completeness(content, dialect) if is_outcome(source) else Completeness.COMPLETE


async def _find_readable(asker: _Asker, settings: Settings, timer: Callable[[], float]) -> list[CheckFinding]:
    """Whether each kind can be read, whether that is enough, and how long the server takes."""
    asked, seconds = [], []
    for kind in READ_KINDS:
        started = timer()
        asked.append(await asker.ask(kind))
        seconds.append(timer() - started)
    unscreened = [one.kind for one in asked if one.unscreened]
    return [
        *(one.finding for one in asked),
        *_find_needed(unscreened),
        _find_unscreened([kind for kind in unscreened if kind in SCREENED_KINDS]),
        _find_latency(seconds, settings),
    ]


def _find_needed(unscreened: list[str]) -> list[CheckFinding]:
    """What no decision is possible without."""
    return [
        failed("record", f"it is read without {what}, so that nothing can be proposed", _TO_DO_ABOUT_KINDS)
        for what, kinds in _NEEDED.items()
        if kinds <= {*unscreened}
    ]


_NEEDED = {
    "the patient": {"Patient"},
    "conditions": {"Condition"},
    "any record of a medicine": MEDICINE_RECORDS - {"Medication"},
}
_TO_DO_ABOUT_KINDS = "Do for these kinds what the lines above say."


def _find_unscreened(kinds: list[str]) -> CheckFinding:
    if not kinds:
        return ok("unscreened", "nothing: every kind that is screened can be read")
    found = f"{', '.join(kinds)}; every answer and every plan says so"
    return warning("unscreened", found, "Decide whether that is enough (docs/troubleshooting.md).")


def _find_latency(seconds: list[float], settings: Settings) -> CheckFinding:
    slowest = max(seconds)
    found = f"{median(seconds) * 1000:.0f} ms for a request, {slowest * 1000:.0f} ms for the slowest"
    if slowest <= settings.fhir_timeout * _SLOW_PART:
        return ok("latency", found)
    to_do = f"Raise TRD_FHIR_TIMEOUT ({settings.fhir_timeout:g} s), or find out why the server is slow."
    return warning("latency", found, to_do)
