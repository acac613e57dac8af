"""The commands over plans as users call them: output, exit codes, and what is asked before it is done."""

import json
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest

from service import cli
from service.fhir.client import FhirClient
from service.settings import Settings
from tests.fhir.double import FhirDouble
from tests.fhir.test_write import (
    a_plan_of_somebody_else,
    a_resistant_record,
    a_third_failure,
    plan_reference,
    propose,
)
from tests.support import a_condition, client_of

AS_OF = ["--as-of", "2026-11-23"]


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
async def server() -> FhirDouble:
    server = FhirDouble(a_resistant_record())
    await propose(server)
    return server


@pytest.fixture
def run(server: FhirDouble, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    @asynccontextmanager
    async def opened(_: Settings) -> AsyncIterator[FhirClient]:
        yield client_of(server)

    monkeypatch.setattr(cli, "open_client", opened)
    monkeypatch.setenv("COLUMNS", "250")

    def call(*arguments: str, answer: str | None = None) -> Ran:
        """Run the command; `answer` is what somebody at a terminal says, without one nobody is there."""
        monkeypatch.setattr(sys, "argv", ["trd-careplan", *arguments])
        monkeypatch.setattr(sys.stdin, "isatty", lambda: answer is not None, raising=False)
        monkeypatch.setattr("typer.confirm", lambda _: answer == "y")
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return Ran(int(stopped.value.code or 0), captured.out, captured.err)

    return call


# --- diff and replay ------------------------------------------------------------------------------


def test_diff_prints_a_table_and_json(server: FhirDouble, run: Run) -> None:
    server.put(a_third_failure())

    ran = run("diff", "Patient/ann", *AS_OF)
    found = json.loads(run("diff", "Patient/ann", *AS_OF, "--json").out)

    assert (ran.code, ran.err) == (0, "")
    assert "UPDATE" in ran.out
    assert (found["action"], found["changes"]["fields"][0]["field"]) == ("update", "description")
    assert found["before"] == f"{plan_reference(server)}/_history/1"
    assert len(server.posted) == 1


def test_replay_exits_by_what_came_of_it(server: FhirDouble, run: Run) -> None:
    reference = plan_reference(server)

    ran = run("replay", reference)
    assert (ran.code, ran.err) == (0, "")
    assert "same decision" in ran.out
    assert json.loads(run("replay", f"{reference}/_history/1", "--json").out)["same"] is True

    del server.versions["Condition/depression"]
    ran = run("replay", reference)
    assert (ran.code, ran.err) == (1, "")
    assert "Condition/depression/_history/1" in ran.out


# --- written --------------------------------------------------------------------------------------


def test_written_prints_a_table_and_json_lines(run: Run) -> None:
    table = run("written", "--patient", "Patient/ann", "--since", "2020-01-01")
    lines = [json.loads(line) for line in run("written", "--json").out.splitlines()]

    assert (table.code, table.err) == (0, "")
    assert "1 plan, 1 assessment" in table.out
    assert [(line["kind"], line["patient"]) for line in lines] == [
        ("plan", "Patient/ann"),
        ("assessment", "Patient/ann"),
    ]
    assert run("written", "--decision", "decline", "--json").out == ""


WRONG_USAGE = {
    "a patient that is none": (["written", "--patient", "a b"], "not of the form Patient/<id>"),
    "a decision that is none": (["written", "--decision", "maybe"], "one of propose, decline"),
    "a day that is none": (["withdraw", "--until", "2026-13-01"], "not a date of the form"),
    "not a plan": (["replay", "Patient/ann"], "not of the form CarePlan/<id>"),
    "not a patient": (["diff", "ann"], "not of the form Patient/<id>"),
    "nobody to ask": (["withdraw"], "there is no terminal to ask"),
}


@pytest.mark.parametrize("name", WRONG_USAGE)
def test_wrong_usage(server: FhirDouble, run: Run, name: str) -> None:
    arguments, message = WRONG_USAGE[name]
    ran = run(*arguments)
    assert ran.code == 2
    assert message in " ".join(ran.err.replace("│", " ").split())
    assert len(server.posted) == 1


# --- withdraw -------------------------------------------------------------------------------------


def test_withdraw_lists_first_and_asks(server: FhirDouble, run: Run) -> None:
    reference = plan_reference(server)

    declined = run("withdraw", answer="n")
    assert (declined.code, len(server.posted)) == (0, 1)
    assert f"{reference}/_history/1" in declined.out
    assert "to be withdrawn" in declined.out
    assert "withdrawn (" not in declined.out

    agreed = run("withdraw", "--reason", "wrong dose list [/x]", answer="y")
    assert agreed.code == 0
    assert f"{reference}/_history/1: withdrawn (wrong dose list [/x])" in agreed.out
    assert agreed.out.endswith("1 of 1 draft withdrawn\n")
    assert server.read(reference)["status"] == "revoked"
    assert "wrong dose list" in server.read(reference)["description"]


def test_withdraw_without_anybody_to_ask_needs_to_be_told(server: FhirDouble, run: Run) -> None:
    ran = run("withdraw", "--patient", "ann", "--yes")
    assert (ran.code, ran.err) == (0, "")
    assert server.read(plan_reference(server))["status"] == "revoked"
    again = run("withdraw", "--yes")
    assert again.out.endswith("nothing to withdraw\n")
    assert "the plan is revoked" in again.out


def test_withdraw_leaves_what_is_not_asked_for(server: FhirDouble, run: Run) -> None:
    assert run("withdraw", "--patient", "bob", "--yes").out.endswith("nothing to withdraw\n")
    assert server.read(plan_reference(server))["status"] == "draft"


def test_withdraw_says_what_was_done_before_a_failure(server: FhirDouble, run: Run) -> None:
    server.refusals = [403] * 4
    ran = run("withdraw", "--yes")
    assert ran.code == 4
    assert f"{plan_reference(server)} (403): the FHIR server refused the revocation" in ran.err


def test_shadow_mode_withdraws_nothing(server: FhirDouble, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRD_WRITE", "off")
    ran = run("withdraw", "--yes")
    assert (ran.code, len(server.posted)) == (2, 1)
    assert "TRD_WRITE is off" in ran.err


# --- what others wrote ----------------------------------------------------------------------------

HOSTILE = (
    "[red]x[/red] [/] [link=http://e.example]y[/link] [b \x1b[31m\x1b]8;;http://e.example\x07z\x9b2J\u202e"
)
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
COMMANDS = [
    ["diff", "Patient/ann", *AS_OF],
    ["propose", "Patient/ann", *AS_OF],
    ["sweep", *AS_OF],
    ["written"],
    ["withdraw", "--yes", "--reason", HOSTILE],
]


@pytest.mark.parametrize("as_json", [False, True], ids=["text", "json"])
@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: command[0])
def test_what_others_wrote_is_shown_as_text(
    server: FhirDouble, run: Run, command: list[str], *, as_json: bool
) -> None:
    if as_json and command[0] == "withdraw":
        return
    server.put(a_third_failure())
    server.put(a_condition("gout", code={"text": f"Gout {HOSTILE}"}))
    server.change(plan_reference(server), language=HOSTILE, implicitRules=HOSTILE)
    theirs = a_plan_of_somebody_else("draft", title=HOSTILE, description=HOSTILE, note=[{"text": HOSTILE}])
    server.put(theirs)
    for history in server.versions.values():
        for resource in filter(None, history):
            resource["meta"]["versionId"] = f"{resource['meta']['versionId']}[/]"

    ran = run(*command, *(["--json"] if as_json else []))

    assert "internal error" not in ran.err
    assert not OBEYED.search(ran.out + ran.err)
    assert command[0] == "sweep" or "[/]" in ran.out + ran.err


@pytest.mark.parametrize("status", ["[/]", "\x1b[31m\u202e[bold]"])
def test_a_status_of_the_server_is_shown_as_text(server: FhirDouble, run: Run, status: str) -> None:
    server.change(plan_reference(server), status=status)

    ran = run("written")

    assert ran.code == 0
    assert "[31m[bold]" in ran.out if "bold" in status else "[/]" in ran.out
    assert not OBEYED.search(ran.out)
