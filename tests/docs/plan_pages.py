"""Writes `docs/plans/`: the plan of every protocol, as FHIR and as the page that a clinician reads.

`make docs` runs it; a test compares the files with what it would write now.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from service.core.decision import Propose
from service.core.schedule import Schedule
from service.gather.files import read_bundle
from service.read.agenda import read_agenda
from service.render.course import ShownPlan
from service.render.page import to_page
from service.review import Reviewer
from tests.support import AS_OF, case_bundle, resources_of, reviewer

FOLDER = Path(__file__).parents[2] / "docs" / "plans"
_KNOWLEDGE_VERSION = "YYYY-MM-DD.XXXXXXXX"
"""Stands for the version of the lists, which a real plan states and which every edited row changes."""
_TRD = "two-documented-failures-propose-treatment"
_ACUTE = "suicidal-thoughts-recorded-thirty-days-ago-propose-the-acute-protocol-alone"
_MADE_OF = {
    "us-trd": (_TRD, "us", "1981-04-12"),
    "us-mdsi": (_ACUTE, "us", "1981-04-12"),
    "eu-trd": (_TRD, "eu", "1981-04-12"),
    "eu-trd-65plus": (_TRD, "eu", "1950-04-12"),
    "eu-emergency": (_ACUTE, "eu", "1981-04-12"),
}
"""Of each protocol: the case whose record it is made of, the region, and the birth date put into it."""


def plan_pages() -> dict[str, str]:
    """The files by name, with what they should hold."""
    files = {}
    for protocol in reviewer().knowledge.protocols:
        plan = _plan_of(protocol.id)
        files[f"{protocol.id}.json"] = json.dumps(plan, indent=2, ensure_ascii=False) + "\n"
        files[f"{protocol.id}.html"] = to_page(ShownPlan(read_agenda(plan), f"Protocol {protocol.id}"))
    return files


def _plan_of(protocol_id: str) -> dict[str, Any]:
    case, region, born = _MADE_OF[protocol_id]
    bundle = case_bundle(case)
    for resource in resources_of(bundle):
        if resource["resourceType"] == "Patient":
            resource["birthDate"] = born
    review = _reviewer(region).review(read_bundle(json.dumps(bundle).encode()))
    assert isinstance(review.decision, Propose)
    assert isinstance(review.decision.schedule, Schedule)
    assert review.decision.protocol.id == protocol_id
    assert review.intent.plan is not None
    return review.intent.plan


def _reviewer(region: str) -> Reviewer:
    """The reviewer of a region, with a version of the knowledge that no edited list changes."""
    known = reviewer(AS_OF, "seed", region)
    return replace(known, knowledge=replace(known.knowledge, version=_KNOWLEDGE_VERSION))


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, content in plan_pages().items():
        (FOLDER / name).write_text(content, encoding="utf-8")
