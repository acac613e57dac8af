"""FHIR servers as `fixtures/servers` describes them: what they hold, and how they answer otherwise."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import httpx

from tests.support import ROOT, PretendServer, Resource, fhir_response

SERVERS = ROOT / "fixtures" / "servers"
_MARK = b"\xef\xbb\xbf"


class Described(NamedTuple):
    """A server by its file: the resources that it holds, its traits, and what must come of a review."""

    resources: list[Resource]
    traits: dict[str, Any]
    expected: dict[str, Any]


def described_servers() -> list[str]:
    """The names of the servers that only read."""
    return sorted(
        path.stem for path in SERVERS.glob("*.json") if "drops" not in read_server(path.stem).traits
    )


def read_server(name: str) -> Described:
    """A server by its name."""
    found = json.loads(Path(SERVERS / f"{name}.json").read_text(encoding="utf-8"))
    return Described(found["resources"], found["traits"], found["expected"])


class DescribedServer(PretendServer):
    """A server with the traits of its file.

    `page` is how many resources are on one, `next` how the link to the next one is written, `include` whether
    Medications come along, `total` the number that it states (`all entries`: what is on its pages), `mark`
    whether a byte order mark begins every answer, `most` how many resources to a page may be asked for, and
    `outcomes` the code of the warning that comes with a search of a kind.
    """

    def __init__(self, server: Described, *, everything: bool = False) -> None:
        self.traits = server.traits
        super().__init__(
            server.resources,
            everything=everything,
            includes=server.traits.get("include", False),
            page=server.traits.get("page", 1000),
        )

    def __call__(self, request: httpx.Request) -> httpx.Response:
        asked = int(request.url.params.get("_count", 0))
        if asked > self.traits.get("most", asked):
            self.asked.append(request)
            return httpx.Response(400)
        answer = super().__call__(request)
        body = _MARK + answer.content if self.traits.get("mark") else answer.content
        return fhir_response(body, answer.status_code)

    def _page(self, found: list[Resource], request: httpx.Request) -> httpx.Response:
        bundle = json.loads(super()._page(found, request).content)
        kind = request.url.path.rpartition("/")[2]
        total = self.traits.get("total")
        if total is not None:
            bundle["total"] = len(found) if total == "all entries" else total
        for link in bundle["link"]:
            url = httpx.URL(link["url"])
            link["url"] = {
                "a path": url.raw_path.decode(),
                "a query": f"?{url.query.decode()}",
                "beside the page": f"{kind}?{url.query.decode()}",
            }.get(self.traits.get("next", ""), link["url"])
        if code := self.traits.get("outcomes", {}).get(kind):
            outcome = {"resourceType": "OperationOutcome", "issue": [{"severity": "warning", "code": code}]}
            bundle["entry"].append({"resource": outcome, "search": {"mode": "outcome"}})
        return fhir_response(bundle)
