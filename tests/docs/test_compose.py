"""The container sandbox, checked without an engine: what the files say fits the service and each other."""

import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from service import __version__
from service.settings import Settings

ROOT = Path(__file__).parents[2]
DOCKER = ROOT / "docker"
TEXT = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
COMPOSE: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = COMPOSE["services"]
DOCKERFILE = (ROOT / "Dockerfile").read_text(encoding="utf-8")
PAGE = (ROOT / "docs" / "docker.md").read_text(encoding="utf-8")
OWN_IMAGE = SERVICES["secrets"]["image"]

ONE_SHOT = {"secrets", "databases", "subscribe", "loader"}
OURS = ["service", "subscribe", "loader"]
SETTINGS = {f"TRD_{name.upper()}" for name in Settings.model_fields}
PINNED = re.compile(r"[a-z0-9./-]+:(?!latest)v?\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}")
GENERATED = {
    "postgres": ["hapi_password", "postgres_password", "trd_password"],
    "hapi": ["spring.datasource.password"],
    "service": ["TRD_API_TOKEN", "TRD_DATABASE_URL", "TRD_HOOK_SECRET"],
}


def _environment(service: str) -> dict[str, str]:
    return dict(SERVICES[service].get("environment", {}))


def _dependencies(service: str) -> dict[str, str]:
    return {name: how["condition"] for name, how in SERVICES[service].get("depends_on", {}).items()}


def _dockerfile_lines(instruction: str) -> list[str]:
    text = DOCKERFILE.replace("\\\n", " ")
    return [line.split(maxsplit=1)[1] for line in text.splitlines() if line.startswith(f"{instruction} ")]


def test_compose_accepts_the_file() -> None:
    if (program := shutil.which("docker-compose")) is None:
        pytest.skip("docker-compose is not installed")

    ran = subprocess.run(
        [program, "--file", "docker-compose.yml", "config", "--quiet"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        text=True,
    )

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


def test_every_image_of_others_is_pinned_by_tag_and_digest_and_can_be_another() -> None:
    images = {service["image"] for service in SERVICES.values()} - {OWN_IMAGE}
    given = [re.fullmatch(r"\$\{[A-Z]+_IMAGE:-(.+)\}", image) for image in images]
    (base,) = [line for line in _dockerfile_lines("ARG") if "=" in line]

    assert len(images) == 2
    assert all(found and PINNED.fullmatch(found[1]) for found in given)
    assert PINNED.fullmatch(base.removeprefix("PYTHON_IMAGE="))
    assert {line.split()[0] for line in _dockerfile_lines("FROM")} == {"${PYTHON_IMAGE}"}


def test_one_image_is_built_and_before_it_is_used() -> None:
    ours = [name for name, service in SERVICES.items() if service["image"] == OWN_IMAGE]

    assert ours == ["secrets", "databases", "service", "subscribe", "loader"]
    assert [name for name, service in SERVICES.items() if "build" in service] == ["secrets"]
    assert SERVICES["secrets"]["build"] == {"context": ".", "args": ["PYTHON_IMAGE"]}
    assert "depends_on" not in SERVICES["secrets"], "all others wait for it"
    assert sorted(ROOT.rglob("*Dockerfile*")) == [ROOT / "Dockerfile"]


def test_the_image_says_what_it_is() -> None:
    labels = dict(re.findall(r'org\.opencontainers\.image\.([a-z.]+)="([^"]*)"', DOCKERFILE))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]

    assert labels == {
        "title": project["name"],
        "description": project["description"],
        "version": __version__,
        "licenses": project["license"],
        "base.name": "${PYTHON_IMAGE}",
    }


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_a_setting_with_a_value_it_takes(service: str) -> None:
    variables = _environment(service)

    assert variables.keys() <= SETTINGS
    values = {name: re.sub(r"\$\{\w+:-([^}]*)\}", r"\1", value) for name, value in variables.items()}
    Settings(**{name.removeprefix("TRD_").lower(): value for name, value in values.items()})  # type: ignore[arg-type]


def test_every_generated_file_of_the_service_is_a_setting() -> None:
    assert set(GENERATED["service"]) <= SETTINGS


def test_every_interpolated_variable_has_a_default() -> None:
    used = re.findall(r"\$\{([^}]*)\}", TEXT)

    assert used
    assert [variable for variable in used if not re.fullmatch(r"\w+:-.+", variable)] == []
    assert "$$" not in TEXT


def test_an_interpolated_variable_with_our_prefix_is_a_setting() -> None:
    """A `.env` here is read by Compose and by the command alike, and the command refuses unknown ones."""
    used = set(re.findall(r"\$\{(TRD_\w+)", TEXT))

    assert used <= SETTINGS


def test_no_secret_is_written_down() -> None:
    given = {
        f"{service}: {name}"
        for service in SERVICES
        for name, value in _environment(service).items()
        if re.search(r"PASSWORD|SECRET|TOKEN|DATABASE", name, re.IGNORECASE)
        and not value.startswith("/run/secrets/")
    }

    assert given == set()
    assert not re.search(r"//[^/\s]*:[^/\s]*@", TEXT), "an address with a password"


def test_every_published_port_is_on_loopback_and_is_listened_on() -> None:
    listening = {
        "service": _environment("service").get("TRD_PORT", str(Settings.model_fields["port"].default)),
        "hapi": _environment("hapi")["server.port"],
    }
    published = {name: service["ports"] for name, service in SERVICES.items() if "ports" in service}

    assert published.keys() == listening.keys()
    for name, ports in published.items():
        assert all(re.fullmatch(r"127\.0\.0\.1:\$\{\w+:-\d+\}:\d+", port) for port in ports)
        assert [port.rsplit(":", 1)[1] for port in ports] == [listening[name]]


def test_containers_address_each_other_at_the_port_that_is_listened_on() -> None:
    addresses = {value for name in OURS for value in _environment(name).values() if value.startswith("http")}

    assert addresses == {"http://hapi:8080/fhir", "http://service:8080"}
    assert _environment("hapi")["spring.datasource.url"] == "jdbc:postgresql://postgres:5432/hapi"
    assert _environment("databases")["PGHOST"] == "postgres"
    assert _environment("subscribe")["TRD_PUBLIC_URL"] == _environment("service")["TRD_PUBLIC_URL"]
    assert _environment("service")["TRD_HOST"] == "0.0.0.0"  # noqa: S104 - inside a container


def test_hapi_reads_its_password_from_the_file_of_that_name() -> None:
    (name,) = GENERATED["hapi"]

    assert _environment("hapi")["spring.config.import"] == "configtree:/run/secrets/"
    assert name == "spring.datasource.password"
    assert name not in _environment("hapi"), "a variable would win over the file"


@pytest.mark.parametrize("service", ["postgres", "service"])
def test_what_keeps_running_has_a_health_check(service: str) -> None:
    check = SERVICES[service]["healthcheck"]

    assert check["test"][0] == "CMD"
    assert {"interval", "timeout", "retries", "start_period"} <= check.keys()


def test_hapi_is_asked_by_the_service_and_has_15_minutes() -> None:
    """A probe of its own would be a Java virtual machine each time, in an image without a shell."""
    check = SERVICES["service"]["healthcheck"]

    assert SERVICES["hapi"]["healthcheck"] == {"disable": True}
    assert check["test"][-1] == "/health/ready"
    assert int(check["start_period"].removesuffix("s")) >= 15 * 60
    assert "java" not in str([service.get("healthcheck") for service in SERVICES.values()])


def test_the_health_of_postgresql_asks_for_both_databases_and_nobody_waits_for_it() -> None:
    """Who waited for it would wait for `databases`, which comes after."""
    test = SERVICES["postgres"]["healthcheck"]["test"]

    assert "psql" in test
    assert all(f"'{name}'" in test[-1] for name in ("hapi", "trd"))
    assert [name for name in SERVICES if _dependencies(name).get("postgres") == "service_healthy"] == []


def test_every_service_waits_for_what_it_needs() -> None:
    waits = {name: _dependencies(name) for name in SERVICES}
    ended, healthy, started = "service_completed_successfully", "service_healthy", "service_started"

    assert waits == {
        "secrets": {},
        "postgres": {"secrets": ended},
        "databases": {"postgres": started},
        "hapi": {"databases": ended},
        "service": {"databases": ended, "hapi": started},
        "subscribe": {"service": healthy},
        "loader": {"subscribe": ended},  # HAPI does not tell of what happened earlier
    }


@pytest.mark.parametrize("service", SERVICES)
def test_every_container_can_do_little(service: str) -> None:
    given = SERVICES[service]

    assert given["cap_drop"] == ["ALL"]
    assert "cap_add" not in given
    assert given["read_only"] is True
    assert "/tmp" in given["tmpfs"]  # noqa: S108 - inside the container
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in TEXT


def test_a_container_sees_its_own_secrets_only_and_cannot_change_them() -> None:
    owners = {"subscribe": "service", "databases": "postgres"}
    for name, service in SERVICES.items():
        mounts = [mount for mount in service.get("volumes", []) if "/run/secrets" in mount]
        owner = owners.get(name, name)
        expected = [] if name in {"secrets", "loader"} else [f"{owner}-secrets:/run/secrets:ro"]
        assert mounts == expected


def test_nothing_of_the_checkout_is_mounted() -> None:
    """So its modes, line ends and SELinux labels do not matter; a mount of it would need `z` for the last."""
    mounts = [mount for service in SERVICES.values() for mount in service.get("volumes", [])]

    assert mounts
    assert [mount for mount in mounts if mount.split(":")[0] not in COMPOSE["volumes"]] == []
    assert not {"configs", "secrets"} & COMPOSE.keys(), "these are mounts too"


def test_no_container_is_root_and_all_have_the_group_that_reads_the_secrets() -> None:
    users = {name: service.get("user", "of the image") for name, service in SERVICES.items()}

    assert {name: user for name, user in users.items() if user != "of the image"} == {
        "postgres": "70:0",  # the user postgres of Alpine's image
        "hapi": "65532:0",
    }
    assert "-alpine@" in SERVICES["postgres"]["image"]
    assert "postgres-data:/var/lib/postgresql/data" in SERVICES["postgres"]["volumes"]
    assert _environment("postgres")["PGDATA"].startswith("/var/lib/postgresql/data/"), "made by its user"
    assert _dockerfile_lines("USER") == ["10001:0"]


def test_the_group_may_write_what_the_user_of_the_image_may() -> None:
    """OpenShift runs an image under a user id of its own choice, with the group 0."""
    folders = re.findall(r"install -d -o trd -g 0 -m (\d+) ([^&]+?) (?:\\\n|&&)", DOCKERFILE)

    written = [folder for _, named in folders for folder in named.split()]
    assert written == ["/var/lib/trd-careplan", *(f"/secrets/{reader}" for reader in GENERATED)]
    assert {(int(mode, 8) >> 3) & 7 for mode, _ in folders} == {7}


def test_the_image_is_not_root_and_has_a_health_check() -> None:
    user = _dockerfile_lines("USER")[-1]

    assert int(user.split(":")[0]) > 0
    assert "python" in _dockerfile_lines("HEALTHCHECK")[0]
    assert "/health/live" in DOCKERFILE


def test_the_image_installs_with_hashes_and_compiles_nothing() -> None:
    installs = re.findall(r"pip (?:--python \S+ )?install ([^&\n]+)", DOCKERFILE)

    assert len(installs) == 3
    assert [line for line in installs if "--require-hashes" not in line and "--no-index" not in line] == []
    assert all("--only-binary :all:" in line for line in installs if "--require-hashes" in line)
    final = DOCKERFILE[DOCKERFILE.rindex("FROM ") :]
    assert "apt-get" not in DOCKERFILE
    assert "pip install" not in final


def test_the_wheel_is_built_with_the_pins_of_the_development_environment() -> None:
    block = re.compile(r"^[\w-]+==\S+ \\\n(?:    --hash=\S+(?: \\)?\n)+", re.MULTILINE)
    pins = block.findall((DOCKER / "build.txt").read_text(encoding="utf-8"))
    known = block.findall((ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8"))

    assert pins[0].startswith("hatchling==")
    assert [pin for pin in pins if pin not in known] == [], "take the blocks over from requirements/dev.txt"


def test_what_the_image_copies_exists_and_reaches_the_builder() -> None:
    ignore = (ROOT / ".dockerignore").read_text(encoding="utf-8").splitlines()
    let_through = {line[1:] for line in ignore if line.startswith("!")}
    copied = {
        source for line in _dockerfile_lines("COPY") if "--from" not in line for source in line.split()[:-1]
    }

    assert ignore[1] == "*"
    assert copied == let_through
    assert [source for source in sorted(copied) if not (ROOT / source).exists()] == []


def test_what_reaches_the_image_has_modes_and_line_ends_of_the_dockerfile() -> None:
    """Whatever the umask and the editor left in the checkout."""
    build, final = DOCKERFILE.split("\nFROM ")[1:]

    assert [
        line for line in final.splitlines() if line.startswith("COPY") and "--from=build" not in line
    ] == []
    assert r"find . -type f -exec sed -i 's/\r$//' {} +" in build
    assert "chmod -R u=rwX,go=rX ." in build
    installed = re.findall(r"install -m (0\d+) (.+?) /opt/trd-careplan/", build)
    modes = {Path(file).name: mode for mode, files in installed for file in files.split()}
    assert modes == {
        "databases.py": "0644",
        "probe.py": "0644",
        "generate-secrets.sh": "0755",
        "trd-careplan.sh": "0755",
    }


def test_git_writes_every_text_with_the_line_ends_of_the_image() -> None:
    listed = subprocess.run(
        ["git", "ls-files", "--eol"], cwd=ROOT, capture_output=True, check=True, text=True
    )
    lines = [line for line in listed.stdout.splitlines() if not line.startswith("i/-text")]

    assert len(lines) > 1000
    assert [line for line in lines if "attr/text=auto eol=lf" not in line] == []
    assert [line for line in lines if line.startswith(("i/crlf", "i/mixed"))] == []


def _generate(folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", DOCKER / "generate-secrets.sh", folder], capture_output=True, check=True, text=True
    )


def _contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    for reader in GENERATED:
        (tmp_path / reader).mkdir()
    return tmp_path


def test_secrets_are_made_once_and_can_be_read_by_their_group_only(secrets: Path) -> None:
    _generate(secrets)
    made = _contents(secrets)

    assert _generate(secrets).stdout == "secrets are there already\n"
    assert _contents(secrets) == made
    assert made.keys() == {f"{reader}/{name}" for reader, names in GENERATED.items() for name in names}
    assert {(secrets / name).stat().st_mode & 0o777 for name in made} == {0o440}


def test_secrets_are_random_and_agree(secrets: Path) -> None:
    _generate(secrets)
    made = _contents(secrets)
    url = made.pop("service/TRD_DATABASE_URL")

    assert made["postgres/hapi_password"] == made.pop("hapi/spring.datasource.password")
    assert url == f"postgresql://trd:{made['postgres/trd_password']}@postgres:5432/trd"
    assert all(re.fullmatch("[0-9a-f]{64}", value) for value in made.values())
    assert len(set(made.values())) == len(made) == 5


def test_half_made_secrets_are_made_anew(secrets: Path) -> None:
    _generate(secrets)
    before = _contents(secrets)
    (secrets / "service" / "TRD_HOOK_SECRET").unlink()

    _generate(secrets)

    after = _contents(secrets)
    assert after.keys() == before.keys()
    assert not set(after.values()) & set(before.values())


def test_the_command_takes_settings_from_files(tmp_path: Path) -> None:
    secrets = tmp_path / "secrets"
    secrets.mkdir()
    (secrets / "TRD_API_TOKEN").write_text("from the file = '$x'\n")
    (secrets / "TRD_HOOK_SECRET").write_text("from the file")
    (secrets / "other").write_text("not a setting")
    program = tmp_path / "program"
    program.write_text('#!/bin/sh\nprintf "%s|" "$TRD_API_TOKEN" "$TRD_HOOK_SECRET" "$@"\n')
    program.chmod(0o755)
    script = (DOCKER / "trd-careplan.sh").read_text(encoding="utf-8")
    command = tmp_path / "command"
    script = script.replace("/run/secrets", str(secrets))
    command.write_text(script.replace("/opt/trd-careplan/bin/trd-careplan", str(program)))

    ran = subprocess.run(
        ["sh", command, "propose", "Patient/a b"],
        env={"PATH": os.environ["PATH"], "TRD_HOOK_SECRET": "already set"},
        capture_output=True,
        check=True,
        text=True,
    )

    assert ran.stdout == "from the file = '$x'|already set|propose|Patient/a b|"


@contextmanager
def _answering(status: int) -> Iterator[int]:
    """A server on loopback that answers everything with one status."""

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Answer) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_port
        finally:
            server.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "code"), [(200, 0), (503, 1)])
def test_the_probe_of_the_service_tells_well_from_unwell(status: int, code: int) -> None:
    with _answering(status) as port:
        ran = subprocess.run(
            [sys.executable, DOCKER / "probe.py", "/health/live"],
            env={**os.environ, "TRD_PORT": str(port)},
            capture_output=True,
            check=False,
        )

    assert ran.returncode == code


def test_the_page_tells_of_every_service_port_and_switch() -> None:
    for name in SERVICES:
        assert f"`{name}`" in PAGE
    for variable, default in re.findall(r"\$\{(\w+):-([^}]*)\}", TEXT):
        assert f"| `{variable}` | `{default}` |" in PAGE


def test_the_page_uses_published_ports_only() -> None:
    published = set(re.findall(r"127\.0\.0\.1:\$\{\w+:-(\d+)\}", TEXT))

    assert set(re.findall(r"127\.0\.0\.1:(\d+)", PAGE)) == published
