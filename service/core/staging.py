"""Published staging of treatment resistance, as ranges where the record leaves an item open."""

from collections.abc import Iterable
from typing import NamedTuple

from service.core.augmentation import join_agent_courses
from service.core.courses import Episode
from service.core.dates import Interval, Span, Spans, total_days, union
from service.core.depression import DepressionFindings
from service.core.exposures import trial_key
from service.core.knowledge import Band, Knowledge, Staging
from service.core.records import Exposure, Procedure, ProcedureKind, Record, Role
from service.core.trials import Counts, Trial

_DAYS_A_MONTH = 30.4375


class Range(NamedTuple):
    """A score between `low` and `high`; `unknown` names the items that leave it open."""

    low: float
    high: float
    unknown: tuple[str, ...] = ()


class StagingScores(NamedTuple):
    """Maudsley Staging Method, Massachusetts General Hospital staging, Thase-Rush stage."""

    msm: Range
    mgh_s: Range
    thase_rush: Range


def stage(
    trials: tuple[Trial, ...],
    settled: Record,
    depression: DepressionFindings,
    episode: Episode,
    knowledge: Knowledge,
) -> StagingScores:
    """Score the three scales. `settled` is the record with the ends of its exposures settled.

    Sources: Fekadu 2018 (MSM), and the comparison of MSM and MGH-S in PMC7392234; see
    `mappings/staging.toml`.
    """
    sure = [trial for trial in trials if trial.counts is Counts.YES]
    possible = [trial for trial in trials if trial.counts is not Counts.NO]
    unknown = ("which trials failed",) if len(sure) < len(possible) else ()
    failures = Range(len(sure), len(possible), unknown)
    scales = knowledge.staging
    augmented = _augmentation(trials, settled.exposures, episode, knowledge)
    given = _Given(failures, augmented, _ect(settled, episode))
    return StagingScores(
        _msm(given, depression, episode, scales),
        _mgh(given, scales),
        _thase_rush(sure, possible, given, scales),
    )


class _Given(NamedTuple):
    """What was given: how many trials failed, and whether there was augmentation and ECT (0 or 1)."""

    failures: Range
    augmentation: Range
    ect: Range


def _ect(record: Record, episode: Episode) -> Range:
    """Whether electroconvulsive therapy was given in this episode: 1, 0, or open."""
    unknown = ("electroconvulsive therapy",)
    courses = [p for p in record.procedures if p.kind is ProcedureKind.ECT and _may_be_in(p, episode)]
    if any(p.done and p.period.start and p.period.start.earliest >= episode.start.latest for p in courses):
        return Range(1, 1)
    unread = {*record.not_read, *(u.evidence.type for u in record.unreadable)}
    return Range(0, 1, unknown) if courses or "Procedure" in unread else Range(0, 0)


def _may_be_in(procedure: Procedure, episode: Episode) -> bool:
    start, end = procedure.period.start, procedure.period.end
    ended_before = end is not None and end.latest < episode.start.earliest
    return not ended_before and not (start is not None and start.earliest > episode.as_of)


def _times(value: float, given: Range) -> Range:
    return Range(value * given.low, value * given.high, given.unknown)


def _augmentation(
    trials: tuple[Trial, ...], exposures: tuple[Exposure, ...], episode: Episode, knowledge: Knowledge
) -> Range:
    """Whether an agent ran beside an antidepressant of this episode at a dose that augments: 1, 0, open."""
    agents: dict[tuple[str, str], list[Exposure]] = {}
    for exposure in exposures:
        if exposure.medicine.role is Role.AUGMENTING:
            agents.setdefault(trial_key(exposure), []).append(exposure)
    at_dose = [
        course.at_dose
        for same in agents.values()
        for course in join_agent_courses(tuple(same), episode, knowledge)
    ]
    taken = [course.interval for trial in trials if trial.in_episode for course in trial.courses]
    certain = [span for interval in taken if (span := interval.certain)]
    possible = [_possible(interval, episode) for interval in taken]
    low = int(any(_meet(certain, sure) for sure, _ in at_dose))
    high = int(any(_meet(possible, perhaps) for _, perhaps in at_dose))
    return Range(low, high, ("augmentation",) if low < high else ())


def _possible(interval: Interval, episode: Episode) -> Span:
    last = interval.end.latest if interval.end else episode.as_of
    first = interval.start.earliest if interval.start else episode.start.earliest
    return (min(first, last), last)


def _meet(some: list[Span], others: Spans) -> bool:
    """Whether two sets of days share one."""
    apart = total_days(union(some)) + total_days(others)
    return total_days(union([*some, *others])) < apart


def _msm(given: _Given, depression: DepressionFindings, episode: Episode, scales: Staging) -> Range:
    bands = scales.msm_duration_months
    if episode.assumed:
        duration = Range(bands[0].score, bands[-1].score, ("duration of the episode",))
    else:
        shortest = (episode.as_of - episode.start.latest).days / _DAYS_A_MONTH
        longest = (episode.as_of - episode.start.earliest).days / _DAYS_A_MONTH
        duration = Range(_band(bands, shortest), _band(bands, longest))
    severity = _msm_severity(depression, scales)
    bands = scales.msm_failed
    failures = given.failures
    failed = Range(_band(bands, failures.low), _band(bands, failures.high), failures.unknown)
    agent = _times(scales.msm_augmentation, given.augmentation)
    return _total((duration, severity, failed, agent, _times(scales.msm_ect, given.ect)))


def _msm_severity(depression: DepressionFindings, scales: Staging) -> Range:
    known = []
    for diagnosis in depression.anchors:
        graded = diagnosis.depression
        if graded is not None and graded.psychotic:
            known.append(scales.msm_severity["psychotic"])
        elif graded is not None and graded.severity is not None:
            known.append(scales.msm_severity[graded.severity.value])
    if known:
        return Range(max(known), max(known))
    scores = scales.msm_severity.values()
    return Range(min(scores), max(scores), ("severity",))


def _mgh(given: _Given, scales: Staging) -> Range:
    failed = _times(scales.mgh_per_failure, given.failures)
    unknown = ("optimisation",) if given.failures.high else ()
    optimised = Range(0, given.failures.high * scales.mgh_optimisation, unknown)
    agent = _times(scales.mgh_augmentation, given.augmentation)
    return _total((failed, optimised, agent, _times(scales.mgh_ect, given.ect)))


def _thase_rush(sure: list[Trial], possible: list[Trial], given: _Given, scales: Staging) -> Range:
    """Stage 0 to V; each stage needs the one before it. V asks for bilateral ECT: the side is not read."""
    unknown = given.failures.unknown
    low = _thase_rush_stage(_classes(sure), scales)
    high = _thase_rush_stage(_classes(possible), scales)
    if high == scales.thase_rush_ect - 1 and given.ect.high:
        return Range(low, scales.thase_rush_ect, (*unknown, "bilateral electroconvulsive therapy"))
    return Range(low, high, unknown)


def _classes(trials: Iterable[Trial]) -> list[str]:
    return [trial.ingredient.drug_class if trial.ingredient else trial.name for trial in trials]


def _thase_rush_stage(classes: list[str], scales: Staging) -> int:
    if len(set(classes)) <= 1:
        return min(len(classes), 1)
    reached = 2
    for name, number in sorted(scales.thase_rush_classes.items(), key=lambda item: item[1]):
        if name in classes and reached == number - 1:
            reached = number
    return reached


def _band(bands: tuple[Band, ...], value: float) -> float:
    return next(band.score for band in bands if band.up_to is None or value <= band.up_to)


def _total(items: tuple[Range, ...]) -> Range:
    unknown = tuple(dict.fromkeys(name for item in items for name in item.unknown))
    return Range(sum(i.low for i in items), sum(i.high for i in items), unknown)
