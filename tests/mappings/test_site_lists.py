"""A site's own lists: what they add, what they may not say, and that they are pinned."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from service.core.knowledge import Knowledge
from service.core.medicines import identify_medicine
from service.core.records import Coding, Concept, Identified
from service.errors import MappingsError
from service.gather.files import read_bundle
from service.knowledge import LOCK, Signature, load_knowledge, mappings_directory, write_site_lock
from service.knowledge.rows import Faults
from service.knowledge.site import EXTENDABLE, SHARED_SYSTEMS, read_site_lists, refuse_weakening
from service.publish.published import publish
from service.render.answer import AssessmentAnswer
from service.review import Reviewer
from tests.lists import knowledge_of
from tests.sites import PHARMACY, PROBLEMS, SIGNED, SYSTEMS, columns_of, site_reviewer, write_site
from tests.support import (
    AS_OF,
    Resource,
    a_bundle,
    a_condition,
    a_statement,
    reviewer,
    with_two_trials,
)

PRODUCTS = "codes/antidepressant_products.csv"
SERTRALINE = ("pharmacy", "4711", "Sertraline 100 mg tablet", "sertraline", "100", "tablet", "1", "", "test")

ROWS = {
    "codes/systems.csv": ("lab", "https://northfield.example/lab", "no", "test"),
    PRODUCTS: SERTRALINE,
    "codes/augmenting_products.csv": ("pharmacy", "4712", "Abilify 5 mg", "aripiprazole", "test"),
    "codes/depression.csv": ("problems", "D1", "mdd", "severe", "no", "Depression", "test"),
    "codes/depression_exclude.csv": ("problems", "D2", "grief", "Grief", "test"),
    "codes/esketamine.csv": ("pharmacy", "4713", "esketamine", "Spravato", "test"),
    "codes/indications.csv": ("problems", "D3", "", "", "test"),
    "codes/observations.csv": ("phq-9", "problems", "Q9", "PHQ-9 total", "test"),
    "codes/procedures.csv": ("ect", "problems", "P1", "ECT", "test"),
    "codes/score_items.csv": ("phq-9", "problems", "Q1", "Little interest", "test"),
    "codes/stop_reasons.csv": ("ineffective", "problems", "S1", "", "", "", "test"),
    "codes/suicidality.csv": ("problems", "D4", "ideation", "Suicidal", "test"),
    "safety/allergies.csv": ("hypersensitivity", "pharmacy", "A1", "", "", "test"),
    "safety/conditions.csv": ("aneurysm", "problems", "C1", "Aneurysm", "test"),
    "safety/medicines.csv": ("maoi", "pharmacy", "4714", "", "Phenelzine", "", "test"),
    "safety/procedures.csv": ("vascular-repair", "problems", "P2", "Clipping", "test"),
}
"""A row that a site may add to each list that it may extend."""
CODED = sorted(ROWS.keys() - {"codes/systems.csv", "codes/score_items.csv"})
each_list = pytest.mark.parametrize("name", CODED)


def load(site: Path) -> Knowledge:
    return load_knowledge(mappings_directory(), criteria="seed", region="us", site_directory=site)


def faults(site: Path) -> list[str]:
    with pytest.raises(MappingsError) as refused:
        load(site)
    return refused.value.faults


def changed(name: str, /, **values: str) -> tuple[str, ...]:
    """The row of a list with other values."""
    row = dict(zip(columns_of(name), ROWS[name], strict=True)) | values
    return tuple(row.values())


def items(count: int, system: str = "problems") -> list[tuple[str, ...]]:
    return [("phq-9", system, f"Q{n}", "question", "test") for n in range(count)]


# what is added --------------------------------------------------------------------------------------


def judged(resources: list[Resource], by: Reviewer) -> AssessmentAnswer:
    return by.review(read_bundle(json.dumps(a_bundle(resources)).encode())).answer


def coded(system: str, code: str, **beside: str) -> Resource:
    return {"coding": [{"system": system, "code": code}], **beside}


def a_record(medicine: Resource) -> list[Resource]:
    """One trial by a code of ours, and one by this medicine."""
    return [
        *with_two_trials()[:2],
        with_two_trials()[3],
        a_statement("local", medicationCodeableConcept=medicine),
    ]


DRUGS = {
    "a local code": (("pharmacy", "4711"), PHARMACY),
    "NDC": (("ndc", "00000-0001-01"), "http://hl7.org/fhir/sid/ndc"),
    "PZN": (("pzn", "01234567"), "http://fhir.de/CodeSystem/ifa/pzn"),
    "dm+d": (("dmd", "39113611000001102"), "https://dmd.nhs.uk"),
}


@pytest.mark.parametrize(("code", "address"), DRUGS.values(), ids=DRUGS.keys())
def test_a_local_code_counts_only_with_the_lists_of_the_site(
    code: tuple[str, str], address: str, tmp_path: Path
) -> None:
    record = a_record(coded(address, code[1]))
    before = judged(record, reviewer())
    after = judged(record, site_reviewer(tmp_path, {PRODUCTS: [(*code, *SERTRALINE[2:])]}))

    assert (before.decision, before.site_lists) == ("needs-information", None)
    assert (after.decision, after.reason) == ("propose", "trd")
    assert [t.ingredient.name for t in after.trials if t.counts == "yes"] == ["sertraline", "venlafaxine"]
    assert after.site_lists is not None
    assert after.site_lists.evidence == ["MedicationStatement/local"]
    assert after.site_lists.version.startswith("northfield.2026-11-23.")
    assert after.knowledge_version == f"{before.knowledge_version}+site.{after.site_lists.version}"
    assert "The site's own lists (northfield." in after.summary


def test_a_record_without_a_code_of_the_site_is_answered_as_ever(tmp_path: Path) -> None:
    by = site_reviewer(tmp_path, {PRODUCTS: [SERTRALINE]})
    ours, theirs = judged(with_two_trials(), reviewer()), judged(with_two_trials(), by)
    assert theirs == ours.model_copy(update={"knowledge_version": theirs.knowledge_version})


def test_a_local_problem_raises_a_contraindication(tmp_path: Path) -> None:
    record = [*with_two_trials(), a_condition("local", code=coded(PROBLEMS, "C1"))]
    name = "safety/conditions.csv"
    after = judged(record, site_reviewer(tmp_path, {name: [ROWS[name]]}))
    assert judged(record, reviewer()).decision == "propose"
    assert (after.decision, after.reason) == ("decline", "contraindicated")


def test_a_local_reason_to_stop_makes_a_failed_trial_and_is_named(tmp_path: Path) -> None:
    reason = {"statusReason": [coded(PROBLEMS, "S1")]}
    record = [one | (reason if one["id"] == "sertraline" else {}) for one in with_two_trials()]
    name = "codes/stop_reasons.csv"
    after = judged(record, site_reviewer(tmp_path, {name: [ROWS[name]]}))
    assert judged(record, reviewer()).decision == "needs-information"
    assert after.decision == "propose"
    assert after.site_lists is not None
    assert after.site_lists.evidence == ["MedicationStatement/sertraline"]


def a_score(code: Resource) -> Resource:
    return {
        "resourceType": "Observation",
        "id": "score",
        "status": "final",
        "code": code,
        "subject": {"reference": "Patient/ann"},
        "effectiveDateTime": "2026-11-16",
        "valueInteger": 19,
    }


def test_a_local_code_of_a_laboratory_is_a_score(tmp_path: Path) -> None:
    record = [*with_two_trials(), a_score(coded(PROBLEMS, "Q9"))]
    name = "codes/observations.csv"
    by = site_reviewer(tmp_path, {name: [ROWS[name]]})
    assert judged(record, reviewer()).scores == []
    assert [(one.scale, one.value) for one in judged(record, by).scores] == [("phq-9", 19)]


@pytest.mark.parametrize(("asked", "scores"), [(9, [18.0]), (8, [])])
def test_local_questions_add_up_only_if_all_are_asked(
    asked: int, scores: list[float], tmp_path: Path
) -> None:
    by = site_reviewer(tmp_path, {"codes/score_items.csv": items(9)})
    answers = [{"linkId": f"{n}", "answer": [{"valueInteger": 2}]} for n in range(asked)]
    questions = [
        {"linkId": f"{n}", "type": "integer", "code": [{"system": PROBLEMS, "code": f"Q{n}"}]}
        for n in range(9)
    ]
    form = {
        "resourceType": "Questionnaire",
        "id": "form",
        "url": "https://x.example/form",
        "status": "active",
    }
    response = {
        "resourceType": "QuestionnaireResponse",
        "id": "answers",
        "status": "completed",
        "questionnaire": "https://x.example/form",
        "subject": {"reference": "Patient/ann"},
        "authored": "2026-11-16",
        "item": answers,
    }
    found = judged([*with_two_trials(), form | {"item": questions}, response], by)
    assert [one.value for one in found.scores] == scores
    assert found.site_lists is not None
    assert found.site_lists.evidence == ["QuestionnaireResponse/answers"]


def test_every_list_that_may_be_extended_takes_a_row(tmp_path: Path) -> None:
    site = load(write_site(tmp_path, {name: [ROWS[name]] for name in CODED})).site
    assert site.rows == {"codes/systems.csv": 4, **dict.fromkeys(CODED, 1)}


def test_every_list_that_may_be_extended_is_tested() -> None:
    assert set(ROWS) == set(EXTENDABLE)


def test_a_further_address_may_be_that_of_a_code_system_of_the_site(tmp_path: Path) -> None:
    site = write_site(tmp_path, {}, systems=[*SYSTEMS, ROWS["codes/systems.csv"]])
    assert load(site).systems["https://northfield.example/lab"] == "lab"


def test_an_unlisted_code_of_the_pharmacy_stays_not_screened(tmp_path: Path) -> None:
    """That a site names its code system does not say that its other codes are of no interest."""
    by = site_reviewer(tmp_path, {PRODUCTS: [SERTRALINE]})
    medicine = coded(PHARMACY, "1", text="Zzyzx")
    assert (
        identify_medicine(Concept((Coding("pharmacy", "1", None),), "Zzyzx"), by.knowledge).identified
        is Identified.UNLISTED
    )
    assert "Zzyzx (medicine)" in judged(a_record(medicine), by).not_screened


# versions and publishing ----------------------------------------------------------------------------


def test_the_version_changes_with_any_row(tmp_path: Path) -> None:
    first = load(write_site(tmp_path / "a", {PRODUCTS: [SERTRALINE]})).version
    other = load(write_site(tmp_path / "b", {PRODUCTS: [changed(PRODUCTS, strength_mg="50")]})).version
    assert len({first, other, knowledge_of().version}) == 3
    assert {one.partition("+")[0] for one in (first, other)} == {knowledge_of().version}


def test_what_is_published_is_ours_alone(tmp_path: Path) -> None:
    """A definition has our address and version: its content must not differ from site to site."""
    theirs = publish(load(write_site(tmp_path, {PRODUCTS: [SERTRALINE]})))
    assert theirs.resources == publish(knowledge_of()).resources


# what may not be said -------------------------------------------------------------------------------


RULES = {name: listing.rows for name, listing in knowledge_of().catalogue.files.items()}


def weakening(site: Path) -> list[str]:
    """What is found of a site's rows beside ours, without the rest of the lists."""
    found = Faults()
    refuse_weakening(read_site_lists(site, mappings_directory(), found), RULES, found)
    return found.found


def known_codes() -> list[tuple[str, str]]:
    """A code of each list of ours that has one of a system of which a site may add codes."""
    of_list = (
        [
            ("rxnorm", row["rxnorm"]) if "rxnorm" in row else (row["system"], row["code"])
            for row in rows
            if row.get("rxnorm") or (row.get("code") and row["system"] in SHARED_SYSTEMS)
        ]
        for rows in RULES.values()
    )
    return [codes[0] for codes in of_list if codes]


@each_list
def test_a_code_that_any_list_of_ours_has_is_refused(name: str, tmp_path: Path) -> None:
    known = known_codes()
    assert len(known) > 20
    found = weakening(
        write_site(tmp_path, {name: [changed(name, system=system, code=code) for system, code in known]})
    )
    for line, (system, code) in enumerate(known, start=2):
        expected = f"site lists: {name}:{line}: gives a meaning to {system} {code}, which "
        assert any(fault.startswith(expected) for fault in found)


COMPLETE = ["icd-10-cm", "icd-10", "atc", "null-flavor", "act-code", "observation-category"]
NO_CODES = ["", "?", "A|B", "A,B", "A  B", "A$B"]


@each_list
def test_a_code_of_a_system_whose_lists_are_complete_is_refused(name: str, tmp_path: Path) -> None:
    rows = [changed(name, system=system, code="Z99.9") for system in COMPLETE]
    found = weakening(write_site(tmp_path, {name: rows}))
    for line, system in enumerate(COMPLETE, start=2):
        assert any(f"site lists: {name}:{line}: adds a code of {system!r}" in fault for fault in found)


@each_list
def test_a_code_that_is_none_is_refused(name: str, tmp_path: Path) -> None:
    found = weakening(write_site(tmp_path, {name: [changed(name, code=code) for code in NO_CODES]}))
    for line, _ in enumerate(NO_CODES, start=2):
        assert any(f"site lists: {name}:{line}: has no code" in fault for fault in found)


TWICE = [name for name in CODED if name != "codes/esketamine.csv"]


@pytest.fixture(scope="module")
def with_every_row_twice(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    return faults(write_site(tmp_path_factory.mktemp("site"), {name: [ROWS[name]] * 2 for name in TWICE}))


@pytest.mark.parametrize("name", TWICE)
def test_a_code_that_the_site_lists_twice_is_refused(name: str, with_every_row_twice: list[str]) -> None:
    assert any(f"site lists: {name}:3: lists" in fault for fault in with_every_row_twice)


OTHERS = {
    "words of a reason": ("codes/stop_reasons.csv", {"code": "S9", "phrase": "no use", "match": "word"}),
    "a name of an allergen": ("safety/allergies.csv", {"code": "A9", "name": "something"}),
    "a name of a medicine": ("safety/medicines.csv", {"code": "M9", "name": "something"}),
    "words of an indication": ("codes/indications.csv", {"code": "I9", "phrase": "sadness"}),
    "suicidality that is past": ("codes/suicidality.csv", {"kind": "history"}),
    "self-harm without intent": ("codes/suicidality.csv", {"kind": "non-suicidal"}),
    "another agent as esketamine": ("codes/esketamine.csv", {"agent": "saline"}),
    "an ingredient that is not known": (PRODUCTS, {"ingredient": "zzyzx"}),
    "a strength of nothing": (PRODUCTS, {"strength_mg": "0"}),
    "a strength that is no number": (PRODUCTS, {"strength_mg": "nan"}),
    "no days": (PRODUCTS, {"dose_days": "0"}),
    "a safety group that is not known": ("safety/conditions.csv", {"group": "zzyzx"}),
    "a kind that is not known": ("codes/observations.csv", {"kind": "zzyzx"}),
    "no source": ("safety/conditions.csv", {"source": ""}),
}


@pytest.mark.parametrize(("name", "values"), OTHERS.values(), ids=OTHERS.keys())
def test_other_values_are_refused(name: str, values: dict[str, str], tmp_path: Path) -> None:
    site = write_site(tmp_path, {name: [changed(name, **values)]})
    assert any(fault.startswith(f"site lists: {name}:2: ") for fault in faults(site))


@pytest.mark.parametrize(("count", "system"), [(8, "problems"), (10, "problems"), (9, "loinc")])
def test_questions_that_are_not_those_of_the_score_are_refused(
    count: int, system: str, tmp_path: Path
) -> None:
    found = weakening(write_site(tmp_path, {"codes/score_items.csv": items(count, system)}))
    assert any("question" in fault for fault in found)


def test_a_code_with_two_meanings_in_the_lists_of_a_site_is_refused(tmp_path: Path) -> None:
    esketamine = changed("codes/esketamine.csv", code="4711")
    found = faults(write_site(tmp_path, {PRODUCTS: [SERTRALINE], "codes/esketamine.csv": [esketamine]}))
    assert found == ["site lists: codes/esketamine.csv:2: gives pharmacy 4711 a second meaning"]


ADDRESSES = [
    "http://snomed.info/sct",
    "https://snomed.info/sct/",
    "http://snomed.info/sct/900000000000207008",
    "HTTP://LOINC.ORG",
    "http://loinc.org|2.77",
    "2.16.840.1.113883.6.96",
    "http://terminology.hl7.org/CodeSystem/condition-clinical",
    "http://hl7.org/fhir/sid/cvx",
    "urn:oid:2.16.840.1.113883.4.642.3.115",
    "urn:trd-careplan:fhir/CodeSystem/cause",
    "",
]


@pytest.mark.parametrize("address", ADDRESSES)
def test_an_address_that_is_not_of_the_site_is_refused(address: str, tmp_path: Path) -> None:
    found = weakening(write_site(tmp_path, {}, systems=[("own", address, "no", "test")]))
    assert any("site lists: codes/systems.csv:2: " in fault and "address" in fault for fault in found)


SYSTEM_ROWS = [
    (("snomed", "https://northfield.example/s", "no", "test"), "has the id of a code system"),
    (("own", "https://northfield.example/s", "yes", "test"), "has a value in 'hierarchical'"),
    (("Own System", "https://northfield.example/s", "no", "test"), "has an id that is not"),
]


@pytest.mark.parametrize(("row", "why"), SYSTEM_ROWS)
def test_a_system_that_takes_the_place_of_ours_is_refused(
    row: tuple[str, ...], why: str, tmp_path: Path
) -> None:
    assert any(why in fault for fault in weakening(write_site(tmp_path, {}, systems=[row])))


# files and the lock ---------------------------------------------------------------------------------

OURS_ALONE = sorted(
    path.relative_to(mappings_directory()).as_posix()
    for path in mappings_directory().rglob("*.*")
    if path.suffix in {".csv", ".toml"} and path.name != LOCK
    if path.relative_to(mappings_directory()).as_posix() not in EXTENDABLE
)


@pytest.fixture(scope="module")
def with_every_list(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The faults of a site that has a copy of every list that is ours alone."""
    site = tmp_path_factory.mktemp("site")
    for name in OURS_ALONE:
        (site / name).parent.mkdir(parents=True, exist_ok=True)
        (site / name).write_bytes((mappings_directory() / name).read_bytes())
    write_site_lock(site, SIGNED, AS_OF)
    return faults(site)


@pytest.mark.parametrize("name", OURS_ALONE)
def test_a_list_that_is_ours_alone_is_refused(name: str, with_every_list: list[str]) -> None:
    assert f"site lists: {name}: is not a list that a site may extend" in with_every_list


def spoil(name: str, change: Callable[[str], str]) -> Callable[[Path], None]:
    def do(site: Path) -> None:
        path = site / name
        path.write_text(change(path.read_text(encoding="utf-8")), encoding="utf-8")

    return do


def relocked(change: Callable[[Path], None]) -> Callable[[Path], None]:
    def do(site: Path) -> None:
        change(site)
        write_site_lock(site, SIGNED, AS_OF)

    return do


SPOILED = {
    "no lock": (lambda site: (site / LOCK).unlink(), "lock.toml: missing; every list must be pinned"),
    "a changed row": (
        spoil(PRODUCTS, lambda t: t.replace("100", "200")),
        f"{PRODUCTS}: differs from its sha256",
    ),
    "a list that is gone": (lambda site: (site / PRODUCTS).unlink(), f"{PRODUCTS}: in the lock, but missing"),
    "a list that is not pinned": (
        lambda site: (site / "codes/units.csv").write_text("kind\n"),
        "codes/units.csv: not in the lock",
    ),
    "a lock that is no TOML": (spoil(LOCK, lambda t: t + "]"), "lock.toml: cannot be read: TOMLDecodeError"),
    "no id of the site": (spoil(LOCK, lambda t: t.replace('id = "northfield"', "")), "does not state the id"),
    "no reviewer": (
        spoil(LOCK, lambda t: t.replace("A. Pharmacist", "")),
        f"does not state who reviewed {PRODUCTS}",
    ),
    "a further column": (
        relocked(spoil(PRODUCTS, lambda t: "\n".join(f"{line},x" for line in t.splitlines()))),
        f"{PRODUCTS}:1: has a column that is not known here: 'x'",
    ),
    "a missing column": (
        relocked(spoil(PRODUCTS, lambda t: t.replace("dose_days", "days"))),
        f"{PRODUCTS}:1: has no column 'dose_days'",
    ),
    "a field too few": (
        relocked(spoil(PRODUCTS, lambda t: t.replace(",test", ""))),
        f"{PRODUCTS}:2: has not as many fields as the header",
    ),
    "no directory": (
        lambda site: site.rename(site.with_name("gone")),
        "TRD_SITE_MAPPINGS: is not a directory",
    ),
}


@pytest.mark.parametrize(("change", "why"), SPOILED.values(), ids=SPOILED.keys())
def test_lists_that_are_not_as_they_were_pinned_stop_the_start(
    change: Callable[[Path], None], why: str, tmp_path: Path
) -> None:
    site = write_site(tmp_path / "site", {PRODUCTS: [SERTRALINE]})
    change(site)
    assert any(why in fault for fault in faults(site))


def test_the_lock_keeps_who_reviewed_what_did_not_change(tmp_path: Path) -> None:
    site = write_site(tmp_path, {PRODUCTS: [SERTRALINE]})
    before = (site / LOCK).read_text(encoding="utf-8")
    write_site_lock(site, Signature(), AS_OF)
    assert (site / LOCK).read_text(encoding="utf-8") == before

    spoil(PRODUCTS, lambda t: t.replace("tablet", "capsule"))(site)
    with pytest.raises(MappingsError, match=f"{PRODUCTS}: new or changed; name who reviewed it"):
        write_site_lock(site, Signature(), AS_OF)
    write_site_lock(site, Signature(reviewer='B. "Second"'), AS_OF)
    assert load(site).site.version.startswith("northfield.")
    assert '[[list]]\nfile = "codes/antidepressant_products.csv"\nversion = "2"' in (site / LOCK).read_text()


@pytest.mark.parametrize("identity", [None, "North Field", "", "x" * 32])
def test_a_site_has_an_id(identity: str | None, tmp_path: Path) -> None:
    with pytest.raises(MappingsError, match="no id of the site"):
        write_site_lock(tmp_path, Signature(identity, "A. Pharmacist"), AS_OF)
