"""What a FHIR server takes: in which way an outcome is written to it, and which kinds of resource.

By its CapabilityStatement (https://hl7.org/fhir/R4/capabilitystatement.html), and by what it turns out to do.
"""

from dataclasses import dataclass

from service.core.plans import WriteTier
from service.fhir.kinds import WRITTEN_KINDS
from service.fhir.release import Release, release_of
from service.fhir.views import CapabilityView, ResourceCapability

_Listed = dict[str | None, ResourceCapability]
_WRITES = {"create", "update"}
_NEVER_UPDATED = ("Provenance",)
"""Kinds of which this service changes none once it is written."""


@dataclass(slots=True)
class Target:
    """How one FHIR server is written to.

    `takes` are the kinds of resource that it lets be written; those of them that are `only_created` are never
    updated. `names_ids` says whether a new resource keeps the id that we give it; else the server gives one.
    `guards_creation` is whether it refuses a new resource that is there already when asked to
    (`If-Match: W/"0"`); `None` until that is known.
    """

    tier: WriteTier
    takes: frozenset[str]
    names_ids: bool
    guards_creation: bool | None = None
    only_created: frozenset[str] = frozenset()

    @property
    def loses_no_race(self) -> bool:
        """Whether of two who create a plan for one patient at once, one is refused."""
        all_at_once = self.tier is WriteTier.TRANSACTION and "GuidanceResponse" in self.takes
        return all_at_once and self.guards_creation is True


def unlisted_kinds(capability: CapabilityView) -> list[str]:
    """Kinds of which a server that takes a CarePlan says nothing; some servers take more than they list."""
    listed = capability.resources
    return [kind for kind in WRITTEN_KINDS if kind not in listed] if _takes(listed, "CarePlan") else []


def read_target(capability: CapabilityView, also_known: frozenset[str]) -> Target:
    """How to write to a server; `also_known` are kinds that it knows without listing them.

    An id of ours is tried where the statement does not say that the server gives its own: HAPI takes it and
    does not say so.
    """
    listed = capability.resources
    if not _takes(listed, "CarePlan"):
        return _below_care_plan(capability, listed)
    created = {kind for kind in _NEVER_UPDATED if _interactions(listed, kind) & _WRITES == {"create"}}
    takes = also_known | created | {kind for kind in WRITTEN_KINDS if _takes(listed, kind)}
    names_ids = listed["CarePlan"].update_create is not False
    together = any(one.code == "transaction" for rest in capability.rest for one in rest.interaction)
    tier = WriteTier.TRANSACTION if together and names_ids else WriteTier.SINGLE_REQUESTS
    return Target(tier, takes, names_ids, only_created=frozenset(created))


def _below_care_plan(capability: CapabilityView, listed: _Listed) -> Target:
    """What may stand in place of a CarePlan on a server of R4: a document, else a Communication."""
    created = {kind for kind in (*_NEVER_UPDATED, "Communication") if "create" in _interactions(listed, kind)}
    kind = "DocumentReference" if _takes(listed, "DocumentReference") else "Communication"
    if kind not in {*created, "DocumentReference"} or release_of(capability.fhir_version) is not Release.R4:
        return Target(WriteTier.RETURN_ONLY, frozenset(), names_ids=True)
    takes = frozenset(created - {"Communication"} | {kind})
    tier = WriteTier.COMMUNICATION if kind == "Communication" else WriteTier.DOCUMENT
    return Target(tier, takes, names_ids=False, only_created=takes - {"DocumentReference"})


def _takes(listed: _Listed, kind: str) -> bool:
    """Whether resources of a kind can be both created and updated."""
    return _interactions(listed, kind) >= _WRITES


def _interactions(listed: _Listed, kind: str) -> set[str]:
    """What can be done with the resources of a kind."""
    return {one.code for one in listed[kind].interaction if one.code} if kind in listed else set()
