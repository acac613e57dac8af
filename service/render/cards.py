"""A decision as cards of CDS Hooks: https://cds-hooks.hl7.org/2.0/#cds-service-response.

Who only opens a chart is told what helps; who orders esketamine is told whatever the decision is. Which
decision gives which card is in docs/cds-hooks.md.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, NamedTuple, assert_never
from uuid import UUID, uuid5

from service.core.dates import PartialDate, say_date
from service.core.decision import (
    Decision,
    DecisionName,
    Decline,
    Fact,
    NeedsInformation,
    NeedsReview,
    Propose,
    ReasonOfDecision,
    treatment_of,
)
from service.core.findings import Finding
from service.core.knowledge import Effect, NextCode
from service.core.records import VersionedReference
from service.core.schedule import Schedule
from service.core.suicidality import SUICIDALITY
from service.core.treatment.follow import Treatment
from service.core.words import (
    beside_plan,
    describe_trial,
    list_not_screened,
    state_decision,
    state_treatment,
    why_declined,
)
from service.fhir.loose import Resource
from service.fhir.models import validated
from service.fhir.names import BASE, DEVICE_INSIDE
from service.render.answer import AssessmentAnswer
from service.render.device import render_device
from service.render.markdown import escape
from service.render.progress import describe_treatment

Card = dict[str, Any]

OVERRIDES = {
    "benefit-outweighs-risk": "The expected benefit outweighs the risk",
    "known-and-addressed": "This is known and has been addressed",
    "record-not-right": "The record is not right or not up to date",
    "another-indication": "The order is for another indication",
}
"""Why a clinician goes on in spite of a card, by code."""
_OVERRIDES_SYSTEM = f"{BASE}/CodeSystem/override-reason"
_LONGEST_SUMMARY = 139
"""Characters; the specification asks for fewer than 140."""
_MOST_LINES = 12
"""How many findings or trials a card lists."""
_ASSESS_RISK = "Suicidality is on record: assess the risk now."
_DECIDES = "This is decision support; a clinician decides."
_TITLES = {
    ReasonOfDecision.TRD: "treatment-resistant depression",
    ReasonOfDecision.ACUTE_SUICIDALITY: "major depression with acute suicidality",
}
_TO_LOOK_AT = frozenset({NextCode.TREATMENT_SAFETY, NextCode.LAPSE})
"""What comes next in a treatment where somebody must look first."""


class Hook(StrEnum):
    """The hooks that are answered."""

    PATIENT_VIEW = "patient-view"
    ENCOUNTER_START = "encounter-start"
    ORDER_SELECT = "order-select"
    ORDER_SIGN = "order-sign"

    @property
    def of_orders(self) -> bool:
        """Whether it comes with draft orders."""
        return self in {Hook.ORDER_SELECT, Hook.ORDER_SIGN}


class Indicator(StrEnum):
    """How urgent a card is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class Order(NamedTuple):
    """A draft order of esketamine: its reference, and what it calls the medicine."""

    reference: str
    label: str


@dataclass(frozen=True, slots=True)
class CardOccasion:
    """For what cards are: the hook, its instance, the orders of esketamine, and whose cards they are.

    `address` is where the service is reached; `None` where no public address is set.
    """

    hook: Hook
    instance: UUID
    orders: tuple[Order, ...]
    address: str | None


class _CardMessage(NamedTuple):
    """What a card says first."""

    indicator: Indicator
    summary: str


def render_cards(
    occasion: CardOccasion, decision: Decision, answer: AssessmentAnswer, plan: Resource | None
) -> list[Card]:
    """The cards for a decision: one, or none where there is nothing to say.

    `plan` is the care plan that would be created; `None` where none would be. The same question about the
    same record has the same cards.
    """
    decision = beside_plan(decision, answer.care_plan.left)
    message = _message(occasion, decision)
    if message is None:
        return []
    card: Card = {
        "uuid": _name(occasion, decision),
        "summary": _shortened(message.summary),
        "indicator": message.indicator.value,
        "detail": "\n\n".join(_detail(occasion, decision, answer)),
        "source": _source(occasion, answer),
    }
    if plan is not None and isinstance(decision, Propose):
        card |= {"selectionBehavior": "at-most-one", "suggestions": [_suggestion(card["uuid"], plan)]}
    if occasion.orders and message.indicator is not Indicator.INFO:
        card["overrideReasons"] = [
            {"system": _OVERRIDES_SYSTEM, "code": code, "display": words} for code, words in OVERRIDES.items()
        ]
    return [card]


def _message(occasion: CardOccasion, decision: Decision) -> _CardMessage | None:
    """What is said; nothing about other orders, and nothing of somebody who has died unless it is ordered.

    Current suicidality is to be seen first, whatever the decision; only a contraindicated order comes before.
    """
    if not occasion.orders and (occasion.hook.of_orders or decision.reason is ReasonOfDecision.DECEASED):
        return None
    said = _ordered(decision) if occasion.orders else _viewed(decision)
    suicidal = any(alert.code == SUICIDALITY for alert in decision.assessment.alerts)
    if not suicidal or (said is not None and said.indicator is Indicator.CRITICAL):
        return said
    return _CardMessage(Indicator.WARNING, f"{_ASSESS_RISK} {said.summary if said else ''}".strip())


def _viewed(decision: Decision) -> _CardMessage | None:
    """What is said to somebody who opens the chart; `None` for what nobody asked about."""
    match decision:
        case Decline(treatment=Treatment() as treatment):
            return _treated(decision, treatment)
        case Propose():
            return _proposed(decision)
        case NeedsReview():
            return _CardMessage(
                Indicator.WARNING, f"Review before esketamine is proposed: {_to_review(decision)}"
            )
        case NeedsInformation() if _is_near(decision):
            facts = _listed(fact.text for fact in _leading_to_proposal(decision))
            return _CardMessage(Indicator.INFO, f"Esketamine may be indicated. Not on record: {facts}")
        case _:
            return None


def _ordered(decision: Decision) -> _CardMessage:
    """What is said to somebody who orders esketamine."""
    match decision:
        case Decline(reason=ReasonOfDecision.CONTRAINDICATED | ReasonOfDecision.MINOR) if (
            excluding := _excluding(decision)
        ):
            return _CardMessage(Indicator.CRITICAL, f"Esketamine is contraindicated: {excluding}")
        case Decline(treatment=Treatment() as treatment):
            return _treated(decision, treatment)
        case Decline():
            return _CardMessage(
                Indicator.WARNING, f"The record does not support esketamine: {_against(decision)}"
            )
        case Propose():
            return _proposed(decision)
        case NeedsReview():
            return _CardMessage(
                Indicator.WARNING, f"Review before esketamine is ordered: {_to_review(decision)}"
            )
        case NeedsInformation():
            what = _listed(missing.what for missing in decision.assessment.missing)
            return _CardMessage(
                Indicator.WARNING,
                f"The record does not show whether esketamine is indicated. Missing: {what}",
            )
        case _:
            assert_never(decision)


def _proposed(decision: Propose) -> _CardMessage:
    if decision.treatment is not None:
        return _CardMessage(Indicator.INFO, state_treatment(decision.treatment))
    met = f"The record meets the criteria for {_TITLES[decision.reason]}"
    if not isinstance(decision.schedule, Schedule):
        return _CardMessage(Indicator.INFO, f"{met}; no new plan is drafted.")
    sessions = decision.schedule.sessions
    first = say_date(PartialDate.on(sessions[0].date))
    drafted = f"a draft of {len(sessions)} sessions from {first} is proposed"
    return _CardMessage(Indicator.INFO, f"{met}; {drafted}.")


def _treated(decision: Decline, treatment: Treatment) -> _CardMessage:
    """Where a treatment stands; what stands against it comes first."""
    if decision.reason is not ReasonOfDecision.IN_TREATMENT:
        return _CardMessage(Indicator.WARNING, f"Under treatment with esketamine, but: {_against(decision)}")
    look = treatment.next.code in _TO_LOOK_AT
    return _CardMessage(Indicator.WARNING if look else Indicator.INFO, state_treatment(treatment))


def _is_near(decision: NeedsInformation) -> bool:
    """Whether a trial failed, or may have, and named facts would lead to a proposal."""
    failed = decision.assessment.failed_trials
    return failed.definite + failed.possible > 0 and bool(_leading_to_proposal(decision))


def _leading_to_proposal(decision: NeedsInformation) -> tuple[Fact, ...]:
    """The smallest set of facts that would lead to a proposal."""
    return next((one.facts for one in decision.settles if one.leads_to is DecisionName.PROPOSE), ())


def _against(decision: Decline) -> str:
    """What stands against esketamine."""
    return _excluding(decision) or _listed(why_declined(decision))


def _excluding(decision: Decline) -> str:
    """The contraindications that are certain; their records are in the detail."""
    certain = (one for one in decision.assessment.safety if one.finding is Finding.MET)
    return _listed(one.title for one in certain if one.effect is Effect.EXCLUDES)


def _to_review(decision: NeedsReview) -> str:
    found = decision.assessment
    titles = [one.title for one in found.safety if one.effect is Effect.REVIEW]
    return _listed(titles or [warning.text for warning in found.warnings])


def _listed(texts: Iterable[str]) -> str:
    return "; ".join(dict.fromkeys(texts))


def _detail(occasion: CardOccasion, decision: Decision, answer: AssessmentAnswer) -> Iterator[str]:
    """What the card rests on, in paragraphs of Markdown: orders, alerts, the decision, and its evidence."""
    found = decision.assessment
    for order in occasion.orders:
        yield f"**Order:** {escape(order.label)} ({escape(order.reference)})"
    for alert in found.alerts:
        yield f"**Alert:** {escape(alert.text)}{_evidence(alert.evidence)}"
    yield escape(state_decision(decision))
    if lines := [*_evidence_lines(decision, answer)]:
        yield "\n".join(lines)
    yield _DECIDES


def _evidence_lines(decision: Decision, answer: AssessmentAnswer) -> Iterator[str]:
    """The safety findings, the course of the treatment or the trials before it, and what was not screened."""
    found = decision.assessment
    for one in found.safety[:_MOST_LINES]:
        said = f"{escape(one.title)} (label section {escape(one.section)})"
        yield f"- **{one.effect.value.capitalize()}:** {said}{_evidence(one.evidence)}"
    for heading, words in describe_treatment(answer):
        yield f"- **{heading}:** {escape(words)}"
    for trial in found.trials[:_MOST_LINES] if treatment_of(decision) is None else ():
        yield f"- **Trial:** {escape(describe_trial(trial, found.as_of))}{_evidence(trial.evidence)}"
    if found.not_screened:
        yield f"- **Not screened:** {escape(list_not_screened(found.not_screened))}"


def _evidence(references: Iterable[VersionedReference]) -> str:
    named = ", ".join(sorted({f"{one.type}/{one.id}" for one in references}))
    return f" ({escape(named)})" if named else ""


def _source(occasion: CardOccasion, answer: AssessmentAnswer) -> dict[str, str]:
    label = f"trd-careplan, criteria {answer.criteria.id} {answer.criteria.version}"
    return {"label": label} | ({"url": occasion.address} if occasion.address else {})


def _suggestion(card: str, plan: Resource) -> dict[str, Any]:
    """The draft plan, which a clinician may have created. Its author is inside, as nothing else is sent."""
    inside = render_device() | {"id": DEVICE_INSIDE}
    resource = {**plan, "contained": [inside], "author": {"reference": f"#{DEVICE_INSIDE}"}}
    name = {"uuid": str(uuid5(UUID(card), "suggestion")), "label": "Create the draft care plan"}
    described = "Creates the proposed CarePlan as a draft; a clinician decides whether to activate it."
    action = {"type": "create", "description": described, "resource": validated(resource)}
    return {**name, "actions": [action]}


def _name(occasion: CardOccasion, decision: Decision) -> str:
    """The same for the same question, so that a repeated answer is known as the same card."""
    about = (decision.reason.value, *(order.reference for order in occasion.orders))
    return str(uuid5(occasion.instance, "|".join(about)))


def _shortened(text: str) -> str:
    """At most 139 characters: whole parts, or whole words of the first; the detail has all of it."""
    if len(text) <= _LONGEST_SUMMARY:
        return text
    kept = text[: _LONGEST_SUMMARY - 2]
    whole, part, _ = kept.rpartition("; ")
    return f"{whole or kept.rpartition(' ')[0] or kept}{part}…"
