"""No patient data leaves a record but for the FHIR server: hook, review and write, in a process of its own.

Every place of a record that can hold words holds a canary. It may be found on the FHIR server and nowhere
else.
"""

import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.gather.identified import PatientIdentifier, to_reference
from tests.app.engines import a_message
from tests.app.hooks import INSTANCE, a_call, prefetch_of
from tests.contract_write import found_by
from tests.running import Service, at_least, patients_to_treat, until
from tests.servers import load, running_sekmet
from tests.support import Resource

CANARY = "Canarybird"
SYSTEM = "http://canarybird.example/mrn"
PATIENT = "p-000"
TYPES = {"/hl7v2": "application/hl7-v2"}
HOOK = "/cds-services/esketamine-patient-view"
FEEDBACK = {
    "card": INSTANCE,
    "outcome": "overridden",
    "overrideReason": {"reason": {"code": CANARY}, "userComment": CANARY},
    "outcomeTimestamp": "2026-11-23T10:00:00Z",
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with running_sekmet() as base:
        yield base


def marked(resource: Resource) -> Resource:
    """A resource with a canary in everything that a person may have written, codes and dates as they were."""
    words: Resource = json.loads(json.dumps(resource), object_hook=_marked_texts)
    words["text"] = {
        "status": "generated",
        "div": f'<div xmlns="http://www.w3.org/1999/xhtml">{CANARY} narrative</div>',
    }
    words["identifier"] = [{"system": SYSTEM, "value": f"{CANARY}-mrn"}]
    words["extension"] = [{"url": "http://example.org/words", "valueString": f"{CANARY} extension"}]
    match words["resourceType"]:
        case "Patient":
            words["name"] = [{"family": f"{CANARY}son", "given": [f"{CANARY}ina"], "text": f"{CANARY} name"}]
            words["address"] = [{"line": [f"1 {CANARY} Street"], "city": f"{CANARY}ville"}]
            words["telecom"] = [{"system": "phone", "value": f"{CANARY}-555"}]
            words["contact"] = [{"name": {"family": f"{CANARY} contact"}}]
        case "Condition":
            words["note"] = [{"text": f"{CANARY} note"}]
            words["evidence"] = [{"code": [{"text": f"{CANARY} evidence"}]}]
        case "MedicationStatement":
            words["note"] = [{"text": f"{CANARY} note"}]
            words["informationSource"] = {"display": f"{CANARY} informant"}
        case _:
            pass
    return words


def _marked_texts(element: dict[str, Any]) -> dict[str, Any]:
    """What stands beside codes and references. A reason's text decides by its words, so that it stays."""
    if "code" in element and "system" in element and "value" not in element:
        element["display"] = f"{element.get('display', '')} {CANARY} display"
    if "reference" in element:
        element["display"] = f"{CANARY} reference"
    return element


def broken(record: list[Resource]) -> list[Resource]:
    """Elements that cannot be read, with canaries in them: what an error message would like to quote."""
    stranger = {"resourceType": "Condition", "id": CANARY, "subject": {"reference": f"Patient/{CANARY} x"}}
    odd = {**record[0], "birthDate": f"{CANARY} 1980", "meta": f"{CANARY}"}
    return [stranger, odd, {"resourceType": f"{CANARY}", "id": "x"}, {"resourceType": [CANARY]}]


async def test_no_word_of_a_record_gets_out(server: str, tmp_path: Path) -> None:
    (record,) = [[marked(r) for r in resources] for resources in patients_to_treat("p", 1).values()]
    load(server, record)
    heard: list[str] = []
    async with (
        Service(tmp_path, fhir_base_url=server, hl7v2_authorities=json.dumps({"HOSP": SYSTEM})) as service,
        httpx.AsyncClient(base_url=service.address, trust_env=False, timeout=30) as http,
    ):

        async def say(method: str, path: str, body: object = None) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode() if body else None
            answer = await http.request(
                method,
                path,
                content=content,
                headers={"Content-Type": TYPES[path]} if path in TYPES else None,
            )
            heard.append(f"{answer.status_code} {answer.headers} {answer.text}")

        for resource in [*record, *broken(record)]:
            await say("PUT", f"/hooks/fhir/{resource['resourceType']}/{resource.get('id', 'x')}", resource)
            await say("POST", "/hooks/fhir", resource)
        await say("POST", "/hooks/fhir", f'{{"resourceType": "Patient", "name": "{CANARY}'.encode())
        await say(
            "POST", "/hooks/fhir", {"resourceType": "Bundle", "entry": [{"resource": r} for r in record]}
        )
        await say("DELETE", f"/hooks/fhir/Condition/{CANARY}")
        await say("GET", f"/fhir/Patient/{CANARY}/$assess-treatment-resistance?name={CANARY}")
        await say("POST", "/fhir/$assess-treatment-resistance", {"resourceType": CANARY, "name": CANARY})
        await say(
            "POST", "/fhir/Patient/p-000/$propose-care-plan", {"resourceType": "Parameters", "x": CANARY}
        )
        for message in messages():
            await say("POST", "/hl7v2", message)
        for wanted in ({"identifier": f"{SYSTEM}|{CANARY}-mrn"}, {"identifier": f"{SYSTEM}|{CANARY}"}):
            await say("POST", "/reviews", wanted)
        await say("POST", "/reviews", {"patient": f"{CANARY} x", CANARY: CANARY})
        asked = a_call("patient-view", PATIENT, prefetch_of(record), fhirServer=f"https://{CANARY}.example")
        await http.post(HOOK, json=asked)  # a card may say what the record says
        for fault in ({"hook": CANARY}, {"prefetch": {"patient": CANARY}}, {"prefetch": {CANARY: record[0]}}):
            await say("POST", HOOK, {**asked, **fault, "fhirAuthorization": {"access_token": CANARY}})
        await say("POST", f"{HOOK}/feedback", {"feedback": [FEEDBACK]})
        await until(lambda: at_least(1, server, [PATIENT]), seconds=60)
        await until(service.is_idle, seconds=60)
        await say("GET", "/metrics")
        await say("GET", "/health/ready")
        database = queue_of(tmp_path)
        assert await service.stop() == 0

    assert [said for said in heard if "MSA|AA" in said]
    assert [said for said in heard if "MSA|AE" in said]
    (plan,) = await found_by(server, f"CarePlan?patient={PATIENT}")
    assert plan["subject"]["reference"] == f"Patient/{PATIENT}"
    assert service.reviews >= 1
    allowed = {f"Condition/{CANARY}"}
    assert CANARY not in service.log
    assert to_reference([PatientIdentifier(SYSTEM, f"{CANARY}-mrn")]) not in service.log
    assert [said for said in heard if CANARY in said] == []
    assert CANARY not in without(allowed, database)
    assert PATIENT not in service.log
    assert PATIENT in database, "the queue holds the reference, so this is where to look"
    files = bytes_of_queue(tmp_path)
    assert PATIENT in files
    assert CANARY not in without(allowed, files)


def messages() -> list[bytes]:
    """Messages of an engine: one that is taken, and some that are not, with canaries beside the header."""
    pid = f"PID|1||{CANARY}-mrn^^^HOSP^MR||{CANARY}son^{CANARY}ina|||||{CANARY} Street"
    obx = f"OBX|1|TX|x||{CANARY} note"
    return [
        a_message("ORU^R01^ORU_R01", pid, obx).encode(),
        a_message("ADT^A40", pid, f"MRG|{CANARY}-old^^^{CANARY}").encode(),
        a_message("ADT^A08", f"PID|1||{CANARY}^^^{CANARY}", f"{CANARY}|{CANARY}").encode(),
        a_message(f"{CANARY}", pid, control_id="").encode(),
        f"{CANARY}".encode(),
    ]


def queue_of(folder: Path) -> str:
    """Every row of every table of the queue."""
    with sqlite3.connect(folder / "queue.sqlite") as connection:
        tables = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall()
        rows = [row for (name,) in tables for row in connection.execute(f'SELECT * FROM "{name}"')]  # noqa: S608 - names of its own
    connection.close()
    return "\n".join(map(str, rows))


def bytes_of_queue(folder: Path) -> str:
    """The bytes of the queue's files, freed pages included, each as one character."""
    return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("queue.sqlite*"))


def without(allowed: set[str], text: str) -> str:
    """A text without the references that it may hold."""
    for reference in allowed:
        text = text.replace(reference, "")
    return text
