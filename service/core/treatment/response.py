"""How a patient responds to a treatment, by the symptom scores before it and under it."""

from datetime import date
from enum import StrEnum
from typing import NamedTuple

from service.core.dates import days_before
from service.core.knowledge import Knowledge, ResponseRules, Scale
from service.core.records import Measure
from service.core.scores import Score


class ResponseFinding(StrEnum):
    """The response, the least favourable first; `UNKNOWN` where a score is missing."""

    WORSE = "worse"
    NONE = "none"
    PARTIAL = "partial"
    RESPONSE = "response"
    REMISSION = "remission"
    UNKNOWN = "unknown"


class InstrumentResponse(NamedTuple):
    """What one instrument says: the score before session 1, the latest under treatment, and the response."""

    instrument: Measure
    baseline: Score | None
    latest: Score | None
    finding: ResponseFinding

    @property
    def change(self) -> float | None:
        """The latest score less the one before treatment."""
        if self.baseline is None or self.latest is None:
            return None
        return self.latest.value - self.baseline.value


class Response(NamedTuple):
    """What all instruments say together: where they disagree, the less favourable decides."""

    finding: ResponseFinding
    decisive: InstrumentResponse | None
    instruments: tuple[InstrumentResponse, ...]


def read_response(
    scores: tuple[Score, ...], begun: date, rules: ResponseRules, knowledge: Knowledge, as_of: date
) -> Response:
    """The response on a day to a treatment that began with session 1 on another."""
    instruments = tuple(
        _of_instrument(
            tuple(s for s in scores if s.scale is measure), begun, rules, knowledge.scales[measure], as_of
        )
        for measure in sorted(knowledge.scales, key=lambda measure: measure.value, reverse=True)
        if any(s.scale is measure for s in scores)
    )
    known = [one for one in instruments if one.finding is not ResponseFinding.UNKNOWN]
    order = list(ResponseFinding)
    decisive = min(known or instruments, key=lambda one: order.index(one.finding), default=None)
    return Response(decisive.finding if decisive else ResponseFinding.UNKNOWN, decisive, instruments)


def _of_instrument(
    scores: tuple[Score, ...], begun: date, rules: ResponseRules, scale: Scale, as_of: date
) -> InstrumentResponse:
    since, recently = days_before(begun, rules.baseline_days), days_before(as_of, rules.latest_days)
    before = [s for s in scores if s.when.earliest >= since and s.when.latest <= begun]
    under = [s for s in scores if s.when.earliest > begun and s.when.latest <= as_of]
    baseline = before[-1] if before else None
    latest = next((s for s in reversed(under) if s.when.earliest >= recently), None)
    finding = _finding(baseline, latest, under, rules, scale)
    return InstrumentResponse(scores[0].scale, baseline, latest, finding)


def _finding(
    baseline: Score | None, latest: Score | None, under: list[Score], rules: ResponseRules, scale: Scale
) -> ResponseFinding:
    if latest is None:
        return ResponseFinding.UNKNOWN
    earlier = under[: under.index(latest)]
    if _is_worse(latest, earlier, scale):
        return ResponseFinding.WORSE
    if latest.in_remission:
        return ResponseFinding.REMISSION
    if baseline is None or baseline.value <= 0:
        return ResponseFinding.UNKNOWN
    fall = (baseline.value - latest.value) / baseline.value
    if fall >= rules.response_fall:
        return ResponseFinding.RESPONSE
    return ResponseFinding.PARTIAL if fall >= rules.partial_fall else ResponseFinding.NONE


def _is_worse(latest: Score, earlier: list[Score], scale: Scale) -> bool:
    """Whether the latest score rose from the lowest under treatment, or left a remission for symptoms."""
    lowest = min((score.value for score in earlier), default=latest.value)
    relapsed = latest.symptomatic and any(score.in_remission for score in earlier)
    return relapsed or latest.value - lowest >= scale.worse_by
