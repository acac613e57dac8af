"""What is wrong with the plans of a simulated clinic, worked out from what stands on the server alone.

Nothing here asks the core.
"""

from collections.abc import Iterator
from datetime import date
from itertools import pairwise

from tests.generated.clinic import INDUCTION, Clinic, continues, sessions_of, steps_back
from tests.support import Resource


def faults(clinic: Clinic) -> Iterator[str]:
    """What is wrong with the plans as they stand."""
    yield from _lost_edits(clinic)
    if len(clinic.drafts) > 1:
        yield "more than one open draft"
    for plan in clinic.drafts:
        if continues(plan) and plan["id"] not in clinic.hands:
            yield from _faults_of(plan, clinic)


def _lost_edits(clinic: Clinic) -> Iterator[str]:
    for identity, left in clinic.hands.items():
        if clinic.plans.get(identity) != left:
            yield f"{identity} is not as a person left it"


def _faults_of(plan: Resource, clinic: Clinic) -> Iterator[str]:
    """What is wrong with a draft that continues a treatment and that nobody touched."""
    if clinic.found:
        yield f"a proposal in spite of {', '.join(clinic.found)}"
    if clinic.on_hold:
        yield "a proposal although the plan is on hold"
    if "(maintenance)" in str(plan["activity"]) and not (clinic.reviewed or _is_shown(clinic)):
        yield "maintenance without a benefit review or a score that shows response"
    proposed = [session.day for session in sessions_of(plan)]
    yield from (f"closed on {day}" for day in proposed if not clinic.is_open(day))
    ended = [one["reference"].partition("/")[2] for one in plan.get("replaces", [])]
    kept = clinic.still_planned(without=ended)
    if set(kept) & set(proposed):
        yield "a day is planned twice"
    yield from _faults_of_days(clinic, {*clinic.given, *kept}, set(proposed), twice_from(plan, clinic))


def twice_from(plan: Resource, clinic: Clinic) -> set[date]:
    """The days of sessions at the previous, more frequent schedule."""
    more_often = [one for one in (plan, *clinic.plans.values()) if steps_back(one)]
    return {session.day for one in more_often for session in sessions_of(one)}


def _faults_of_days(
    clinic: Clinic, others: set[date], proposed: set[date], more_often: set[date]
) -> Iterator[str]:
    """Proposed sessions too close to others, or too many in a week from the first on.

    The limits are the label's, and the house's distances. Where people made it too many, nobody proposed it.
    """
    days = sorted(others | proposed)
    for number, (one, other) in enumerate(pairwise(days), 2):
        least = 5 if number > INDUCTION and other not in more_often else 2
        if (other - one).days < least and {one, other} & proposed:
            yield f"{one} and {other} are {(other - one).days} days apart, session {number}"
    begun = min(session.day for plan in clinic.plans.values() for session in sessions_of(plan))
    weeks = [(day - begun).days // 7 for day in days]
    for number, week in enumerate(weeks):
        if days[number] not in proposed:
            continue
        most = 1 if number >= INDUCTION and days[number] not in more_often else 2
        if weeks[: number + 1].count(week) > most and not (most == 1 and weeks[INDUCTION - 1] == week):
            yield f"more than {most} sessions in week {week + 1}"


def _is_shown(clinic: Clinic) -> bool:
    """Whether a PHQ-9 of the last 14 days shows response or remission."""
    first, today, scores = (
        min(clinic.given, default=clinic.today),
        clinic.today,
        sorted(clinic.scores.items()),
    )
    baselines = [score for day, score in scores if 0 <= (first - day).days <= 14]
    latest = [score for day, score in scores if day > first and (today - day).days <= 14]
    if not latest:
        return False
    return latest[-1] < 5 or (baselines != [] and latest[-1] <= baselines[-1] / 2)
