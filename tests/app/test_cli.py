"""The command as its users call it: output, exit codes, and nothing of a patient in a message."""

import csv
import io
import json
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jsonschema
import pytest

from service import cli
from service.commands.cohort import _guarded
from tests.support import each_case

ROOT = Path(__file__).parents[2]
CASES = ROOT / "fixtures" / "cases"
PROPOSE = CASES / "two-documented-failures-propose-treatment" / "bundle.json"
AS_OF = ["--as-of", "2026-11-23"]
CANARY = "Canarybird"  # stands for anything that identifies a patient


class Ran(NamedTuple):
    code: int
    out: str
    err: str


Run = Callable[..., Ran]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("COLUMNS", "200")

    def call(*arguments: object, stdin: bytes = b"") -> Ran:
        monkeypatch.setattr(sys, "argv", ["trd-careplan", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        captured = capsys.readouterr()
        return Ran(int(stopped.value.code or 0), captured.out, captured.err)

    return call


def bundle() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(PROPOSE.read_bytes())
    return found


def test_json_follows_the_published_schema(run: Run) -> None:
    schema = jsonschema.Draft202012Validator(
        json.loads((ROOT / "docs" / "assessment.schema.json").read_bytes())
    )
    schema.check_schema(schema.schema)
    lines = [json.dumps(json.loads(path.read_bytes())) for path in CASES.glob("*/bundle.json")]

    ran = run("assess", "-", *AS_OF, "--json", stdin="\n".join(lines).encode())

    assert (ran.code, ran.err.splitlines()[0]) == (0, f"trd-careplan: {len(lines)} patients")
    answers = [json.loads(line) for line in ran.out.splitlines()]
    assert len(answers) == len(lines)
    for answer in answers:
        schema.validate(answer)


def test_json_has_every_key_of_the_contract(run: Run) -> None:
    answer = json.loads(run("assess", PROPOSE, *AS_OF, "--json").out)

    assert answer["decision"] == "propose"
    assert set(answer) >= {
        "decision", "reason", "as_of", "criteria", "knowledge_version", "patient", "pathways", "trials",
        "failed_trials", "staging", "safety", "alerts", "missing", "excluded_records", "summary", "schedule",
        "care_plan", "tasks",
    }  # fmt: skip
    assert set(answer["trials"][0]) >= {
        "ingredient", "start", "end", "courses", "adequate_days", "daily_dose_mg", "in_episode", "adequacy",
        "outcome", "counts", "evidence",
    }  # fmt: skip
    assert answer["trials"][0]["ingredient"] == {"rxnorm": "36437", "name": "sertraline"}
    assert answer["schedule"]["sessions"][0]["date"] == "2026-11-30"
    assert len(answer["schedule"]["sessions"]) == 12
    assert answer["schedule"]["decision_points"][0] == {
        "code": "benefit-review",
        "date": "2026-12-28",
        "text": answer["schedule"]["decision_points"][0]["text"],
    }
    assert answer["care_plan"] == {
        "action": "create",
        "reference": None,
        "why": "the record supports a plan, and there was none",
        "tier": None,
    }
    assert answer["tasks"] == []


def test_the_same_record_gives_the_same_bytes_whatever_the_order(run: Run) -> None:
    turned = bundle()
    turned["entry"].reverse()

    first = run("assess", PROPOSE, *AS_OF, "--json").out

    assert run("assess", "-", *AS_OF, "--json", stdin=json.dumps(turned).encode()).out == first


def test_report_shows_alerts_first(run: Run) -> None:
    case = CASES / "when-both-pathways-are-met-the-treatment-resistance-protocol-is-proposed" / "bundle.json"
    out = run("assess", case, *AS_OF).out

    assert out.index("ALERT") < out.index("PROPOSE")
    assert "assess the risk now" in out


def test_report_says_what_would_settle_it(run: Run) -> None:
    case = CASES / "a-running-medicine-without-a-score-is-no-failure-yet" / "bundle.json"
    out = run("assess", case, *AS_OF).out

    assert out.index("What is missing") < out.index("What would settle it") < out.index("Staging")
    assert "A PHQ-9 today of 10 or more would lead to a proposal." in out.partition("What would settle it")[2]


@each_case
def test_report_and_stages_print_for_every_case(run: Run, name: str) -> None:
    case = CASES / name / "bundle.json"
    report = run("assess", case, *AS_OF)
    stages = run("explain", case, *AS_OF)

    assert (report.code, stages.code) == (0, 0)
    for stage in ("1 gathered", "2 read", "3 trials", "4 findings", "5 decision"):
        assert stage in stages.out
    assert "datetime." not in stages.out


def test_ndjson_of_bundles_gives_an_answer_a_line(run: Run) -> None:
    lines = [json.dumps(json.loads(path.read_bytes())) for path in sorted(CASES.glob("*/bundle.json"))[:10]]

    ran = run("assess", "-", *AS_OF, "--json", stdin="\n".join(lines).encode())

    assert ran.code == 0
    assert len(ran.out.splitlines()) == len(lines)


def test_ndjson_of_a_bulk_export_is_sorted_by_patient(run: Run) -> None:
    paths = sorted(CASES.glob("*/bundle.json"))[:5]
    resources = [entry["resource"] for path in paths for entry in json.loads(path.read_bytes())["entry"]]
    single = {json.loads(run("assess", path, *AS_OF, "--json").out)["patient"] for path in paths}

    ran = run("assess", "-", *AS_OF, "--json", stdin="\n".join(map(json.dumps, resources)).encode())

    assert ran.code == 0
    assert {json.loads(line)["patient"] for line in ran.out.splitlines()} == single


def test_one_bad_line_of_ndjson_does_not_hide_the_others(run: Run) -> None:
    good = json.dumps(bundle())

    ran = run("assess", "-", *AS_OF, "--json", stdin=f"{good}\n{{broken\n{good}".encode())

    assert ran.code == 3
    assert len(ran.out.splitlines()) == 2
    assert ran.err.splitlines() == [
        "trd-careplan: line 2: not a JSON object",
        "trd-careplan: 2 patients, 1 record that cannot be used",
        "trd-careplan:      2  propose (trd)",
    ]


@pytest.mark.parametrize("command", ["assess", "explain", "plan"])
def test_a_cohort_is_shown_one_after_the_other_with_a_summary_and_a_table(
    run: Run, command: str, tmp_path: Path
) -> None:
    names = (
        "two-documented-failures-propose-treatment",
        "a-deceased-patient-is-declined",
        "no-medicine-on-record-is-missing-information",
    )
    records = [json.loads((CASES / name / "bundle.json").read_bytes()) for name in names]
    table = tmp_path / "cohort.csv"

    ran = run(command, "-", *AS_OF, "--csv", table, stdin="\n".join(map(json.dumps, records)).encode())

    assert ran.code == 0
    for record in records:
        assert f"Patient/{record['entry'][0]['resource']['id']}" in ran.out
    assert [line.removeprefix("trd-careplan: ").strip() for line in ran.err.splitlines()] == [
        "3 patients",
        "1  decline (deceased)",
        "1  needs-information (missing-information)",
        "1  propose (trd)",
        f"{table} written",
    ]
    with table.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [(row["decision"], row["failed_trials"], row["required_trials"]) for row in rows] == [
        ("propose", "2", "2"),
        ("decline", "2", "2"),
        ("needs-information", "0", "2"),
    ]
    assert (rows[0]["maudsley"], rows[0]["mgh_s"], rows[0]["missing"]) == ("7", "2 to 3", "")
    assert rows[2]["missing"]


def test_the_table_of_a_cohort_holds_no_formula() -> None:
    assert [_guarded(cell) for cell in ("=1+1", "@x", "-1", "plain")] == ["'=1+1", "'@x", "'-1", "plain"]


def test_files_of_a_plan_are_of_one_patient(run: Run, tmp_path: Path) -> None:
    twice = f"{json.dumps(bundle())}\n{json.dumps(bundle())}".encode()

    ran = run("plan", "-", *AS_OF, "--ics", tmp_path / "x.ics", stdin=twice)

    assert (ran.code, list(tmp_path.iterdir())) == (2, [])


def _without(kind: str) -> bytes:
    changed = bundle()
    changed["entry"] = [e for e in changed["entry"] if e["resource"]["resourceType"] != kind]
    return json.dumps(changed).encode()


def _with(resource: dict[str, Any]) -> bytes:
    changed = bundle()
    changed["entry"].append({"resource": resource})
    return json.dumps(changed).encode()


def _patient(**elements: Any) -> bytes:
    changed = bundle()
    for entry in changed["entry"]:
        if entry["resource"]["resourceType"] == "Patient":
            entry["resource"] |= elements
    return json.dumps(changed).encode()


STRANGER = {"resourceType": "Condition", "id": "c9", "subject": {"reference": f"Patient/{CANARY}"}}
BAD_INPUT = {
    "empty": (b"  ", "the input is empty"),
    "not JSON": (b"Canarybird, Anna", "not a JSON object"),
    "JSON, but a list": (b'["Canarybird"]', "not a JSON object"),
    "not FHIR": (b'{"name": "Canarybird"}', "expected a Bundle, found no resourceType"),
    "another resource": (b'{"resourceType": "Patient", "id": "p"}', "expected a Bundle, found Patient"),
    "a broken Bundle": (b'{"resourceType": "Bundle", "entry": "Canarybird"}', "at Bundle.entry"),
    "one page of several": (
        b'{"resourceType": "Bundle", "link": [{"relation": "next", "url": "http://x/Canarybird"}]}',
        "one page of several",
    ),
    "no Patient": (_without("Patient"), "no Patient in the record"),
    "two Patients": (_with({"resourceType": "Patient", "id": CANARY}), "more than one Patient"),
    "another patient's record": (_with(STRANGER), "Condition/c9: subject is not Patient/propose-two"),
    "merged": (
        _patient(link=[{"other": {"reference": "Patient/survivor"}, "type": "replaced-by"}]),
        "merged into Patient/survivor",
    ),
    "an unreadable Patient": (_patient(birthDate="Canarybird"), "cannot be read at birthDate"),
    "a Patient of the wrong shape": (_patient(identifier=CANARY), "cannot be read at identifier"),
}


@pytest.mark.parametrize(("content", "message"), BAD_INPUT.values(), ids=BAD_INPUT)
def test_bad_input_is_named_and_nothing_is_answered(run: Run, content: bytes, message: str) -> None:
    for output in ((), ("--json",)):
        ran = run("assess", "-", *AS_OF, *output, stdin=content)
        assert (ran.code, ran.out) == (3, "")
        assert message in ran.err
        assert CANARY not in ran.err
        assert "Traceback" not in ran.err


def test_a_missing_file_is_unreadable_input(run: Run, tmp_path: Path) -> None:
    ran = run("assess", tmp_path / "none.json")

    assert ran.code == 3
    assert "cannot be read (No such file or directory)" in ran.err


WRONG_USAGE = {
    "no source": (["assess"], "Missing argument"),
    "an unknown option": (["assess", "-", "--verbose"], "No such option"),
    "a bad date": (["assess", "-", "--as-of", "yesterday"], "not a date of the form"),
    "an unknown criteria set": (["assess", "-", "--criteria", "best"], "no criteria set 'best'"),
    "no server": (["assess", "Patient/p"], "TRD_FHIR_BASE_URL: not set"),
    "no server for a long id": (["assess", f"Patient/{'a_b' * 30}"], "TRD_FHIR_BASE_URL: not set"),
    "a patient that climbs": (["propose", "Patient/.."], "not of the form Patient/<id>"),
    "a plan that climbs": (["replay", "CarePlan/1/_history/.."], "not of the form CarePlan/<id>"),
}


@pytest.mark.parametrize(("arguments", "message"), WRONG_USAGE.values(), ids=WRONG_USAGE)
def test_wrong_usage(run: Run, arguments: list[str], message: str) -> None:
    ran = run(*arguments, stdin=PROPOSE.read_bytes())

    assert ran.code == 2
    assert message in " ".join(ran.err.replace("│", " ").split())
    assert ran.out == ""


def test_a_server_that_is_down(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        where = f"127.0.0.1:{unused.getsockname()[1]}"
        monkeypatch.setenv("TRD_FHIR_BASE_URL", f"http://{where}/fhir")
        monkeypatch.setenv("TRD_FHIR_ATTEMPTS", "1")
        ran = run("assess", "Patient/p", "--json")

    assert (ran.code, ran.out) == (4, "")
    assert f"GET /fhir/metadata: the server at {where} cannot be reached" in ran.err


def test_an_unexpected_error_shows_no_content(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def explode(_: bytes) -> None:
        raise RuntimeError(CANARY)

    monkeypatch.setattr(cli.assessing, "read_bundle", explode)
    ran = run("assess", PROPOSE)

    assert ran.code == 1
    assert "internal error (RuntimeError at test_cli.py:" in ran.err
    assert CANARY not in ran.err


def test_mappings_check_and_lock(run: Run, tmp_path: Path) -> None:
    lists = tmp_path / "mappings"
    for path in (ROOT / "mappings").rglob("*.*"):
        copy = lists / path.relative_to(ROOT / "mappings")
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(path.read_bytes())
    assert "no fault" in run("mappings", "check", lists).out

    with (lists / "codes" / "severity.csv").open("a") as file:
        file.write("snomed,24484000,severe,twice\n")
    ran = run("mappings", "check", lists)
    assert ran.code == 2
    assert "mappings: codes/severity.csv: differs from its sha256 in the lock" in ran.err
    assert "codes/severity.csv:6: lists snomed 24484000 twice" in ran.err

    assert run("mappings", "lock", lists).code == 0
    assert "sha256" not in run("mappings", "check", lists).err


def test_a_faulty_list_stops_every_assessment(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRD_MAPPINGS", str(tmp_path))

    ran = run("assess", PROPOSE)

    assert ran.code == 2
    assert "lock.toml: missing" in ran.err
