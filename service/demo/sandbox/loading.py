"""Put resources on a FHIR server, the way a seeding script would: through its API."""

import json
from collections.abc import Iterable, Mapping
from typing import Final, TypeAlias, cast

import httpx

Json: TypeAlias = Mapping[str, object]

_FHIR_JSON: Final = "application/fhir+json"
_TIME_LIMIT: Final = 120.0


class LoadRefusedError(RuntimeError):
    """The server refused the resources; the message holds its OperationOutcome's text."""


def load(base_url: str, bundle_or_resources: Json | Iterable[Json]) -> None:
    """Load the resources of a collection Bundle, or resources, all or none of them.

    Each is PUT under its own id in one transaction, so loading again replaces and references
    within the set (`Type/id`, or a `urn:uuid` fullUrl) resolve in any order. When this returns,
    searches see the resources; on HAPI, a search that was already made within the last minute
    needs `Cache-Control: no-cache` for that.

    Raises `ValueError` for a Bundle of another type, an entry without a resource or a resource
    without a type or id, and `LoadRefusedError` when the server refuses.
    """
    base_url = base_url.rstrip("/")
    entries = [
        _transaction_entry(resource, full_url=full_url or f"{base_url}/{_url(resource)}")
        for full_url, resource in _read_entries(bundle_or_resources)
    ]
    transaction = {"resourceType": "Bundle", "type": "transaction", "entry": entries}
    with httpx.Client(trust_env=False, timeout=_TIME_LIMIT) as client:
        response = client.post(
            base_url,
            content=json.dumps(transaction),
            headers={"Content-Type": _FHIR_JSON, "Accept": _FHIR_JSON},
        )
    if not response.is_success:
        message = f"POST {base_url} answered {response.status_code}: {_reason(response)}"
        raise LoadRefusedError(message)


def delete(base_url: str, references: Iterable[str]) -> list[str]:
    """Delete resources, `Type/id`; returns those that the server did not let go.

    Where others refer to one, it is tried again once those are gone.
    """
    left = list(dict.fromkeys(references))
    with httpx.Client(trust_env=False, timeout=_TIME_LIMIT) as client:
        while left:
            before = left
            left = [one for one in before if not _is_deleted(client, f"{base_url.rstrip('/')}/{one}")]
            if len(left) == len(before):
                break
    return left


def _is_deleted(client: httpx.Client, url: str) -> bool:
    try:
        answer = client.delete(url)
    except httpx.TransportError:
        return False
    return answer.is_success or answer.status_code in {httpx.codes.NOT_FOUND, httpx.codes.GONE}


def _read_entries(source: Json | Iterable[Json]) -> Iterable[tuple[str | None, Json]]:
    if not isinstance(source, Mapping):
        return [(None, resource) for resource in source]
    if source.get("resourceType") != "Bundle":
        return [(None, source)]
    if source.get("type") != "collection":
        message = f"only a collection Bundle can be loaded, not type {source.get('type')!r}"
        raise ValueError(message)
    entries = cast("list[Json]", source.get("entry", []))
    return [
        (cast("str | None", entry.get("fullUrl")), cast("Json", entry.get("resource", {})))
        for entry in entries
    ]


def _transaction_entry(resource: Json, *, full_url: str) -> Json:
    return {
        "fullUrl": full_url,
        "resource": resource,
        "request": {"method": "PUT", "url": _url(resource)},
    }


def _url(resource: Json) -> str:
    kind, identity = resource.get("resourceType"), resource.get("id")
    if not kind or not identity:
        message = f"a resource to load needs a resourceType and an id: {kind}/{identity}"
        raise ValueError(message)
    return f"{kind}/{identity}"


def _reason(response: httpx.Response) -> str:
    """Return what an OperationOutcome says, or the body when it is none."""
    try:
        issues = response.json()["issue"]
        return "; ".join(_issue_text(issue) for issue in issues)
    except (ValueError, TypeError, KeyError):
        return response.text


def _issue_text(issue: Mapping[str, object]) -> str:
    details = cast("Json", issue.get("details", {}))
    text = issue.get("diagnostics") or details.get("text") or issue.get("code")
    return f"{issue['severity']}: {text}"
