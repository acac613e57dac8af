"""Call a service of CDS Hooks, as an EHR does."""

from typing import Any

import httpx

_TIME_LIMIT = 60.0


def call_hook(address: str, request: dict[str, Any]) -> list[dict[str, Any]]:
    """The cards that a service answers to a request; raises `httpx.HTTPError` where it does not."""
    url = f"{address}/cds-services/esketamine-{request['hook']}"
    with httpx.Client(trust_env=False, timeout=_TIME_LIMIT) as client:
        answer = client.post(url, json=request).raise_for_status()
    cards: list[dict[str, Any]] = answer.json()["cards"]
    return cards
