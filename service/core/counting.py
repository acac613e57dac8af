"""How many trials failed, and whether that is enough: in number and in classes, as the criteria set says."""

from typing import NamedTuple

from service.core.findings import Answer, Finding, Reason, ReasonCode
from service.core.knowledge import Criteria, RelatedPairs
from service.core.outcome import Basis
from service.core.records import MEDICINE_RECORDS, Record, VersionedReference
from service.core.trials import Counts, Trial


class FailedTrials(NamedTuple):
    """How many trials failed, a merged pair counted once.

    `definite` includes inferred failures that the criteria set counts. `classes` are the different
    classes of the definite ones.
    """

    definite: int
    inferred: int
    possible: int
    required: int
    classes: int
    required_classes: int


def count_failed(trials: tuple[Trial, ...], criteria: Criteria) -> FailedTrials:
    """Count the trials that failed for certain, and those that may have."""
    yes = _that(trials, Counts.YES)
    documented = {_counted_as(t, criteria) for t in yes if t.outcome.basis is not Basis.INFERRED}
    definite = {_counted_as(trial, criteria) for trial in yes}
    possible = {_counted_as(trial, criteria) for trial in _that(trials, Counts.POSSIBLY)} - definite
    return FailedTrials(
        definite=len(definite),
        inferred=len(definite - documented),
        possible=len(possible),
        required=criteria.required_trials,
        classes=len(_classes(yes)),
        required_classes=criteria.required_classes,
    )


def enough_failed(record: Record, trials: tuple[Trial, ...], criteria: Criteria) -> Answer:
    """Whether enough adequate trials failed in this episode; what is uncertain leaves it open.

    A medicine that cannot be told, or could not be read, leaves it open however few trials there are:
    the record may hold more than it shows.
    """
    failed = count_failed(trials, criteria)
    yes, maybe = _that(trials, Counts.YES), _that(trials, Counts.POSSIBLY)
    if failed.definite >= failed.required and failed.classes >= failed.required_classes:
        text = f"{_names(yes)} failed after an adequate trial"
        return Answer(Finding.MET, (Reason(ReasonCode.ENOUGH_TRIALS, text, _refs(yes)),))
    reasons: list[Reason] = []
    needed: list[str] = []
    untold = any(trial.ingredient is None for trial in maybe)
    if untold or _may_suffice(failed, len(_classes((*yes, *maybe)))):
        text = (
            f"{failed.definite} of {failed.required} required trials failed; {_names(maybe)} may have failed"
        )
        reasons.append(Reason(ReasonCode.TRIALS_UNDECIDED, text, _refs(maybe)))
        needed.extend(f"for {trial.name}, {what}" for trial in maybe for what in trial.needed)
    unreadable = tuple(u.evidence for u in record.unreadable if u.evidence.type in MEDICINE_RECORDS)
    if unreadable:
        text = "a medicine record could not be read"
        reasons.append(Reason(ReasonCode.UNREADABLE_MEDICINES, text, unreadable))
        needed.append("a readable medicine record")
    hidden = [kind for kind in record.refused if kind in MEDICINE_RECORDS]
    if hidden:
        text = f"the server does not provide medicine records ({', '.join(hidden)})"
        reasons.append(Reason(ReasonCode.HIDDEN_MEDICINES, text))
        needed.append("the medicine records that the server does not provide")
    none_known = MEDICINE_RECORDS.intersection(record.none_known)
    if not record.exposures and not unreadable and not hidden and not none_known:
        reasons.append(Reason(ReasonCode.NO_MEDICINES, "no medication is on record"))
        needed.append("the medication history")
    if reasons:
        return Answer(Finding.INDETERMINATE, tuple(reasons), tuple(needed))
    return Answer(Finding.NOT_MET, (_too_few(trials, failed),))


def flag_related(trials: tuple[Trial, ...], criteria: Criteria) -> tuple[Reason, ...]:
    """Name closely related medicines that the criteria set counts as two trials."""
    if criteria.related_pairs is RelatedPairs.MERGED:
        return ()
    counted = {t.name: t for t in trials if t.ingredient and t.counts is not Counts.NO}
    pairs = {
        tuple(sorted((trial.name, trial.ingredient.related)))
        for trial in counted.values()
        if trial.ingredient and trial.ingredient.related in counted
    }
    return tuple(
        Reason(
            ReasonCode.RELATED_PAIR,
            f"{one} and {other} are closely related; this criteria set counts them as two medicines",
            _refs((counted[one], counted[other])),
        )
        for one, other in sorted(pairs)
    )


def _may_suffice(failed: FailedTrials, classes: int) -> bool:
    """Whether there are enough trials and classes if all that may have failed did."""
    together = failed.definite + failed.possible
    return failed.possible > 0 and together >= failed.required and classes >= failed.required_classes


def _too_few(trials: tuple[Trial, ...], failed: FailedTrials) -> Reason:
    if failed.definite >= failed.required:
        text = (
            f"{failed.definite} trials failed, but of only {failed.classes} class"
            f"{'es' if failed.classes > 1 else ''}; {failed.required_classes} classes are required"
        )
        return Reason(ReasonCode.TOO_FEW_CLASSES, text, _refs(_that(trials, Counts.YES)))
    text = f"{failed.definite} of {failed.required} required adequate trials failed in this episode"
    return Reason(ReasonCode.TOO_FEW_TRIALS, text, _refs(trials))


def _that(trials: tuple[Trial, ...], counts: Counts) -> tuple[Trial, ...]:
    return tuple(trial for trial in trials if trial.counts is counts)


def _counted_as(trial: Trial, criteria: Criteria) -> frozenset[str]:
    """What a trial is counted under: its medicine, or the pair that it belongs to."""
    if trial.ingredient and trial.ingredient.related and criteria.related_pairs is RelatedPairs.MERGED:
        return frozenset({trial.name, trial.ingredient.related})
    return frozenset({trial.name})


def _classes(trials: tuple[Trial, ...]) -> set[str]:
    """The classes of medicines; one that cannot be told may be of any, and counts as its own."""
    return {trial.ingredient.drug_class if trial.ingredient else trial.name for trial in trials}


def _names(trials: tuple[Trial, ...]) -> str:
    *others, last = [trial.name for trial in trials]
    return f"{', '.join(others)} and {last}" if others else last


def _refs(trials: tuple[Trial, ...]) -> tuple[VersionedReference, ...]:
    return tuple(ref for trial in trials for ref in trial.evidence)
