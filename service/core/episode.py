"""The course of the depression over time: when it showed, when it was in remission, when this episode began.

A *sign* is something dated that shows the depression on that day: a diagnosis, a score with symptoms, an
antidepressant that did not help. Signs at most `episode_gap_days` of the criteria set apart, without a
remission between them, are one episode.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from typing import NamedTuple

from service.core.courses import Episode
from service.core.dates import PartialDate, days_before, say_date, years_before
from service.core.depression import CURRENT_SCORE, DepressionFindings, is_ended, is_in_remission
from service.core.findings import Answer, Finding, Reason, ReasonCode
from service.core.knowledge import Criteria
from service.core.records import DepressionState, Diagnosis, Record, Verification, VersionedReference
from service.core.scores import Score

_DAY = timedelta(days=1)


class DepressionSign(NamedTuple):
    """Something on the record that shows the depression on the day `when`.

    `since` is the first day that it speaks for: of a medicine that did not help, the day it was begun.
    """

    when: PartialDate
    since: PartialDate
    text: str
    evidence: tuple[VersionedReference, ...]

    def __str__(self) -> str:
        """What it is, with its date."""
        return f"{self.text} ({say_date(self.when)})"


class Remission(NamedTuple):
    """The last day of a remission on record; `certain` is false where dates leave it open."""

    when: PartialDate
    certain: bool
    evidence: tuple[VersionedReference, ...]


class DepressionHistory(NamedTuple):
    """The signs of the depression and its remissions up to a day, each in order of time."""

    signs: tuple[DepressionSign, ...]
    remissions: tuple[Remission, ...]


def find_history(
    record: Record,
    scores: tuple[Score, ...],
    treated: tuple[DepressionSign, ...],
    criteria: Criteria,
    as_of: date,
) -> DepressionHistory:
    """Every sign and every remission on record up to a day. `treated` are the signs of treatments."""
    remissions = find_remissions(record, scores, criteria, as_of)
    return DepressionHistory(_find_signs(record, scores, treated, as_of), remissions)


def _find_signs(
    record: Record, scores: tuple[Score, ...], treated: tuple[DepressionSign, ...], as_of: date
) -> tuple[DepressionSign, ...]:
    shown = (DepressionSign(s.when, s.when, str(s), s.evidence) for s in scores if s.symptomatic)
    diagnosed = (sign for d in record.diagnoses for sign in _signs_of(d, as_of))
    known = (sign for sign in (*shown, *diagnosed, *treated) if sign.when.earliest <= as_of)
    return tuple(
        sorted(
            (sign._replace(when=sign.when.at_most(as_of)) for sign in known),
            key=lambda sign: (sign.when.earliest, sign.when.latest, sign.text, str(sign.evidence)),
        )
    )


def _signs_of(diagnosis: Diagnosis, as_of: date) -> Iterator[DepressionSign]:
    """The days on which a condition shows major depression; a visit shows it whatever became of it."""
    depression = diagnosis.depression
    if depression is None or depression.state is not DepressionState.MDD:
        return
    if diagnosis.verification is Verification.UNPROVEN or is_in_remission(diagnosis):
        return
    if not diagnosis.at_visit and is_ended(diagnosis, as_of) is not Finding.NOT_MET:
        return
    dated = {
        "major depression diagnosed at a visit" if diagnosis.at_visit else "onset of major depression": (
            known_onset(diagnosis)
        ),
        "major depression recorded": diagnosis.recorded,
        "major depression asserted": diagnosis.asserted,
    }
    for text, when in dated.items():
        if when is not None:
            yield DepressionSign(when, when, text, diagnosis.evidence)


def known_onset(diagnosis: Diagnosis) -> PartialDate | None:
    """When a condition began: by its onset, which is no later than the day it was recorded."""
    if diagnosis.onset is None or diagnosis.recorded is None:
        return diagnosis.onset
    return diagnosis.onset.at_most(diagnosis.recorded.latest)


def find_remissions(
    record: Record, scores: tuple[Score, ...], criteria: Criteria, as_of: date
) -> tuple[Remission, ...]:
    """Every remission up to a day: coded, ended on the problem list, or shown by scores; the last one last.

    Scores show one by two in the range of remission at least `remission_days` apart, and none above that
    range between them.
    """
    found = [one for d in record.diagnoses if (one := _remission_of(d, as_of)) is not None]
    found += _remissions_by_scores(scores, criteria)
    known = (one for one in found if one.when.earliest <= as_of)
    return tuple(sorted(known, key=lambda one: (one.when.latest, one.when.earliest, one.certain)))


def _remission_of(diagnosis: Diagnosis, as_of: date) -> Remission | None:
    if diagnosis.depression is None or diagnosis.verification is Verification.UNPROVEN:
        return None
    if is_in_remission(diagnosis):
        when = diagnosis.abatement or diagnosis.recorded or diagnosis.onset
    elif not diagnosis.at_visit and is_ended(diagnosis, as_of) is Finding.MET:
        when = diagnosis.abatement
    else:
        return None
    return None if when is None else Remission(when, certain=True, evidence=diagnosis.evidence)


def _remissions_by_scores(scores: tuple[Score, ...], criteria: Criteria) -> Iterator[Remission]:
    vague = [s.when for s in scores if not s.in_remission and not s.when.is_exact]
    for run in _runs_in_remission(scores):
        first, last = run[0].when, max(score.when for score in run)
        if (last.latest - first.earliest).days < criteria.remission_days:
            continue
        apart = (last.earliest - first.latest).days >= criteria.remission_days
        broken = any(v.earliest <= last.latest and v.latest >= first.earliest for v in vague)
        evidence = tuple(ref for score in run for ref in score.evidence)
        yield Remission(last, apart and not broken, evidence)


def _runs_in_remission(scores: tuple[Score, ...]) -> Iterator[list[Score]]:
    """Scores in remission that follow each other; one above it without an exact day may not break a run."""
    run: list[Score] = []
    for score in scores:
        if score.in_remission:
            run.append(score)
        elif run and score.when.is_exact:
            yield run
            run = []
    if run:
        yield run


def shown_now(
    current: Answer,
    history: DepressionHistory,
    suicidality: Answer,
    criteria: Criteria,
    as_of: date,
) -> Answer:
    """Whether a depression that is on record as active shows in the present as well.

    It needs a sign of the last `current_evidence_days` that is later than every remission, or current
    suicidality. A problem list alone may never have been closed.
    """
    if current.finding is not Finding.MET or suicidality.finding is Finding.MET:
        return current
    since = days_before(as_of, criteria.current_evidence_days)
    recent = [sign for sign in history.signs if sign.when.earliest >= since]
    later = [sign for sign in recent if _follows(sign, history.remissions)]
    if later:
        last = later[-1]
        reason = Reason(ReasonCode.SIGN_OF_DEPRESSION, f"last sign of it: {last}", last.evidence)
        return replace(current, reasons=(*current.reasons, reason))
    if recent:
        text = "a remission is on record, and nothing after it shows the depression again"
        evidence = tuple(ref for one in history.remissions for ref in one.evidence)
        reason = Reason(ReasonCode.NO_SIGN_SINCE_REMISSION, text, evidence)
    else:
        text = (
            f"nothing dated within the last {criteria.current_evidence_days} days shows that the depression "
            "is present"
        )
        reason = Reason(ReasonCode.NO_RECENT_SIGN, text)
    return Answer(Finding.INDETERMINATE, (*current.reasons, reason), (CURRENT_SCORE,))


def _follows(sign: DepressionSign, remissions: Iterable[Remission]) -> bool:
    """Whether a sign is certainly later than every remission."""
    return all(sign.when.earliest > one.when.latest for one in remissions)


def find_episode(
    depression: DepressionFindings, history: DepressionHistory, criteria: Criteria, as_of: date
) -> tuple[Episode, tuple[Reason, ...]]:
    """The current episode: from the latest known onset of the active major depressions on the problem list.

    After a remission the next sign begins a new episode. A run of signs that reaches back beyond the onset
    leaves the start open between the two. Where only visits have an onset, the episode begins with the run.
    The day a condition was recorded is only an upper bound of its onset. Without any onset the criteria set's
    look-back is used, with a warning.
    """
    active = depression.current.finding
    floor = years_before(as_of, criteria.look_back_years)
    listed = tuple(d for d in depression.anchors if not d.at_visit)
    onset = _latest_onset(listed, as_of)
    start = _after_remissions(onset, history) if depression.anchors else None
    dated = start is not None or _latest_onset(depression.anchors, as_of) is not None
    run = _begin_of_run(start, history, criteria, floor) if dated else None
    evidence = tuple(ref for d in depression.anchors for ref in d.evidence)
    if run is None:
        text = (
            f"no onset date of the depression is on record, so medicines of the last "
            f"{criteria.look_back_years} years are assumed to belong to this episode"
        )
        warning = Reason(ReasonCode.EPISODE_ASSUMED, text, evidence)
        return Episode(PartialDate.on(floor), as_of, assumed=True, active=active), (warning,)
    begun = run if start is None else PartialDate(min(run.earliest, start.earliest), start.latest)
    episode = Episode(begun.at_most(as_of), as_of, assumed=False, active=active)
    if start is None or begun == start:
        return episode, ()
    text = (
        f"signs of depression are on record since {say_date(PartialDate.on(run.earliest))}, before the onset "
        f"on the problem list ({say_date(start)}), so the start of this episode is uncertain"
    )
    return episode, (Reason(ReasonCode.EPISODE_START_OPEN, text, evidence),)


def _latest_onset(diagnoses: tuple[Diagnosis, ...], as_of: date) -> PartialDate | None:
    onsets = [onset for d in diagnoses if (onset := known_onset(d)) is not None and onset.earliest <= as_of]
    if not onsets:
        return None
    return PartialDate(max(o.earliest for o in onsets), max(o.latest for o in onsets))


def _after_remissions(onset: PartialDate | None, history: DepressionHistory) -> PartialDate | None:
    """The onset, or the first sign after a remission that ended the episode which it began.

    A remission that is not certain leaves the start open between the two.
    """
    for remission in history.remissions:
        over = remission.when.latest
        later = [_not_before(sign.since, over + _DAY) for sign in history.signs if sign.when.earliest > over]
        if not later or (onset is not None and onset.earliest > over):
            continue
        again = PartialDate(min(s.earliest for s in later), min(s.latest for s in later))
        if remission.certain:
            onset = again
        elif onset is not None:
            onset = PartialDate(onset.earliest, max(onset.latest, again.latest))
    return onset


def _begin_of_run(
    start: PartialDate | None, history: DepressionHistory, criteria: Criteria, floor: date
) -> PartialDate | None:
    """When the run of signs began that leads to `start`, or to the last sign where there is no start.

    A sign that only may belong to the run leaves open when it began.
    """
    begun = start
    for sign in sorted(history.signs, key=lambda sign: sign.when.latest, reverse=True):
        since = _not_before(sign.since, floor)
        if begun is None:
            begun = since
            continue
        if sign.when.earliest > begun.latest:
            continue
        between = [one for one in history.remissions if _may_lie_between(sign.when, one.when, begun)]
        too_far = (begun.earliest - sign.when.latest).days > criteria.episode_gap_days
        if too_far or any(remission.certain for remission in between):
            break
        near = (begun.latest - sign.when.earliest).days <= criteria.episode_gap_days
        latest = min(begun.latest, since.latest) if near and not between else begun.latest
        begun = PartialDate(min(begun.earliest, since.earliest), latest)
    return begun


def _may_lie_between(first: PartialDate, when: PartialDate, last: PartialDate) -> bool:
    return first.earliest <= when.latest and when.earliest <= last.latest


def _not_before(when: PartialDate, first: date) -> PartialDate:
    return PartialDate(max(when.earliest, first), max(when.latest, first))
