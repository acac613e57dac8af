"""Read the mark beside the code of a diagnosis that says how certain it is.

German records have it: the extension `icd-10-gm-diagnosesicherheit` of the base profiles of HL7 Germany.
"""

from service.core.records import Certainty, ClinicalStatus, Verification
from service.fhir.views import ConceptView, ExtensionView
from service.read.elements import Elements

_MARK = "icd-10-gm-diagnosesicherheit"


def read_certainty(code: ConceptView | None, elements: Elements) -> frozenset[Certainty]:
    """What the marks of a code say; one that no list knows leaves the diagnosis a suspicion."""
    codings = code.coding if code is not None else []
    marks = (one for coding in codings for one in coding.extension if (one.url or "").endswith(_MARK))
    return frozenset(_meaning(mark, elements) for mark in marks)


def apply_certainty(
    marks: frozenset[Certainty], status: ClinicalStatus, verification: Verification
) -> tuple[ClinicalStatus, Verification] | None:
    """The statuses of a diagnosis with its marks; `None` where a mark alone says that it is excluded.

    Marks that contradict a status or each other leave the diagnosis unproven.
    """
    match sorted(marks):
        case []:
            return status, verification
        case [Certainty.CONFIRMED]:
            stated = verification is not Verification.NOT_STATED
            return status, verification if stated else Verification.CONFIRMED
        case [Certainty.EXCLUDED] if verification is Verification.NOT_STATED:
            return None
        case [Certainty.PAST] if status is not ClinicalStatus.ACTIVE:
            return ClinicalStatus.ENDED, verification
        case _:
            return status, Verification.UNPROVEN


def _meaning(mark: ExtensionView, elements: Elements) -> Certainty:
    coding = mark.value_coding
    known = coding and elements.knowledge.certainty.meaning(elements.system(coding.system), coding.code)
    return known or Certainty.SUSPECTED
