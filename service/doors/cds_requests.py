"""The requests and the feedback of CDS Hooks: https://cds-hooks.hl7.org/2.0/.

What is needed is checked strictly; what is not known here is left alone, so that later releases are read too.
"""

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal, TypeVar
from uuid import UUID

import msgspec

from service.errors import NotCdsHooks, NotFhir, NotJson
from service.feedback import Feedback
from service.fhir.sources import UNDECODABLE, Source, take_resource
from service.fhir.views import BundleView, View
from service.gather.supplied import Supplied, read_supplied
from service.ids import is_id
from service.render.cards import OVERRIDES, Hook
from service.settings import is_web_address

Body = TypeVar("Body")

_TOKEN = re.compile(r"[A-Za-z0-9\-._~+/]+=*")
"""RFC 6750, section 2.1."""
MOST_FEEDBACK = 100
"""How many cards one request may tell of."""


class _Authorization(msgspec.Struct):
    access_token: str


class _Context(View):
    patient_id: str
    selections: list[str] | None = None
    draft_orders: BundleView | None = None


class _HookRequest(View):
    hook: str
    hook_instance: str
    context: _Context
    fhir_server: str | None = None
    fhir_authorization: _Authorization | None = None
    prefetch: dict[str, msgspec.Raw] | None = None


class _OverrideReason(View):
    code: str | None = None


class _Override(View):
    reason: _OverrideReason | None = None


class _CardFeedback(View):
    card: str
    outcome: Literal["accepted", "overridden"]
    outcome_timestamp: str
    override_reason: _Override | None = None


class _FeedbackRequest(View):
    feedback: list[_CardFeedback]


_REQUEST = msgspec.json.Decoder(_HookRequest)
_FEEDBACK = msgspec.json.Decoder(_FeedbackRequest)


@dataclass(frozen=True, slots=True)
class HookCall:
    """What a caller asks: about which patient, with which drafts, and with what of the record.

    `server` is the FHIR server that the caller names, and `token` what it lends to read there; it is neither
    kept nor logged.
    """

    instance: UUID
    patient_id: str
    server: str | None
    token: str | None
    drafts: tuple[Source, ...]
    supplied: Supplied

    def __repr__(self) -> str:
        """Nothing of what was asked, as it may be in a log."""
        return "HookCall()"


def read_call(hook: Hook, body: bytes) -> HookCall:
    """Read a request to the service of a hook. Raises `NotJson`, or `NotCdsHooks` naming the element."""
    request = _read(body, _REQUEST)
    if request.hook != hook.value:
        raise NotCdsHooks(f"hook: not {hook.value}, which this service is for")
    if not is_id(request.context.patient_id):
        raise NotCdsHooks("context.patientId: not the id of a Patient")
    if hook.of_orders and request.context.draft_orders is None:
        # An answer without cards would say that there is nothing against the orders.
        raise NotCdsHooks("context.draftOrders: missing")
    server = request.fhir_server
    if server is not None and not is_web_address(server):
        raise NotCdsHooks("fhirServer: not an address that starts with http:// or https://")
    lent = request.fhir_authorization
    if lent is not None and server is None:
        raise NotCdsHooks("fhirServer: not given; needed because of fhirAuthorization")
    if lent is not None and not _TOKEN.fullmatch(lent.access_token):
        raise NotCdsHooks("fhirAuthorization.access_token: not a bearer token")
    return HookCall(
        _uuid(request.hook_instance, "hookInstance"),
        request.context.patient_id,
        None if server is None else server.rstrip("/"),
        None if lent is None else lent.access_token,
        _drafts(request.context),
        read_supplied(request.prefetch or {}),
    )


def _drafts(context: _Context) -> tuple[Source, ...]:
    """The draft orders; of those that could be selected, the selected ones, and what they refer to."""
    entries = context.draft_orders.entry if context.draft_orders else []
    try:
        drafts = [take_resource(entry.resource, entry.full_url) for entry in entries if bytes(entry.resource)]
    except (NotJson, NotFhir):
        raise NotCdsHooks("context.draftOrders: an entry is no FHIR resource") from None
    selected = {*(context.selections or [])}
    if not selected or not selected <= {name for draft in drafts for name in _names(draft)}:
        # What was selected is among them under another name.
        return tuple(drafts)
    return tuple(one for one in drafts if one.head.resource_type == "Medication" or _names(one) & selected)


def _names(draft: Source) -> set[str]:
    return {f"{draft.head.resource_type}/{draft.head.id}"} | ({draft.url} if draft.url else set())


def read_feedback(hook: Hook, body: bytes) -> tuple[Feedback, ...]:
    """Read what became of cards. Raises as `read_call` does.

    Of a reason only a code of ours is kept: anything else could say something of a patient.
    """
    told = _read(body, _FEEDBACK).feedback
    if len(told) > MOST_FEEDBACK:
        raise NotCdsHooks(f"feedback: more than {MOST_FEEDBACK} cards")
    return tuple(
        Feedback(
            str(_uuid(one.card, "feedback.card")),
            hook.value,
            one.outcome,
            _reason(one.override_reason),
            _instant(one.outcome_timestamp),
        )
        for one in told
    )


def _reason(override: _Override | None) -> str | None:
    code = override.reason.code if override and override.reason else None
    return "other" if code is not None and code not in OVERRIDES else code


def _instant(text: str) -> datetime:
    """An instant; one without an offset is in UTC, as the specification writes all of them."""
    try:
        given = datetime.fromisoformat(text)
        return (given if given.tzinfo else given.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise NotCdsHooks("feedback.outcomeTimestamp: not an instant of ISO 8601") from None


def _uuid(text: str, element: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotCdsHooks(f"{element}: not a UUID") from None


def _read(body: bytes, decoder: msgspec.json.Decoder[Body]) -> Body:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise NotCdsHooks(f"the body cannot be read{_place(error)}") from None
    except UNDECODABLE:
        raise NotJson("the body is not proper JSON") from None


def _place(error: msgspec.ValidationError) -> str:
    """Where in the body it is; a missing element is named, since its name is one of the specification."""
    message = str(error)
    missing = re.search(r"missing required field `(\w+)`", message)
    path = re.search(r"`\$([\w.\[\]]*)`$", message)
    named = f": {missing[1]} is missing" if missing else ""
    return f"{named} at {path[1].lstrip('.') or 'the top'}" if path else named
