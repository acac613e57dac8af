"""What the command `check` finds of a server: each finding with what to do about it."""

from enum import StrEnum

from service.commands.compare import PrintedPart
from service.errors import TrdError


class CheckState(StrEnum):
    """How good a finding is; what failed keeps this service from its work."""

    OK = "ok"
    WARNING = "warning"
    FAILED = "failed"


class CheckFinding(PrintedPart):
    """One thing that was checked: what was found, and what to do about it, if anything."""

    name: str
    state: CheckState
    found: str
    to_do: str | None = None


class CheckReport(PrintedPart):
    """What was found of a server; `ready` is whether this service can do its work with it."""

    server: str
    ready: bool
    findings: list[CheckFinding]


def ok(name: str, found: str) -> CheckFinding:
    """What is as it should be."""
    return CheckFinding(name=name, state=CheckState.OK, found=found)


def warning(name: str, found: str, to_do: str) -> CheckFinding:
    """What an integrator should know of, and decide about."""
    return CheckFinding(name=name, state=CheckState.WARNING, found=found, to_do=to_do)


def failed(name: str, found: str, to_do: str) -> CheckFinding:
    """What keeps this service from its work."""
    return CheckFinding(name=name, state=CheckState.FAILED, found=found, to_do=to_do)


def said(error: TrdError) -> str:
    """An error without the request that it is about, which may name a patient."""
    request, _, said = str(error).partition(": ")
    return said or request
