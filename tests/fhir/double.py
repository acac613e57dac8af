"""A FHIR server in memory with versions, conditions, transactions and deletions, in the ways of several."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from copy import deepcopy
from http import HTTPStatus
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import httpx

from service.fhir.kinds import READ_KINDS
from tests.fhir.front import Front
from tests.fhir.reformatting import reformatted
from tests.fhir.searching import is_found, owner_of
from tests.support import BASE, Resource, fhir_response

_KINDS = (*READ_KINDS, "GuidanceResponse", "Provenance", "Device", "Task")
_INTERACTIONS = ("read", "vread", "update", "delete", "history-instance", "create", "search-type")
_OF_THE_SERVER = {"versionId", "lastUpdated", "source"}
_NEVER_STORED = 'W/"0"'


class Write(NamedTuple):
    """One thing to be written, by itself or in a transaction."""

    method: str
    path: str
    resource: Resource
    if_match: str | None = None
    if_none_exist: str | None = None


class Written(NamedTuple):
    """What became of a write; nothing is left of what was deleted."""

    status: HTTPStatus
    resource: Resource | None = None


class _RefusedError(Exception):
    """A write is not taken."""

    def __init__(self, status: HTTPStatus) -> None:
        super().__init__(status)
        self.status = status


class FhirDouble(Front):
    """A server for `httpx.MockTransport`. `posted` is every transaction that arrived, in order.

    `refusals` are statuses that the next writes are refused with; `meanwhile` happens once, after the
    record was read and before a write is taken, as when somebody else is faster; `unlisted` are
    references that `$everything` does not show yet; `name_version` says how versions are called;
    `fhir_version` is the release that it says it speaks; `base` is where it is met.

    Where it `guards_creation`, `If-Match: W/"0"` creates what is not there, as on HAPI; else it is refused,
    as RFC 9110 has it. One that `reformats` stores what is sent in its own way; one that `drops` elements of
    a kind of resource stores it without them.
    """

    def __init__(  # noqa: PLR0913 - each is one trait of a server
        self,
        resources: Iterable[Resource],
        fhir_version: str | None = "4.0.1",
        *,
        base: str = BASE,
        guards_creation: bool = True,
        reformats: bool = False,
        drops: Mapping[str, Iterable[str]] | None = None,
        transactions: bool = True,
        takes: Iterable[str] | None = None,
        update_create: bool | None = None,
    ) -> None:
        super().__init__(transactions=transactions, takes=takes, update_create=update_create)
        self.fhir_version = fhir_version
        self.base = base
        self.guards_creation = guards_creation
        self.reformats = reformats
        self.drops = {kind: frozenset(elements) for kind, elements in (drops or {}).items()}
        self.versions: dict[str, list[Resource | None]] = {}
        self.posted: list[Resource] = []
        self.paths: list[str] = []
        self.refusals: list[int] = []
        self.meanwhile: Callable[[], None] | None = None
        self.unlisted: set[str] = set()
        self.name_version: Callable[[int], str] = str
        self.answer: Callable[[Resource], httpx.Response] | None = None
        self.page = 1000
        self._ids_given = 1000
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
        return [deepcopy(resource) for resource in self._standing_of(kind)]

    def only(self, kind: str) -> Resource:
        """The one resource of a type."""
        (found,) = self.of_type(kind)
        return found

    # what the server answers ----------------------------------------------------------------------

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if self.is_cut:
            raise httpx.ConnectError("the connection is cut", request=request)
        path = request.url.path.removeprefix(urlsplit(self.base).path).strip("/")
        if request.method == "GET":
            self.paths.append(path)
            return self._shown(path, request)
        answer = self._taken(path, request)
        if answer.is_success and not self.take(request.method, path):
            raise httpx.ReadError("the answer is lost", request=request)
        return answer

    # reading --------------------------------------------------------------------------------------

    def _shown(self, path: str, request: httpx.Request) -> httpx.Response:
        if path == "metadata":
            return fhir_response(self.advertised(_capability(self.fhir_version)))
        if path.endswith("/$everything"):
            return self._everything(path.split("/")[1])
        if path.endswith("/_history"):
            return self._history(path.removesuffix("/_history"))
        if "/" not in path:
            return self._page(self._found(path, request.url.params), request)
        return self._stored(path)

    def _found(self, kind: str, params: httpx.QueryParams) -> list[Resource]:
        return [deepcopy(resource) for resource in self._standing_of(kind) if is_found(resource, params)]

    def _standing_of(self, kind: str) -> list[Resource]:
        """The resources of a type as they are kept, not to be changed."""
        found = [history[-1] for history in self.versions.values()]
        return [resource for resource in found if resource is not None and resource["resourceType"] == kind]

    def _page(self, found: list[Resource], request: httpx.Request) -> httpx.Response:
        """A page of what was found; the next one comes by its offset."""
        size = min(self.page, int(request.url.params.get("_count", self.page)))
        first = int(request.url.params.get("_offset", 0))
        following = request.url.copy_set_param("_offset", first + size)
        link = [{"relation": "next", "url": str(following)}] if first + size < len(found) else []
        return self._bundle("searchset", map(self._entry, found[first : first + size]), link=link)

    def _stored(self, path: str) -> httpx.Response:
        path, _, version = path.partition("/_history/")
        history = self.versions.get(path)
        if version:
            history = [r for r in history or [] if r and r["meta"]["versionId"] == version] or None
        if history is None:
            return httpx.Response(HTTPStatus.NOT_FOUND)
        if history[-1] is None:
            return httpx.Response(HTTPStatus.GONE)
        return self._single(HTTPStatus.OK, history[-1])

    def _history(self, reference: str) -> httpx.Response:
        """Every version, the newest first."""
        if reference not in self.versions:
            return httpx.Response(HTTPStatus.NOT_FOUND)
        versions = reversed(self.versions[reference])
        return self._bundle("history", (self._version(reference, one) for one in versions))

    def _version(self, reference: str, resource: Resource | None) -> Resource:
        if resource is None:
            address = f"{self.base}/{reference}"
            return {"fullUrl": address, "request": {"method": "DELETE", "url": reference}}
        return {**self._entry(resource), "request": {"method": "PUT", "url": reference}}

    def _everything(self, patient: str) -> httpx.Response:
        standing = [history[-1] for history in self.versions.values()]
        found = [r for r in standing if r is not None and _is_in_compartment(r, patient)]
        listed = [self._entry(r) for r in found if _reference(r) not in self.unlisted]
        return self._bundle("searchset", listed)

    def _entry(self, resource: Resource) -> Resource:
        return {"fullUrl": f"{self.base}/{_reference(resource)}", "resource": resource}

    def _bundle(self, kind: str, entries: Iterable[Resource], **elements: object) -> httpx.Response:
        return fhir_response({"resourceType": "Bundle", "type": kind, "entry": list(entries), **elements})

    def _single(self, status: HTTPStatus, resource: Resource) -> httpx.Response:
        """One resource, with its version and its address beside it."""
        answer = fhir_response(resource, status)
        version = resource["meta"]["versionId"]
        answer.headers["ETag"] = _etag(resource)
        if status is HTTPStatus.CREATED:
            answer.headers["Location"] = f"{self.base}/{_reference(resource)}/_history/{version}"
        return answer

    # writing --------------------------------------------------------------------------------------

    def _taken(self, path: str, request: httpx.Request) -> httpx.Response:
        if not self.lets_in(request.method, path):
            return httpx.Response(HTTPStatus.METHOD_NOT_ALLOWED)
        content: Resource = json.loads(request.content or b"{}")
        if not path:
            self.posted.append(content)
        if self.meanwhile is not None:
            meanwhile, self.meanwhile = self.meanwhile, None
            meanwhile()
        if self.refusals:
            return httpx.Response(self.refusals.pop(0))
        try:
            return self._transaction(content) if not path else self._one(path, content, request)
        except _RefusedError as refused:
            return httpx.Response(refused.status)

    def _one(self, path: str, content: Resource, request: httpx.Request) -> httpx.Response:
        conditions = request.headers.get("If-Match"), request.headers.get("If-None-Exist")
        (written,) = self._all_or_none([Write(request.method, path, content, *conditions)])
        if written.resource is None:
            return httpx.Response(written.status)
        return self._single(written.status, written.resource)

    def _transaction(self, bundle: Resource) -> httpx.Response:
        written = self._all_or_none([_write_of(entry) for entry in bundle["entry"]])
        if self.answer is not None:
            return self.answer(bundle)
        return self._bundle("transaction-response", map(_response_entry, written))

    def _all_or_none(self, writes: list[Write]) -> list[Written]:
        """Take all of the writes, with every reference between them in place, or refuse them all."""
        before = {reference: list(history) for reference, history in self.versions.items()}
        try:
            written = [self._store(write) for write in writes]
            for one in written:
                self._follow_references(one.resource)
        except _RefusedError:
            self.versions = before
            raise
        return written

    def _store(self, write: Write) -> Written:
        if not self.lets_in(write.method, write.path):
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED)
        if write.method == "DELETE":
            return self._delete(write)
        return self._create(write) if write.method == "POST" else self._update(write)

    def _delete(self, write: Write) -> Written:
        if self._standing(write.path) is not None:
            self.delete(write.path)
        return Written(HTTPStatus.NO_CONTENT)

    def _create(self, write: Write) -> Written:
        """Give a resource an id, unless what it may not be beside exists."""
        condition = write.if_none_exist
        found = [] if condition is None else self._found(write.path, httpx.QueryParams(condition))
        if len(found) > 1:
            raise _RefusedError(HTTPStatus.PRECONDITION_FAILED)
        if found:
            return Written(HTTPStatus.OK, found[0])
        self._ids_given += 1
        return self._keep(write.resource | {"id": str(self._ids_given)})

    def _update(self, write: Write) -> Written:
        if _reference(write.resource) != write.path:
            raise _RefusedError(HTTPStatus.BAD_REQUEST)
        if write.path not in self.versions and self.update_create is False:
            raise _RefusedError(HTTPStatus.METHOD_NOT_ALLOWED)
        if not self._may_follow(write):
            raise _RefusedError(
                HTTPStatus.CONFLICT if self.guards_creation else HTTPStatus.PRECONDITION_FAILED
            )
        return self._keep(write.resource)

    def _may_follow(self, write: Write) -> bool:
        if write.if_match is None:
            return True
        if write.path not in self.versions:
            return self.guards_creation and write.if_match == _NEVER_STORED
        standing = self._standing(write.path)
        return standing is not None and write.if_match == _etag(standing)

    def _keep(self, resource: Resource) -> Written:
        """Store a resource; what says the same as the one that stands makes no new version."""
        dropped = self.drops.get(resource["resourceType"], frozenset())
        known = {name: part for name, part in resource.items() if name not in dropped}
        stored = reformatted(known) if self.reformats else known
        standing = self._standing(_reference(resource))
        if standing is None:
            return Written(HTTPStatus.CREATED, self.put(stored))
        unchanged = _content(standing) == _content(stored)
        return Written(HTTPStatus.OK, standing if unchanged else self.put(stored))

    def _follow_references(self, resource: Resource | None) -> None:
        """Refuse a reference to what is not on the server; contained resources are their own matter."""
        for reference in _references(resource):
            named = reference.removeprefix(f"{self.base}/").partition("/_history/")[0]
            is_here = "/" in named and "://" not in named and not named.startswith("#")
            if is_here and self._standing(named) is None:
                raise _RefusedError(HTTPStatus.BAD_REQUEST)

    def _standing(self, reference: str) -> Resource | None:
        history = self.versions.get(reference)
        return history[-1] if history else None


def _reference(resource: Resource) -> str:
    return f"{resource['resourceType']}/{resource['id']}"


def _references(value: Any) -> Iterator[str]:
    """Every literal reference inside a value."""
    if isinstance(value, list):
        for item in value:
            yield from _references(item)
    elif isinstance(value, dict):
        if isinstance(value.get("reference"), str):
            yield value["reference"]
        yield from _references(list(value.values()))


def _content(resource: Resource) -> Resource:
    """A resource without what a server adds to every version."""
    meta = {key: part for key, part in resource.get("meta", {}).items() if key not in _OF_THE_SERVER}
    return resource | {"meta": meta}


def _etag(resource: Resource) -> str:
    return f'W/"{resource["meta"]["versionId"]}"'


def _write_of(entry: Resource) -> Write:
    request = entry["request"]
    conditions = request.get("ifMatch"), request.get("ifNoneExist")
    return Write(request["method"], request["url"], entry.get("resource", {}), *conditions)


def _response_entry(written: Written) -> Resource:
    response = {"status": str(int(written.status))}
    return {"response": response | ({"etag": _etag(written.resource)} if written.resource else {})}


def _is_in_compartment(resource: Resource, patient: str) -> bool:
    return f"Patient/{patient}" in {_reference(resource), owner_of(resource)}


def _capability(fhir_version: str | None) -> Resource:
    """Everything that this server can do."""
    kinds: list[Resource] = [
        {
            "type": kind,
            "interaction": [{"code": code} for code in _INTERACTIONS],
            "versioning": "versioned-update",
            "conditionalCreate": True,
        }
        for kind in _KINDS
    ]
    kinds[0]["operation"] = [{"name": "everything"}]
    return {
        "resourceType": "CapabilityStatement",
        "fhirVersion": fhir_version,
        "rest": [{"mode": "server", "resource": kinds, "interaction": [{"code": "transaction"}]}],
    }
