"""Records from files: what is read, and that nothing whatever in a file breaks or leaks."""

import json
import re
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.errors import InputError, NotAssessable, NotFhir, NotJson
from service.fhir.names import EDIT_DIGEST, PLAN_DEFINITION, PLAN_IDENTIFIER
from service.fhir.sources import Gathered
from service.gather.files import NamedRecord, is_ndjson, read_bundle, read_ndjson
from service.review import Review
from tests.examples import tries
from tests.support import (
    FEW,
    RXNORM,
    Resource,
    a_bundle,
    a_condition,
    a_medication,
    a_patient,
    a_statement,
    an_allergy,
    answer_of,
    case_bundle,
    case_names,
    contents_of,
    reviewer,
)


def as_bytes(value: object) -> bytes:
    return json.dumps(value).encode()


def reviewed(content: bytes) -> Review:
    return reviewer().review(read_bundle(content))


def lines(*values: object) -> bytes:
    return b"\n".join(value if isinstance(value, bytes) else as_bytes(value) for value in values)


# --- one Bundle -----------------------------------------------------------------------------------


def test_a_bundle_is_read() -> None:
    gathered = read_bundle(as_bytes(a_bundle([a_patient(), a_condition("one"), a_medication("two")])))
    assert contents_of(gathered) == {"Patient/ann", "Condition/one", "Medication/two"}
    assert gathered.patient_id is None
    assert not gathered.compartment


@pytest.mark.parametrize("kind", ["collection", "searchset", "document", "transaction", "batch"])
def test_the_kind_of_bundle_does_not_matter(kind: str) -> None:
    record = [a_patient(), a_condition("one"), a_statement("two")]
    expected = answer_of(reviewed(as_bytes(a_bundle(record))))
    assert answer_of(reviewed(as_bytes(a_bundle(record, kind=kind)))) == expected


NOT_A_BUNDLE: dict[str, tuple[bytes, type[InputError], str]] = {
    "nothing": (b"", NotJson, "not a JSON object"),
    "spaces": (b" \n ", NotJson, "not a JSON object"),
    "text": (b"Marigold", NotJson, "not a JSON object"),
    "HTML": (b"<html>Marigold</html>", NotJson, "not a JSON object"),
    "XML": (b'<Bundle xmlns="http://hl7.org/fhir"/>', NotJson, "not a JSON object"),
    "cut off": (as_bytes(case_bundle(case_names()[0]))[:700], NotJson, "not a JSON object"),
    "UTF-16": ('{"resourceType":"Bundle"}'.encode("utf-16"), NotJson, "not a JSON object"),
    "bytes that are no text": (b'{"resourceType":"Bundle","type":"\xff\xfe"}', NotJson, "not proper JSON"),
    "binary": (bytes(range(256)), NotJson, "not a JSON object"),
    "NUL": (b"\0" * 10, NotJson, "not a JSON object"),
    "deep": (b"[" * 100_000, NotFhir, "not a JSON object"),
    "a deep value": (b'{"resourceType":' + b"[" * 5000 + b"]" * 5000 + b"}", NotFhir, "not a JSON object"),
    "null": (b"null", NotFhir, "not a JSON object"),
    "a list": (b'["Marigold"]', NotFhir, "not a JSON object"),
    "a number": (b"7", NotFhir, "not a JSON object"),
    "an object": (b'{"name":"Marigold"}', NotFhir, "expected a Bundle, found no resourceType"),
    "a kind that is no text": (b'{"resourceType":7}', NotFhir, "expected a Bundle, found no resourceType"),
    "a kind that is none": (b'{"resourceType":"Marigold Testperson"}', NotFhir, "found no resourceType"),
    "another resource": (as_bytes(a_patient()), NotFhir, "expected a Bundle, found Patient"),
    "entries that are no list": (b'{"resourceType":"Bundle","entry":7}', NotFhir, "at Bundle.entry"),
    "an entry that is no object": (b'{"resourceType":"Bundle","entry":[7]}', NotFhir, "at Bundle.entry"),
    "a resource that is no object": (
        b'{"resourceType":"Bundle","entry":[{"resource":"Marigold"}]}',
        NotFhir,
        "not a JSON object",
    ),
    "one page of several": (
        as_bytes(a_bundle([a_patient()], link=[{"relation": "next", "url": "http://fhir.test/r4?p=2"}])),
        NotAssessable,
        "one page of several",
    ),
    "one page of several, of unknown address": (
        as_bytes(a_bundle([a_patient()], link=[{"relation": "next"}])),
        NotAssessable,
        "one page of several",
    ),
    "nobody": (as_bytes(a_bundle([a_condition("one")])), NotAssessable, "no Patient"),
    "empty": (as_bytes(a_bundle([])), NotAssessable, "no Patient"),
    "two patients": (
        as_bytes(a_bundle([a_patient(), a_patient("bob")])),
        NotAssessable,
        "more than one Patient",
    ),
    "somebody else's condition": (
        as_bytes(a_bundle([a_patient(), a_condition("one", "bob")])),
        NotAssessable,
        "Condition/one: subject is not Patient/ann",
    ),
    "somebody else's statement": (
        as_bytes(a_bundle([a_patient(), a_statement("one", "bob")])),
        NotAssessable,
        "MedicationStatement/one: subject is not Patient/ann",
    ),
    "somebody else's allergy": (
        as_bytes(a_bundle([a_patient(), an_allergy("one", "bob")])),
        NotAssessable,
        "AllergyIntolerance/one: patient is not Patient/ann",
    ),
    "a patient that cannot be read": (
        as_bytes(a_bundle([a_patient(birthDate="Marigold")])),
        NotFhir,
        "Patient/ann: cannot be read at birthDate",
    ),
    "a patient of wrong shape": (
        as_bytes(a_bundle([a_patient(link="Marigold")])),
        NotFhir,
        "Patient/ann: cannot be read at link",
    ),
    "a merged patient": (
        as_bytes(
            a_bundle([a_patient(link=[{"type": "replaced-by", "other": {"reference": "Patient/anna"}}])])
        ),
        NotAssessable,
        "merged into Patient/anna",
    ),
}


@pytest.mark.parametrize(("content", "kind", "says"), NOT_A_BUNDLE.values(), ids=NOT_A_BUNDLE)
def test_what_cannot_be_assessed_says_why(content: bytes, kind: type[InputError], says: str) -> None:
    with pytest.raises(InputError) as caught:
        reviewed(content)
    assert type(caught.value) is kind
    assert says in str(caught.value)
    assert "Marigold" not in str(caught.value)


@pytest.mark.parametrize("other", ["Marigold Testperson, 5 Lane", "Patient/Marigold Testperson", ""])
def test_a_merged_patient_names_the_other_only_by_its_id(other: str) -> None:
    link = [{"type": "replaced-by", "other": {"reference": other, "display": "Marigold Testperson"}}]
    with pytest.raises(NotAssessable, match="merged into another record") as caught:
        reviewed(as_bytes(a_bundle([a_patient(link=link)])))
    assert "Marigold" not in str(caught.value)


def test_labels_that_cannot_be_read_leave_open_whether_a_resource_is_shown_in_full() -> None:
    bundle = a_bundle([a_patient()])
    bundle["entry"].append({"resource": {**a_condition("one"), "meta": 7}})
    (unreadable,) = reviewed(as_bytes(bundle)).record.unreadable
    assert unreadable.element == "meta"


@pytest.mark.parametrize("broken", [{"id": 7}, {"meta": {"versionId": 1}}])
def test_a_resource_with_a_broken_head_is_not_lost(broken: Resource) -> None:
    bundle = a_bundle([a_patient()])
    bundle["entry"].append({"resource": {**a_condition("one"), **broken}})
    (diagnosis,) = reviewed(as_bytes(bundle)).record.diagnoses
    assert diagnosis.evidence[0].type == "Condition"


@pytest.mark.parametrize("broken", [{"id": 7}, {"meta": {"versionId": 1}}, {}])
@pytest.mark.parametrize("modifier", [[{"url": "http://fhir.test/not"}], {"url": "http://fhir.test/not"}, 7])
def test_a_modifier_that_is_not_understood_makes_a_resource_unreadable(
    broken: Resource, modifier: object
) -> None:
    bundle = a_bundle([a_patient()])
    bundle["entry"].append({"resource": {**a_condition("one"), **broken, "modifierExtension": modifier}})
    (unreadable,) = reviewed(as_bytes(bundle)).record.unreadable
    assert unreadable.element == "modifierExtension"


# --- NDJSON ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("content", "answer"),
    [
        (lines(a_patient(), a_condition("one")), True),
        (lines(b"", a_patient(), b"", a_condition("one"), b""), True),
        (as_bytes(a_patient()) + b"\r\n" + as_bytes(a_condition("one")), True),
        (as_bytes(a_patient()), False),
        (json.dumps(a_bundle([a_patient()]), indent=1).encode(), False),
        (json.dumps([a_patient(), a_condition("one")], indent=None).encode(), False),
        (b"", False),
        (b"Marigold\nTestperson", False),
        (b"\0\n{\n", False),
    ],
)
def test_several_values_one_a_line_are_told_from_one_value(content: bytes, answer: bool) -> None:
    assert is_ndjson(content) is answer


def test_bundles_one_a_line_are_one_patient_each() -> None:
    first, second = a_bundle([a_patient()]), a_bundle([a_patient("bob"), a_statement("one", "bob")])
    records = list(read_ndjson(lines(first, second)))
    assert [where for where, _ in records] == ["line 1", "line 2"]
    assert [contents_of(record) for record in readable(records)] == [
        {"Patient/ann"},
        {"Patient/bob", "MedicationStatement/one"},
    ]


def test_the_resources_of_an_export_go_to_their_patients() -> None:
    content = lines(
        a_condition("anns"),
        a_patient("bob"),
        a_patient(),
        a_statement("bobs", "bob", medication="Medication/capsule"),
        a_statement("anns", medication="Medication/capsule"),
        an_allergy("bobs", "bob"),
        a_medication("capsule"),
    )

    records = list(read_ndjson(content))

    assert [where for where, _ in records] == ["Patient/ann", "Patient/bob"]
    ann, bob = readable(records)
    assert contents_of(ann) == {
        "Patient/ann",
        "Condition/anns",
        "MedicationStatement/anns",
        "Medication/capsule",
    }
    assert contents_of(bob) == {
        "Patient/bob",
        "MedicationStatement/bobs",
        "AllergyIntolerance/bobs",
        "Medication/capsule",
    }


@pytest.mark.parametrize("subject", ["http://fhir.test/r4/Patient/ann", "Patient/ann/_history/2"])
def test_a_patient_may_be_named_by_address_or_version(subject: str) -> None:
    content = lines(a_patient(), a_condition("one", subject={"reference": subject}))
    (record,) = readable(list(read_ndjson(content)))
    assert contents_of(record) == {"Patient/ann", "Condition/one"}


def test_a_line_that_cannot_be_used_is_named_and_the_others_go_on() -> None:
    ownerless = a_condition("one", subject={"display": "Marigold"})
    content = lines(
        a_patient(), b"Marigold", b'["Marigold"]', ownerless, a_condition("two", subject=7), a_bundle([])
    )

    records = list(read_ndjson(content))

    faults = {where: str(record) for where, record in records if isinstance(record, InputError)}
    assert faults == {
        "line 2": "not a JSON object",
        "line 3": "not a JSON object",
        "line 4": "Condition/one: does not name its patient by an id",
        "line 5": "Condition/two: does not name its patient by an id",
    }
    assert [where for where, _ in records if where not in faults] == ["line 6", "Patient/ann"]


def test_a_file_of_nothing_has_no_records() -> None:
    assert list(read_ndjson(b"\n \r\n")) == []


@pytest.mark.parametrize(
    "names", [FEW, pytest.param(case_names(), marks=pytest.mark.matrix)], ids=["few", "all"]
)
def test_every_case_gives_the_same_answer_from_an_export(names: list[str]) -> None:
    bundles = [case_bundle(name) for name in names]
    content = lines(*(entry["resource"] for bundle in bundles for entry in bundle["entry"]))

    answers = {answer_of(reviewer().review(record)) for record in readable(list(read_ndjson(content)))}

    assert answers == {answer_of(reviewed(as_bytes(bundle))) for bundle in bundles}


def readable(records: list[NamedRecord]) -> list[Gathered]:
    return [record for _, record in records if not isinstance(record, InputError)]


# --- anything at all ------------------------------------------------------------------------------


def rich_record() -> list[Resource]:
    """One record with every element that is read, and a plan of ours."""
    years = {"value": 30, "unit": "years", "code": "a"}
    period = {"start": "2025-07-01", "end": "2025-08-01"}
    milligrams = {"value": 50, "unit": "mg", "code": "mg"}
    repeat = {"frequency": 1, "frequencyMax": 2, "period": 1, "periodMax": 2, "periodUnit": "d"}
    dosage = {
        "text": "100 mg daily",
        "asNeededBoolean": False,
        "timing": {
            "repeat": {**repeat, "dayOfWeek": ["mon"], "when": ["MORN"], "boundsPeriod": period},
            "code": {"coding": [{"code": "BID"}], "text": "twice a day"},
        },
        "doseAndRate": [{"doseQuantity": milligrams, "doseRange": {"low": milligrams, "high": milligrams}}],
    }
    later = {"timing": {"repeat": {**repeat, "boundsPeriod": {"start": "2025-08-02"}}}}
    return [
        a_patient(
            identifier=[{"system": "http://fhir.test/people", "value": "7"}],
            deceasedDateTime="2030-01-01",
            link=[{"other": {"reference": "Patient/x"}, "type": "seealso"}],
        ),
        a_condition(
            "one",
            verificationStatus={"coding": [{"code": "confirmed"}]},
            severity={"text": "severe"},
            onsetDateTime=None,
            onsetAge=years,
            abatementAge=years,
            recordedDate="2020-01-01",
        ),
        a_condition(
            "two",
            onsetDateTime=None,
            onsetPeriod=period,
            abatementPeriod=period,
            onsetRange={"low": years, "high": years},
            abatementRange={"low": years, "high": years},
        ),
        a_statement("one", medication="Medication/one", dosage=[dosage, later]),
        a_statement(
            "two",
            medication="#in",
            contained=[{"resourceType": "Medication", "id": "in", "code": {"text": "sertraline 50 mg"}}],
            dateAsserted="2025-12-01",
            reasonCode=[{"text": "depression"}],
            dosage=[dosage],
        ),
        a_medication("one"),
        {**an_allergy("one"), "reaction": [{"substance": {"coding": [{"system": RXNORM, "code": "6130"}]}}]},
        {
            "resourceType": "CarePlan",
            "id": "plan",
            "status": "active",
            "intent": "proposal",
            "title": "Esketamine",
            "subject": {"reference": "Patient/ann"},
            "identifier": [{"system": PLAN_IDENTIFIER, "value": "7"}],
            "instantiatesCanonical": [f"{PLAN_DEFINITION}/us-trd|1.0.0"],
            "extension": [{"url": EDIT_DIGEST, "valueString": "7"}],
            "activity": [{"detail": {"code": {"text": "s"}, "scheduledTiming": {"event": ["2026-12-01"]}}}],
        },
    ]


def rich_with(junk: object, *path: str | int) -> bytes:
    """The rich record with something else at a place of one of its resources."""
    record = rich_record()
    put(record, path, junk)
    return spelled(a_bundle(record))


CASES = [as_bytes(case_bundle(name)) for name in case_names()] + 12 * [as_bytes(a_bundle(rich_record()))]
CANARY = "Marigold Testperson, 5 Lane, +1 555 0100"
_RAW = "raw-token"

TOKENS = [
    "1e400",
    "-1e400",
    "1e-400",
    "1e308",
    "-1e308",
    "5e-324",
    "9" * 400,
    "9" * 5000,
    "-" + "9" * 400,
    "18446744073709551616",
    "0.1e",
    "01",
    "-0",
    "-0.0",
    "NaN",
    "Infinity",
    "",
    "{",
    '"',
    "[" * 500 + "]" * 500,
    "[" * 50_000,
    '{"a":' * 500 + "1" + "}" * 500,
    '"\\ud800"',
    '"\\udfff\\ud800"',
    '"\\u0000"',
    '"\\x"',
    '{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/data-absent-reason"}]}',
]
"""Spellings of JSON values, some wrong, that a serialiser would not write."""

WORDS = [
    "",
    "0000",
    "0001",
    "0000-00-00",
    "9999",
    "9999-12-31",
    "0001-01-01",
    "2021-13-45",
    "2021-02-30",
    "2021-07",
    "2021-07-04T25:61:61Z",
    "2021-07-04T10:00:00+99:99",
    "0001-01-01T00:00:00+14:00",
    "9999-12-31T23:59:59-12:00",
    "20210704",
    "\uff12\uff10\uff12\uff11-07-04",
    "2021-07-04\x00",
    "Patient/",
    "#",
    "/_history/",
    "#nowhere",
    "urn:uuid:",
    "http://[",
    "active",
    "entered-in-error",
    "stopped",
    "d",
    "mg",
    "1000000 mg",
    "x" * 10_000,
]

JUNK: st.SearchStrategy[Any] = st.one_of(
    st.just(CANARY),
    st.sampled_from(WORDS),
    st.sampled_from(TOKENS).map(lambda token: _RAW + token),
    st.none() | st.booleans() | st.integers() | st.floats(),
    st.text(max_size=6),  # longer ones may happen to be a message of ours: Hypothesis draws from the source
    st.recursive(
        st.none() | st.just(CANARY) | st.integers(),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["coding", "reference", "value", "start"]), inner, max_size=3)
        ),
        max_leaves=6,
    ),
)


def places_in(value: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    """Every place of a document below its root."""
    match value:
        case dict():
            children = list(value.items())
        case list():
            children = list(enumerate(value))
        case _:
            children = []
    for key, child in children:
        yield (*path, key)
        yield from places_in(child, (*path, key))


def texts_of(document: object) -> tuple[set[str], set[str]]:
    """The texts of a document that may be told, its ids and kinds, and those that must stay in it."""
    places = [(path[-1] in _TOLD, valued(document, path)) for path in places_in(document)]
    told = {text for is_told, text in places if is_told and isinstance(text, str)}
    kept = {text for is_told, text in places if not is_told and isinstance(text, str) and len(text) > 6}
    return told, {text for text in kept - told - set(WORDS) if not text.startswith(_RAW)}


_TOLD = {"id", "resourceType", "versionId"}
_REFERENCE = re.compile(r"\b[A-Z][A-Za-z]+/[A-Za-z0-9.-]+(/_history/[A-Za-z0-9.-]+)?")


def valued(document: Any, path: tuple[str | int, ...]) -> object:
    for step in path:
        document = document[step]
    return document


def put(document: Any, path: tuple[str | int, ...], junk: object) -> None:
    if path[-1] in _TOLD and CANARY in json.dumps(junk):
        return
    for step in path[:-1]:
        document = document[step]
    document[path[-1]] = junk


def spelled(document: object) -> bytes:
    """The document as JSON, its raw tokens spelled out."""
    text = json.dumps(document)
    for token in TOKENS:
        text = text.replace(json.dumps(_RAW + token), token)
    return text.encode()


@st.composite
def damaged(draw: st.DrawFn) -> Resource:
    """A record with junk at one to three places."""
    document: Resource = json.loads(draw(st.sampled_from(CASES)))
    for _ in range(draw(st.integers(1, 3))):
        places = list(places_in(document))
        put(document, places[draw(st.integers(0, len(places) - 1))], draw(JUNK))
    return document


ALIKE = tries(300, derandomize=True)
"""The same examples on every run: a gate does not fail by chance."""


def survives(read: Callable[[], object], document: object = None) -> None:
    """Nothing but an `InputError` may come out, and nothing of the document in its message but ids."""
    try:
        read()
    except InputError as error:
        message = str(error)
        assert not any(word in message for word in ("Marigold", "Testperson"))
        told, secrets = texts_of(document)
        for text in sorted(told, key=len, reverse=True):
            message = message.replace(text, "") if text else message
        message = _REFERENCE.sub("", message)
        assert not any(secret in message for secret in secrets), (message, secrets)


def read_and_answer(content: bytes) -> None:
    answer_of(reviewed(content))


def read_each_and_answer(content: bytes) -> None:
    is_ndjson(content)
    for _, record in read_ndjson(content):
        if isinstance(record, InputError):
            raise record
        answer_of(reviewer().review(record))


def test_the_rich_record_is_read_whole() -> None:
    record = reviewed(as_bytes(a_bundle(rich_record()))).record
    assert len(record.exposures) == 3
    assert len(record.diagnoses) == 2
    assert len(record.plans) == 1
    assert record.unreadable == ()


@pytest.mark.parametrize(
    ("junk", "path"),
    [
        ("9999", (0, "birthDate")),
        (f"{_RAW}{'9' * 400}", (3, "dosage", 0, "timing", "repeat", "frequency")),
        (f"{_RAW}{'9' * 400}", (4, "dosage", 0, "timing", "repeat", "frequencyMax")),
        (f"{_RAW}5e-324", (4, "dosage", 0, "timing", "repeat", "period")),
        (f"{_RAW}1e308", (4, "dosage", 0, "doseAndRate", 0, "doseQuantity", "value")),
        (f"{_RAW}1e400", (7, "note")),
        (7, (7, "extension")),
    ],
)
def test_numbers_and_shapes_that_nobody_can_have_meant_break_nothing(
    junk: object, path: tuple[str | int, ...]
) -> None:
    answer = answer_of(reviewed(rich_with(junk, *path)))
    assert json.loads(answer)["patient"] == "Patient/ann"


@ALIKE
@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(content: bytes) -> None:
    survives(lambda: read_and_answer(content))
    survives(lambda: read_each_and_answer(content))


@ALIKE
@given(JUNK)
def test_any_json_is_read_or_refused(junk: object) -> None:
    for document in (junk, {"resourceType": "Bundle", "entry": junk}, a_bundle([a_patient(link=junk)])):
        survives(partial(read_and_answer, spelled(document)))


@ALIKE
@given(st.sampled_from(CASES), st.integers(0, 10_000), st.binary(max_size=4), st.integers(0, 20))
def test_a_record_with_damaged_bytes_is_read_or_refused(
    content: bytes, at: int, junk: bytes, lost: int
) -> None:
    at %= len(content)
    survives(lambda: read_and_answer(content[:at] + junk + content[at + lost :]))
    survives(lambda: read_and_answer(content[:at]))


@tries(1200, derandomize=True)
@given(damaged())
def test_a_record_with_junk_in_it_is_read_or_refused(document: Resource) -> None:
    survives(lambda: read_and_answer(spelled(document)), document)


@ALIKE
@given(st.lists(damaged(), min_size=1, max_size=3))
def test_an_export_with_junk_in_it_is_read_or_refused(documents: list[Resource]) -> None:
    entries = [
        entry
        for document in documents
        if isinstance(document.get("entry"), list)
        for entry in document["entry"]
        if isinstance(entry, dict)
    ]
    content = b"\n".join(spelled(entry.get("resource")) for entry in entries)
    survives(lambda: read_each_and_answer(content), entries)
