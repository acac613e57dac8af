"""References are taken apart in one place, and ids have one shape everywhere."""

import re
from typing import Any

import msgspec
import pytest

from service import ids
from service.doors.rest_hook import read_notification
from service.errors import NotFhir
from service.fhir.models import validated
from service.fhir.names import derived_id
from service.fhir.r5.models import validated_r5
from service.fhir.references import Reference, read_reference
from service.fhir.sources import read_owner, take_resource
from service.ids import plain_system

LONG = "eXAMPLE.of_a-long~id" + "x" * 68
BASE = "https://ehr.example/api/FHIR/R4"

READ = {
    "Patient/1": Reference("Patient/1", "", "Patient", "1"),
    "Patient/1/_history/2": Reference("Patient/1", "", "Patient", "1", "2"),
    f"{BASE}/Patient/1": Reference(f"{BASE}/Patient/1", BASE, "Patient", "1"),
    f"{BASE}/Patient/1/_history/2": Reference(f"{BASE}/Patient/1", BASE, "Patient", "1", "2"),
    f"Patient/{LONG}": Reference(f"Patient/{LONG}", "", "Patient", LONG),
    "Patient/1/_history/a=b": Reference("Patient/1", "", "Patient", "1"),
    "Patient/1/_history/..": Reference("Patient/1", "", "Patient", "1"),
    "#m": Reference("#m"),
    "urn:uuid:0c1f": Reference("urn:uuid:0c1f"),
    "urn:oid:1.2": Reference("urn:oid:1.2"),
    "": Reference(""),
}
NO_REFERENCES = [
    "Patient",
    "Patient/",
    "/1",
    "patient/1",
    "Patient/.",
    "Patient/..",
    "Patient/1/",
    "Patient/1/2",
    "Patient/1?_format=xml",
    "Patient?identifier=1",
    "Patient/1#m",
    "Patient/1%2F2",
    "Patient/a b",
    "Patient/[red]",
    "Patient/é",
    "Patient/1\n",
    f"Patient/{'1' * 257}",
    "x?y/Patient/1",
    "Patient/1/_history/",
    "Patient/1/_history/2/3",
]


@pytest.mark.parametrize("text", READ)
def test_a_reference_is_taken_apart(text: str) -> None:
    assert read_reference(text) == READ[text]


@pytest.mark.parametrize("text", [None, *NO_REFERENCES])
def test_what_is_no_reference_names_nothing(text: str | None) -> None:
    found = read_reference(text)
    assert (found.kind, found.id, found.version, found.name, found.versioned) == ("", "", None, None, None)
    assert not found.is_on("")
    assert found.id_of("Patient") is None


def test_a_reference_says_what_it_names() -> None:
    found = read_reference(f"{BASE}/Patient/1/_history/2")
    assert (found.name, found.versioned) == ("Patient/1", "Patient/1/_history/2")
    assert read_reference("Patient/1").versioned == "Patient/1"
    assert (found.id_of("Patient"), found.id_of("Device")) == ("1", None)


def test_a_reference_is_on_a_server() -> None:
    assert read_reference("Patient/1").is_on(BASE)
    assert read_reference("Patient/1").is_on(None)
    assert read_reference(f"{BASE}/Patient/1").is_on(BASE)
    assert not read_reference(f"{BASE}/Patient/1").is_on("https://ehr.example")
    assert not read_reference(f"{BASE}/Patient/1").is_on(None)
    assert not read_reference("#m").is_on(BASE)


def test_a_fragment_is_the_id_of_what_is_contained() -> None:
    assert read_reference("#m").fragment == "m"
    assert read_reference("Patient/1").fragment is None


def test_a_long_reference_is_read_in_no_time() -> None:
    for text in ("/Aa/b" * 100_000 + "?", "Patient/" + "." * 500_000, "A/" * 250_000):
        assert not read_reference(text).kind


@pytest.mark.parametrize("good", ["1", "a" * 64, "a" * 256, "A.b-c_d~e", ".a", "a.", LONG])
def test_ids(good: str) -> None:
    assert ids.is_id(good)
    assert re.fullmatch(f"Patient/{ids.ID}", f"Patient/{good}")


@pytest.mark.parametrize(
    "bad", [None, "", ".", "..", "...", "a/b", "a?", "a#", "a%2F", "a b", "[a]", "é", "1\n"]
)
def test_no_ids(bad: str | None) -> None:
    assert not ids.is_id(bad)


def test_the_ids_that_we_give_are_those_of_fhir() -> None:
    """https://hl7.org/fhir/R4/datatypes.html#id."""
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", derived_id("CarePlan", LONG, "x" * 1000))


@pytest.mark.parametrize("uri", ["http://x.org/a", "https://x.org/a/", " HTTP://X.org/A|2 "])
def test_a_system_has_one_spelling(uri: str) -> None:
    assert plain_system(uri) == "http://x.org/a"


# --- who uses them --------------------------------------------------------------------------------


def a_resource(**elements: Any) -> bytes:
    return msgspec.json.encode({"resourceType": "Condition", "id": "1", **elements})


@pytest.mark.parametrize(("kind", "element"), [("Condition", "subject"), ("AllergyIntolerance", "patient")])
@pytest.mark.parametrize("reference", [f"Patient/{LONG}", f"{BASE}/Patient/{LONG}/_history/3"])
def test_whose_record_a_resource_is(kind: str, element: str, reference: str) -> None:
    content = a_resource(resourceType=kind, **{element: {"reference": reference}})
    assert read_owner(take_resource(content)) == LONG
    assert list(read_notification(content).patients) == [LONG]


@pytest.mark.parametrize("reference", ["Group/1", "Patient/a b", "#p", "urn:uuid:1", "Patient/[red]"])
def test_who_is_not_named_by_an_id_is_nobody(reference: str) -> None:
    content = a_resource(subject={"reference": reference})
    assert not read_notification(content).patients
    with pytest.raises(NotFhir, match="does not name its patient by an id"):
        read_owner(take_resource(content))


@pytest.mark.parametrize("identity", ["a/b", "[red]x[/]", "a b", "..", "x?y", "a%2Fb"])
def test_an_id_that_nothing_is_found_by_is_taken_as_none(identity: str) -> None:
    source = take_resource(a_resource(id=identity, meta={"versionId": "1"}))
    assert (source.head.id, str(source.reference)) == (None, "Condition/unidentified")


@pytest.mark.parametrize("validate", [validated, validated_r5])
def test_a_resource_keeps_an_id_that_the_server_gave_it(validate: Any) -> None:
    plan = {
        "resourceType": "CarePlan",
        "id": LONG,
        "status": "draft",
        "intent": "proposal",
        "subject": {"reference": f"Patient/{LONG}"},
    }
    assert validate(plan)["id"] == LONG
