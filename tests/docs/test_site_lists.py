"""The example of a site's own lists is as the page of the lists says."""

import re
import shlex
from contextlib import chdir

from service.knowledge.site import EXTENDABLE
from tests.support import ROOT, Ran, run_command

PAGE = (ROOT / "mappings" / "README.md").read_text(encoding="utf-8")
SECTION = PAGE.partition("## Lists of your site")[2].partition("\n## ")[0]
SITE = ROOT / "fixtures" / "site" / "lists"


def run(line: str) -> Ran:
    """Run a line of the page, with the variable that `env` sets."""
    words = shlex.split(line)
    variables = dict(word.split("=", 1) for word in words if word.startswith("TRD_"))
    with chdir(ROOT):
        return run_command(*words[words.index(".venv/bin/trd-careplan") + 1 :], COLUMNS="200", **variables)


def test_the_example_of_a_local_drug_code() -> None:
    without, lock, check, with_lists = re.findall(r"```sh\n(.*?)```", SECTION, re.DOTALL)[0].splitlines()
    pinned = (SITE / "lock.toml").read_bytes()

    assert "Not screened: SERT100 (medicine)" in run(without).stdout
    assert "codes/antidepressant_products.csv: 1 row added" in run(lock).stdout
    assert (SITE / "lock.toml").read_bytes() == pinned
    assert "no fault; knowledge version" in run(check).stdout
    out = run(with_lists).stdout
    assert "PROPOSE (trd)" in out
    assert "+site.northfield." in out
    assert "were used to read MedicationStatement/propose-two-sertraline" in " ".join(out.split())


def test_the_page_names_every_list_that_may_be_extended() -> None:
    table = SECTION.partition("|---|---|\n")[2].partition("\n\n")[0]
    named = set()
    for row in table.splitlines():
        first, *others = re.findall(r"`([\w/]+\.csv)`", row.split("|")[1])
        named |= {first, *(f"{first.rpartition('/')[0]}/{other}" for other in others)}
    assert named == set(EXTENDABLE)
