"""CDS Hooks 2.0.1: an EHR asks while somebody opens a chart or signs an order, and shows what is answered.

https://cds-hooks.hl7.org/2.0/. Nothing is written here: a plan is suggested, and the EHR
creates it.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress

from aiohttp import hdrs, web

from service import clock
from service.doors.bodies import read_body
from service.doors.cds_requests import HookCall, read_call, read_feedback
from service.doors.exchange import plain_response
from service.doors.local import is_local_address
from service.doors.ports import (
    CLIENT,
    METRICS,
    QUEUE,
    REVIEWER,
    SETTINGS,
    TOLD,
    Door,
    Handler,
    Route,
    door_of,
)
from service.doors.storing import store
from service.doors.trust import CALLERS
from service.errors import (
    NotAssessable,
    NotCdsHooks,
    NotFhir,
    NotJson,
    NotSupplied,
    ServerError,
    ServerRefused,
)
from service.fhir.client import FhirClient, open_clients_of_callers
from service.fhir.loose import Resource
from service.fhir.sources import Gathered, Source
from service.gather.everything import gather_supplied
from service.gather.referred import read_referred
from service.gather.supplied import prefetch_templates
from service.ids import is_id
from service.read.drafts import read_drafts
from service.read.elements import UnreadableElement
from service.render.cards import Card, CardOccasion, Hook, Order, render_cards
from service.review import Review, Reviewer

ANSWER_SECONDS = 10.0
"""How long an answer may take, with all that has to be read for it."""
_READ_SECONDS = 5.0
"""How long one answer of a FHIR server may take that a caller names."""
_PREFLIGHT_SECONDS = "600"
_PREFIX = "esketamine-"
_DESCRIPTIONS = {
    Hook.PATIENT_VIEW: "Says where a chart shows treatment-resistant depression, what would settle it, and "
    "where a treatment with esketamine stands",
    Hook.ENCOUNTER_START: "Says the same at the beginning of an encounter",
    Hook.ORDER_SELECT: "Says of a selected order of esketamine what the record holds for and against it",
    Hook.ORDER_SIGN: "Says of an order of esketamine to be signed what the record holds for and against it",
}
_SERVICES = {f"{_PREFIX}{hook.value}": hook for hook in Hook}
_DOORS = frozenset({Door.CDS_SERVICES, Door.CDS_HOOK, Door.CDS_FEEDBACK, Door.CDS_PREFLIGHT})
LENT: web.AppKey[Mapping[str, FhirClient]] = web.AppKey("lent")
"""Clients without credentials, for the servers that callers may have the service read."""


async def services(request: web.Request) -> web.Response:
    """The services, each with the searches whose results an EHR is to send along."""
    templates = prefetch_templates(request.app[REVIEWER].knowledge)
    told = [
        {
            "hook": hook.value,
            "id": name,
            "title": "Esketamine for depression",
            "description": _DESCRIPTIONS[hook],
            "prefetch": templates,
        }
        for name, hook in _SERVICES.items()
    ]
    return plain_response({"services": told})


async def call(request: web.Request) -> web.Response:
    """The cards for a patient."""
    hook = _hook_of(request)
    body = await read_body(request)
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            cards = await _answer(request, hook, body)
    except TimeoutError:
        message = f"the record could not be read and assessed within {ANSWER_SECONDS:g} seconds"
        raise NotSupplied(message) from None
    except ServerError as error:
        raise NotSupplied(str(error)) from None
    request[TOLD] |= {"cards": len(cards)}
    request.app[METRICS].count_cards(hook.value, [card["indicator"] for card in cards])
    return plain_response({"cards": cards})


async def feedback(request: web.Request) -> web.Response:
    """Keep what became of cards."""
    told = read_feedback(_hook_of(request), await read_body(request))
    for one in await store(request, request.app[QUEUE].keep_feedback(told)):
        request.app[METRICS].count_feedback(one.outcome)
    return plain_response({})


async def preflight(_: web.Request) -> web.Response:
    """Answer a browser that asks whether it may call; `allow_pages` says which page may."""
    allowed = {
        hdrs.ACCESS_CONTROL_ALLOW_METHODS: "GET, POST",
        hdrs.ACCESS_CONTROL_ALLOW_HEADERS: "Authorization, Content-Type",
        hdrs.ACCESS_CONTROL_MAX_AGE: _PREFLIGHT_SECONDS,
    }
    return web.Response(status=204, headers=allowed)


ROUTES = (
    Route(Door.CDS_SERVICES, "GET", "/cds-services", services),
    Route(Door.CDS_HOOK, "POST", "/cds-services/{id}", call),
    Route(Door.CDS_FEEDBACK, "POST", "/cds-services/{id}/feedback", feedback),
    Route(Door.CDS_PREFLIGHT, "OPTIONS", "/cds-services", preflight),
    Route(Door.CDS_PREFLIGHT, "OPTIONS", "/cds-services/{id}", preflight),
    Route(Door.CDS_PREFLIGHT, "OPTIONS", "/cds-services/{id}/feedback", preflight),
)


@web.middleware
async def allow_pages(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Let pages read the answers: of this machine, and of any site where tokens say who calls."""
    response = await handler(request)
    origin = request.headers.get(hdrs.ORIGIN)
    if origin is not None and door_of(request) in _DOORS:
        response.headers[hdrs.VARY] = hdrs.ORIGIN
        if request.app[CALLERS].open_to_pages or is_local_address(origin):
            response.headers[hdrs.ACCESS_CONTROL_ALLOW_ORIGIN] = origin
    return response


async def lend_clients(app: web.Application) -> AsyncIterator[None]:
    """Open the clients for the servers that callers name, and close them in the end."""
    async with open_clients_of_callers(app[SETTINGS], seconds=_READ_SECONDS) as clients:
        app[LENT] = clients
        yield


def _hook_of(request: web.Request) -> Hook:
    """The hook of the service that the address names; raises the answer 404 for any other."""
    hook = _SERVICES.get(request.match_info["id"])
    if hook is None:
        raise web.HTTPNotFound
    return hook


def _reviewer(request: web.Request) -> Reviewer:
    return request.app[REVIEWER].on(clock.today(request.app[SETTINGS].timezone))


def _read_call(_: Reviewer, hook: Hook, body: bytes) -> HookCall:
    return read_call(hook, body)


async def _answer(request: web.Request, hook: Hook, body: bytes) -> list[Card]:
    """The cards; none for orders that are not of esketamine, for which no record is needed."""
    reviewer = _reviewer(request)
    started = time.monotonic()
    asked = await reviewer.run(len(body), _read_call, hook, body)
    client = await _client_for(request, asked)
    orders = await _orders(client, asked, reviewer) if hook.of_orders else ()
    if hook.of_orders and not orders:
        return []
    review = await _review(request.app[CLIENT], client, asked, reviewer)
    answer = review.answer
    decision, reason = answer.decision.value, answer.reason.value
    request.app[METRICS].count_decision(decision, reason, time.monotonic() - started)
    request[TOLD] |= {"decision": decision, "reason": reason}
    address = str(request.app[SETTINGS].public_url or "") or None
    return render_cards(
        CardOccasion(hook, asked.instance, orders, address), review.decision, answer, _plan_to_create(review)
    )


async def _orders(client: FhirClient | None, asked: HookCall, reviewer: Reviewer) -> tuple[Order, ...]:
    """The drafts of esketamine. A medicine that is elsewhere is read there.

    Raises `NotSupplied` where it cannot be had, since it could be esketamine, and `NotAssessable` for an
    order of esketamine for another patient.
    """
    try:
        drafts = read_drafts(asked.drafts, asked.supplied.sources, reviewer.knowledge)
        if client is not None and any(draft.is_unresolved for draft in drafts):
            others = await read_referred(client, [*asked.drafts])
            drafts = read_drafts(asked.drafts, others, reviewer.knowledge)
    except UnreadableElement:
        raise NotCdsHooks("context.draftOrders: the medicine of a MedicationRequest cannot be read") from None
    if any(draft.is_unresolved for draft in drafts):
        raise NotSupplied("context.draftOrders: a MedicationRequest does not say its medicine")
    ordered = [draft for draft in drafts if draft.is_of_esketamine]
    if any(draft.patient_id not in {None, asked.patient_id} for draft in ordered):
        raise NotAssessable("context.draftOrders: an order of another patient than context.patientId")
    return tuple(Order(_name_of(one.source), one.medicine.label) for one in ordered)


def _name_of(draft: Source) -> str:
    """By what a card names a draft, which need not have an id yet."""
    return f"MedicationRequest/{draft.head.id}" if is_id(draft.head.id or "") else "MedicationRequest"


async def _review(own: FhirClient, client: FhirClient | None, asked: HookCall, reviewer: Reviewer) -> Review:
    """Review the record that was brought along, and what had to be read beside it.

    What else of ours stands on the FHIR server is looked at with the service's own credentials, where the
    record is of that server.
    """
    try:
        gathered = await _gather(client, asked, reviewer)
        if client is None or client.base != own.base:
            return await reviewer.review_beside(gathered)
        return await reviewer.review_of(own, gathered, asked.patient_id)
    except (NotJson, NotFhir) as error:
        raise NotAssessable(str(error)) from None


async def _gather(client: FhirClient | None, asked: HookCall, reviewer: Reviewer) -> Gathered:
    supplied = asked.supplied
    if client is not None:
        return await gather_supplied(client, supplied, asked.patient_id, reviewer.knowledge)
    if supplied.missing:
        kinds = ", ".join(supplied.missing)
        raise NotSupplied(f"prefetch: not all of {kinds}; fhirServer is not one that this service may read")
    return Gathered(
        supplied.sources,
        asked.patient_id,
        asked.server,
        not_read=supplied.withheld,
        refused=supplied.withheld,
    )


async def _client_for(request: web.Request, asked: HookCall) -> FhirClient | None:
    """What the rest of a record is read with; `None` for a server that is not listed.

    It is the service's own client where the caller names no server, or ours without lending a token.
    """
    own: FhirClient = request.app[CLIENT]
    if asked.server is None or (asked.server == own.base and asked.token is None):
        return own
    client = request.app[LENT].get(asked.server)
    if client is None:
        return None
    if asked.supplied.missing:
        # What the server says of itself is asked for without the token, so that it can be remembered.
        with suppress(ServerRefused):
            await client.capability()
    return client if asked.token is None else client.acting_with(asked.token)


def _plan_to_create(review: Review) -> Resource | None:
    """The care plan that a clinician may have created; none where one of ours stands already."""
    return review.intent.plan if review.intent.new_plan_id is not None else None
