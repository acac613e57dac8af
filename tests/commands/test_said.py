"""What a command says that it did, in words that fit what was done."""

import io

import pytest

from service.commands.propose import say_done
from service.commands.publish import report_published
from service.core.plans import PlanAction
from service.publish.deliver import Compared, Standing
from service.render.terminal import Rows, Terminal, count
from tests.support import settings

PLAN = "CarePlan/trd-1/_history/1"


@pytest.mark.parametrize(
    ("action", "written", "said"),
    [
        (PlanAction.CREATE, [PLAN], "Care plan created: why. Written: CarePlan/trd-1/_history/1"),
        (PlanAction.UPDATE, [PLAN], "Care plan updated: why. Written: CarePlan/trd-1/_history/1"),
        (PlanAction.REVOKE, [PLAN], "Care plan revoked: why. Written: CarePlan/trd-1/_history/1"),
        (PlanAction.CREATE, [], "Care plan not written: why. Written: nothing"),
        (PlanAction.LEAVE, [], "Care plan left as it is: why. Written: nothing"),
        (PlanAction.NONE, ["Task/1/_history/1"], "Care plan none: why. Written: Task/1/_history/1"),
    ],
)
def test_what_was_done_with_a_plan(action: PlanAction, written: list[str], said: str) -> None:
    assert say_done(action, "why", written) == said


def test_what_was_published_is_said_to_be_written() -> None:
    compared = [
        Compared({"resourceType": "ValueSet", "id": name}, standing)
        for name, standing in (
            ("new", Standing.MISSING),
            ("old", Standing.DIFFERENT),
            ("same", Standing.SAME),
            ("theirs", Standing.TAKEN),
        )
    ]
    assert report_published(compared, settings()) == [
        "ValueSet/new: written, it was missing",
        "ValueSet/old: written, it was different",
        "ValueSet/theirs: taken: another definition has this id",
        "4 definitions, 2 written",
    ]
    assert "ValueSet/new: to write (TRD_WRITE is off), it was missing" in report_published(
        compared, settings(write="off")
    )


def test_one_is_one_and_more_are_several() -> None:
    assert [count(number, "patient") for number in (0, 1, 2)] == ["0 patients", "1 patient", "2 patients"]


@pytest.mark.parametrize("width", [30, 60, 200])
def test_a_row_that_does_not_fit_is_a_block_of_lines_with_its_references_whole(width: int) -> None:
    rows = Rows("plan", "patient", "why")
    plan, patient = f"CarePlan/{'x' * 64}/_history/1", f"Patient/{'y' * 64}"
    rows.add(plan, patient, "the draft no longer matches the record")
    out = io.StringIO()
    Terminal(file=out, width=width).print(rows)

    lines = out.getvalue().splitlines()
    assert plan in out.getvalue()
    assert patient in out.getvalue()
    assert (len(lines) == 2) == (width == 200)
    assert [line for line in lines if line != line.rstrip()] == []
