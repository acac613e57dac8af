"""What stands in place of a CarePlan where a server takes none: a page, as a document or as a Communication.

Nobody can activate or tick off a page. So it only makes a proposal, or says that it makes none any more.
"""

from dataclasses import dataclass
from datetime import date

from service.core.plans import UNKNOWN_GROUNDS, PlanAction
from service.core.records import VersionedReference


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentOfRecord:
    """The document of ours about a patient, as it stands.

    `proposal` is the digest of what it proposes; `None` once it was superseded. `proposed_on` is the day from
    which its dates were counted. `left` is why this service may not change it, if it may not. `grounds` is
    what its proposal rests on, as a digest, and `withdrawn` whether that was withdrawn by hand.
    """

    evidence: VersionedReference
    proposal: str | None
    proposed_on: date | None = None
    left: str | None = None
    grounds: str = UNKNOWN_GROUNDS
    withdrawn: bool = False

    @property
    def address(self) -> str:
        """The resource without its version, such as `DocumentReference/1`."""
        return f"{self.evidence.type}/{self.evidence.id}"

    @property
    def proposes(self) -> bool:
        """Whether it makes a proposal that this service may still change."""
        return self.proposal is not None and self.left is None


@dataclass(frozen=True, slots=True)
class DocumentStep:
    """What to do with the document, and why."""

    action: PlanAction
    why: str

    @property
    def writes(self) -> bool:
        """Whether anything is written."""
        return self.action in {PlanAction.CREATE, PlanAction.UPDATE, PlanAction.REVOKE}


EDITED = "a person edited the document"
DELETED = "a person deleted the document"
UNKNOWN = "it is not known whether the document was stored; a person must look for it"


def reconcile_document(
    wanted: str | None, known: DocumentOfRecord | None, *, grounds: str, otherwise: str
) -> DocumentStep:
    """Set the digest of the proposal that is wanted, if one is, against the document of record.

    `grounds` is what the proposal rests on: one that was withdrawn by hand is not made again on the same.
    `otherwise` is why no proposal is wanted, in words.
    """
    if known is not None and known.left is not None:
        return DocumentStep(PlanAction.LEAVE, known.left)
    if wanted is not None:
        return _proposing(wanted, known, grounds)
    if known is None or known.proposal is None:
        return DocumentStep(PlanAction.NONE, otherwise)
    return DocumentStep(PlanAction.REVOKE, "the document is no longer supported by the record")


def _proposing(wanted: str, known: DocumentOfRecord | None, grounds: str) -> DocumentStep:
    if known is None:
        return DocumentStep(PlanAction.CREATE, "the record supports a plan, and none is on record")
    if known.proposal == wanted:
        return DocumentStep(PlanAction.NONE, "the document on record is up to date")
    if known.withdrawn and known.grounds in {grounds, UNKNOWN_GROUNDS}:
        why = "the proposal was withdrawn, and the record supports no different proposal"
        return DocumentStep(PlanAction.LEAVE, why)
    again = "the record supports a plan again"
    changed = "the document no longer matches the record"
    return DocumentStep(PlanAction.UPDATE, again if known.proposal is None else changed)
