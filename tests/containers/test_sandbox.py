"""The image and the Compose file on a real engine: `make containers`. HAPI takes minutes to start."""

import json
import os
import re
from collections.abc import Iterator

import httpx
import pytest

from service import __version__, clock
from service.demo.run import demo_patients
from tests.containers.sandbox import ROOT, Sandbox, built_sandbox, find_engine, start, until
from tests.support import case_bytes

PAGE = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")
_READ_ONLY = 30  # the error number of a file system that cannot be written to
_SECRETS = {
    "postgres": ["postgres_password", "hapi_password", "trd_password"],
    "service": ["TRD_DATABASE_URL", "TRD_HOOK_SECRET", "TRD_API_TOKEN"],
}


@pytest.fixture(scope="session")
def built() -> Iterator[Sandbox]:
    engine = find_engine()
    if engine is None:
        pytest.skip("neither docker nor podman answers with Compose")
    with built_sandbox(engine) as sandbox:
        yield sandbox


@pytest.fixture(scope="session")
def sandbox(built: Sandbox) -> Sandbox:
    start(built)
    return built


# --- the image ------------------------------------------------------------------------------------


@pytest.mark.parametrize("user", ["10001:0", "1234567:0", "4711:4711"])
def test_the_image_assesses_under_any_user_with_nothing_to_write_to(built: Sandbox, user: str) -> None:
    confined = ["--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=none"]

    answer = built.run(
        *["run", "--rm", "--interactive", *confined, f"--user={user}", built.image, "assess", "--json", "-"],
        given=case_bytes("an-allergy-to-ketamine-excludes"),
    )

    assert json.loads(answer)["decision"] == "decline"


def test_the_queue_can_be_kept_in_the_image_under_any_user_of_the_group(built: Sandbox) -> None:
    made = "touch queue.sqlite && id -u && stat -c %g queue.sqlite"

    kept = built.run("run", "--rm", "--user=1234567:0", "--entrypoint=sh", built.image, "-c", made)

    assert kept.split() == ["1234567", "0"]


def test_the_image_says_what_it_is(built: Sandbox) -> None:
    (image,) = json.loads(built.run("image", "inspect", built.image))
    labels = image["Config"]["Labels"]
    dockerfile = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    default = re.search(r"^ARG PYTHON_IMAGE=(\S+)", dockerfile, re.MULTILINE)

    assert default is not None
    assert image["Config"]["User"] == "10001:0"
    assert labels["org.opencontainers.image.title"] == "trd-careplan"
    assert labels["org.opencontainers.image.version"] == __version__
    base = labels["org.opencontainers.image.base.name"]
    assert base == os.environ.get("PYTHON_IMAGE", default[1])


# --- the Compose file -----------------------------------------------------------------------------


def test_the_sandbox_starts_and_its_patients_get_their_plans(sandbox: Sandbox) -> None:
    patients = demo_patients(clock.today("UTC"))

    until(lambda: len(sandbox.found("GuidanceResponse?_count=100")) == len(patients), seconds=300)

    planned = {plan["subject"]["reference"] for plan in sandbox.found("CarePlan?_count=100")}
    assert planned == {f"Patient/{p.patient_id}" for p in patients if p.decision == "propose"}


def test_every_container_is_confined(sandbox: Sandbox) -> None:
    names = sandbox.compose("config", "--services").split()
    states = {name: sandbox.state(name) for name in names}

    assert len(states) == 7
    for name, state in states.items():
        host = state["HostConfig"]
        assert state["Config"]["User"].split(":")[0] not in {"", "0", "root"}, name
        assert host["ReadonlyRootfs"], name
        assert host["CapDrop"] == ["ALL"], name
        assert not host["CapAdd"], name
        assert any("no-new-privileges" in option for option in host["SecurityOpt"]), name
        assert {mount["Type"] for mount in state["Mounts"]} <= {"volume"}, (
            "nothing of the checkout is mounted"
        )


def test_no_more_is_possible_inside_than_is_stated(sandbox: Sandbox) -> None:
    status = dict(
        line.split(":\t", 1) for line in sandbox.inside("service", "cat", "/proc/1/status").splitlines()
    )
    write = "import sys\ntry:\n    open('/opt/trd-careplan/x', 'w')\nexcept OSError as e:\n    print(e.errno)"

    assert "0" not in status["Uid"].split()
    assert {int(status[kind], 16) for kind in ("CapEff", "CapPrm", "CapBnd")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert int(sandbox.inside("service", "python", "-c", write)) == _READ_ONLY


def test_no_secret_is_in_what_the_engine_shows(sandbox: Sandbox) -> None:
    secrets = [
        sandbox.inside(name, "cat", f"/run/secrets/{file}")
        for name, files in _SECRETS.items()
        for file in files
    ]
    shown = [
        json.dumps([sandbox.state(name) for name in sandbox.compose("config", "--services").split()]),
        sandbox.run("history", "--no-trunc", sandbox.image),
        sandbox.run("image", "inspect", sandbox.image),
        sandbox.compose("config"),
        sandbox.compose("logs"),
    ]

    assert all(len(secret) >= 64 for secret in secrets)
    assert [secret for secret in secrets if any(secret in text for text in shown)] == []


def test_an_operation_needs_the_generated_token(sandbox: Sandbox) -> None:
    address = f"{sandbox.service}/fhir/Patient/propose-two/$propose-care-plan"
    token = sandbox.inside("service", "cat", "/run/secrets/TRD_API_TOKEN")

    refused = httpx.post(address, timeout=60)
    answered = httpx.post(address, headers={"Authorization": f"Bearer {token}"}, timeout=60)

    assert refused.status_code == 401
    assert answered.status_code == 200, answered.text


def test_a_killed_service_is_brought_back_and_hears_of_the_next_change(sandbox: Sandbox) -> None:
    sandbox.compose("kill", "service")

    start(sandbox)

    (allergy,) = re.findall(r"--data '(\{.*?\})'\n```", PAGE, re.DOTALL)
    address = f"{sandbox.hapi}/AllergyIntolerance/{json.loads(allergy)['id']}"
    put = httpx.put(address, json=json.loads(allergy), timeout=60)
    assert put.is_success, put.text
    plans = "CarePlan?subject=Patient/propose-two"
    until(lambda: {plan["status"] for plan in sandbox.found(plans)} == {"revoked"}, seconds=120)


def test_a_start_that_broke_off_is_noticed_and_mended(sandbox: Sandbox) -> None:
    """As if the databases had not all been made when it ended."""
    identity = sandbox.compose("ps", "--quiet", "postgres").strip()
    probe = sandbox.state("postgres")["Config"]["Healthcheck"]["Test"][1:]
    sandbox.compose("stop", "service")

    assert sandbox.tried("exec", identity, *probe).returncode == 0
    sandbox.inside("postgres", "psql", "--username=postgres", "--command=DROP DATABASE trd WITH (FORCE)")
    assert sandbox.tried("exec", identity, *probe).returncode != 0
    start(sandbox)

    assert sandbox.tried("exec", identity, *probe).returncode == 0
    assert httpx.get(f"{sandbox.service}/health/ready", timeout=60).status_code == 200


def test_starting_again_keeps_the_secrets(sandbox: Sandbox) -> None:
    start(sandbox)

    assert "secrets are there already" in sandbox.compose("logs", "secrets")
