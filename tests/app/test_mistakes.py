"""Ordinary mistakes of users and of their machines are messages with a documented exit code."""

import asyncio
import io
import json
import os
import pty
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stdout
from pathlib import Path

import pytest
import typer

from service import __version__, cli, clock
from service.cli.running import until_told
from service.demo.sandbox.processes import PortTakenError, check_port
from service.errors import SettingsError, SetupError
from service.queue.jobs import Jobs
from service.server import serving
from tests.servers.doubles import running_double
from tests.support import CASES, run_command, run_program, settings

CASE = CASES / "two-documented-failures-propose-treatment" / "bundle.json"
PROGRAM = Path(sys.executable).with_name("trd-careplan")
LONG = "x" * 64


def run_in_shell(line: str, cwd: Path, **environment: str) -> tuple[int, str, str]:
    """Run a line in which `$TRD` is the program; gives its exit code and what it printed."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("TRD_", "COLUMNS"))}
    done = subprocess.run(
        ["bash", "-c", f"{line}; exit ${{PIPESTATUS[0]}}"],
        cwd=cwd,
        env={**kept, "TRD": str(PROGRAM), "CASE": str(CASE), **environment},
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode()


NOWHERE = {"TRD_FHIR_BASE_URL": "http://127.0.0.1:1/fhir", "TRD_FHIR_ATTEMPTS": "1", "TRD_DAILY_AT": "off"}
UNWRITABLE = {
    "a folder that is not there": (["plan", str(CASE), "--ics", "no/x.ics"], "no/x.ics: cannot be written"),
    "a folder": (["plan", str(CASE), "--html", "."], ".: cannot be written (Is a directory)"),
    "a folder below a file": (["publish", "--out", "file/x"], "file/x: cannot be written (Not a directory)"),
    "a table into no folder": (["assess", str(CASE), "--csv", "no/x.csv"], "no/x.csv: cannot be written"),
    "keys into a folder that is not there": (["keys", "no/key.json"], "no/key.json: cannot be written"),
}  # fmt: skip


@pytest.mark.parametrize(("arguments", "said"), UNWRITABLE.values(), ids=UNWRITABLE)
def test_what_cannot_be_written_is_named(arguments: list[str], said: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with chdir(tmp_path):
        ran = run_command(*arguments)

    assert ran.returncode == 2
    assert ran.stderr.startswith(f"trd-careplan: {said}")


def test_a_table_that_cannot_be_written_is_named_before_the_cohort_is_assessed() -> None:
    ran = run_command("assess", str(CASE), "--csv", "no/such/folder/x.csv")

    assert (ran.returncode, ran.stdout) == (2, "")


def test_feedback_on_nothing_says_so_and_makes_no_queue(tmp_path: Path) -> None:
    with chdir(tmp_path):
        ran, listed = run_command("feedback"), run_command("feedback", "--json")

    assert (ran.returncode, ran.stdout) == (0, "No feedback on cards is on record.\n")
    assert (listed.returncode, listed.stdout) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_keys_that_exist_are_named(tmp_path: Path) -> None:
    with chdir(tmp_path):
        Path("key.json").touch()
        ran = run_command("keys", "key.json")

    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == "trd-careplan: key.json: the file exists; --next adds a key to it\n"


@pytest.mark.parametrize("port", [-1, 65536, 99_999_999])
def test_a_sandbox_on_no_port_is_refused(port: int) -> None:
    with pytest.raises(PortTakenError, match=rf"port {port} cannot be used \(ports are 0 to 65535\)"):
        check_port(port)


async def _stop_by(told: signal.Signals) -> None:
    asyncio.get_running_loop().call_soon(signal.raise_signal, told)
    await asyncio.sleep(60)


def test_what_stopped_the_demo_is_its_exit_code() -> None:
    with pytest.raises(typer.Exit) as ended:
        asyncio.run(until_told(_stop_by(signal.SIGTERM)))
    with pytest.raises(KeyboardInterrupt):
        asyncio.run(until_told(_stop_by(signal.SIGINT)))

    assert ended.value.exit_code == 143


def test_a_source_that_is_a_folder_is_unreadable_input(tmp_path: Path) -> None:
    ran = run_command("assess", str(tmp_path))

    assert (ran.returncode, ran.stdout) == (3, "")
    assert ran.stderr == f"trd-careplan: {tmp_path}: cannot be read (Is a directory)\n"


def _make_folder(path: Path) -> None:
    path.mkdir()


def _make_binary(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")


def _make_circle(path: Path) -> None:
    path.symlink_to(path.name)


@pytest.mark.parametrize(
    ("make", "why"),
    [
        (_make_folder, "Is a directory"),
        (_make_binary, "it is not UTF-8"),
        (_make_circle, "Too many levels of symbolic links"),
    ],
)
def test_settings_that_cannot_be_read_stop_the_start(
    make: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    make(tmp_path / ".env")
    with chdir(tmp_path):
        ran = run_command("assess", str(CASE))

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == f"trd-careplan: .env: cannot be read ({why})\n"


@pytest.mark.parametrize(
    "line", ['TRD_CLINIC_DAYS="mon', "TRD_CLINIC_DAYS", "TRD_CLINIC_DAYS: mon", "two words"]
)
def test_a_line_of_settings_that_is_none_stops_the_start(line: str, tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(f"# the clinic\n\nexport TRD_REGION=us\nPATH=x\nUNSET\n\n{line}\n")
    with chdir(tmp_path):
        ran = run_command("assess", str(CASE))

    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr == "trd-careplan: .env: line 7 is not of the form NAME=VALUE\n"


@pytest.mark.parametrize("place", ["file/queue.sqlite", "no/such/queue.sqlite", "folder"])
def test_a_queue_that_cannot_be_opened_is_named(place: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    with chdir(tmp_path), pytest.raises(SetupError, match=rf"sqlite:///{place}\) cannot be opened: "):
        asyncio.run(_open_queue(f"sqlite:///{place}"))


async def _open_queue(url: str) -> None:
    async with Jobs(url):
        pass


async def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        said = f"TRD_PORT: another program listens on 127.0.0.1:{port}; set another port"
        with pytest.raises(SettingsError, match=said):
            await _start(port=port, folder=tmp_path, host="127.0.0.1")


@pytest.mark.parametrize("host", ["192.0.2.1", "no such host"])
async def test_an_address_that_is_not_of_this_machine_is_named(host: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=f"TRD_HOST, TRD_PORT: cannot listen on {host}:0"):
        await _start(port=0, folder=tmp_path, host=host)


async def _start(*, port: int, folder: Path, host: str) -> None:
    secrets = {"api_token": "0123456789abcdef", "hook_secret": "0123456789abcdef"}
    url = f"sqlite:///{folder}/queue.sqlite"
    chosen = settings(
        fhir_base_url="http://127.0.0.1:1/fhir",
        host=host,
        port=port,
        database_url=url,
        daily_at="off",
        **secrets,
    )
    async with serving(chosen):
        pass


MACHINES: dict[str, tuple[str, int, str]] = {
    "a full disk": ("$TRD assess $CASE > /dev/full", 2, "the output cannot be written (No space left"),
    "a removed working directory": ("mkdir a; cd a; rmdir ../a; $TRD serve", 2, "cannot be opened"),
    "nobody reads on": ("$TRD explain $CASE | head -1", 0, ""),
}  # fmt: skip


@pytest.mark.parametrize(("line", "code", "said"), MACHINES.values(), ids=MACHINES)
def test_what_the_machine_refuses_is_a_message(line: str, code: int, said: str, tmp_path: Path) -> None:
    """Each runs the program in a process of its own, which takes a second: what is tried is its end."""
    found = run_in_shell(line, tmp_path, **NOWHERE)

    assert found[0] == code
    assert said in found[2]
    assert "internal error" not in found[2]
    assert said or not found[2]


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "cp1252"])
def test_a_terminal_without_utf_8_shows_all_of_it(
    encoding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = json.loads(CASE.read_bytes())
    record["entry"][1]["resource"]["code"]["text"] = "Schwermut \u2014 \u6291\u90c1 \U0001f642"
    (tmp_path / "record.json").write_text(json.dumps(record), encoding="utf-8")
    source = str(tmp_path / "record.json")
    whole = run_command("assess", source, "--json").stdout

    def printed(*arguments: str) -> str:
        out = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
        monkeypatch.setattr(sys, "argv", ["trd-careplan", *arguments])
        with redirect_stdout(out), pytest.raises(SystemExit) as ended:
            cli.main()
        assert ended.value.code == 0
        out.seek(0)
        return out.read()

    for command in ("assess", "explain", "plan"):
        assert "internal error" not in printed(command, source)
    assert json.loads(printed("assess", source, "--json")) == json.loads(whole)


def test_an_unknown_patient_is_said_to_be_unknown() -> None:
    with running_double() as base:
        for command in ("assess", "explain", "plan", "propose", "diff"):
            ran = run_command(command, "Patient/nobody", TRD_FHIR_BASE_URL=base)
            assert (ran.returncode, ran.stdout) == (3, "")
            assert ran.stderr == "trd-careplan: Patient/nobody: the FHIR server has no such patient\n"


@pytest.mark.parametrize("command", [("propose", "Patient/ann"), ("sweep",)])
def test_nothing_is_written_for_a_day_to_come(command: tuple[str, ...]) -> None:
    tomorrow = clock.today("UTC").toordinal() + 2
    day = clock.today("UTC").fromordinal(tomorrow).isoformat()
    ran = run_command(*command, "--as-of", day, TRD_FHIR_BASE_URL="http://127.0.0.1:1/fhir")

    assert ran.returncode == 2
    assert "the day is in the future" in " ".join(ran.stderr.split())


def test_a_queue_that_is_not_there_is_not_made(tmp_path: Path) -> None:
    file = tmp_path / "queue.sqlite"
    url = f"sqlite:///{file}"
    assert run_command("jobs", TRD_DATABASE_URL=url).stdout == "No job of the queue is open.\n"
    assert run_command("jobs", "--state", "failed", TRD_DATABASE_URL=url).stdout == "No such job.\n"
    assert run_command("jobs", "--json", TRD_DATABASE_URL=url).stdout == ""
    assert run_command("jobs", "--retry-all", TRD_DATABASE_URL=url).stdout == "0 jobs queued again\n"
    assert run_command("jobs", "--retry", "x", TRD_DATABASE_URL=url).returncode == 3
    assert not file.exists()


def test_the_version_and_the_help_are_where_people_look() -> None:
    assert run_command("--version").stdout == f"trd-careplan {__version__}\n"
    assert "assess" in run_command("-h").stdout
    assert "--wide" in run_command("assess", "-h", COLUMNS="120").stdout


def test_a_shell_completes_the_commands() -> None:
    shown = run_program("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert (shown.returncode, "trd-careplan" in shown.stdout) == (0, True)


def long_record(tmp_path: Path) -> Path:
    """A record in which every id has 64 characters."""
    text = CASE.read_text(encoding="utf-8")
    ids = {entry["resource"]["id"] for entry in json.loads(text)["entry"]}
    for one in sorted(ids, key=len, reverse=True):
        text = text.replace(f'"{one}"', f'"{one}{LONG}"'[:65] + '"').replace(
            f'/{one}"', f"/{one}{LONG}"[:65] + '"'
        )
    path = tmp_path / "record.json"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("columns", ["40", "80", ""])
@pytest.mark.parametrize("command", ["assess", "explain"])
def test_a_reference_is_whole_however_narrow_the_terminal(command: str, columns: str, tmp_path: Path) -> None:
    record = long_record(tmp_path)
    evidence = json.loads(run_command("assess", str(record), "--as-of", "2026-11-23", "--json").stdout)[
        "trials"
    ][0]["evidence"]
    ran = run_command(command, str(record), "--as-of", "2026-11-23", COLUMNS=columns)

    assert len(evidence[0]) > 80
    assert [one for one in evidence if one not in ran.stdout] == []


def test_wide_wraps_nothing() -> None:
    narrow = run_command("assess", str(CASE), "--as-of", "2026-11-23", COLUMNS="60")
    wide = run_command("assess", str(CASE), "--as-of", "2026-11-23", "--wide", COLUMNS="60")
    piped = run_command("assess", str(CASE), "--as-of", "2026-11-23", COLUMNS="")

    assert [line for line in narrow.stdout.splitlines() if len(line) > 60 and "/_history/" not in line] == []
    assert max(map(len, wide.stdout.splitlines())) > 300
    assert wide.stdout == piped.stdout
    assert "\u2502" not in narrow.stdout


def test_what_is_redirected_from_a_terminal_stays_in_its_file(tmp_path: Path) -> None:
    """The progress bar is on standard error, the answers are in the file, one line each."""
    lines = [json.dumps(json.loads(path.read_bytes())) for path in sorted(CASES.glob("*/bundle.json"))[:3]]
    (tmp_path / "in.ndjson").write_text("\n".join(lines), encoding="utf-8")
    leader, follower = pty.openpty()
    with (tmp_path / "out.ndjson").open("wb") as out:
        done = subprocess.run(
            [PROGRAM, "assess", "in.ndjson", "--json"],
            cwd=tmp_path,
            stdout=out,
            stderr=follower,
            timeout=60,
            check=False,
        )
    os.close(follower)
    os.close(leader)

    assert done.returncode == 0
    assert len((tmp_path / "out.ndjson").read_text(encoding="utf-8").splitlines()) == 3


class Screen(io.StringIO):
    """Standard error of somebody who sits before it."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(("patience", "error", "seen"), [
    (0.0, Screen(), True), (0.0, io.StringIO(), False), (60.0, Screen(), False),
])  # fmt: skip
async def test_a_command_that_takes_long_shows_that_it_goes_on(
    patience: float, error: io.StringIO, seen: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cli.shared, "_PATIENCE_SECONDS", patience)
    monkeypatch.setattr(sys, "stderr", error)

    async def answer() -> str:
        await asyncio.sleep(0.05)
        return "answer"

    assert await cli.shared.wait_with_sign_of_life(answer()) == "answer"
    assert ("asking the FHIR server" in error.getvalue()) is seen
