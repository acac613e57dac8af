"""Documents say what is so: generated files are fresh, links lead somewhere, commands run."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import chdir
from datetime import date
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from service.cli import app
from service.demo.run import demo_patients
from service.render.answer import answer_schema
from service.settings import Settings
from tests.docs.cases_page import cases_page
from tests.docs.elements_page import elements_page
from tests.docs.plan_pages import FOLDER, plan_pages
from tests.lists import knowledge_of
from tests.support import Ran, reviewer, run_command

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    page
    for page in ROOT.rglob("*.md")
    if not any(part.startswith(".") or part == "target" for part in page.relative_to(ROOT).parts)
)
README = (ROOT / "README.md").read_text(encoding="utf-8")
SETTINGS_PAGE = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
TEST_LINK = re.compile(r"\[(test_\w+)\]\(([^)#]+\.py)\)")
A_MINUTE_EACH = [
    ("the rule for an adequate trial", "docs/how-it-decides.md", "adequate-trial"),
    ("the place to add a door", "CONTRIBUTING.md", "add-a-door"),
    ("the list of what is written", "docs/servers.md", "what-it-writes"),
]


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def test_the_schema_is_fresh() -> None:
    knowledge = knowledge_of()

    written = json.loads((ROOT / "docs" / "assessment.schema.json").read_bytes())

    assert written == answer_schema(knowledge), "run `make docs`"


def test_the_cases_page_is_fresh() -> None:
    assert (ROOT / "docs" / "cases.md").read_text(encoding="utf-8") == cases_page(), "run `make docs`"


def test_the_page_of_elements_is_fresh() -> None:
    assert (ROOT / "docs" / "elements.md").read_text(encoding="utf-8") == elements_page(), "run `make docs`"


@pytest.mark.parametrize(("name", "content"), plan_pages().items())
def test_the_plan_of_every_protocol_is_fresh(name: str, content: str) -> None:
    assert (FOLDER / name).read_text(encoding="utf-8") == content, "run `make docs`"
    assert reviewer().knowledge.version not in content


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    targets = [target for target in re.findall(r"\]\(([^)#]+)", _text(page)) if "://" not in target]
    targets += re.findall(r"""src="([^"]+)\"""", _text(page))

    assert [target for target in targets if not (page.parent / target).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_to_sections_lead_to_one(page: Path) -> None:
    links = re.findall(r"\]\(([\w./-]*\.md)?#([^)]+)\)", _text(page))

    assert [
        link for link in links if link[1] not in _sections(page.parent / link[0] if link[0] else page)
    ] == []


@pytest.mark.parametrize("page", [page for page in PAGES if TEST_LINK.search(_text(page))], ids=_name)
def test_every_test_named_exists(page: Path) -> None:
    """What a page claims is shown by the test that it names: the claim goes when the test does."""
    named = {(name, page.parent / path) for name, path in TEST_LINK.findall(_text(page))}

    assert [name for name, path in named if f"def {name}(" not in _text(path)] == []


def test_every_page_is_linked_from_another() -> None:
    linked = {
        (page.parent / target).resolve()
        for page in PAGES
        for target in re.findall(r"\]\(([^)#]+)", _text(page))
        if "://" not in target
    }
    read_in_their_folder = {page.parent for page in PAGES if page.parent.resolve() in linked}
    found = [page for page in PAGES if page.resolve() in linked or page.parent in read_in_their_folder]

    assert [_name(page) for page in PAGES if page not in found] == ["README.md"]


def test_every_setting_is_documented_with_its_default_and_meaning() -> None:
    rows = re.findall(r"^\| `(TRD_\w+)` \| (?:`([^`]*)`)?\s*\| ([^|]+?) \|$", SETTINGS_PAGE, re.MULTILINE)

    assert sorted(rows) == sorted(
        (f"TRD_{name.upper()}", _default(field.default), field.description)
        for name, field in Settings.model_fields.items()
    )


def _default(value: object) -> str:
    """A default as it is written in an environment variable; empty where there is none."""
    if value is None:
        return ""
    return ",".join(map(str, value)) if isinstance(value, tuple | frozenset) else str(value)


def test_every_command_is_documented() -> None:
    rows = re.findall(r"^\| `trd-careplan ([a-z]+(?: [a-z]+)?)", README, re.MULTILINE)
    known = [" ".join(path) for path in _command_paths(get_command(app), ())]

    assert sorted(rows) == sorted(known)


def _command_paths(command: object, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    if isinstance(command, TyperGroup):
        for name, inner in command.commands.items():
            yield from _command_paths(inner, (*path, name))
    else:
        yield path


def _shell_lines(page: Path) -> Iterator[str]:
    for block in re.findall(r"```sh\n(.*?)```", _text(page), re.DOTALL):
        yield from block.replace("\\\n", " ").splitlines()


COMMANDS = sorted(
    {line for page in PAGES for line in _shell_lines(page) if line.startswith(".venv/bin/trd-careplan")}
)
NEEDS_A_SERVER = re.compile(
    r"Patient/|CarePlan/|--to-server| (serve|subscribe|written|withdraw|jobs|sweep|demo)\b"
)


@pytest.mark.parametrize("line", COMMANDS)
def test_documented_commands_are_understood(line: str) -> None:
    """Names of commands and options, also of those that cannot run here because they need a server."""
    command, arguments = get_command(app), shlex.split(line, comments=True)[1:]
    while isinstance(command, TyperGroup):
        command, arguments = command.commands[arguments[0]], arguments[1:]

    assert command.make_context(command.name, arguments, resilient_parsing=False).params


@pytest.mark.parametrize("line", [line for line in COMMANDS if not NEEDS_A_SERVER.search(line)])
def test_documented_commands_run(line: str) -> None:
    ran = _run(line)

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout


def _run(line: str) -> Ran:
    with chdir(ROOT):
        return run_command(*shlex.split(line, comments=True)[1:], COLUMNS="110")


@pytest.mark.parametrize("columns", ["80", "100"])
def test_the_output_that_readme_shows_is_what_the_first_command_prints(columns: str) -> None:
    shown = re.findall(r"```text\n(.*?)```", README, re.DOTALL)[0].splitlines()
    command = next(_shell_lines_of_section("Try it"))
    with chdir(ROOT):
        printed = run_command(*shlex.split(command)[1:], COLUMNS=columns).stdout.splitlines()

    lines = [line for line in shown if line.strip() not in {"", "..."}]
    rest = iter(line.rstrip() for line in printed)
    assert len(lines) > 10
    assert [line for line in lines if line not in rest] == [], "in this order"


def _shell_lines_of_section(title: str) -> Iterator[str]:
    section = README.partition(f"\n## {title}\n")[2]
    return iter(re.findall(r"```sh\n(.*?)```", section, re.DOTALL)[0].splitlines())


def test_the_picture_shows_the_plan_of_its_case() -> None:
    """The picture is of the case that the first command of the page assesses."""
    picture = _text(ROOT / "docs" / "overview.svg")
    words = re.findall(r">([^<>]+)</text>", picture)
    plan = re.sub(r"<[^>]+>", " ", (FOLDER / "us-trd.html").read_text(encoding="utf-8"))

    dates = [word for word in words if re.fullmatch(r"\w{3} \d+ \w{3} \d{4}", word)]
    days = [number for word in words for number in re.findall(r"after (\d+) days", word)]
    assert len(dates) == 5
    assert len(days) == 2
    assert [day for day in dates if day not in plan] == []
    assert [number for number in days if f"{number} days at an adequate dose" not in plan] == []


def test_the_picture_of_the_demo_shows_what_the_demo_prints() -> None:
    """Its words are those of the demo as it is; `make pictures` draws it anew."""
    shown = re.sub(r"<[^>]+>", " ", _text(ROOT / "docs" / "demo.svg")).replace("&#160;", " ")
    printed = "".join(
        (ROOT / "service" / "demo" / name).read_text(encoding="utf-8") for name in ("run.py", "order.py")
    )

    for said in (
        "the rest is up to the server's notifications",
        "patients as expected",
        "An order of esketamine is signed",
        "The service answers the EHR by a card of CDS Hooks:",
        "A treatment, week by week",
        "what people did",
        "The treatment went as expected.",
        "To look closer:",
    ):
        assert said in printed
        assert said in shown.replace("&#x27;", "'")
    assert shown.count("CarePlan/trd-") >= 4
    assert [
        case for case in demo_patients(date(2026, 11, 30)) if f"Patient/{case.patient_id}" not in shown
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_make_target_is_real(page: Path) -> None:
    makefile = _text(ROOT / "Makefile")
    named = set(re.findall(r"(?:`|^)make ([a-z][\w-]*)", _text(page), re.MULTILINE))

    assert {name for name in named if not re.search(rf"^{name}:", makefile, re.MULTILINE)} == set()


def test_readme_names_what_a_fresh_machine_runs() -> None:
    """The promise of the page: these two, first, with nothing else to install."""
    first = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)[0]

    assert first.splitlines() == ["make demo", "make test"]


@pytest.mark.parametrize(("question", "page", "section"), A_MINUTE_EACH)
def test_what_readers_look_for_first_is_linked_from_readme(question: str, page: str, section: str) -> None:
    assert f"]({page}#{section})" in README, question
    assert section in _sections(ROOT / page)


def _sections(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them from its headings."""
    headings = re.findall(r"^#+ (.+)$", _text(page), re.MULTILINE)
    texts = [re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower() for heading in headings]
    return {re.sub(r"[^\w\- ]", "", text).replace(" ", "-") for text in texts}
