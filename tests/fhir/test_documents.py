"""Below CarePlan: one contract of the documents on the servers of the vendors that take them."""

import io
import itertools
import json
from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from service.apply.held import Held
from service.apply.ledger import open_ledger
from service.cause import Cause
from service.commands.check import find_tier
from service.commands.check_findings import CheckState
from service.commands.diff import Preview, preview, print_preview
from service.commands.documents import list_ours
from service.commands.sweep import find_patients_of_daily
from service.commands.withdraw import find_drafts, withdraw
from service.commands.written import WrittenFilter, print_written
from service.errors import ServerError
from service.fhir.client import FhirClient
from service.fhir.models import validated
from service.knowledge import load_dialects, mappings_directory
from service.queue.work import Work
from service.render.terminal import Terminal
from service.review import Proposal, Reviewer
from service.telemetry.metrics import Metrics
from tests.contract_interrupted import an_aneurysm, no_aneurysm
from tests.servers.vendors import EPIC, MEDITECH, ORACLE, VENDORS, Vendor, VendorDouble, Writing, an_outcome
from tests.support import (
    RXNORM,
    Resource,
    a_condition,
    case_bundle,
    case_reviewer,
    client_of,
    fhir_response,
    patient_id_of,
    resources_of,
    settings,
)

CASE = "orders-renewed-every-month-count-under-the-criteria-for-orders"
WRITERS = {"epic": EPIC, "oracle-millennium": ORACLE, "meditech": MEDITECH}
PLANNED = "an-active-esketamine-plan-is-left-alone"
KINDS = {"epic": "DocumentReference", "oracle-millennium": "DocumentReference", "meditech": "Communication"}


class Site:
    """A server of a vendor with a patient who is to be treated, and a service beside it."""

    def __init__(self, vendor: Vendor, folder: Path) -> None:
        self.double = VendorDouble(vendor, resources_of(case_bundle(CASE)))
        self.patient = patient_id_of({"entry": [{"resource": one} for one in self.double.resources]})
        self.kind = KINDS[vendor.dialect]
        self.url = f"sqlite:///{folder}/queue.sqlite"
        self.by = self.reviewer(document_author="Practitioner/7")
        self.as_of = self.by.as_of

    def reviewer(self, **chosen: object) -> Reviewer:
        by = case_reviewer(CASE)
        given = settings(criteria=by.settings.criteria, database_url=self.url, **chosen)
        return replace(by, settings=given)

    async def propose(self, *, days: int = 0, by: Reviewer | None = None) -> Proposal:
        """A review by a process that knows nothing of the server yet, and tries once."""
        by = (by or self.by).on(self.as_of + timedelta(days=days))
        return await by.propose(self.client(), self.patient)

    def client(self) -> FhirClient:
        return client_of(self.double, attempts=1, dialects=load_dialects(mappings_directory()))

    def holds(self, *resources: Resource) -> None:
        """The record holds these as they are now."""
        names = {(one["resourceType"], one["id"]) for one in resources}
        kept = [one for one in self.double.resources if (one["resourceType"], one["id"]) not in names]
        self.double.resources = [*kept, *resources]

    @property
    def documents(self) -> list[Resource]:
        return self.double.of_type(self.kind)

    @property
    def said(self) -> list[Resource]:
        """The documents that were sent, in order."""
        return [one for one in self.double.sent if one["resourceType"] == self.kind]


@pytest.fixture(params=WRITERS)
def site(request: pytest.FixtureRequest, tmp_path: Path) -> Site:
    return Site(WRITERS[request.param], tmp_path)


def html_of(document: Resource) -> str:
    attachments = [one["attachment"] for one in document.get("content", [])]
    attachments += [one["contentAttachment"] for one in document.get("payload", [])[1:]]
    (attachment,) = attachments
    assert attachment["contentType"] == "text/html; charset=utf-8"
    return b64decode(attachment["data"]).decode()


def identifier_of(document: Resource) -> Resource:
    """The identifier by which a document is ours."""
    found: Resource = document["identifier"][0]
    return found


def a_high_pressure(patient: str) -> Resource:
    """What adds a caution to the plan."""
    parts = [("8480-6", 165), ("8462-4", 101)]
    component = [
        {
            "code": {"coding": [{"system": "http://loinc.org", "code": code}]},
            "valueQuantity": {"value": value, "unit": "mmHg", "code": "mm[Hg]"},
        }
        for code, value in parts
    ]
    return {
        "resourceType": "Observation",
        "id": "pressure",
        "status": "final",
        "subject": {"reference": f"Patient/{patient}"},
        "code": {"coding": [{"system": "http://loinc.org", "code": "85354-9"}]},
        "effectiveDateTime": "2026-11-20",
        "component": component,
    }


def a_pregnancy(patient: str) -> Resource:
    """What needs a review."""
    code = {"coding": [{"system": "http://hl7.org/fhir/sid/icd-10-cm", "code": "Z33.1"}]}
    return a_condition("pregnancy", patient, code=code, recordedDate="2026-11-01")


# --- written once ---------------------------------------------------------------------------------


async def test_a_proposal_is_written_once(site: Site) -> None:
    done = await site.propose()

    plan = done.answer.care_plan
    (document,) = site.documents
    assert (plan.action, plan.reference) == ("create", f"{site.kind}/{document['id']}")
    assert plan.tier == {"DocumentReference": "document", "Communication": "communication"}[site.kind]
    assert done.answer.treatment is None
    assert done.written[0].type == site.kind
    page = html_of(site.said[0])
    assert "<h3>Sessions</h3>" in page
    assert "<td>1</td>" in page
    again = await site.propose()
    assert (again.written, again.answer.care_plan.action) == ((), "none")
    assert again.answer.care_plan.reference == plan.reference
    assert len(site.said) == 1


@pytest.mark.matrix
async def test_it_is_repeated_a_hundred_times_and_written_once(site: Site) -> None:
    for _ in range(100):
        await site.propose()
    assert len(site.said) == 1


async def test_its_dates_stay_while_they_lie_ahead(site: Site) -> None:
    await site.propose()
    assert (await site.propose(days=3)).written == ()
    later = await site.propose(days=30)
    assert later.answer.care_plan.action == "update"
    assert (await site.propose(days=31)).written == ()
    assert len(site.said) == 2


async def test_one_that_was_superseded_is_proposed_again_on_new_dates(site: Site) -> None:
    await site.propose()
    site.holds(*an_aneurysm(site.patient))
    await site.propose()
    site.holds(*no_aneurysm(site.patient))
    await site.propose(days=7)
    first, _, again = site.said
    since = [identifier_of(one)["period"]["start"] for one in (first, again)]
    assert since == [site.as_of.isoformat(), (site.as_of + timedelta(days=7)).isoformat()]
    assert (await site.propose(days=8)).written == ()


async def test_all_that_the_server_gets_is_accepted_by_the_models(site: Site) -> None:
    await site.propose()
    site.holds(*an_aneurysm(site.patient))
    await site.propose()
    assert len(site.said) == 2
    for sent in site.double.sent:
        validated(sent)


async def test_where_provenance_can_only_be_created_it_is(tmp_path: Path) -> None:
    site = Site(ORACLE, tmp_path)
    done = await site.propose()
    (provenance,) = site.double.of_type("Provenance")
    assert provenance["target"][0]["reference"].startswith(str(done.written[0]).partition("/_")[0])
    assert provenance["agent"][0]["who"]["reference"] == "#device"


async def provenance_of(site: Site) -> list[str]:
    """What the Provenance on the server is of."""
    return [one["target"][0]["reference"] for one in site.double.of_type("Provenance")]


async def test_a_provenance_that_is_refused_is_written_by_the_next_review(tmp_path: Path) -> None:
    """The document stands, so nothing failed."""
    site = Site(replace(ORACLE, writing=refusing("Provenance")), tmp_path)
    done = await site.propose()
    assert [one.type for one in done.written] == ["DocumentReference"]
    again = await site.propose()
    assert (again.written, again.answer.care_plan.action) == ((), "none")
    site.double.vendor = ORACLE
    late = await site.propose()
    assert [one.type for one in late.written] == ["Provenance"]
    assert late.answer.care_plan.reference == done.answer.care_plan.reference
    assert await provenance_of(site) == [str(done.written[0])]
    assert (await site.propose()).written == ()


@pytest.mark.parametrize("after", [0, 1], ids=["cut before it is stored", "the answer is lost"])
async def test_a_provenance_that_was_interrupted_is_there_once(tmp_path: Path, after: int) -> None:
    site = Site(ORACLE, tmp_path)
    site.double.cuts_at = ("Provenance", after)
    done = await site.propose()
    assert [one.type for one in done.written] == ["DocumentReference"]
    site.double.cuts_at = None
    await site.propose()
    assert await provenance_of(site) == [str(done.written[0])]
    assert (await site.propose()).written == ()


async def test_a_provenance_that_cannot_be_looked_for_is_not_written_again(tmp_path: Path) -> None:
    site = Site(ORACLE, tmp_path)
    site.double.cuts_at = ("Provenance", 1)
    await site.propose()
    site.double.cuts_at = None
    site.double.answers["Provenance"] = lambda _: fhir_response(an_outcome("forbidden"), 403)
    assert (await site.propose()).written == ()
    assert len(site.double.of_type("Provenance")) == 1
    asked = len(site.double.asked)
    await site.propose()
    assert not any("Provenance" in path for path in site.double.paths[asked:])


def refusing(kind: str) -> Writing:
    """What Oracle lets be written, but for a kind that it refuses."""
    assert ORACLE.writing is not None
    takes = ORACLE.writing.takes
    return replace(ORACLE.writing, takes=lambda one: one["resourceType"] != kind and takes(one))


# --- the record changes ---------------------------------------------------------------------------


async def test_a_changed_record_changes_the_document(site: Site) -> None:
    first = await site.propose()
    site.holds(a_high_pressure(site.patient))

    done = await site.propose()

    assert done.answer.care_plan.action == "update"
    assert (await site.propose()).written == ()
    assert "165" in html_of(site.said[1]) or "blood pressure" in html_of(site.said[1]).lower()
    if site.kind == "DocumentReference":
        assert len(site.documents) == 1
        assert done.answer.care_plan.reference == first.answer.care_plan.reference
    else:
        earlier, later = site.documents
        assert later["inResponseTo"] == [{"reference": f"Communication/{earlier['id']}"}]


async def test_a_contraindication_supersedes_it_and_it_is_proposed_again(site: Site) -> None:
    await site.propose()
    site.holds(*an_aneurysm(site.patient))

    done = await site.propose()

    assert (done.answer.decision, done.answer.care_plan.action) == ("decline", "revoke")
    assert "no longer holds" in html_of(site.said[1])
    assert "<td>1</td>" not in html_of(site.said[1])
    assert (await site.propose()).written == ()
    site.holds(*no_aneurysm(site.patient))
    again = await site.propose()
    assert (again.answer.decision, again.answer.care_plan.action) == ("propose", "update")
    assert (await site.propose()).written == ()
    assert [one.get("status") for one in site.said] == (
        ["current", "superseded", "current"] if site.kind == "DocumentReference" else ["completed"] * 3
    )


async def test_what_needs_a_review_is_returned_and_supersedes(site: Site) -> None:
    """Neither an assessment nor a Task is written below CarePlan."""
    await site.propose()
    site.holds(a_pregnancy(site.patient))

    done = await site.propose()

    assert (done.answer.decision, done.answer.care_plan.action) == ("needs-review", "revoke")
    assert {one["resourceType"] for one in site.double.sent} <= {site.kind, "Provenance"}
    assert (await site.propose()).written == ()


async def test_without_a_proposal_nothing_is_written(site: Site) -> None:
    site.holds(*an_aneurysm(site.patient))
    done = await site.propose()
    assert (done.written, done.answer.care_plan.action) == ((), "none")
    assert site.double.sent == []


# --- a treatment that somebody else's plan makes --------------------------------------------------


def a_plan_of_another(patient: str, status: str = "active") -> Resource:
    """A plan of esketamine that a clinic follows, in categories that the doubles show."""
    (plan,) = [r for r in resources_of(case_bundle(PLANNED)) if r["resourceType"] == "CarePlan"]
    coding = [{"code": code} for code in ("736271009", "assess-plan")]
    about = {"subject": {"reference": f"Patient/{patient}"}, "category": [{"coding": coding}]}
    return {**plan, **about, "status": status}


def a_session(patient: str) -> Resource:
    """Esketamine that was given this month."""
    code = {"system": RXNORM, "code": "2119365", "display": "esketamine"}
    return {
        "resourceType": "MedicationRequest",
        "id": "session",
        "status": "completed",
        "intent": "order",
        "subject": {"reference": f"Patient/{patient}"},
        "medicationCodeableConcept": {"coding": [code]},
        "authoredOn": "2026-11-20",
    }


async def test_a_treatment_is_not_followed(site: Site) -> None:
    """Not even by another author's plan: it is stated, and what is on record stays open to a review."""
    site.holds(a_plan_of_another(site.patient))
    planned = (await site.propose()).answer
    assert (planned.decision, planned.reason, planned.treatment) == ("decline", "in-treatment", None)
    assert "an esketamine care plan is under way" in planned.summary
    site.holds(a_session(site.patient))
    given = (await site.propose()).answer
    assert (given.decision, given.treatment) == ("needs-review", None)
    assert {one.id for one in given.safety} == {"prior-esketamine"}
    assert site.double.sent == []


@pytest.mark.parametrize("status", ["active", "on-hold"])
async def test_a_treatment_that_begins_supersedes_the_document(site: Site, status: str) -> None:
    await site.propose()
    site.holds(a_plan_of_another(site.patient, status))
    done = await site.propose()
    assert (done.answer.care_plan.action, done.answer.treatment) == ("revoke", None)
    assert "no longer holds" in html_of(site.said[1])
    assert (await site.propose()).written == ()


# --- whom the daily review is of -------------------------------------------------------------------


async def test_the_daily_review_is_of_those_whose_proposal_stands(site: Site) -> None:
    """By the ledger: no search shows our documents without a patient, and none shows plans by identifier."""
    assert await find_patients_of_daily(site.by, site.client()) == ([], [])
    await site.propose()
    assert await find_patients_of_daily(site.by, site.client()) == ([site.patient], [])
    queue = Queue()
    await Work(site.by, site.client(), Metrics(), queue=queue).review_daily("2026-11-23", "daily")  # type: ignore[arg-type]
    assert queue.accepted == [([site.patient], Cause.DAILY)]
    site.holds(*an_aneurysm(site.patient))
    await site.propose()
    assert await find_patients_of_daily(site.by, site.client()) == ([], [])


class Queue:
    """Keeps what the daily review hands over."""

    def __init__(self) -> None:
        self.accepted: list[tuple[list[str], Cause]] = []

    async def accept(self, patient_ids: list[str], cause: Cause) -> None:
        self.accepted.append((patient_ids, cause))

    async def all_heard(self) -> dict[str, object]:
        return {}


async def test_one_whose_outcome_is_unknown_is_looked_for_by_the_daily_review(site: Site) -> None:
    await site.propose()
    site.holds(*an_aneurysm(site.patient))
    site.double.cuts_after_write = True
    assert await is_interrupted(site)
    site.double.cut_after = None
    assert await find_patients_of_daily(site.by, site.client()) == ([site.patient], [])


async def test_on_a_server_that_takes_nothing_nothing_of_ours_is_listed(tmp_path: Path) -> None:
    """Although it refuses to be searched for our plans."""
    for vendor in (VENDORS["athenahealth"], VENDORS["healthlake"], replace(EPIC, writing=None)):
        site = Site(EPIC, tmp_path)
        site.double = VendorDouble(vendor, resources_of(case_bundle(CASE)))
        assert await list_ours(site.client(), site.by.settings, WrittenFilter()) == []
        assert await find_patients_of_daily(site.by, site.client()) == ([], [])


# --- patients who were merged ---------------------------------------------------------------------

SURVIVOR = "survivor"


def merge(site: Site) -> str:
    """The record is now that of another patient, who replaces ours; returns the id of the former one."""
    former = site.patient
    (patient,) = site.double.of_type("Patient")
    link = {"other": {"reference": f"Patient/{former}"}, "type": "replaces"}
    site.holds({**patient, "id": SURVIVOR, "link": [link]})
    back = {"other": {"reference": f"Patient/{SURVIVOR}"}, "type": "replaced-by"}
    site.holds({**patient, "active": False, "link": [back]})
    site.patient = SURVIVOR
    return former


def standing(site: Site) -> list[Resource]:
    """The documents whose proposals stand; a Communication stands until another answers it."""
    answered = {link["reference"] for one in site.documents for link in one.get("inResponseTo", [])}
    return [
        one
        for one in site.documents
        if one["identifier"][1]["value"] != "superseded" and f"{site.kind}/{one['id']}" not in answered
    ]


async def test_the_document_about_a_former_patient_becomes_that_of_the_one_who_stands(site: Site) -> None:
    first = await site.propose()
    merge(site)
    done = await site.propose(days=1)
    assert done.answer.care_plan.action == "update"
    (document,) = standing(site)
    assert document["subject"] == {"reference": f"Patient/{SURVIVOR}"}
    since = [identifier_of(one)["period"]["start"] for one in site.said]
    assert since == [site.as_of.isoformat()] * 2
    if site.kind == "DocumentReference":
        assert done.answer.care_plan.reference == first.answer.care_plan.reference
    assert (await site.propose(days=1)).written == ()
    listed = await list_ours(site.client(), site.by.settings, WrittenFilter())
    assert [one.written.patient for one in listed] == [f"Patient/{SURVIVOR}"]
    assert await find_patients_of_daily(site.by, site.client()) == ([SURVIVOR], [])


async def test_of_two_documents_of_merged_patients_one_stands(site: Site) -> None:
    """Both had one before they were merged."""
    await site.propose()
    former = merge(site)
    (patient,) = [one for one in site.double.of_type("Patient") if one["id"] == SURVIVOR]
    whole = site.double.resources
    moved = [json.loads(json.dumps(one).replace(f"Patient/{former}", f"Patient/{SURVIVOR}")) for one in whole]
    site.double.resources = [one for one in moved if one["resourceType"] not in {"Patient", site.kind}]
    site.double.resources += [{k: v for k, v in patient.items() if k != "link"}]
    site.double.resources += [one for one in whole if one["resourceType"] == site.kind]
    await site.propose()
    assert len(standing(site)) == 2
    site.holds(*(one for one in whole if one["resourceType"] == "Patient"))

    done = await site.propose()

    assert {one["subject"]["reference"] for one in standing(site)} == {f"Patient/{SURVIVOR}"}
    assert "is on record as" in html_of(site.said[-1])
    assert len(standing(site)) == 1
    assert site.kind in {one.type for one in done.written}
    assert (await site.propose()).written == ()


@pytest.mark.parametrize("vendor", [EPIC, ORACLE], ids=lambda one: one.dialect)
async def test_a_document_about_a_former_patient_that_a_person_edited_is_left(
    vendor: Vendor, tmp_path: Path
) -> None:
    site = Site(vendor, tmp_path)
    await site.propose()
    edited = site.double.keep(EDITS["signed"](site.documents[0]))
    merge(site)
    done = await site.propose()
    assert (done.answer.care_plan.action, site.documents) == ("leave", [edited])
    assert len(site.said) == 1


async def test_without_the_ledger_a_document_about_a_former_patient_still_counts(
    site: Site, tmp_path: Path
) -> None:
    """It is found by a search; one whose signature was dropped is taken for edited."""
    await site.propose()
    (tmp_path / "queue.sqlite").unlink()
    merge(site)
    done = await site.propose()
    left = site.kind == "DocumentReference"
    assert done.answer.care_plan.action == ("leave" if left else "update")
    assert len(standing(site)) == 1


# --- people ---------------------------------------------------------------------------------------

EDITS: dict[str, Callable[[Resource], Resource]] = {
    "ended": lambda one: {**one, "status": "entered-in-error"},
    "signed": lambda one: {**one, "docStatus": "final", "authenticator": {"reference": "Practitioner/9"}},
    "rewritten": lambda one: {**one, "content": [{"attachment": {"url": "http://fhir.test/Binary/other"}}]},
}


@pytest.mark.parametrize("vendor", [EPIC, ORACLE], ids=lambda one: one.dialect)
@pytest.mark.parametrize("edit", EDITS)
async def test_a_document_that_a_person_edited_is_left(vendor: Vendor, edit: str, tmp_path: Path) -> None:
    site = Site(vendor, tmp_path)
    await site.propose()
    (document,) = site.documents
    edited = site.double.keep(EDITS[edit](document))
    site.holds(*an_aneurysm(site.patient))

    done = await site.propose()

    assert (done.answer.care_plan.action, done.answer.care_plan.why) == (
        "leave",
        "a person edited the document",
    )
    assert (done.written, site.documents) == ((), [edited])


@pytest.mark.parametrize("vendor", [EPIC, ORACLE], ids=lambda one: one.dialect)
async def test_a_document_that_a_person_deleted_is_not_written_again(vendor: Vendor, tmp_path: Path) -> None:
    site = Site(vendor, tmp_path)
    await site.propose()
    site.double.resources = [one for one in site.double.resources if one not in site.documents]
    done = await site.propose()
    assert (done.answer.care_plan.action, done.answer.care_plan.why) == (
        "leave",
        "a person deleted the document",
    )
    assert len(site.said) == 1


async def test_a_document_that_changes_meanwhile_is_read_again(tmp_path: Path) -> None:
    """A stale `If-Match` is answered 409; the edit that came between stands."""
    site = Site(ORACLE, tmp_path)
    await site.propose()
    (document,) = site.documents
    edited = EDITS["signed"](document)
    site.holds(*an_aneurysm(site.patient))
    site.double.meanwhile = lambda: site.double.keep(edited)

    done = await site.propose()

    assert (done.written, done.answer.care_plan.action) == ((), "leave")
    assert site.documents[0]["authenticator"] == edited["authenticator"]


# --- interruptions --------------------------------------------------------------------------------


async def test_a_create_whose_answer_is_lost_is_looked_for_and_not_repeated(site: Site) -> None:
    site.double.cuts_after_write = True
    assert await is_interrupted(site)
    assert len(site.documents) == 1
    site.double.cut_after = None
    done = await site.propose()
    assert {one.type for one in done.written} <= {"Provenance"}, "which the interruption left out"
    assert (done.answer.care_plan.action, len(site.documents)) == ("none", 1)
    assert done.answer.care_plan.reference == f"{site.kind}/{site.documents[0]['id']}"


async def test_an_edit_after_an_interrupted_update_is_left(tmp_path: Path) -> None:
    """By the version: one more was written than ours."""
    site = Site(ORACLE, tmp_path)
    await site.propose()
    site.holds(a_high_pressure(site.patient))
    site.double.cuts_after_write = True
    assert await is_interrupted(site)
    site.double.cut_after = None
    edited = site.double.keep(EDITS["signed"](site.documents[0]))
    done = await site.propose()
    assert (done.answer.care_plan.action, site.documents) == ("leave", [edited])


@pytest.mark.matrix
@pytest.mark.parametrize("loses_answer", [False, True], ids=["cut", "answer lost"])
@pytest.mark.parametrize("change", [None, a_high_pressure], ids=["a first proposal", "an update"])
async def test_interrupted_between_any_two_requests_it_is_written_once(
    site: Site, change: Callable[[str], Resource] | None, loses_answer: bool, tmp_path: Path
) -> None:
    for number in itertools.count(1):
        (tmp_path / str(number)).mkdir()
        here = Site(site.double.vendor, tmp_path / str(number))
        expected = 1
        if change is not None:
            await here.propose()
            here.holds(change(here.patient))
            expected = 1 if here.kind == "DocumentReference" else 2
        here.double.cut_after, here.double.loses_answer = number, loses_answer
        interrupted = await is_interrupted(here)
        here.double.cut_after = None
        done = await here.propose()
        assert len(here.documents) == expected, number
        assert done.answer.care_plan.reference == f"{here.kind}/{here.documents[-1]['id']}"
        assert (await here.propose()).written == ()
        if not interrupted:
            break
    assert number > 3


async def is_interrupted(site: Site) -> bool:
    """Whether a review is interrupted."""
    try:
        await site.propose()
    except ServerError:
        return True
    return False


async def test_a_document_that_is_not_in_the_ledger_is_found_by_its_identifier(
    site: Site, tmp_path: Path
) -> None:
    """Another database: a Communication is taken up; a document whose signature was dropped is left."""
    first = await site.propose()
    (tmp_path / "queue.sqlite").unlink()
    again = await site.propose()
    assert again.written == ()
    assert again.answer.care_plan.reference == first.answer.care_plan.reference
    assert again.answer.care_plan.action == ("leave" if site.kind == "DocumentReference" else "none")


async def test_the_ledger_holds_references_and_digests_only(site: Site) -> None:
    await site.propose()
    async with open_ledger(site.url, "http://fhir.test/r4", site.kind) as ledger:
        (entry,) = (await ledger.all()).values()
    assert entry.reference == f"{site.kind}/{site.documents[0]['id']}"
    assert (entry.settled, len(entry.sent), entry.proposed_on) == (True, 64, site.as_of)


# --- held -----------------------------------------------------------------------------------------


async def test_without_an_author_oracle_gets_no_document(tmp_path: Path) -> None:
    site = Site(ORACLE, tmp_path)
    done = await site.propose(by=site.reviewer())
    assert (done.held, done.answer.care_plan.tier) == (Held.NO_AUTHOR, "document")
    assert "TRD_DOCUMENT_AUTHOR" in done.answer.care_plan.why
    assert site.double.sent == []


async def test_in_shadow_mode_nothing_is_written(site: Site) -> None:
    done = await site.propose(by=site.reviewer(write="off"))
    assert (done.held, done.written, site.double.sent) == (Held.WRITE_OFF, (), [])


# --- by hand --------------------------------------------------------------------------------------


async def test_a_document_is_listed_and_withdrawn_and_not_made_again(site: Site) -> None:
    await site.propose()
    client, chosen = site.client(), site.by.settings

    listed = await list_ours(client, chosen, WrittenFilter())
    drafts, left = await find_drafts(client, chosen, WrittenFilter(patient=site.patient))
    done = [one async for one in withdraw(client, chosen, drafts, "asked by the ward")]

    assert [(one.written.kind, one.written.patient) for one in listed] == [
        ("document", f"Patient/{site.patient}")
    ]
    assert (len(drafts), left) == (1, [])
    assert [one.outcome for one in done] == ["withdrawn"]
    assert "asked by the ward" in html_of(site.said[1])
    again = await site.propose()
    assert (again.written, again.answer.care_plan.action) == ((), "leave")
    assert "withdrawn" in again.answer.care_plan.why
    assert (await find_drafts(client, chosen, WrittenFilter()))[0] == []


async def test_a_document_that_was_changed_since_it_was_listed_is_not_withdrawn(tmp_path: Path) -> None:
    site = Site(EPIC, tmp_path)
    await site.propose()
    client, chosen = site.client(), site.by.settings
    drafts, _ = await find_drafts(client, chosen, WrittenFilter())
    site.double.keep(EDITS["signed"](site.documents[0]))
    (done,) = [one async for one in withdraw(client, chosen, drafts, "asked")]
    assert done.outcome == "left"
    assert len(site.said) == 1


async def test_what_a_review_would_do_with_the_document_is_shown(site: Site) -> None:
    by, client = site.by, site.client()
    before = await preview(by, client, site.patient)
    await site.propose()
    after = await preview(by, client, site.patient)
    assert (before.action, before.before, after.action) == ("create", None, "none")
    assert len(site.said) == 1
    site.holds(a_high_pressure(site.patient))
    changed = await preview(by, client, site.patient)
    site.holds(*an_aneurysm(site.patient))
    ended = await preview(by, client, site.patient)
    held = await preview(site.reviewer(write="off"), client, site.patient)
    assert [shown(one) for one in (before, after, changed, ended, held)] == [
        "A document with the page of the plan would be written.",
        "The document on record stays unchanged.",
        "The document would be replaced by the page of the plan as it is now.",
        "The document would be replaced by a page that says why its proposal no longer holds.",
        "The document on record stays unchanged.",
    ]


def shown(found: Preview) -> str:
    """The last line of a preview, as a terminal shows it."""
    console = Terminal(file=io.StringIO(), width=120)
    print_preview(console, found)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()[-1].strip()


async def test_a_list_of_documents_shows_no_empty_reason(site: Site) -> None:
    await site.propose()
    listed = await list_ours(site.client(), site.by.settings, WrittenFilter())
    console = Terminal(file=io.StringIO(), width=200)
    print_written(console, [one.written for one in listed])
    assert isinstance(console.file, io.StringIO)
    assert "None" not in console.file.getvalue()


# --- told -----------------------------------------------------------------------------------------


async def test_the_tier_is_told_in_the_metrics(site: Site) -> None:
    metrics = Metrics()
    await Work(site.by, site.client(), metrics).review(site.patient, "daily")
    tier = {"DocumentReference": "document", "Communication": "communication"}[site.kind]
    assert f'trd_reviews_written_total{{tier="{tier}"}} 1.0' in metrics.exposition().decode()
    assert len(site.said) == 1


async def test_the_check_names_the_tier_and_what_to_set(site: Site) -> None:
    chosen = await find_tier(site.client(), site.by.settings)
    assert chosen.state is CheckState.WARNING
    assert chosen.found.startswith(("document: the server takes no CarePlan", "communication: the server"))
    assert "docs/servers.md" in (chosen.to_do or "")
    without = await find_tier(site.client(), site.reviewer().settings)
    assert ("TRD_DOCUMENT_AUTHOR" in (without.to_do or "")) == (site.double.vendor is ORACLE)
