"""What comes next under treatment, and what is due: the first rule that applies.

Nothing here changes a plan that people follow; a clinician decides what becomes of it.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from typing import NamedTuple

from service.core.assessment import ACUTE, Assessment
from service.core.dates import days_before
from service.core.knowledge import CareSetting, Effect, NextCode, NextRule, TreatmentRule
from service.core.records import Diagnosis, Record
from service.core.safety import SafetyFinding, assess_safety
from service.core.schedule import Calendar
from service.core.treatment.course import TreatmentCourse
from service.core.treatment.response import Response, ResponseFinding, read_response

INDUCTION, MAINTENANCE = "induction", "maintenance"
_WEEK = 7


class DueWhat(StrEnum):
    """What is due under treatment."""

    REMS_FORM = "rems-form"
    BENEFIT_REVIEW = "benefit-review"
    MAINTENANCE_REVIEW = "maintenance-review"
    SCORE = "score"


class Due(NamedTuple):
    """Something that is due, and by when at the latest, where that is known."""

    what: DueWhat
    by: date | None


@dataclass(frozen=True, slots=True)
class Treatment:
    """A treatment under way on a day. `new_findings` are those of safety that came up since it began.

    `last_known` is the response on the day of the last score: it changes by a new score, and never by time.
    """

    course: TreatmentCourse
    response: Response
    last_known: ResponseFinding
    new_findings: tuple[SafetyFinding, ...]
    next: NextRule
    due: tuple[Due, ...]
    as_of: date

    @property
    def week(self) -> int:
        """The week of treatment, from 1; 0 before session 1."""
        begun = self.course.begun
        return 0 if begun is None or begun > self.as_of else (self.as_of - begun).days // _WEEK + 1

    @property
    def phase(self) -> str:
        """Induction until as many sessions were given as it has, whatever the week; then maintenance.

        A protocol that has no maintenance stays in its induction.
        """
        has_maintenance = len(self.course.protocol.phases) > 1
        return MAINTENANCE if has_maintenance and not _in_induction(self.course) else INDUCTION

    @property
    def frequency(self) -> TreatmentRule | None:
        """How often sessions are in maintenance, where maintenance is what comes next."""
        return self.course.protocol.by_response if self.next.code is NextCode.MAINTAIN else None

    @property
    def duration(self) -> TreatmentRule | None:
        """How long maintenance goes on at least, where the label says so."""
        return self.course.protocol.duration if self.phase == MAINTENANCE else None


def follow_treatment(record: Record, assessment: Assessment, calendar: Calendar) -> Treatment | None:
    """What comes next in the treatment that a patient is under, and what is due.

    `None` without one, and where none is followed.
    """
    course, knowledge, as_of = assessment.course, assessment.knowledge, assessment.as_of
    if course is None or not record.follows_course:
        return None
    begun = course.begun or as_of
    rules = course.protocol.response
    response = read_response(assessment.scores, begun, rules, knowledge, as_of)
    scored = max((s.when.latest for s in assessment.scores if s.when.latest <= as_of), default=as_of)
    last_known = read_response(assessment.scores, begun, rules, knowledge, scored).finding
    new_findings = _new_findings(record, assessment, course)
    latest_start = as_of + timedelta(days=calendar.lead_days)
    situation = _Situation(course, response.finding, new_findings, latest_start, as_of)
    code = next(code for applies, code in situation.rows() if applies)
    due = tuple(_due(course, response, code, calendar, as_of))
    return Treatment(course, response, last_known, new_findings, _next_rule(course, code), due, as_of)


def _next_rule(course: TreatmentCourse, code: NextCode) -> NextRule:
    """What comes next in words: a review of the benefit after one on record is of the maintenance."""
    again = course.protocol.no_response if course.reviewed else None
    if code is NextCode.BENEFIT_REVIEW and again is not None:
        return NextRule(code, *again)
    return course.protocol.next_rule(code)


def _new_findings(
    record: Record, assessment: Assessment, course: TreatmentCourse
) -> tuple[SafetyFinding, ...]:
    """The findings that call for a review and that the record did not show on the day of session 1.

    What has no date may be new. Until session 1 is given, every finding is.
    """
    serious = [finding for finding in assessment.safety if finding.effect is not Effect.CAUTION]
    begun = course.begun
    if begun is None or not course.taken:
        return tuple(serious)
    before = replace(
        record,
        diagnoses=tuple(d for d in record.diagnoses if _was_there(d, begun)),
        signs=tuple(d for d in record.signs if _was_there(d, begun)),
        allergies=(),
        observations=tuple(o for o in record.observations if o.when is not None and o.when.latest <= begun),
        exposures=tuple(
            e for e in record.exposures if e.period.start is not None and e.period.start.latest <= begun
        ),
        unreadable=(),
        refused=(),
        plans_in_words=(),
    )
    known = assess_safety(before, before.exposures, assessment.knowledge, begun, course.evidence)
    known_ids = {finding.id for finding in known if finding.effect is not Effect.CAUTION}
    return tuple(finding for finding in serious if finding.id not in known_ids)


def _was_there(diagnosis: Diagnosis, day: date) -> bool:
    """Whether a condition certainly stood on the record on a day."""
    since = diagnosis.recorded or diagnosis.onset
    return since is not None and since.latest <= day


@dataclass(frozen=True, slots=True)
class _Situation:
    """A treatment on a day, as the rows of docs/treatment.md ask for it."""

    course: TreatmentCourse
    response: ResponseFinding
    new_findings: tuple[SafetyFinding, ...]
    latest_start: date
    as_of: date

    def rows(self) -> Iterator[tuple[bool, NextCode]]:
        """What comes next, each with whether it applies; the first that does decides."""
        course, response = self.course, self.response
        induction = _in_induction(course)
        acute = course.protocol.pathway == ACUTE
        worse = response is ResponseFinding.WORSE
        ahead = any(day > self.latest_start for day in course.ahead) or not course.is_dated
        few = len(course.taken) + len(course.ahead) < course.protocol.dated_sessions
        yield bool(self.new_findings), NextCode.TREATMENT_SAFETY
        yield acute and (not induction or _weeks_are_over(course, self.as_of)), NextCode.ACUTE_REVIEW
        yield _has_lapsed(course, self.as_of), NextCode.LAPSE
        yield not induction and not course.reviewed and response not in _HELPED, NextCode.BENEFIT_REVIEW
        yield ahead and (induction or not worse or course.has_stepped_back), NextCode.ON_TRACK
        yield course.held, NextCode.ON_HOLD
        yield induction, NextCode.CONTINUE
        yield worse and course.is_dated, NextCode.STEP_BACK
        yield few and course.is_dated, NextCode.MAINTAIN
        yield worse or response is ResponseFinding.NONE, NextCode.BENEFIT_REVIEW
        yield True, NextCode.MAINTAIN


_HELPED = frozenset({ResponseFinding.REMISSION, ResponseFinding.RESPONSE})


def _in_induction(course: TreatmentCourse) -> bool:
    return len(course.taken) < course.protocol.induction_sessions


def _weeks_are_over(course: TreatmentCourse, as_of: date) -> bool:
    weeks = course.protocol.phases[-1].last_week
    return course.begun is not None and course.begun + timedelta(days=weeks * _WEEK) <= as_of


def _has_lapsed(course: TreatmentCourse, as_of: date) -> bool:
    """Whether more days than a lapse allows passed since the last session, or since the first planned one."""
    since = course.last_taken or course.begun
    return since is not None and since < days_before(as_of, course.protocol.missed.lapse_days)


def _due(
    course: TreatmentCourse, response: Response, code: NextCode, calendar: Calendar, as_of: date
) -> list[Due]:
    """REMS forms of the last sessions, the reviews of benefit and maintenance, the score that is missing."""
    due = [Due(DueWhat.REMS_FORM, day) for day in _forms(course, calendar, as_of)]
    over = not _in_induction(course) or code is NextCode.ACUTE_REVIEW
    again = code is NextCode.BENEFIT_REVIEW and not course.maintenance_reviewed
    if again or (over and not course.reviewed):
        ahead = [day for day in course.ahead if day >= as_of]
        due.append(Due(DueWhat.BENEFIT_REVIEW, min(ahead, default=None)))
    if _maintenance_is_to_be_reviewed(course):
        due.append(Due(DueWhat.MAINTENANCE_REVIEW, max(course.plans[-1].sessions)))
    if course.taken and response.finding is ResponseFinding.UNKNOWN:
        due.append(Due(DueWhat.SCORE, None))
    return due


def _maintenance_is_to_be_reviewed(course: TreatmentCourse) -> bool:
    """Whether the last plan holds a block of maintenance that is under way and not reviewed yet."""
    points = {point.code for point in course.protocol.decision_points}
    under_way = DueWhat.MAINTENANCE_REVIEW.value in points and not _in_induction(course)
    return under_way and bool(course.plans[-1].sessions) and not course.maintenance_reviewed


def _forms(course: TreatmentCourse, calendar: Calendar, as_of: date) -> list[date]:
    """By when the monitoring forms of sessions are due; whether one was sent stands on no record."""
    days = course.protocol.form_days
    if days is None or calendar.setting is not CareSetting.OUTPATIENT:
        return []
    given = (session.given.latest for session in course.taken if session.given is not None)
    return [by for day in given if (by := day + timedelta(days=days)) >= as_of]
