"""Below CarePlan: one contract of the documents on the servers of the vendors that take them."""

from base64 import b64decode
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from service.apply.held import Held
from service.apply.ledger import open_ledger
from service.errors import ServerError
from service.fhir.models import validated
from service.knowledge import load_dialects, mappings_directory
from service.review import Proposal, Reviewer
from tests.contract_interrupted import an_aneurysm, no_aneurysm
from tests.servers.vendors import EPIC, MEDITECH, ORACLE, Vendor, VendorDouble
from tests.support import (
    Resource,
    case_bundle,
    case_reviewer,
    client_of,
    patient_id_of,
    resources_of,
    settings,
)

CASE = "orders-renewed-every-month-count-under-the-criteria-for-orders"
WRITERS = {"epic": EPIC, "oracle-millennium": ORACLE, "meditech": MEDITECH}
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
        client = client_of(self.double, attempts=1, dialects=load_dialects(mappings_directory()))
        return await (by or self.by).on(self.as_of + timedelta(days=days)).propose(client, self.patient)

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


# --- written once ---------------------------------------------------------------------------------


async def test_a_proposal_is_written_once(site: Site) -> None:
    done = await site.propose()

    plan = done.answer.care_plan
    (document,) = site.documents
    assert (plan.action, plan.reference) == ("create", f"{site.kind}/{document['id']}")
    assert plan.tier == {"DocumentReference": "document", "Communication": "communication"}[site.kind]
    assert done.answer.treatment is None
    assert [str(one).split("/")[0] for one in done.written][0] == site.kind
    page = html_of(site.said[0])
    assert "Sessions" in page
    assert "session 1" in page.lower() or "<td>1</td>" in page
    again = await site.propose()
    assert (again.written, again.answer.care_plan.action) == ((), "none")
    assert again.answer.care_plan.reference == plan.reference
    assert len(site.said) == 1


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
    site.holds(*an_aneurysm(site.patient))
    assert (await site.propose()).written == ()
    assert site.double.sent == []


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


# --- interruptions --------------------------------------------------------------------------------


@pytest.mark.parametrize("loses_answer", [False, True], ids=["cut", "answer lost"])
@pytest.mark.parametrize("change", [None, a_high_pressure], ids=["a first proposal", "an update"])
async def test_interrupted_between_any_two_requests_it_is_written_once(
    site: Site, change: Callable[[str], Resource] | None, loses_answer: bool, tmp_path: Path
) -> None:
    requests = None
    for number in range(1, 40):
        folder = tmp_path / str(number)
        folder.mkdir()
        here = Site(site.double.vendor, folder)
        expected = 1
        if change is not None:
            await here.propose()
            here.holds(change(here.patient))
            expected = 1 if here.kind == "DocumentReference" else 2
        here.double.cut_after, here.double.loses_answer = number, loses_answer
        interrupted = await goes_through(here)
        requests = number if interrupted else requests
        here.double.cut_after = None
        done = await here.propose()
        assert len(here.documents) == expected, number
        assert done.answer.care_plan.reference == f"{here.kind}/{here.documents[-1]['id']}"
        assert (await here.propose()).written == ()
        if interrupted is False:
            break
    assert requests is not None
    assert requests < 39


async def goes_through(site: Site) -> bool:
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
