"""What becomes of the document in place of a CarePlan: a decision set against it, and put into effect."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from service.apply.documents import Filing, file_document
from service.apply.intent import Conclusion
from service.apply.origins import origin_of, origins_of
from service.apply.send import with_addresses
from service.core.decision import Decision, grounds_of
from service.core.documents import DocumentOfRecord, DocumentStep, reconcile_document
from service.core.plans import PlanAction
from service.core.records import VersionedReference
from service.core.words import summarise
from service.errors import ServerError, ServerRefused
from service.fhir.loose import Resource
from service.fhir.names import CONTENT_DIGEST, DEVICE_ID, DEVICE_INSIDE, extension_value, grounds_digest
from service.read.label import PatientLabel
from service.render.device import with_device_inside
from service.render.document import Page, render_proposal, render_superseded
from service.render.provenance import Occasion, render_provenance

_TITLE = "Proposed esketamine treatment"


@dataclass(frozen=True, slots=True, kw_only=True)
class DocumentIntent:
    """What is to be done with the document of record, and what it is to say.

    `proposal` is the digest of the proposal that is wanted, if one is, and `proposed_on` the day from which
    its dates are counted. `superfluous` are the documents about patients merged into this one, by their ids,
    which still make a proposal beside it.
    """

    step: DocumentStep
    known: DocumentOfRecord | None
    proposal: str | None
    proposed_on: date | None
    superfluous: Mapping[str, DocumentOfRecord] = field(default_factory=dict)

    def reference(self, written: VersionedReference | None) -> str | None:
        """The document that stands, as far as there is one."""
        if written is not None:
            return f"{written.type}/{written.id}"
        return self.known.address if self.known else None


def intend_document(
    conclusion: Conclusion, known: DocumentOfRecord | None, *, proposed_on: date | None
) -> DocumentIntent:
    """Set a conclusion against the document of record."""
    decision, intent = conclusion.decision, conclusion.intent
    wanted = None
    if intent.action is PlanAction.CREATE and intent.plan is not None:
        wanted = extension_value(intent.plan, CONTENT_DIGEST)
    grounds = grounds_digest(grounds_of(decision))
    step = reconcile_document(wanted, known, grounds=grounds, otherwise=intent.why)
    return DocumentIntent(step=step, known=known, proposal=wanted, proposed_on=proposed_on)


async def write_document(
    filing: Filing,
    intended: DocumentIntent,
    conclusion: Conclusion,
    occasion: Occasion,
    label: PatientLabel | None,
) -> tuple[VersionedReference, ...]:
    """Write the document where it changes, and its Provenance where the server takes one.

    Returns the versions written. Raises as `file_document` does. A Provenance that is refused or interrupted
    is no failure: the document stands. The next review writes it.
    """
    decision, known = conclusion.decision, intended.known
    ended = await _supersede(filing, intended, decision, label, occasion.recorded)
    written: tuple[VersionedReference, ...] = ()
    if intended.step.writes:
        document = await file_document(
            filing,
            _page(intended, conclusion, label),
            decision.assessment.patient.id,
            known,
            grounds=grounds_digest(grounds_of(decision)),
            recorded=occasion.recorded,
        )
        written = (document,)
    elif known is None or known.left is not None or not await _is_untraced(filing, decision, known):
        return ended
    else:
        document = known.evidence
    provenance = render_provenance(decision, [document], occasion)
    return (*written, *await _trace(filing, decision.assessment.patient.id, provenance), *ended)


async def _supersede(
    filing: Filing, intended: DocumentIntent, decision: Decision, label: PatientLabel | None, recorded: str
) -> tuple[VersionedReference, ...]:
    """Write into the documents about former patients that their proposals do not hold beside this one."""
    why = f"The patient is on record as {decision.assessment.patient.name}; what holds is stated there."
    written = []
    for former_id, known in intended.superfluous.items():
        page = render_superseded(_TITLE, why, label, proposed_on=known.proposed_on)
        document = await file_document(
            filing, page, former_id, known, grounds=known.grounds, recorded=recorded
        )
        written.append(document)
    return tuple(written)


async def withdraw_document(
    filing: Filing, patient_id: str, known: DocumentOfRecord, *, reason: str, recorded: str
) -> VersionedReference:
    """Write that a proposal was withdrawn by hand. Raises as `file_document` does."""
    why = f"Withdrawn by hand: {reason}"
    page = render_superseded(_TITLE, why, None, proposed_on=known.proposed_on, withdrawn=known.grounds)
    return await file_document(filing, page, patient_id, known, grounds=known.grounds, recorded=recorded)


def _page(intended: DocumentIntent, conclusion: Conclusion, label: PatientLabel | None) -> Page:
    plan, as_of = conclusion.intent.plan, conclusion.decision.assessment.as_of
    if intended.proposal is None or plan is None:
        why = summarise(conclusion.decision)
        return render_superseded(_TITLE, why, label, proposed_on=intended.proposed_on)
    proposed_on = intended.proposed_on or as_of
    return render_proposal(plan, label, proposal=intended.proposal, proposed_on=proposed_on, as_of=as_of)


async def _is_untraced(filing: Filing, decision: Decision, known: DocumentOfRecord) -> bool:
    """Whether the Provenance of the document was left out; it may be there although no answer said so.

    Where the server does not let it be looked for, it is not written again.
    """
    patient_id = decision.assessment.patient.id
    entry = await filing.ledger.find(patient_id)
    if entry is None or not entry.untraced:
        return False
    try:
        traced = origin_of(await origins_of(filing.client, known.address), str(known.evidence)) is not None
    except ServerRefused as refused:
        if refused.passing:
            return False
        traced = True
    except ServerError:
        return False
    if traced:
        await filing.ledger.save(patient_id, replace(entry, untraced=False))
    return not traced


async def _trace(filing: Filing, patient_id: str, provenance: Resource) -> tuple[VersionedReference, ...]:
    """Create the Provenance of what stands, with this software inside, where the server takes one."""
    entry = await filing.ledger.find(patient_id)
    if not filing.traces or entry is None:
        return ()
    inside = {f"Device/{DEVICE_ID}": f"#{DEVICE_INSIDE}"}
    sent = {key: value for key, value in with_addresses(provenance, inside).items() if key != "id"}
    try:
        stored = await filing.client.create(with_device_inside(sent))
    except ServerError:
        return ()
    await filing.ledger.save(patient_id, replace(entry, untraced=False))
    return (VersionedReference("Provenance", stored.id or "unidentified", stored.version),)
