"""The examples of the page for integration engines, run against the service."""

import asyncio
import json
import re
import shlex
from pathlib import Path
from typing import Any

from service.gather.identified import PatientIdentifier, to_reference
from tests.app.engines import AUTHORITIES, MRN, SYSTEM
from tests.app.serving import SECRET, TOKEN, PretendQueue, Site, serving
from tests.contract_write import TWO_FAILURES
from tests.fhir.double import FhirDouble
from tests.support import case_bundle, resources_of

PAGE = (Path(__file__).parents[2] / "docs" / "engines.md").read_text(encoding="utf-8")
NAMED = {"identifier": [{"system": SYSTEM, "value": MRN}]}
ADDRESS = "http://127.0.0.1:8080"


def example(language: str, text: str) -> str:
    blocks = re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)
    (found,) = [block for block in blocks if text in block]
    return str(found)


def address_of(site: Site) -> str:
    return str(site.make_url("")).rstrip("/")


async def test_the_message_of_the_page_is_accepted() -> None:
    queue = PretendQueue()
    secrets: dict[str, Any] = {"hook_secret": SECRET, "api_token": TOKEN}
    async with serving(queue=queue, hl7v2_authorities=AUTHORITIES, **secrets) as site:
        code = compile(example("python", "urlopen").replace(ADDRESS, address_of(site)), "engines.md", "exec")
        await asyncio.to_thread(exec, code, {})

    assert queue.tasks == [("identified", to_reference([PatientIdentifier(SYSTEM, MRN)]))]


async def test_the_question_of_the_page_is_answered() -> None:
    record = resources_of(case_bundle(TWO_FAILURES))
    server = FhirDouble([one | NAMED if one["resourceType"] == "Patient" else one for one in record])
    arguments = shlex.split(example("sh", "curl").replace("\\\n", " "))
    headers = [arguments[n + 1] for n, one in enumerate(arguments) if one == "-H"]
    body = arguments[arguments.index("-d") + 1]
    path = next(one for one in arguments if one.startswith(ADDRESS)).removeprefix(ADDRESS)
    async with serving(server, api_token=TOKEN) as site:
        named = dict(header.split(": ", 1) for header in headers)
        answer = await site.post(path, data=body, headers=named)
        assert (await answer.json())["decision"] == "propose"


def test_the_setting_of_the_page_is_the_one_of_the_examples() -> None:
    ((name, value),) = [line.split("=", 1) for line in shlex.split(example("sh", "AUTHORITIES"))]

    assert (name, json.loads(value)) == ("TRD_HL7V2_AUTHORITIES", AUTHORITIES)
