"""HL7 v2 over HTTP: a message names a patient, is stored, and is acknowledged in its own version."""

import asyncio
import json
import pickle
import string
from io import BytesIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from service.doors.acknowledgement import acknowledge
from service.doors.er7 import LONGEST_HEADER, Header, escape, unescape
from service.doors.messages import MOST_CHARACTERS, TYPES, read_message
from service.errors import NotHl7, QueueError
from service.gather.identified import PatientIdentifier, read_identifiers
from tests.app.engines import AUTHORITIES, DOOR, ER7, MRN, SYSTEM, Ack, a_message, sent
from tests.app.serving import CANARY, SECRET, TOKEN, PretendQueue, issue_of, serving
from tests.examples import tries

ANN = [f"{SYSTEM}|{MRN}"]
VERSIONS = ["2.1", "2.2", "2.3", "2.3.1", "2.4", "2.5", "2.5.1", "2.6", "2.7", "2.7.1", "2.8", "2.8.2"]
UNKNOWN = "PID-3: no assigning authority that TRD_HL7V2_AUTHORITIES knows"
SITE: dict[str, Any] = {"hl7v2_authorities": AUTHORITIES}


def named(queue: PretendQueue) -> list[tuple[str, list[str]]]:
    """What the queue was handed, with the identifiers that it refers to."""
    return [
        (task, [f"{one.system}|{one.value}" for one in read_identifiers(reference)])
        for task, reference in queue.tasks
    ]


async def answered(
    message: str | bytes, content_type: str = ER7, **settings: Any
) -> tuple[Ack, PretendQueue]:
    """What the service answers to one message, and what it stored."""
    queue = PretendQueue()
    async with serving(queue=queue, **{**SITE, **settings}) as site:
        return await sent(site, message, content_type), queue


# --- what is taken --------------------------------------------------------------------------------

KINDS = [
    "ADT^A01^ADT_A01",
    "ADT^A03^ADT_A03",
    "ADT^A04^ADT_A01",
    "ADT^A08^ADT_A01",
    "ADT^A28^ADT_A05",
    "ADT^A31^ADT_A05",
    "ADT^A60^ADT_A60",
    "ORU^R01^ORU_R01",
    "ORM^O01^ORM_O01",
    "OMP^O09^OMP_O09",
    "RDE^O11^RDE_O11",
    "RDS^O13^RDS_O13",
    "RAS^O17^RAS_O17",
    "PPR^PC1^PPR_PC1",
    "ADT",
]


async def test_a_message_of_each_kind_and_version_has_its_patient_reviewed() -> None:
    queue = PretendQueue()
    async with serving(queue=queue, **SITE) as site:
        for kind in KINDS:
            for version in VERSIONS:
                ack = await sent(site, a_message(kind, version=version))
                assert (ack.status, ack.code, ack.segments[1][2]) == (200, "AA", "C-1"), (kind, version)
                assert ack.segments[0][11] == version
        metrics = await (await site.get("/metrics")).text()

    assert named(queue) == [("identified", ANN)] * len(KINDS) * len(VERSIONS)
    assert f'trd_hook_events_total{{kind="changed"}} {len(queue.tasks)}.0' in metrics
    assert {kind.partition("^")[0] for kind in KINDS} | {"RGV"} == set(TYPES)


async def test_the_acknowledgement_mirrors_the_message() -> None:
    (ack, _) = await answered(a_message("ADT^A31^ADT_A05"))

    header, acceptance = ack.segments
    moment, identity = header[6], header[9]
    assert "|".join(header) == f"MSH|^~\\&|TRD|CLINIC|EHR|WARD|{moment}||ACK^A31^ACK|{identity}|P|2.5.1"
    assert len(moment) == len("20261123080000+0000")
    assert 0 < len(identity) <= 20
    assert acceptance == ["MSA", "AA", "C-1"]


@pytest.mark.parametrize(
    ("version", "kind"), [("2.3", "ACK^A08"), ("2.3.1", "ACK^A08^ACK"), ("2.8", "ACK^A08^ACK")]
)
async def test_the_acknowledgement_is_of_its_version(version: str, kind: str) -> None:
    (ack, _) = await answered(a_message(version=version))

    assert (ack.segments[0][8], ack.segments[0][11]) == (kind, version)


@pytest.mark.parametrize("end", ["\r", "\n", "\r\n", "\r\r"])
@pytest.mark.parametrize(("before", "after"), [("", ""), ("\x0b", "\x1c\r"), ("\n ", "\n\n"), ("\ufeff", "")])
async def test_segments_end_as_engines_end_them(end: str, before: str, after: str) -> None:
    oru = a_message("ORU^R01", "EVN||20261123", f"PID|||{MRN}^^^HOSP", "OBX|1|NM|44261-6||21", end=end)
    (ack, queue) = await answered(f"{before}{oru}{after}")

    assert (ack.code, named(queue)) == ("AA", [("identified", ANN)])


@pytest.mark.parametrize(
    "content_type",
    [ER7, "x-application/hl7-v2+er7", "text/plain", f"{ER7}; charset=utf-8", "text/plain;charset=UTF-8"],
)
async def test_the_answer_has_the_type_of_the_message(content_type: str) -> None:
    async with serving(**SITE) as site:
        answer = await site.post(
            DOOR, data=a_message().encode(), headers={"Content-Type": content_type}, skip_auto_headers=[]
        )
        assert (answer.status, answer.content_type) == (200, content_type.partition(";")[0])
        assert answer.headers["Cache-Control"] == "no-store"
        bare = await site.post(DOOR, data=a_message().encode(), skip_auto_headers=["Content-Type"])
        assert (bare.status, bare.content_type) == (200, ER7)


async def test_other_types_of_content_are_refused() -> None:
    queue = PretendQueue()
    async with serving(queue=queue, **SITE) as site:
        for content_type in ("application/hl7-v2+xml", "application/json", "application/fhir+json"):
            answer = await site.post(DOOR, data=a_message().encode(), headers={"Content-Type": content_type})
            await issue_of(answer, 415)

    assert queue.empty


@pytest.mark.parametrize(
    "delimiters", ["|^~\\&", "|^~\\&#", "$%~\\!", "#@*/+", "^|~\\&", ":;<=>", "-_'\"`", "{}[]."]
)
async def test_odd_delimiters_are_read_and_answered_in_kind(delimiters: str) -> None:
    (ack, queue) = await answered(a_message(control_id="1", delimiters=delimiters).replace(MRN, "17"))
    (bad, _) = await answered(a_message(control_id="1", delimiters=delimiters).replace("HOSP", "ELSE"))

    assert (ack.code, named(queue)) == ("AA", [("identified", [f"{SYSTEM}|17"])])
    assert ack.text.startswith(f"MSH{delimiters}{delimiters[0]}TRD{delimiters[0]}")
    assert bad.error[3].split(delimiters[1])[0] == "204"
    said = unescape(bad.error[8], Header("MSH", delimiters[0], delimiters[1:]), "utf-8")
    assert said == UNKNOWN


@pytest.mark.parametrize(
    ("encoding", "stated", "content_type"),
    [
        ("utf-8", "", ER7),
        ("utf-8", "UNICODE UTF-8", ER7),
        ("latin-1", "8859/1", ER7),
        ("latin-1", "", ER7),  # not UTF-8, and not said
        ("latin-1", "8859/1", f"{ER7}; charset=iso-8859-1"),
        ("utf-8", "8859/1", f"{ER7}; charset=UTF-8"),  # encoded anew by the engine
        ("iso8859-2", "8859/2~UNICODE UTF-8", ER7),
        ("cp1252", "", f"{ER7}; charset=windows-1252"),
        ("latin-1", "UNHEARD-OF", ER7),
        ("utf-8", "", f"{ER7}; charset=unheard-of"),
        ("utf-8", "", f"{ER7}; charset=base64"),
    ],
)
async def test_characters_are_those_of_the_message(encoding: str, stated: str, content_type: str) -> None:
    text = a_message("ADT^A08", "PID|||Jö-17^^^HOSP||Ä^Ö", control_id="ü1").replace(
        "2.5.1\r", f"2.5.1||||||{stated}\r", 1
    )
    (ack, queue) = await answered(text.encode(encoding), content_type)

    assert (ack.code, ack.segments[1][2]) == ("AA", "ü1")
    assert named(queue) == [("identified", [f"{SYSTEM}|Jö-17"])]


@pytest.mark.parametrize(
    ("stated", "encoding"),
    [("ISO IR87", "iso2022_jp"), ("GB 18030-2000", "gb18030"), ("BIG-5", "big5"), ("KS X 1001", "euc_kr")],
)
async def test_characters_of_the_east_hide_no_delimiter(stated: str, encoding: str) -> None:
    name = "功" if encoding != "euc_kr" else "가"  # in Big5 its second byte is a backslash
    text = a_message("ADT^A08", f"PID|||{name}^^^ELSE~17^^^HOSP||{name}").replace(
        "2.5.1\r", f"2.5.1||||||{stated}\r", 1
    )
    (ack, queue) = await answered(text.encode(encoding))

    assert (ack.code, named(queue)) == ("AA", [("identified", [f"{SYSTEM}|17"])])


# --- whom it names --------------------------------------------------------------------------------

OID = "2.16.840.1.113883.19.5"
PEOPLE: dict[str, tuple[str, list[str]]] = {
    "a namespace": ("17^^^HOSP", [f"{SYSTEM}|17"]),
    "a namespace with an OID": (f"17^^^HOSP&{OID}&ISO^MR", [f"{SYSTEM}|17"]),
    "an OID by itself": (f"17^^^&{OID}&ISO^MR", [f"urn:oid:{OID}|17"]),
    "an OID under a namespace that is not known": (f"17^^^ELSE&{OID}&ISO", [f"urn:oid:{OID}|17"]),
    "a UUID": (
        "17^^^&1B4E28BA-2FA1-11D2-883F-0016D3CCA427&UUID",
        ["urn:uuid:1b4e28ba-2fa1-11d2-883f-0016d3cca427|17"],
    ),
    "several": (f"18^^^&{OID}&ISO~17^^^HOSP~19^^^ELSE", [f"{SYSTEM}|17", f"urn:oid:{OID}|18"]),
    "the same twice": ("17^^^HOSP~17^^^HOSP^PI", [f"{SYSTEM}|17"]),
    "an account beside": ("99^^^HOSP^AN~17^^^HOSP^MR~98^^^HOSP^VN", [f"{SYSTEM}|17"]),
    "an empty one beside": ('^^^HOSP~""^^^HOSP~17^^^HOSP~', [f"{SYSTEM}|17"]),
    "blanks": (" 17 ^^^ HOSP ", [f"{SYSTEM}|17"]),
    "escapes": (r"a\T\b\S\c\R\d\E\e\X2D\f^^^HOSP", [f"{SYSTEM}|a&b^c~d\\e-f"]),
    "one that cannot be read beside": (r"x\H\y^^^HOSP~17^^^HOSP", [f"{SYSTEM}|17"]),
    "subcomponents of the id": ("17&x^^^HOSP", [f"{SYSTEM}|17"]),
}


@pytest.mark.parametrize(("field", "expected"), PEOPLE.values(), ids=PEOPLE)
async def test_a_patient_is_named_by_what_can_be_searched_for(field: str, expected: list[str]) -> None:
    (ack, queue) = await answered(a_message("ADT^A08", f"PID|1||{field}|||X^Y"))

    assert (ack.code, named(queue)) == ("AA", [("identified", expected)])


async def test_what_no_authority_assigned_has_the_system_that_the_site_gives() -> None:
    site: dict[str, Any] = {"hl7v2_authorities": {"": "urn:oid:1.2.3", OID: "http://hospital.example/by-oid"}}
    (_, bare) = await answered(a_message("ADT^A08", "PID|1||17"), **site)
    (_, by_oid) = await answered(a_message("ADT^A08", f"PID|1||17^^^X&{OID}&ISO"), **site)
    (refused, _) = await answered(a_message("ADT^A08", "PID|1||17^^^ELSE"), **site)

    assert named(bare) == [("identified", ["urn:oid:1.2.3|17"])]
    assert named(by_oid) == [("identified", ["http://hospital.example/by-oid|17"])]
    assert refused.error[3].startswith("204^")


async def test_a_merge_reviews_both() -> None:
    (ack, queue) = await answered(
        a_message("ADT^A40^ADT_A39", "EVN|A40", "PID|1||17^^^HOSP^MR", "PD1", "MRG|16^^^HOSP^MR")
    )

    assert ack.code == "AA"
    assert named(queue) == [("identified", [f"{SYSTEM}|17"]), ("merged", [f"{SYSTEM}|16"])]


async def test_every_patient_of_a_message_is_reviewed_once() -> None:
    pids = ["PID|1||17^^^HOSP", "OBX|1", "PID|2||18^^^HOSP", "PID|3||17^^^HOSP"]
    (_, queue) = await answered(a_message("ORU^R01", *pids))

    assert named(queue) == [("identified", [f"{SYSTEM}|17"]), ("identified", [f"{SYSTEM}|18"])]


NOT_NAMED: dict[str, tuple[str, str, str]] = {
    "an authority that is not known": ("PID|1||17^^^ELSE^MR", "204", "PID^1^3"),
    "no authority": ("PID|1||17", "204", "PID^1^3"),
    "an OID of no stated type": (f"PID|1||17^^^&{OID}", "204", "PID^1^3"),
    "what is no OID": ("PID|1||17^^^&hosp.example&ISO", "204", "PID^1^3"),
    "an empty field": ("PID|1||", "101", "PID^1^3"),
    "a short segment": ("PID", "101", "PID^1^3"),
    "an account alone": ("PID|1||17^^^HOSP^AN", "101", "PID^1^3"),
    "nothing, said": ('PID|1||""^^^HOSP', "101", "PID^1^3"),
    "a font in an id": (r"PID|1||1\H\7^^^HOSP", "102", "PID^1^3"),
    "half an escape": ("PID|1||1\\7^^^HOSP", "102", "PID^1^3"),
    "bytes that are none": (r"PID|1||1\XZZ\7^^^HOSP", "102", "PID^1^3"),
    "a font in an authority": (r"PID|1||17^^^H\H\P&1.2&ISO", "102", "PID^1^3"),
    "a font in a type": (r"PID|1||17^^^HOSP^\H\AN", "102", "PID^1^3"),
    "a bar in an id": (r"PID|1||1\F\7^^^HOSP", "102", "PID^1^3"),
    "a line in an id": (r"PID|1||1\X0D\7^^^HOSP", "102", "PID^1^3"),
    "an escape without end": (r"PID|1||\.sp99999999999\^^^HOSP", "102", "PID^1^3"),
    "more than can be kept": (
        "PID|1||" + "~".join(f"{CANARY}-{number}^^^HOSP" for number in range(40)),
        "102",
        "PID^1^3",
    ),
    "more than is read": (f"PID|1||17^^^HOSP|{'x' * MOST_CHARACTERS}", "102", "PID^1"),
    "no PID": ("OBX|1", "100", "PID^1"),
    "another segment's name": ("PIDX|1||17^^^HOSP", "100", "PID^1"),
}


@pytest.mark.parametrize(("segment", "code", "place"), NOT_NAMED.values(), ids=NOT_NAMED)
async def test_whom_a_message_does_not_name_is_not_guessed(segment: str, code: str, place: str) -> None:
    queue = PretendQueue()
    async with serving(queue=queue, **SITE) as site:
        ack = await sent(site, a_message("ADT^A08", segment.replace("17", f"17{CANARY}")))
        metrics = await (await site.get("/metrics")).text()

    assert (ack.status, ack.code, ack.error[2], ack.error[3].split("^")[0]) == (200, "AE", place, code)
    assert ack.error[3].endswith("^HL70357")
    assert ack.error[4] == "E"
    assert ack.error[8] == ack.segments[1][3]
    assert queue.empty
    assert CANARY not in ack.text
    assert 'trd_hook_events_total{kind="unreadable"} 1.0' in metrics


async def test_whom_a_merge_does_not_name_is_not_passed_over() -> None:
    (ack, queue) = await answered(a_message("ADT^A40", "PID|1||17^^^HOSP", "MRG|16^^^ELSE"))

    assert (ack.code, ack.error[2]) == ("AE", "MRG^1^1")
    assert queue.empty


# --- what is not taken ----------------------------------------------------------------------------

GOOD = a_message()
REJECTED: dict[str, tuple[str, str, str]] = {
    "a type that tells of nothing that is read": (a_message("SIU^S12"), "200", "MSH^1^9"),
    "an acknowledgement": (a_message("ACK^A08"), "200", "MSH^1^9"),
    "no type": (a_message(""), "101", "MSH^1^9"),
    "no control id": (a_message(control_id=""), "101", "MSH^1^10"),
    "no mode": (GOOD.replace("|P|", "||"), "101", "MSH^1^11"),
    "a mode that is none": (GOOD.replace("|P|", "|Z|"), "202", "MSH^1^11"),
    "no version": (a_message(version=""), "101", "MSH^1^12"),
    "version 3": (a_message(version="3"), "203", "MSH^1^12"),
    "a version that is none": (a_message(version="2.x"), "203", "MSH^1^12"),
    "a header alone": ("MSH|^~\\&|", "101", "MSH^1^9"),
    "two messages": (GOOD + a_message(control_id="C-2"), "100", "MSH^1"),
    "a batch": (f"BHS|^~\\&|EHR|WARD|TRD|CLINIC|||||B-7\r{GOOD}BTS|1\r", "200", "BHS^1"),
    "a file": (f"FHS|^~\\&|EHR|WARD|TRD|CLINIC|||||B-7\rBHS|^~\\&\r{GOOD}", "200", "FHS^1"),
}
BROKEN = [
    "MSH",
    "MSH|",
    "MSH|^",
    "MSH|^~\\|X",
    "MSH|^~\\&|".replace("^", "|"),
    "MSH|^^\\&|x",
    "MSH ^~\\&|x",
    "MSHA^~\\&AxA",
    "MSH|^~\\&#!|x",
    "MSH\u00a7^~\\&\u00a7x",
    GOOD.replace("EHR", "E" * LONGEST_HEADER),
    "BHS",
]


@pytest.mark.parametrize(("message", "code", "place"), REJECTED.values(), ids=REJECTED)
async def test_what_is_not_taken_is_rejected_with_its_place(message: str, code: str, place: str) -> None:
    (ack, queue) = await answered(message)

    assert (ack.status, ack.code, ack.error[2], ack.error[3].split("^")[0]) == (200, "AR", place, code)
    assert queue.empty
    control_id = "B-7" if message[:3] in {"BHS", "FHS"} else ("C-1" if "C-1" in message else "")
    assert ack.segments[1][2] == control_id
    if "WARD" in message:
        assert ack.segments[0][2:6] == ["TRD", "CLINIC", "EHR", "WARD"]


@pytest.mark.parametrize("message", BROKEN)
async def test_a_header_by_which_nothing_can_be_read_is_rejected(message: str) -> None:
    (ack, queue) = await answered(message)

    assert ack.text.startswith("MSH|^~\\&|||||")
    assert (ack.code, ack.error[3].split("^")[0]) == ("AR", "102")
    assert ack.segments[1][2] == ""
    assert len(ack.text) < 500
    assert queue.empty


@pytest.mark.parametrize(
    ("version", "error"),
    [
        ("2.3", "ERR|PID^1^3^204&Unknown key identifier&HL70357"),
        ("2.4", "ERR|PID^1^3^204&Unknown key identifier&HL70357"),
        (
            "2.5",
            f"ERR||PID^1^3|204^Unknown key identifier^HL70357|E||||{UNKNOWN}",
        ),
    ],
)
async def test_an_error_is_told_in_the_version_of_the_message(version: str, error: str) -> None:
    (ack, _) = await answered(a_message("ADT^A08", "PID|||17^^^ELSE", version=version))

    assert "|".join(ack.error) == error
    assert ack.segments[1][3] == UNKNOWN


async def test_every_field_of_the_header_may_be_broken() -> None:
    fields = GOOD.split("\r")[0].split("|")
    async with serving(**SITE) as site:
        for number in range(1, len(fields)):
            for bad in ("", "\\", "^^^", "\x00", "&~", CANARY * 200, "\\X0\\", '""'):
                header = "|".join([*fields[:number], bad, *fields[number + 1 :]])
                ack = await sent(site, f"{header}\rPID|||17^^^HOSP\r")
                assert ack.status == 200, (number, bad)


@pytest.mark.parametrize(
    "body", [b"", b"  ", b"PID|1||17", b"{}", b"<xml/>", b"\xff\xfeM\x00S\x00H\x00", b"MS"]
)
async def test_what_does_not_begin_with_a_header_is_no_message(body: bytes) -> None:
    queue = PretendQueue()
    async with serving(queue=queue, **SITE) as site:
        issue = await issue_of(await site.post(DOOR, data=body, headers={"Content-Type": ER7}), 400)

    assert issue["diagnostics"] == "the body does not begin with MSH"
    assert queue.empty


# --- what is stored, and when it is said ----------------------------------------------------------


async def test_what_cannot_be_stored_is_to_be_sent_again() -> None:
    queue = PretendQueue(fault=QueueError(CANARY))
    async with serving(queue=queue, **SITE) as site:
        answer = await site.post(DOOR, data=GOOD.encode(), headers={"Content-Type": ER7})
        text = (await answer.read()).decode()

    assert (answer.status, answer.headers["Retry-After"]) == (503, "5")
    assert "\rMSA|AE|C-1|" in text
    assert "|207^Application internal error^HL70357|E|" in text
    assert CANARY not in text


async def test_nothing_is_acknowledged_before_it_is_stored() -> None:
    stored = asyncio.Event()

    class Slow(PretendQueue):
        async def accept_task(self, name: Any, reference: str) -> None:
            await stored.wait()
            await super().accept_task(name, reference)

    queue = Slow()
    async with serving(queue=queue, **SITE) as site:
        asked = asyncio.create_task(sent(site, GOOD))
        await asyncio.sleep(0.05)
        assert not asked.done()
        stored.set()
        assert (await asked).code == "AA"

    assert len(queue.tasks) == 1


async def test_the_same_message_gets_the_same_answer_and_asks_for_the_same() -> None:
    queue = PretendQueue()
    async with serving(queue=queue, **SITE) as site:
        acks = [await sent(site, GOOD) for _ in range(3)]
        other = await sent(site, a_message(control_id="C-2"))

    without_moment = [[*ack.segments[0][:6], *ack.segments[0][7:], *ack.segments[1]] for ack in acks]
    assert without_moment[0] == without_moment[1] == without_moment[2]
    assert other.segments[0][9] != acks[0].segments[0][9]
    assert len(set(queue.tasks)) == 1, "the queue holds one job for each reference"


def test_what_was_read_crosses_to_another_process() -> None:
    """Large messages are read in a worker."""
    for message in (GOOD, a_message("SIU")):
        read = read_message(message.encode(), None, AUTHORITIES)
        assert pickle.loads(pickle.dumps(read)) == read  # noqa: S301 - of our own


async def test_ten_megabytes_of_documents_are_passed_over() -> None:
    big = "OBX|1|ED|x||^^^^" + "~^&" * 3_300_000
    (ack, queue) = await answered(a_message("ORU^R01", f"PID|||{MRN}^^^HOSP", big))

    assert (ack.code, named(queue)) == ("AA", [("identified", ANN)])


async def test_more_than_ten_megabytes_are_refused() -> None:
    async with serving(**SITE) as site:
        body = a_message("ORU^R01", "PID", "x" * (10 * 1024 * 1024)).encode()
        await issue_of(await site.post(DOOR, data=BytesIO(body), headers={"Content-Type": ER7}), 413)


async def test_a_message_needs_the_hook_secret() -> None:
    queue = PretendQueue()
    async with serving(queue=queue, api_token=TOKEN, hook_secret=SECRET, **SITE) as site:
        for headers in ({}, {"X-Hook-Secret": TOKEN}, {"Authorization": f"Bearer {TOKEN}"}):
            answer = await site.post(DOOR, data=GOOD.encode(), headers={"Content-Type": ER7, **headers})
            await issue_of(answer, 401)
        assert queue.empty
        for headers in ({"X-Hook-Secret": SECRET}, {"Authorization": f"Bearer {SECRET}"}):
            assert (await sent(site, GOOD, **headers)).code == "AA"


# --- whatever comes -------------------------------------------------------------------------------

_WORDS = ["MSH", "PID", "MRG", "BHS", "FHS", "HOSP", "17", "ADT^A08", "C-1", "P", "2.5", '""', "|^~\\&"]
_MARKS = [
    "|",
    "^",
    "~",
    "\\",
    "&",
    "#",
    "\r",
    "\n",
    "\x0b",
    "\x1c",
    "\x00",
    "\\F\\",
    "\\X",
    "\\.sp9\\",
    "\u00e4",
]
_PIECES = st.sampled_from([*_WORDS, *_MARKS])
TEXTS = st.lists(_PIECES | st.text(max_size=5), max_size=60).map("".join)
BODIES = (
    st.binary(max_size=200)
    | TEXTS.map(str.encode)
    | TEXTS.map(lambda text: f"MSH{text}".encode())
    | TEXTS.map(lambda text: f"MSH|^~\\&|{text}".encode())
    | TEXTS.map(lambda text: a_message("ADT^A08", f"PID|1||{text}").encode())
    | TEXTS.map(lambda text: a_message("ADT^A40", "PID|||17^^^HOSP", f"MRG|{text}").encode())
)


@pytest.mark.soak
@tries(1000)
@given(BODIES, st.sampled_from(["utf-8", "latin-1", "utf-16", "idna", "x", None]))
def test_whatever_comes_is_read_or_refused(body: bytes, charset: str | None) -> None:
    try:
        message = read_message(body, charset, AUTHORITIES)
    except NotHl7:
        return
    assert bool(message.patients) != (message.fault is not None)
    answer = acknowledge(message.header, message.fault, "20261123080000+0000")
    assert len(answer.encode(message.charset, "replace")) < 3 * LONGEST_HEADER


@given(
    st.text(string.printable, max_size=30).map(str.strip),
    st.sampled_from(["|^~\\&", "$%~\\!", "-_'\"`"]),
)
def test_what_is_escaped_is_read_as_it_was(text: str, delimiters: str) -> None:
    header = Header("MSH", delimiters[0], delimiters[1:])

    assert unescape(escape(text, header), header, "utf-8") == text


def test_a_person_is_kept_by_all_identifiers_in_any_order() -> None:
    forward = read_message(a_message("ADT^A08", "PID|||1^^^HOSP~2^^^HOSP").encode(), None, AUTHORITIES)
    backward = read_message(a_message("ADT^A08", "PID|||2^^^HOSP~1^^^HOSP").encode(), None, AUTHORITIES)

    assert forward.patients == backward.patients
    assert read_identifiers(forward.patients[0]) == [PatientIdentifier(SYSTEM, one) for one in "12"]
    assert "HOSP" not in json.dumps(forward.patients)
