"""What is published of the lists says what they say, with every source, and is proper FHIR."""

import csv
import json
import re
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from fhir.resources.R4B import get_fhir_model_class

from service.core.knowledge import Protocol
from service.core.schedule import Schedule, plan_sessions
from service.fhir.kinds import PUBLISHED_KINDS
from service.fhir.names import BASE, PLAN_DEFINITION
from service.knowledge import mappings_directory
from service.publish.canonical import licences_of
from service.publish.published import publish, transaction
from tests.support import AS_OF, Resource, case_names, case_review, reviewer

US = reviewer().knowledge
PUBLISHED = publish(US)
ALL = PUBLISHED.resources
MAPPINGS = mappings_directory()
PROTOCOLS = pytest.mark.parametrize("protocol", US.protocols, ids=lambda protocol: protocol.id)
EACH = pytest.mark.parametrize("resource", ALL, ids=lambda r: f"{r['resourceType']}/{r['id']}")
COMMENT = "http://hl7.org/fhir/StructureDefinition/valueset-concept-comments"
URIS = {system: uri for uri, system in reversed(list(US.systems.items()))}
CODED = (
    "codes/depression.csv",
    "codes/depression_exclude.csv",
    "codes/no_disorder.csv",
    "codes/suicidality.csv",
    "codes/severity.csv",
    "codes/observations.csv",
    "codes/answers.csv",
    "codes/procedures.csv",
    "codes/stop_reasons.csv",
    "codes/indications.csv",
    "codes/esketamine.csv",
    "codes/units.csv",
    "codes/timings.csv",
    "codes/adherence.csv",
    "codes/certainty.csv",
    "codes/score_items.csv",
    "codes/completeness.csv",
    "codes/list_contents.csv",
    "safety/conditions.csv",
    "safety/procedures.csv",
    "safety/allergies.csv",
    "safety/medicines.csv",
)
IN_COLUMNS = {
    "codes/antidepressants.csv": ("rxnorm", "atc", "snomed"),
    "codes/antidepressant_products.csv": ("rxnorm",),
    "codes/augmenting_agents.csv": ("rxnorm", "atc"),
    "codes/augmenting_products.csv": ("rxnorm",),
}


def rows(name: str) -> list[dict[str, str]]:
    with (MAPPINGS / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def codes_of(name: str) -> Iterator[tuple[str, str, dict[str, str]]]:
    """System, code and row of every code of a list."""
    for row in rows(name):
        if name in IN_COLUMNS:
            yield from ((system, row[system], row) for system in IN_COLUMNS[name] if row[system])
        elif row["code"]:
            yield row["system"], row["code"], row


def value_set(identity: str) -> Resource:
    found = PUBLISHED.read("ValueSet", identity)
    assert found is not None
    return found


def listed_in(resource: Resource) -> dict[tuple[str, str], Resource]:
    return {
        (include["system"], concept["code"]): concept
        for include in resource["compose"]["include"]
        for concept in include.get("concept", [])
    }


def filtered(parts: list[Resource], uri: str, code: str) -> bool:
    patterns = [one["value"] for part in parts if part["system"] == uri for one in part.get("filter", [])]
    return any(re.fullmatch(pattern, code) for pattern in patterns)


def holds(resource: Resource, uri: str, code: str) -> bool:
    """Whether a server that has the code systems would find a code in a ValueSet."""
    compose = resource["compose"]
    included = (uri, code) in listed_in(resource) or filtered(compose["include"], uri, code)
    return included and not filtered(compose.get("exclude", []), uri, code)


def comment_of(concept: Resource) -> str:
    (comment,) = [e["valueString"] for e in concept["extension"] if e["url"] == COMMENT]
    return str(comment)


def walk(value: Any) -> Iterator[Any]:
    """Every value within a value."""
    yield value
    for part in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(part)


# --- every definition -----------------------------------------------------------------------------


@EACH
def test_it_survives_the_way_through_its_model(resource: Resource) -> None:
    model = get_fhir_model_class(resource["resourceType"]).model_validate(resource)

    assert json.loads(model.model_dump_json()) == resource


@EACH
def test_it_says_what_it_is(resource: Resource) -> None:
    assert re.fullmatch(r"[A-Za-z0-9\-.]{1,64}", resource["id"])
    assert re.fullmatch(r"[A-Z][A-Za-z0-9_]{0,254}", resource["name"])
    assert resource["url"] == f"{BASE}/{resource['resourceType']}/{resource['id']}"
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", resource["date"])
    assert resource["experimental"] is False
    for element in ("version", "title", "publisher", "description"):
        assert resource[element].strip() == resource[element] != ""


@EACH
def test_it_holds_no_empty_part_and_no_open_blank(resource: Resource) -> None:
    for value in walk(resource):
        assert value not in ("", [], {}, None)
        assert not (isinstance(value, str) and "{}" in value), value


def test_no_two_have_one_address_and_every_kind_is_there() -> None:
    assert len({r["url"] for r in ALL}) == len(ALL)
    assert tuple(dict.fromkeys(r["resourceType"] for r in ALL)) == PUBLISHED_KINDS


def test_what_no_clinician_has_signed_off_is_a_draft() -> None:
    assert {r["status"] for r in ALL if r["resourceType"] != "OperationDefinition"} == {"draft"}


def test_region_and_criteria_set_change_nothing() -> None:
    for other in (reviewer(region="eu"), reviewer(criteria="fda")):
        assert publish(other.knowledge).resources == ALL


def test_every_definition_that_is_named_is_there_and_comes_first() -> None:
    known: set[str] = set()
    for resource in ALL:
        named = {v for v in walk(resource) if isinstance(v, str) and v.startswith(f"{BASE}/") and "|" in v}
        assert named <= known
        known.add(f"{resource['url']}|{resource['version']}")


def test_it_is_one_transaction() -> None:
    bundle = transaction(PUBLISHED)

    get_fhir_model_class("Bundle").model_validate(bundle)
    assert {entry["request"]["method"] for entry in bundle["entry"]} == {"PUT"}
    assert [e["request"]["url"] for e in bundle["entry"]] == [f"{r['resourceType']}/{r['id']}" for r in ALL]


# --- code lists -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", [*IN_COLUMNS, *(pytest.param(name, marks=pytest.mark.matrix) for name in CODED)]
)
def test_every_code_of_a_list_is_in_a_value_set_with_its_source(name: str) -> None:
    sets = PUBLISHED.of_kind("ValueSet")
    found = 0
    for system, code, row in codes_of(name):
        found += 1
        uri = URIS[system]
        concepts = [concept for r in sets if (concept := listed_in(r).get((uri, code))) is not None]
        if "?" in code or code == "O":
            told = [r for r in sets if code in r["description"] and row["source"] in r["description"]]
            assert told, code
        else:
            assert any(f"source: {row['source']}" in comment_of(concept) for concept in concepts), code
    assert found


def test_every_list_of_codes_is_looked_at_here() -> None:
    """Save those in `elements`, which say how a record is read and not what its codes mean."""
    with_codes = {
        path.relative_to(MAPPINGS).as_posix()
        for path in MAPPINGS.rglob("*.csv")
        if path.parent.name != "elements"
        and {"code", "rxnorm"} & set(path.read_text(encoding="utf-8").partition("\n")[0].split(","))
    }

    assert with_codes == {*CODED, *IN_COLUMNS}


@pytest.mark.parametrize(
    ("file", "stem", "column"),
    [
        ("codes/depression.csv", "depression", "state"),
        ("codes/suicidality.csv", "suicidality", "kind"),
        ("codes/severity.csv", "severity", "severity"),
        ("codes/observations.csv", "observation", "kind"),
        ("codes/procedures.csv", "procedure", "kind"),
        ("safety/conditions.csv", "safety", "group"),
        ("safety/procedures.csv", "safety-procedure", "group"),
        ("safety/allergies.csv", "allergy", "group"),
        ("safety/medicines.csv", "medicine", "group"),
    ],
)
def test_a_code_is_in_the_value_set_of_its_meaning_and_in_no_other(file: str, stem: str, column: str) -> None:
    meanings = {row[column] for _, _, row in codes_of(file)}
    sets = {meaning: value_set(f"{stem}-{meaning}") for meaning in meanings}
    for system, code, row in codes_of(file):
        probe = code.replace("?", "0")
        inside = {meaning for meaning, found in sets.items() if holds(found, URIS[system], probe)}
        assert inside == {row[column]}, code


@pytest.mark.parametrize(
    ("code", "where"),
    [
        ("T36.0X2A", "suicidality-behaviour"),
        ("T36.0X2S", "suicidality-history"),
        ("T71.112D", "suicidality-behaviour"),
        ("T36.0X1A", None),
        ("O09.90", "safety-pregnancy"),
    ],
)
def test_whole_ranges_mean_what_they_mean_to_the_service(code: str, where: str | None) -> None:
    uri = URIS["icd-10-cm"]
    names = ("suicidality-behaviour", "suicidality-history", "suicidality-ideation", "safety-pregnancy")

    assert [name for name in names if holds(value_set(name), uri, code)] == ([where] if where else [])
    meaning = US.suicidality.meaning("icd-10-cm", code) or US.safety_conditions.meaning("icd-10-cm", code)
    assert meaning == (where.partition("-")[2] if where else None)


def test_that_codes_below_count_is_said_wherever_they_do() -> None:
    for resource in PUBLISHED.of_kind("ValueSet"):
        below = {URIS[system] for system in US.classification_systems}
        if resource["id"].startswith("medicine-"):
            below = {URIS["atc"]}
        used = {include["system"] for include in resource["compose"]["include"]}
        assert ("every code below it" in resource["description"]) is bool(used & below), resource["id"]


def test_medicines_stand_where_the_service_counts_them() -> None:
    def inside(system: str, code: str) -> list[str]:
        names = (
            "antidepressants",
            "antidepressants-never-a-trial",
            "augmenting-agents",
            "esketamine",
            "ketamine",
        )
        return [name for name in names if (URIS[system], code) in listed_in(value_set(name))]

    assert inside("rxnorm", "36437") == ["antidepressants"]
    assert inside("rxnorm", "1801289") == ["antidepressants-never-a-trial"]
    assert inside("rxnorm", "89013") == ["augmenting-agents"]
    assert inside("rxnorm", "2119365") == ["esketamine"]
    assert inside("rxnorm", "6130") == ["ketamine"]
    for system, code in US.medicine_codes.exact:
        assert len(inside(system, code)) == 1, code


def test_an_answer_has_its_number() -> None:
    concepts = listed_in(value_set("answers"))
    for system, code, row in codes_of("codes/answers.csv"):
        numbers = [
            e["valueDecimal"] for e in concepts[URIS[system], code]["extension"] if "valueDecimal" in e
        ]
        assert numbers == [float(row["value"])]


def test_a_safety_group_says_what_it_does_in_every_region() -> None:
    for group in rows("safety/groups.csv"):
        sets = [found for stem in ("safety", "allergy", "medicine")
                if (found := PUBLISHED.read("ValueSet", f"{stem}-{group['id']}"))]  # fmt: skip
        for found in sets:
            assert f"US {group['us']} (label section {group['us_section']})" in found["description"]
            assert f"EU {group['eu']} (label section {group['eu_section']})" in found["description"]
            assert group["source"] in found["description"]


def test_snomed_displays_are_those_of_the_lists() -> None:
    known = {
        (code, row.get("display", ""))
        for name in CODED
        for system, code, row in codes_of(name)
        if system == "snomed"
    }
    for resource in PUBLISHED.of_kind("ValueSet"):
        for (uri, code), concept in listed_in(resource).items():
            if uri == URIS["snomed"] and "display" in concept:
                assert (code, concept["display"]) in known


def test_licences_are_noted() -> None:
    notes = {"snomed": "affiliate licence", "icd-10": "(c) World Health Organization", "cpt": "(c) American"}
    for resource in PUBLISHED.of_kind("ValueSet"):
        used = {include["system"] for include in resource["compose"]["include"]}
        for system, note in notes.items():
            assert URIS[system] not in used or note in resource["copyright"]


def test_the_licence_of_every_code_system_is_known() -> None:
    assert "to be checked" not in licences_of(URIS)
    assert licences_of(["icd-11", "icd-11"]) == "ICD-11: its licence is to be checked."


def test_the_version_of_a_set_is_that_of_its_lists() -> None:
    lock = tomllib.loads((MAPPINGS / "lock.toml").read_text(encoding="utf-8"))["list"]
    pinned = {entry["file"]: entry for entry in lock}

    found = value_set("safety-aneurysm")

    files = [pinned["safety/conditions.csv"], pinned["safety/groups.csv"]]
    assert found["version"] == ".".join(entry["version"] for entry in files)
    assert found["date"] == max(entry["date"] for entry in files)


def test_every_product_leads_to_the_ingredient_that_it_counts_as() -> None:
    found = PUBLISHED.read("ConceptMap", "product-ingredient")
    assert found is not None
    (group,) = found["group"]
    targets = {element["code"]: element["target"] for element in group["element"]}
    agents = {row["name"]: row["rxnorm"] for row in rows("codes/augmenting_agents.csv")}
    for system, code, row in [
        *codes_of("codes/antidepressant_products.csv"),
        *codes_of("codes/augmenting_products.csv"),
    ]:
        meaning = US.medicine_codes.meaning(system, code)
        assert meaning is not None
        ingredient = US.ingredient(meaning.ingredient)
        rxnorm = ingredient.rxnorm if ingredient else agents.get(meaning.ingredient or "")
        (target,) = targets[code]
        assert target.get("code") == rxnorm
        assert target["equivalence"] == ("wider" if rxnorm else "unmatched")
        assert str(meaning.ingredient) in target["comment"]
        assert row["source"] in target["comment"]


def test_every_reason_to_stop_leads_to_what_it_means() -> None:
    found = PUBLISHED.read("ConceptMap", "stop-reasons")
    system = PUBLISHED.read("CodeSystem", "stop-reason")
    assert found is not None
    assert system is not None
    kinds = {concept["code"] for concept in system["concept"]}
    mapped = {
        (group["source"], element["code"]): element["target"][0]["code"]
        for group in found["group"]
        for element in group["element"]
    }

    assert mapped == {
        (URIS[name], code): row["kind"] for name, code, row in codes_of("codes/stop_reasons.csv")
    }
    assert set(mapped.values()) <= kinds
    assert {group["target"] for group in found["group"]} == {system["url"]}


# --- protocols ------------------------------------------------------------------------------------


def plan(protocol: Protocol) -> Resource:
    found = PUBLISHED.read("PlanDefinition", protocol.id)
    assert found is not None
    return found


def activity(protocol: Protocol, part: str) -> Resource:
    found = PUBLISHED.read("ActivityDefinition", f"{protocol.id}-{part}")
    assert found is not None
    return found


def document(protocol: Protocol) -> dict[str, Any]:
    return tomllib.loads((MAPPINGS / "protocols" / f"{protocol.id}.toml").read_text(encoding="utf-8"))


@PROTOCOLS
def test_what_a_care_plan_instantiates_is_there(protocol: Protocol) -> None:
    found = plan(protocol)

    assert f"{found['url']}|{found['version']}" == f"{PLAN_DEFINITION}/{protocol.id}|{protocol.version}"


def test_every_plan_of_the_cases_instantiates_a_protocol_that_is_published() -> None:
    known = {f"{r['url']}|{r['version']}" for r in PUBLISHED.of_kind("PlanDefinition")}
    plans = [p for name in case_names() if (p := case_review(name).intent.plan) is not None]

    assert plans
    assert {canonical for p in plans for canonical in p.get("instantiatesCanonical", [])} <= known


@PROTOCOLS
def test_a_plan_definition_has_every_session_of_the_protocol(protocol: Protocol) -> None:
    schedule = plan_sessions(protocol, reviewer().calendar, AS_OF)
    assert isinstance(schedule, Schedule)
    actions = {action["id"]: action for action in plan(protocol)["action"]}

    for phase in protocol.phases:
        sessions = [s for s in schedule.sessions if s.phase == phase.name]
        repeat = actions[phase.name]["timingTiming"]["repeat"]
        assert repeat["count"] == len(sessions)
        assert repeat["count"] == repeat["frequency"] * repeat["boundsDuration"]["value"]
        assert activity(protocol, phase.name)["timingTiming"]["repeat"] == repeat


@PROTOCOLS
def test_doses_are_those_of_the_protocol_and_the_clinician_chooses(protocol: Protocol) -> None:
    for phase in protocol.phases:
        found = activity(protocol, phase.name)
        given = (
            [phase.first_dose_mg, phase.dose_options_mg] if phase.first_dose_mg else [phase.dose_options_mg]
        )
        assert [
            tuple(int(dose) for dose in re.findall(r"(\d+) mg", one["text"])) for one in found["dosage"]
        ] == given
        for doses, one in zip(given, found["dosage"], strict=True):
            quantities = [rate["doseQuantity"]["value"] for rate in one.get("doseAndRate", [])]
            assert quantities == (list(doses) if len(doses) == 1 else [])
            assert ("the clinician decides" in one["text"]) is (len(doses) > 1)
        (coding,) = found["productCodeableConcept"]["coding"]
        assert (coding["code"], found["kind"]) == (protocol.product.code, "MedicationRequest")


@PROTOCOLS
def test_weeks_count_from_the_first_session(protocol: Protocol) -> None:
    actions = {action["id"]: action for action in plan(protocol)["action"]}
    first = protocol.phases[0]

    def weeks(identity: str) -> list[int]:
        return [
            related["offsetDuration"]["value"]
            for related in actions[identity].get("relatedAction", [])
            if (related["actionId"], related["relationship"]) == (first.name, "after-start")
        ]

    assert "relatedAction" not in actions[first.name]
    for phase in protocol.phases[1:]:
        assert weeks(phase.name) == [phase.first_week - 1]
    for point in protocol.decision_points:
        assert weeks(point.code) == [point.after_week]
    for action in actions.values():
        for related in action.get("relatedAction", []):
            assert related["actionId"] in actions


@PROTOCOLS
def test_every_word_of_a_protocol_is_there_with_its_source(protocol: Protocol) -> None:
    source = document(protocol)
    sourced: list[tuple[str, str]] = [
        (str(action.get("description", action.get("title"))), str(action["documentation"][0]["citation"]))
        for action in walk(plan(protocol)["action"])
        if isinstance(action, dict) and "documentation" in action
    ]
    cited = {artifact["citation"] for artifact in plan(protocol)["relatedArtifact"]}

    def said(text: str, by: str) -> bool:
        return any(text in words and cite == by for words, cite in sourced)

    assert source["source"] in cited
    assert source["product"]["source"] in cited
    assert said(source["then"]["text"], source["then"]["source"])
    for point in source["decision_point"]:
        assert said(point["text"], point["source"])
    for phase in source["phase"]:
        assert said(f"weeks {phase['weeks'][0]} to {phase['weeks'][1]}", phase["source"])
        assert said(f"at least {phase['min_days_between']} days apart", phase["source"])
    for when in ("before", "during", "after"):
        for text in source["visit"][when]:
            assert said(text, source["visit"]["source"])
    for task in source.get("task", []):
        assert said(task["text"], task["source"])
    oral = source.get("oral_antidepressant")
    assert oral is None or said("oral antidepressant", oral["source"])
    assert source["reviewer"] in plan(protocol)["description"]


@PROTOCOLS
def test_for_whom_a_protocol_is(protocol: Protocol) -> None:
    for found in (plan(protocol), activity(protocol, protocol.phases[0].name)):
        (ages,) = [context["valueRange"] for context in found["useContext"]]
        assert ages["low"]["value"] == protocol.min_age
        assert ages.get("high", {}).get("value") == protocol.max_age
        (where,) = found["jurisdiction"]
        assert where["text"] == {"us": "United States", "eu": "European Union"}[protocol.region]


@PROTOCOLS
def test_no_goal_is_set_for_a_patient(protocol: Protocol) -> None:
    assert "goal" not in plan(protocol)
