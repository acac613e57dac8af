"""The rules on the course of a depression, written down a second time: slow and plain, on exact days.

It shares no rule with the service. What is right for the days as they happened must be what the service
concludes of any record of them that is exact, and must hold for every proposal.
"""

import tomllib
from collections.abc import Iterator
from datetime import date, timedelta
from functools import cache
from typing import Any

from service.core.decision import Decision, Propose, ReasonOfDecision
from service.core.trials import Counts
from service.knowledge import mappings_directory
from tests.generated.illness import MODERATE_OR_SEVERE, Illness, Scored, Taken
from tests.safety_tables import table
from tests.support import AS_OF

Rules = dict[str, Any]


@cache
def rules_of(criteria: str) -> Rules:
    """The parameters of a criteria set, as its file has them."""
    return _values(
        tomllib.loads((mappings_directory() / f"criteria/{criteria}.toml").read_text())["parameters"]
    )


@cache
def _scale(name: str) -> Rules:
    return _values(tomllib.loads((mappings_directory() / "scales.toml").read_text())[name])


@cache
def _antidepressants() -> dict[str, dict[str, str]]:
    return {row["name"]: row for row in table("codes/antidepressants.csv")}


def _values(rows: Rules) -> Rules:
    return {name: row["value"] for name, row in rows.items()}


def symptomatic(score: Scored) -> bool:
    return bool(score.value >= _scale(score.scale)["symptomatic_from"])


def in_remission(score: Scored) -> bool:
    return bool(score.value <= _scale(score.scale)["remission_up_to"])


# the depression --------------------------------------------------------------------------------


def remissions(of: Illness, rules: Rules) -> set[date]:
    """The last day of every remission on record."""
    found = {one.abated or one.recorded or one.onset for one in of.noted if one.in_remission}
    found |= {one.abated for one in of.noted if one.clinical == "resolved" and not one.at_visit}
    scores = sorted(of.scored, key=lambda score: score.day)
    for place, last in enumerate(scores):
        follows = scores[place + 1 : place + 2]
        if not in_remission(last) or any(in_remission(score) for score in follows):
            continue
        run = place
        while run > 0 and in_remission(scores[run - 1]):
            run -= 1
        if (last.day - scores[run].day).days >= rules["remission_days"]:
            found.add(last.day)
    return {day for day in found if day is not None}


def signs(of: Illness, rules: Rules) -> set[tuple[date, date]]:
    """Every day on which the depression shows, each with the first day that it speaks for."""
    days = {score.day for score in of.scored if symptomatic(score)}
    for one in of.noted:
        if one.severity is None and one.code != "F33.9":
            continue
        if not one.in_remission and (one.at_visit or one.active):
            onset = one.onset and min(one.onset, one.recorded or one.onset)
            days |= {day for day in (onset, one.recorded, one.asserted) if day is not None}
    found = {(day, day) for day in days if day <= AS_OF}
    for taken in of.taken:
        if taken.is_antidepressant and failed(taken, of, rules):
            found |= {(begun, taken.start) for begun in follow(taken, of, rules)}
            found |= {(taken.last, taken.start)} if taken.ineffective else set()
    return found


def shows_now(of: Illness, rules: Rules) -> bool:
    """Whether a sign of the last year is later than every remission."""
    over = max(remissions(of, rules), default=date.min)
    since = AS_OF - timedelta(days=rules["current_evidence_days"])
    return any(day >= since and day > over for day, _ in signs(of, rules))


def suicidal_now(of: Illness, rules: Rules) -> bool:
    return of.suicidal is not None and (AS_OF - of.suicidal).days <= rules["suicidality_days"]


def episode(of: Illness, rules: Rules) -> tuple[date, date] | None:
    """The earliest and the latest day on which this episode may have begun; `None` where nothing dates it."""
    active = [one for one in of.noted if one.active]
    onsets = [
        (one.at_visit, min(one.onset, one.recorded or one.onset)) for one in active if one.onset is not None
    ]
    start = max((onset for at_visit, onset in onsets if not at_visit), default=None)
    shown, over = signs(of, rules), remissions(of, rules)
    for end in sorted(over) if active else ():
        after = [max(since, end + timedelta(days=1)) for day, since in shown if day > end]
        if after and (start is None or start <= end):
            start = min(after)
    if start is None and not onsets:
        return None
    floor = AS_OF.replace(year=AS_OF.year - rules["look_back_years"])
    begun = start
    for day, since in sorted(shown, reverse=True):
        first = max(since, floor)
        if begun is None:
            begun = first
        elif day <= begun:
            apart = (begun - day).days > rules["episode_gap_days"]
            if apart or any(day <= end <= begun for end in over):
                break
            begun = min(begun, first)
    assert begun is not None
    return (begun, begun) if start is None else (min(begun, start), start)


# the medicines ---------------------------------------------------------------------------------


def while_taken(one: Taken, of: Illness) -> list[Scored]:
    """The scores on a medicine; one of its first day is one from before."""
    return [score for score in of.scored if one.start < score.day <= one.last]


def before(one: Taken, scale: str, of: Illness, rules: Rules) -> Scored | None:
    """The last score of a scale shortly before a medicine."""
    since = one.start - timedelta(days=rules["score_days"])
    found = [score for score in of.scored if score.scale == scale and since <= score.day <= one.start]
    return max(found, key=lambda score: score.day, default=None)


def _fallen(score: Scored, earlier: Scored | None) -> float:
    return (earlier.value - score.value) / earlier.value if earlier and earlier.value else 0.0


def helped(one: Taken, of: Illness, rules: Rules) -> bool:
    """Whether a score on a medicine was in remission, or had fallen as in a response."""
    return any(
        in_remission(score) or _fallen(score, before(one, score.scale, of, rules)) >= rules["response_fall"]
        for score in while_taken(one, of)
    )


def measured(one: Taken, of: Illness, rules: Rules) -> str | None:
    """What the scores say of a medicine, if anything."""
    if helped(one, of, rules):
        return "responded"
    first = one.start + timedelta(days=rules["minimum_days"] - 1)
    if one.ongoing:
        first = max(first, AS_OF - timedelta(days=rules["score_days"]))
    said = set()
    for scale in ("phq-9", "madrs"):
        late = [score for score in while_taken(one, of) if score.scale == scale and score.day >= first]
        if late:
            said.add(_compared(late[-1], before(one, scale, of, rules), one, rules))
    said -= {None}
    return said.pop() if len(said) == 1 else "undecided" if said else None


def _compared(last: Scored, earlier: Scored | None, one: Taken, rules: Rules) -> str | None:
    if earlier is None or not earlier.value:
        return "failed" if symptomatic(last) else None
    if _fallen(last, earlier) >= rules["failure_fall"] or (one.ongoing and not symptomatic(last)):
        return "partial"
    return "failed"


def follow(one: Taken, of: Illness, rules: Rules) -> Iterator[date]:
    """When each medicine was begun that replaced or augmented another."""
    latest = one.last + timedelta(days=rules["switch_days"])
    for other in of.taken:
        if other.augments and one.start < other.start <= one.last:
            yield other.start
        replaces = other.is_antidepressant and other.name != one.name and not one.ongoing
        if replaces and one.start < other.start <= latest and other.last > one.last:
            yield other.start


def failed(one: Taken, of: Illness, rules: Rules) -> bool:
    """Whether it is written that a medicine failed, or follows from what was done next."""
    said = measured(one, of, rules)
    if one.ineffective:
        return said != "responded"
    return said == "failed" or (said is None and any(True for _ in follow(one, of, rules)))


# what is concluded -----------------------------------------------------------------------------


def faults_of(of: Illness, decision: Decision, criteria: str) -> Iterator[str]:
    """What a decision must not rest on and does, when this is what happened."""
    rules = rules_of(criteria)
    if isinstance(decision, Propose):
        yield from _faults_of_plan(of, decision, rules)
    counted = {trial.name for trial in decision.assessment.trials if trial.counts is Counts.YES}
    for one in of.taken:
        if one.is_antidepressant and one.name in counted:
            yield from (f"{one.name} counts, {fault}" for fault in _faults_of_trial(one, of, rules))
            before_it = of.exact and any(one.last <= over for over in remissions(of, rules))
            if before_it and isinstance(decision, Propose):
                yield f"a plan, and {one.name} counts, which was taken before a remission"


def _faults_of_plan(of: Illness, plan: Propose, rules: Rules) -> Iterator[str]:
    acute = plan.reason is ReasonOfDecision.ACUTE_SUICIDALITY
    graded = any(one.active and one.severity in MODERATE_OR_SEVERE for one in of.noted)
    if not any(one.active for one in of.noted):
        yield "a plan without a depression that is active"
    if not shows_now(of, rules) and not suicidal_now(of, rules):
        yield "a plan, and nothing shows the depression now"
    if (acute or rules["trd_severity"] == "moderate-or-severe") and not graded:
        yield "a plan, and no depression is known to be moderate or severe"
    if acute and not suicidal_now(of, rules):
        yield "an acute plan without suicidality of now"


def _faults_of_trial(one: Taken, of: Illness, rules: Rules) -> Iterator[str]:
    inferred = not one.ineffective and not while_taken(one, of)
    if one.mg is None and (inferred or rules["undocumented_dose"] != "assume"):
        yield "and rests on a dose that nobody stated and nothing else that is documented"
    if one.mg is not None and one.mg < _minimum_mg(one, rules):
        yield "too low a dose"
    if (one.last - one.start).days + 1 < rules["minimum_days"]:
        yield "too short a time"
    if one.ordered and rules["prescribed_only"] == "possibly":
        yield "prescribed only"
    if inferred and (not rules["counted_inferences"] or not list(follow(one, of, rules))):
        yield "and its end alone says that it failed"
    stopped_some_day = one.ordered and one.ineffective
    if of.exact and not stopped_some_day and helped(one, of, rules):
        yield "and it helped"


def _minimum_mg(one: Taken, rules: Rules) -> float:
    row = _antidepressants()[one.name]
    strict = row["strict_min_daily_mg"] if rules["doses"] == "strict" else ""
    return float(strict or row["min_daily_mg"])
