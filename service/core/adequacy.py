"""The rule for an adequate trial: at the minimum dose for the minimum time.

A rule is met when the shortest length passes, not met when the longest fails, indeterminate between.
"""

from service.core.courses import Course, dose_is_assumed
from service.core.dates import total_days
from service.core.findings import Answer, Finding, Reason, ReasonCode
from service.core.knowledge import Criteria, Ingredient
from service.core.orders import as_taken
from service.core.records import DoseBasis, Exposure, VersionedReference


def judge_adequacy(course: Course, ingredient: Ingredient | None, criteria: Criteria) -> Answer:
    """Judge whether a course is an adequate trial: at the minimum dose for the minimum time.

    Source of both: the criteria set in use, and the minimum doses of `antidepressants.csv`.
    """
    shortest, longest = course.adequate_days
    evidence = course.evidence
    reasons = list(_dose_reasons(course, ingredient, criteria))
    if shortest >= criteria.minimum_days:
        text = f"{_days(course.adequate_days)} at an adequate dose (required {criteria.minimum_days})"
        return Answer(Finding.MET, (Reason(ReasonCode.ADEQUATE, text, evidence), *reasons))
    if course.days[1] < criteria.minimum_days:
        text = f"{_days(course.days)} of treatment in this episode (required {criteria.minimum_days})"
        return Answer(Finding.NOT_MET, (Reason(ReasonCode.TOO_SHORT, text, evidence), *reasons))
    if longest < criteria.minimum_days:
        text = (
            f"{_days(course.adequate_days)} at or above the minimum dose (required {criteria.minimum_days})"
        )
        return Answer(Finding.NOT_MET, (Reason(ReasonCode.DOSE_TOO_LOW, text, evidence), *reasons))
    needed = []
    taken = as_taken(course.exposures, criteria)
    prescribed = [e for e, shown in zip(course.exposures, taken, strict=True) if shown is None]
    if prescribed:
        text = "only a prescription is on record; dispensing and intake are not documented"
        told = tuple(ref for exposure in prescribed for ref in exposure.evidence)
        reasons.append(Reason(ReasonCode.PRESCRIBED_ONLY, text, told))
        needed.append("whether the patient took the prescribed medicine")
    elif course.days[0] < criteria.minimum_days <= _certain_days(course):
        text = f"{_days(course.days)} of treatment in this episode; the date on which it began is uncertain"
        reasons.append(Reason(ReasonCode.EPISODE_UNCERTAIN, text, evidence))
        needed.append("when the current episode of depression began")
    elif course.days[0] < criteria.minimum_days:
        text = f"{_days(course.days)} of treatment; the dates do not show whether it lasted long enough"
        reasons.append(Reason(ReasonCode.DURATION_UNCERTAIN, text, evidence))
        needed.append("the exact start and end dates")
    if not needed or any(r.code in _DOSE_UNCERTAIN for r in reasons):
        needed.append("the daily dose and the date from which it was taken")
    return Answer(Finding.INDETERMINATE, tuple(reasons), tuple(needed))


def _certain_days(course: Course) -> int:
    """The days of a course on every reading of its dates, in this episode or not."""
    certain = course.interval.certain
    return total_days((certain,)) if certain else 0


_DOSE_UNCERTAIN = {ReasonCode.DOSE_NOT_DOCUMENTED, ReasonCode.DOSE_UNREADABLE, ReasonCode.NO_MINIMUM_DOSE}


def _dose_reasons(course: Course, ingredient: Ingredient | None, criteria: Criteria) -> tuple[Reason, ...]:
    """Say what is assumed or unknown about the doses of a course."""
    if ingredient is None:
        text = "the medicine is not identified, so its minimum effective dose is not known"
        return (Reason(ReasonCode.NO_MINIMUM_DOSE, text, course.evidence),)
    minimum = criteria.minimum_mg(ingredient)
    if minimum is None:
        text = f"no minimum effective dose is known for {ingredient.name}"
        return (Reason(ReasonCode.NO_MINIMUM_DOSE, text, course.evidence),)
    reasons = []
    texts = {
        ReasonCode.DOSE_ASSUMED: "dose not documented and assumed adequate, as the criteria set specifies",
        ReasonCode.DOSE_NOT_DOCUMENTED: f"dose not documented (minimum {minimum:g} mg per day)",
        ReasonCode.DOSE_UNREADABLE: f"the dose text could not be read (minimum {minimum:g} mg per day)",
        ReasonCode.BELOW_MINIMUM: f"dose below the minimum of {minimum:g} mg per day",
    }
    found: dict[ReasonCode, list[VersionedReference]] = {}
    for exposure in course.exposures:
        code = _dose_reason(exposure, ingredient, minimum, criteria)
        if code is not None:
            found.setdefault(code, []).extend(exposure.evidence)
    for code, text in texts.items():
        if code in found:
            reasons.append(Reason(code, text, tuple(found[code])))
    return tuple(reasons)


def _dose_reason(
    exposure: Exposure, ingredient: Ingredient, minimum: float, criteria: Criteria
) -> ReasonCode | None:
    if exposure.dose.basis is DoseBasis.UNREADABLE:
        return ReasonCode.DOSE_UNREADABLE
    if exposure.dose.basis is DoseBasis.NOT_DOCUMENTED:
        assumed = dose_is_assumed(exposure, ingredient, criteria)
        return ReasonCode.DOSE_ASSUMED if assumed else ReasonCode.DOSE_NOT_DOCUMENTED
    below = exposure.dose.low_mg is not None and exposure.dose.low_mg < minimum
    return ReasonCode.BELOW_MINIMUM if below else None


def _days(days: tuple[int, int]) -> str:
    return f"{days[0]} days" if days[0] == days[1] else f"{days[0]} to {days[1]} days"
