"""A FHIR server in memory that takes transactions, with versions, `If-Match` and deletions."""

import json
from collections.abc import Callable, Iterable
from copy import deepcopy
from http import HTTPStatus

import httpx

from service.fhir.read import READ_TYPES
from tests.support import Resource, a_bundle, fhir_response


class FhirDouble:
    """A server for `httpx.MockTransport`. `posted` is every transaction that arrived, in order.

    `refusals` are statuses that the next transactions are refused with; `meanwhile` happens once, after the
    record was read and before a transaction is taken, as when somebody else is faster; `unlisted` are
    references that `$everything` does not show yet; `name_version` says how versions are called;
    `fhir_version` is the release that it says it speaks.
    """

    def __init__(self, resources: Iterable[Resource], fhir_version: str | None = "4.0.1") -> None:
        self.fhir_version = fhir_version
        self.versions: dict[str, list[Resource | None]] = {}
        self.posted: list[Resource] = []
        self.paths: list[str] = []
        self.refusals: list[int] = []
        self.meanwhile: Callable[[], None] | None = None
        self.unlisted: set[str] = set()
        self.name_version: Callable[[int], str] = str
        self.answer: Callable[[Resource], httpx.Response] | None = None
        self.page = 1000
        for resource in resources:
            self.put(resource)

    # what the world does --------------------------------------------------------------------------

    def put(self, resource: Resource) -> Resource:
        """Store a version of a resource."""
        history = self.versions.setdefault(_reference(resource), [])
        version = self.name_version(len(history) + 1)
        stored = deepcopy(resource) | {"meta": {**resource.get("meta", {}), "versionId": version}}
        history.append(stored)
        return stored

    def change(self, reference: str, **elements: object) -> None:
        """A person changes elements of a resource."""
        self.put(self.read(reference) | elements)

    def delete(self, reference: str) -> None:
        """A person deletes a resource."""
        self.versions[reference].append(None)

    def read(self, reference: str) -> Resource:
        """The resource as it stands."""
        found = self.versions[reference][-1]
        assert found is not None
        return deepcopy(found)

    def of_type(self, kind: str) -> list[Resource]:
        """The resources of a type, as they stand."""
        found = [history[-1] for history in self.versions.values()]
        return [deepcopy(r) for r in found if r is not None and r["resourceType"] == kind]

    def only(self, kind: str) -> Resource:
        """The one resource of a type."""
        (found,) = self.of_type(kind)
        return found

    # what the server answers ----------------------------------------------------------------------

    def __call__(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path.removeprefix("/r4").strip("/")
        if request.method == "POST":
            assert path == ""
            return self._take(json.loads(request.content))
        self.paths.append(path)
        if path == "metadata":
            return fhir_response(_capability(self.fhir_version))
        if path.endswith("/$everything"):
            return self._everything(path.split("/")[1])
        if "/" not in path:
            found = [r for r in self.of_type(path) if _is_found(r, request.url.params)]
            return self._page(found, request)
        return self._stored(path)

    def _page(self, found: list[Resource], request: httpx.Request) -> httpx.Response:
        """A page of what was found; the next one comes by its offset."""
        first = int(request.url.params.get("_offset", 0))
        following = request.url.copy_set_param("_offset", first + self.page)
        link = [{"relation": "next", "url": str(following)}] if first + self.page < len(found) else []
        return fhir_response(a_bundle(found[first : first + self.page], kind="searchset", link=link))

    def _stored(self, path: str) -> httpx.Response:
        path, _, version = path.partition("/_history/")
        if version:
            held = [r for r in self.versions.get(path, []) if r and r["meta"]["versionId"] == version]
            return fhir_response(held[0]) if held else httpx.Response(HTTPStatus.NOT_FOUND)
        history = self.versions.get(path)
        if history is None:
            return httpx.Response(HTTPStatus.NOT_FOUND)
        if history[-1] is None:
            return httpx.Response(HTTPStatus.GONE)
        return fhir_response(history[-1])

    def _everything(self, patient: str) -> httpx.Response:
        standing = [history[-1] for history in self.versions.values()]
        found = [r for r in standing if r is not None and _is_of(r, patient)]
        return fhir_response(
            a_bundle((r for r in found if _reference(r) not in self.unlisted), kind="searchset")
        )

    def _take(self, bundle: Resource) -> httpx.Response:
        self.posted.append(bundle)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        if self.refusals:
            return httpx.Response(self.refusals.pop(0))
        for entry in bundle["entry"]:
            if not self._may_follow(entry["request"]):
                return httpx.Response(HTTPStatus.PRECONDITION_FAILED)
        stored = [self.put(entry["resource"]) for entry in bundle["entry"]]
        if self.answer is not None:
            return self.answer(bundle)
        entries = [{"response": {"status": "200", "etag": f'W/"{r["meta"]["versionId"]}"'}} for r in stored]
        return fhir_response({"resourceType": "Bundle", "type": "transaction-response", "entry": entries})

    def _may_follow(self, request: Resource) -> bool:
        wanted = request.get("ifMatch")
        if wanted is None:
            return True
        history = self.versions.get(request["url"])
        last = history[-1] if history else None
        return last is not None and wanted == f'W/"{last["meta"]["versionId"]}"'


def _reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _is_of(resource: Resource, patient: str) -> bool:
    owner = resource.get("subject") or resource.get("patient") or {}
    return _reference(resource) == f"Patient/{patient}" or owner.get("reference") == f"Patient/{patient}"


def _is_found(resource: Resource, params: httpx.QueryParams) -> bool:
    """Whether a search shows a resource; parameters that are not known here show everything."""
    system = params.get("identifier", "").rstrip("|")
    named = {identifier.get("system") for identifier in resource.get("identifier", [])}
    targets = {target["reference"].partition("/_history/")[0] for target in resource.get("target", [])}
    agents = {agent["who"]["reference"] for agent in resource.get("agent", [])}
    owner = resource.get("subject", {}).get("reference", "").removeprefix("Patient/")
    return (
        system in {"", *named}
        and params.get("target") in {None, *targets}
        and params.get("agent") in {None, *agents}
        and (resource["resourceType"] == "Observation" or params.get("patient") in {None, owner})
    )


def _capability(fhir_version: str | None) -> Resource:
    kinds: list[Resource] = [{"type": kind} for kind in (*READ_TYPES, "GuidanceResponse", "Provenance")]
    kinds[0]["operation"] = [{"name": "everything"}]
    return {
        "resourceType": "CapabilityStatement",
        "fhirVersion": fhir_version,
        "rest": [{"mode": "server", "resource": kinds}],
    }
