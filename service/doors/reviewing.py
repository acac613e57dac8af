"""Review one patient of the FHIR server at once: what the doors share that answer with the assessment."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import date

from aiohttp import web

from service import clock
from service.cause import Cause
from service.core.decision import DecisionName, ReasonOfDecision
from service.doors.parameters import Question
from service.doors.ports import CLIENT, METRICS, REVIEWER, SETTINGS, TOLD
from service.errors import NotAssessable, NotFhir, NotJson, ServerUnreachable
from service.render.answer import AssessmentAnswer
from service.review import Proposal, Reviewer

ANSWER_SECONDS = 120.0
"""How long an answer may take, with all that has to be read and written for it."""


async def assess_patient(request: web.Request, question: Question, patient_id: str) -> AssessmentAnswer:
    """Assess a patient. Reads only."""
    today = reviewer_of_today(request)
    reviewer = reviewer_asked_for(today, question, today.as_of)
    started = time.monotonic()
    async with _record_of_server():
        review = await reviewer.review_patient(request.app[CLIENT], patient_id)
    answer = review.answer
    tell(request, answer.decision, answer.reason, time.monotonic() - started)
    return answer


async def propose_for_patient(
    request: web.Request, question: Question, patient_id: str, *, cause: Cause
) -> Proposal:
    """Assess a patient and write the outcome back."""
    today = reviewer_of_today(request)
    reviewer = reviewer_asked_for(today, question, today.as_of)
    started = time.monotonic()
    async with _record_of_server():
        proposal = await reviewer.propose(request.app[CLIENT], patient_id, cause=cause)
    answer = proposal.answer
    tell(request, answer.decision, answer.reason, time.monotonic() - started)
    request[TOLD] |= proposal.log_fields
    request.app[METRICS].count_outcome(proposal.held, answer.care_plan.tier)
    return proposal


def reviewer_asked_for(reviewer: Reviewer, question: Question, today: date) -> Reviewer:
    """The reviewer of the day and the criteria set asked for; raises `NotFhir` for an unknown set."""
    reviewer = reviewer.on(question.as_of or today)
    if question.criteria is None:
        return reviewer
    known = reviewer.knowledge.criteria_sets
    if question.criteria not in known:
        raise NotFhir(f"criteria: no such criteria set; there are: {', '.join(sorted(known))}")
    return reviewer.under(question.criteria)


def reviewer_of_today(request: web.Request) -> Reviewer:
    """The reviewer of today."""
    return request.app[REVIEWER].on(clock.today(request.app[SETTINGS].timezone))


def tell(request: web.Request, decision: DecisionName, reason: ReasonOfDecision, seconds: float) -> None:
    """Count a decision, and have the line of the request state it."""
    request.app[METRICS].count_decision(decision.value, reason.value, seconds)
    request[TOLD] |= {"decision": decision.value, "reason": reason.value}


@asynccontextmanager
async def _record_of_server() -> AsyncIterator[None]:
    """A record has its time, and that it cannot be read is the caller's fault only where the caller sent it.

    What was cut short can be asked for again, as after a crash.
    """
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            yield
    except TimeoutError:
        raise ServerUnreachable(f"not done within {ANSWER_SECONDS:g} seconds; ask again later") from None
    except (NotJson, NotFhir) as error:
        raise NotAssessable(str(error)) from None
