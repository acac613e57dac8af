"""Repeat the decision on the exact versions that a plan is based on, and compare the results.

What was read is named by the Provenance of the plan's version; servers keep old versions, so the record of
that day can be read again. Nothing is written.
"""

import asyncio
from collections.abc import Iterator
from datetime import date

from pydantic import Field
from rich.text import Text

from service import __version__
from service.apply.origins import Origin, origin_of, origins_of
from service.cause import Cause
from service.commands.compare import PlanChanges, PrintedPart, compare_plans, print_changes
from service.core.records import VersionedReference
from service.errors import InputError, NotFhir, NotJson, ServerMisread, SettingsError
from service.fhir.client import FhirClient
from service.fhir.loose import Resource
from service.fhir.names import CONTENT_DIGEST, extension_value
from service.fhir.references import read_reference
from service.fhir.sources import Gathered, Source, read_subject, take_resource
from service.gather.everything import find_former_patients
from service.render.provenance import describe_calendar
from service.render.terminal import Terminal
from service.review import Review, Reviewer
from service.settings import Settings


class Decided(PrintedPart):
    """A decision, and with what it was reached."""

    decision: str | None
    knowledge: str | None
    criteria: str | None
    software: str | None
    clinic: str | None


class Replay(PrintedPart):
    """What deciding again gave. `why` is what differs or why it cannot be done, empty where it is the same.

    `gone` are versions that the server no longer has. `changes` sets the plan then against the plan now.
    """

    plan: str
    provenance: str | None = None
    as_of: date | None = None
    cause: str | None = None
    same: bool = False
    why: list[str]
    read: int = 0
    gone: list[str] = Field(default_factory=list)
    then: Decided | None = None
    now: Decided | None = None
    changes: PlanChanges | None = None


async def replay(settings: Settings, client: FhirClient, reference: str) -> Replay:
    """Decide again on what one version of a CarePlan of ours was decided on; the current one by default.

    Raises `ServerError` where the server failed; a version that it no longer has is part of the answer.
    """
    plan = await client.find(reference) or {}
    version = plan.get("meta", {}).get("versionId")
    if not plan or version is None:
        return Replay(plan=reference, why=["the server does not have this version of the plan"])
    unversioned = f"CarePlan/{plan['id']}"
    name = str(VersionedReference("CarePlan", plan["id"], version))
    origin = origin_of(await origins_of(client, unversioned), name)
    if origin is None:
        return Replay(
            plan=name,
            why=["no Provenance of this service names this version, so this service did not write it"],
        )
    result = Replay(
        plan=name, provenance=origin.reference, cause=origin.cause, why=[], read=len(origin.sources)
    )
    if origin.cause == Cause.WITHDRAWAL:
        return _with_reason(
            result, "the plan was withdrawn by hand, so this version is not the result of a decision"
        )
    if origin.as_of is None or origin.criteria is None or origin.knowledge is None:
        return _with_reason(
            result, "its Provenance does not state the knowledge and criteria of the decision"
        )
    return await _decide_again(settings, client, plan, origin, result)


def _with_reason(result: Replay, why: str) -> Replay:
    return result.model_copy(update={"why": [*result.why, why]})


async def _decide_again(
    settings: Settings, client: FhirClient, plan: Resource, origin: Origin, result: Replay
) -> Replay:
    then = _then(origin)
    as_of = date.fromisoformat((origin.as_of or "")[:10])
    result = result.model_copy(update={"as_of": as_of, "then": then})
    try:
        reviewer = _reviewer(settings, origin, as_of)
    except SettingsError:
        return _with_reason(result, f"the current lists do not contain the criteria set {then.criteria}")
    # A Provenance that was written later, after an interruption, names the plan itself among what was read.
    names = [name for name in origin.sources if name != result.plan]
    found = await asyncio.gather(*(_read_again(client, name) for name in names))
    gone = [name for name, source in zip(names, found, strict=True) if source is None]
    if gone:
        result = result.model_copy(update={"gone": gone})
        return _with_reason(
            result, f"the server no longer has {len(gone)} of {len(found)} versions that were read"
        )
    sources = tuple(source for source in found if source is not None)
    patient = read_subject(plan).id_of("Patient")
    if patient is None:
        return _with_reason(result, "the plan does not name its patient by an id")
    gathered = Gathered(
        sources,
        patient,
        client.base,
        not_read=origin.not_read,
        refused=origin.refused,
        former_ids=find_former_patients(sources, patient, client.base),
    )
    try:
        review = reviewer.review(gathered)
    except InputError as error:
        return _with_reason(result, f"the versions that were read can no longer be assessed: {error}")
    return _compared(result, plan, review, reviewer)


def _then(origin: Origin) -> Decided:
    return Decided(
        decision=origin.decision,
        knowledge=origin.knowledge,
        criteria=" ".join(origin.criteria or ()),
        software=origin.software,
        clinic=origin.clinic,
    )


def _reviewer(settings: Settings, origin: Origin, as_of: date) -> Reviewer:
    """Today's knowledge, with the criteria set and region of that day."""
    criteria = origin.criteria[0] if origin.criteria else settings.criteria
    chosen = {"criteria": criteria, "region": origin.region or settings.region}
    return Reviewer.prepare(settings.model_copy(update=chosen), as_of)


async def _read_again(client: FhirClient, name: str) -> Source | None:
    """One version, as it was; `None` where the server no longer has it, or none was named."""
    named = read_reference(name)
    if named.version is None:
        return None
    content = await client.get_if_there(name)
    if content is None:
        return None
    try:
        return take_resource(content, f"{client.base}/{named.name}")
    except (NotJson, NotFhir):
        raise ServerMisread(f"GET {name}: the answer is not a FHIR resource") from None


def _compared(result: Replay, plan: Resource, review: Review, reviewer: Reviewer) -> Replay:
    knowledge = reviewer.knowledge
    now = Decided(
        decision=review.decision.reason.value,
        knowledge=knowledge.version,
        criteria=f"{knowledge.criteria.id} {knowledge.criteria.version}",
        software=__version__,
        clinic=describe_calendar(reviewer.calendar),
    )
    written = review.intent.plan
    same_plan = written is not None and (
        extension_value(written, CONTENT_DIGEST) == extension_value(plan, CONTENT_DIGEST)
    )
    why = list(_differences(result.then or now, now))
    if not same_plan and written is None:
        why.append(f"no plan would be written: {review.intent.why}")
    elif not same_plan:
        why += ["the content of the plan differs", *_circumstances(result.then or now, now)]
    changes = compare_plans(plan, written) if written is not None and not same_plan else None
    return result.model_copy(update={"now": now, "same": not why, "why": why, "changes": changes})


def _differences(then: Decided, now: Decided) -> Iterator[str]:
    """What makes the decision differ, or keeps the two from being compared."""
    for name in ("knowledge", "criteria", "decision"):
        old, new = getattr(then, name), getattr(now, name)
        if old != new:
            yield f"the {name} differs: {old} then, {new} now"


def _circumstances(then: Decided, now: Decided) -> Iterator[str]:
    """Other differences, which may explain why a plan of the same decision differs."""
    for name in ("software", "clinic"):
        old, new = getattr(then, name), getattr(now, name)
        if old != new:
            yield f"the {name} differs: {old} then, {new} now"


# --- for a terminal -------------------------------------------------------------------------------


def _head(found: Replay) -> tuple[str, str]:
    """The result in a few words, and its colour."""
    if found.same:
        return "same decision", "green"
    return ("the decision cannot be repeated" if found.now is None else "a different result"), "yellow"


def print_replay(console: Terminal, found: Replay) -> None:
    """Print what deciding again gave, for a reader."""
    console.print(Text.assemble(f"{found.plan}: ", _head(found)))
    if found.then is not None:
        then = found.then
        console.print(
            f"decided as of {found.as_of} on {found.read} versions ({found.cause}): {then.decision}; "
            f"criteria {then.criteria}, knowledge {then.knowledge}, software {then.software}",
            style="dim",
        )
    for why in found.why:
        console.print(f"- {why}")
    for name in found.gone:
        console.print(f"  {name}")
    if found.changes is not None:
        print_changes(console, found.changes, ("then", "now"))
