"""Whatever a record says: a command shows it as text, and a terminal has nothing to obey."""

import io
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from service.commands.plan import choose_plan
from service.commands.report import print_report, print_stages
from service.errors import InputError
from service.gather.files import read_bundle
from service.render.calendar import print_plan, to_ics
from service.render.markup import clean_narrative
from service.render.page import to_page
from service.render.terminal import Terminal, plain, printable_json
from service.telemetry.logs import Event, configure_logs, log_info
from tests.support import Resource, a_condition, case_bundle, case_names, reviewer, run_command

PROPOSE = "two-documented-failures-propose-treatment"
OBEYED = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
SAID = "[red]x[/red] [/] [link=http://e.example]y[/link] [b :skull: "
ESCAPES = "\x1b[31m\x1b]8;;http://e.example\x07z\x1b]8;;\x1b\\\x9b2J\x9d0;t\x9c\r\x7f\\"
"""A colour, a link, a window's title, a cleared screen, a return, a deletion, a backslash at the end."""
HOSTILE = f"{SAID}{ESCAPES[:5]}\u202egm 84\u202c\u2066{ESCAPES}"
NASTY = st.text("[]/=#@\\:\x1b\x9b\x07\r\n\t\u202e\u2066bredlinkskull x", max_size=30)


def hostile(bundle: Resource, said: str) -> Resource:
    """A record in which everything that a person may have written says this as well."""

    def with_words(element: dict[str, Any]) -> dict[str, Any]:
        for name in ("display", "text", "family", "unit"):
            if isinstance(element.get(name), str):
                element[name] += said
        return element

    changed: Resource = json.loads(json.dumps(bundle), object_hook=with_words)
    for entry in changed["entry"]:
        resource = entry["resource"]
        if resource["resourceType"] == "Patient":
            resource["name"] = [{"family": said, "text": said}]
            resource["identifier"] = [{"system": "http://example.org/mrn", "value": said}]
            gout = a_condition("gout", resource["id"], code={"text": f"Gout {said}"})
    changed["entry"].append({"resource": gout})
    return changed


def with_ids(bundle: Resource, said: str) -> Resource:
    """The record with ids and references that say this as well."""

    def with_name(element: dict[str, Any]) -> dict[str, Any]:
        for name in ("id", "reference"):
            if isinstance(element.get(name), str):
                element[name] += said
        return element

    changed: Resource = json.loads(json.dumps(bundle), object_hook=with_name)
    return changed


def printed(record: Resource) -> str:
    """All that `assess`, `explain` and `plan` print of a record, or why it is refused."""
    try:
        review = reviewer().review(read_bundle(json.dumps(record).encode()))
    except InputError as refused:
        return plain(str(refused))
    out = io.StringIO()
    console = Terminal(file=out, width=160)
    print_report(console, review.answer)
    print_stages(console, review)
    shown = choose_plan(review)
    if shown is not None:
        print_plan(console, shown)
        to_page(shown)
        to_ics(shown, datetime(2026, 11, 23, tzinfo=UTC))
    return out.getvalue()


@pytest.mark.parametrize("name", [PROPOSE, *case_names()[::40]])
def test_a_hostile_record_is_shown_as_text(name: str) -> None:
    for record in (hostile(case_bundle(name), HOSTILE), with_ids(case_bundle(name), HOSTILE)):
        assert not OBEYED.search(printed(record))


@settings(max_examples=25, deadline=None)
@given(NASTY, NASTY)
def test_no_text_crashes_what_is_printed(words: str, name: str) -> None:
    said = printed(hostile(with_ids(case_bundle(PROPOSE), name), words))
    assert not OBEYED.search(said)


@settings(max_examples=50, deadline=None)
@given(NASTY, NASTY)
def test_no_text_is_read_as_markup_wherever_it_stands(one: str, other: str) -> None:
    one, other = one.replace("\t", " "), other.replace("\t", " ")  # a tab may be too wide for its cell
    out = io.StringIO()
    console = Terminal(file=out, width=200)
    table = Table(one, title="t")
    table.add_row(one)
    tree = Tree(one)
    tree.add(other)
    for part in (one, table, tree, Panel(one), Text.assemble((one, "bold"), other)):
        console.print(part)
    said = out.getvalue()
    assert not OBEYED.search(said)
    for bracket in "[]":
        assert said.count(bracket) == one.count(bracket) * 6 + other.count(bracket) * 2


def test_markup_links_and_emoji_are_shown_as_they_are_written() -> None:
    out = io.StringIO()
    Terminal(file=out, width=400, force_terminal=True, color_system=None).print(HOSTILE, highlight=False)
    assert out.getvalue() == f"{plain(HOSTILE)}\n"
    assert plain(HOSTILE).startswith(f"{SAID}[31mgm 84[31m]8;;http://e.example")


@given(st.text())
def test_json_keeps_the_text_and_escapes_what_a_terminal_obeys(said: str) -> None:
    escaped = printable_json(json.dumps({said: [said]}, ensure_ascii=False))
    assert json.loads(escaped) == {said: [said]}
    assert not OBEYED.search(escaped)


# --- the commands ---------------------------------------------------------------------------------


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "[red]x[bold]\x1b[31m.json"
    path.write_text(json.dumps(hostile(case_bundle(PROPOSE), HOSTILE)))
    return path


@pytest.mark.parametrize("command", [["assess"], ["assess", "--json"], ["explain"], ["plan"]], ids=" ".join)
def test_a_command_prints_nothing_that_a_terminal_obeys(record: Path, command: list[str]) -> None:
    ran = run_command(*command, str(record), "--as-of", "2026-11-23")

    assert (ran.returncode, ran.stderr) == (0, "")
    assert not OBEYED.search(ran.stdout)
    if "--json" in command:
        kept = json.dumps(HOSTILE.partition("\r")[0])[1:-1]
        assert kept in json.dumps(json.loads(ran.stdout))


def test_a_message_prints_nothing_that_a_terminal_obeys(record: Path) -> None:
    ran = run_command("assess", f"{record}\x9b2J")
    assert ran.returncode == 3
    assert "[red]x[bold][31m.json2J: cannot be read" in ran.stderr
    assert not OBEYED.search(ran.stderr + ran.stdout)


def test_a_log_line_is_json_that_no_terminal_obeys() -> None:
    out = io.StringIO()
    configure_logs(out)
    log_info(Event.LISTENING, address=HOSTILE)
    assert json.loads(out.getvalue())["address"] == HOSTILE
    assert not OBEYED.search(out.getvalue().replace("\x7f", ""))


# --- narratives -----------------------------------------------------------------------------------

ATTACKS = [
    "<script>alert(1)</script>",
    "<scr<script>ipt>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    '<img src="http://elsewhere.example/track.png"/>',
    "<svg onload=alert(1)><style>@import 'http://elsewhere.example'</style></svg>",
    "<svg><script>alert(1)</script></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    '<a href="javascript:alert(1)">x</a>',
    '<a href="jav&#x09;ascript:alert(1)">x</a>',
    '<a href="data:text/html,<script>alert(1)</script>">x</a>',
    '<p style="background:url(http://elsewhere.example)">x</p>',
    '<div style="position:fixed;top:0;left:0">x</div>',
    "<style>body { display: none }</style>",
    '<link rel="stylesheet" href="http://elsewhere.example"/>',
    '<iframe src="http://elsewhere.example"></iframe>',
    '<object data="http://elsewhere.example"></object><embed src="http://elsewhere.example"/>',
    '<form action="http://elsewhere.example"><input name="x"/><button>x</button></form>',
    '<base href="http://elsewhere.example/"/>',
    '<meta http-equiv="refresh" content="0;url=http://elsewhere.example"/>',
    "<div onclick=alert(1) onmouseover=alert(1)>x</div>",
    '<table background="http://elsewhere.example"><tr><td onfocus="alert(1)">x</td></tr></table>',
    "</div></body></html><script>alert(1)</script>",
    "<!--><script>alert(1)</script>-->",
    '<noscript><p title="</noscript><img src=x onerror=alert(1)>"></noscript>',
    "<textarea><img title='</textarea><img src=x onerror=alert(1)>'></textarea>",
    "<video><source onerror=alert(1)></video><audio src=x onerror=alert(1)>",
    '<details open ontoggle=alert(1)>x</details><marquee onstart="alert(1)">x</marquee>',
    "<template><script>alert(1)</script></template>",
]
ACTS = re.compile(r"<[^>]*(\bon\w+=|style=|href|src|action|background|data=|javascript:)", re.IGNORECASE)
KEPT = re.compile(r"</?(?:div|p|table|tbody|tr|td)\b[^<>]*>")


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_known_attack_does_nothing(attack: str) -> None:
    kept = clean_narrative(f"<div><p>Before</p>{attack}<p>After</p></div>")
    assert "<p>Before</p>" in kept
    assert not ACTS.search(kept)
    assert set(re.findall(r"<\w+", kept)) <= {"<div", "<p", "<table", "<tbody", "<tr", "<td"}
    assert "<" not in KEPT.sub("", kept)


@settings(max_examples=200, deadline=None)
@given(st.text("<>/='\"&; abimgscriptstyledvon-!x", max_size=60))
def test_no_narrative_keeps_what_acts_or_leaves_its_place(narrative: str) -> None:
    kept = clean_narrative(narrative)
    assert not re.search(r"<(script|style|img|a|iframe)\b", kept)
    assert clean_narrative(kept) == kept
