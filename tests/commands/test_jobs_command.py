"""The command `jobs` on a queue with failed jobs."""

import asyncio
import json
from pathlib import Path

import pytest

from service.queue.jobs import Jobs
from tests.app.test_cli import Run, run  # noqa: F401 - a fixture
from tests.jobs.test_outage import failing


@pytest.fixture
def queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A queue with two failed jobs and one that waits."""
    url = f"sqlite:///{tmp_path / 'queue.sqlite'}"
    monkeypatch.setenv("TRD_DATABASE_URL", url)

    async def fill() -> None:
        await failing(url, {"1": "Patient/1 is merged", "2": "no birth date"})
        async with Jobs(url) as jobs:
            await jobs.accept(["3"], "test")

    asyncio.run(fill())
    return url


@pytest.mark.usefixtures("queue")
def test_jobs_are_listed_as_json_and_by_reason(run: Run) -> None:  # noqa: F811
    listed = [json.loads(line) for line in run("jobs", "--json").out.splitlines()]
    assert {(job["reference"], job["state"], job["reason"]) for job in listed} == {
        ("1", "failed", "NotAssessable: Patient/1 is merged"),
        ("2", "failed", "NotAssessable: no birth date"),
        ("3", "waiting", None),
    }
    assert set(listed[0]) == {
        "id", "kind", "reference", "cause", "state", "attempts", "created", "finished", "reason",
    }  # fmt: skip
    (merged,) = run("jobs", "--reason", "MERGED", "--json").out.splitlines()
    assert json.loads(merged)["reference"] == "1"
    assert "no birth date" not in run("jobs", "--reason", "merged").out


@pytest.mark.usefixtures("queue")
def test_failed_jobs_are_put_back_by_reason_and_all(run: Run) -> None:  # noqa: F811
    assert run("jobs", "--retry-all", "--reason", "merged").out == "1 job queued again\n"
    (left,) = run("jobs", "--state", "failed", "--json").out.splitlines()
    assert json.loads(left)["reference"] == "2"
    assert run("jobs", "--retry-all").out == "1 job queued again\n"
    assert run("jobs", "--state", "failed", "--json").out == ""
    assert len(run("jobs", "--json").out.splitlines()) == 3


@pytest.mark.usefixtures("queue")
def test_failed_jobs_are_dropped_by_id_and_by_reason_and_never_all_at_once(run: Run) -> None:  # noqa: F811
    assert "--drop-all needs --reason" in run("jobs", "--drop-all").err
    assert run("jobs", "--drop-all", "--reason", "merged").out == "jobs forgotten: 1\n"
    (left,) = run("jobs", "--state", "failed", "--json").out.splitlines()
    job_id = json.loads(left)["id"]
    assert run("jobs", "--drop", job_id).code == 0
    assert run("jobs", "--drop", job_id).code != 0
    (waiting,) = run("jobs", "--json").out.splitlines()
    assert run("jobs", "--drop", json.loads(waiting)["id"]).code != 0
    assert len(run("jobs", "--json").out.splitlines()) == 1
