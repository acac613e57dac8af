"""The cards: which decision gives which one, and that none of them acts on who reads it."""

import json
from uuid import uuid4

import pytest
from fhir.resources.R4B.careplan import CarePlan
from hypothesis import given
from hypothesis import strategies as st

from service.gather.files import read_bundle
from service.render.cards import OVERRIDES, CardOccasion, Hook, Order, render_cards
from service.render.markdown import escape
from tests.app.hooks import EXCLUDED, INSTANCE, PROPOSED, an_order, cards_of, of_case, searchset
from tests.app.serving import serving
from tests.support import (
    Resource,
    a_bundle,
    a_condition,
    an_allergy,
    case_review,
    each_case,
    reviewer,
    with_two_trials,
)

QUIET = Hook.PATIENT_VIEW
ORDERED = (Order("MedicationRequest/order-1", "Spravato 56 mg"),)


def cards_for(name: str, hook: Hook = QUIET, orders: tuple[Order, ...] = ()) -> list[Resource]:
    """The cards for a case."""
    review = case_review(name)
    plan = review.intent.plan if review.intent.new_plan_id else None
    return render_cards(CardOccasion(hook, uuid4(), orders, None), review.decision, review.answer, plan)


# --- which card -----------------------------------------------------------------------------------

BY_CASE: dict[str, tuple[str | None, str | None]] = {
    PROPOSED: ("info", "info"),
    "a-deceased-patient-is-declined": (None, "warning"),
    "a-recorded-pregnancy-status-needs-review": ("warning", "warning"),
    "an-active-esketamine-plan-is-left-alone": ("info", "info"),
    "an-adjustment-disorder-is-not-major-depression": (None, "warning"),
    EXCLUDED: (None, "critical"),
    "no-medicine-on-record-is-missing-information": (None, "warning"),
    "a-phq-9-item-9-alerts-and-leaves-acute-suicidality-open": ("warning", "warning"),
    "when-both-pathways-are-met-the-treatment-resistance-protocol-is-proposed": ("warning", "warning"),
}


@pytest.mark.parametrize(("name", "expected"), BY_CASE.items())
def test_each_decision_has_its_card(name: str, expected: tuple[str | None, str | None]) -> None:
    """Who opens the chart, and who orders esketamine."""
    viewed, ordered = expected
    for hook in (Hook.PATIENT_VIEW, Hook.ENCOUNTER_START):
        assert [card["indicator"] for card in cards_for(name, hook)] == ([viewed] if viewed else [])
    for hook in (Hook.ORDER_SELECT, Hook.ORDER_SIGN):
        assert [card["indicator"] for card in cards_for(name, hook, ORDERED)] == [ordered]
        assert cards_for(name, hook) == []


@each_case
def test_every_case_has_proper_cards(name: str) -> None:
    for hook, orders in ((QUIET, ()), (Hook.ORDER_SIGN, ORDERED)):
        cards = cards_for(name, hook, orders)
        assert len(cards) == 1 if orders else len(cards) <= 1
        for card in cards:
            assert 0 < len(card["summary"]) < 140
            assert "/_history/" not in card["detail"].replace("\\", "")
            assert card["detail"].endswith("This is decision support; a clinician decides.")
            assert ("overrideReasons" in card) == (bool(orders) and card["indicator"] != "info")
            assert ("suggestions" in card) == ("selectionBehavior" in card)


def test_what_is_needed_is_named_where_a_trial_failed_already() -> None:
    """Not of everybody who has a depression and no treatment."""
    (card,) = cards_for("a-phq-9-item-9-alerts-and-leaves-acute-suicidality-open")

    assert card["summary"].startswith("Suicidality is on record: assess the risk now. Esketamine may be")
    assert "would lead to a proposal" in card["detail"]
    assert cards_for("no-medicine-on-record-is-missing-information") == []


async def test_an_order_against_a_contraindication_names_the_evidence() -> None:
    async with serving() as site:
        (card,) = await cards_of(site, of_case(EXCLUDED, "order-sign", an_order()))

    assert card["indicator"] == "critical"
    assert card["summary"].startswith("Esketamine is contraindicated: Hypersensitivity")
    assert "ketamine-allergy" not in card["summary"]
    assert "(AllergyIntolerance/ketamine-allergy-ketamine)" in card["detail"]
    assert "**Order:** esketamine (MedicationRequest/order-1)" in card["detail"]
    assert "**Excludes:** Hypersensitivity" in card["detail"]
    assert [reason["code"] for reason in card["overrideReasons"]] == list(OVERRIDES)
    assert "suggestions" not in card


def test_a_contraindicated_order_is_critical_whatever_else_is_against_it() -> None:
    name = "a-patient-who-turns-eighteen-tomorrow-is-a-minor-whatever-else-is-wrong"
    (card,) = cards_for(name, Hook.ORDER_SIGN, ORDERED)

    assert card["indicator"] == "critical"
    assert card["summary"] == "Esketamine is contraindicated: Arteriovenous malformation"
    assert "under 18" in card["detail"]
    assert cards_for(name) == []


def test_an_order_that_is_not_supported_says_why() -> None:
    (card,) = cards_for("an-adjustment-disorder-is-not-major-depression", Hook.ORDER_SIGN, ORDERED)

    assert card["summary"].startswith("The record does not support esketamine: no active major depression")


async def test_a_proposal_comes_with_the_plan_as_it_would_be_written() -> None:
    async with serving() as site:
        (card,) = await cards_of(site, of_case(PROPOSED))
    (suggestion,) = card["suggestions"]
    (action,) = suggestion["actions"]
    written = case_review(PROPOSED).intent.plan
    assert written is not None
    inside = {"contained", "author"}

    assert card["selectionBehavior"] == "at-most-one"
    assert (action["type"], bool(action["description"]), bool(suggestion["label"])) == ("create", True, True)
    CarePlan.model_validate(action["resource"])
    assert {k for k, v in action["resource"].items() if v != written.get(k)} - inside <= _DATED
    assert action["resource"]["author"] == {"reference": f"#{action['resource']['contained'][0]['id']}"}


_DATED = {"created", "period", "activity", "text", "description", "extension", "supportingInfo"}
"""What differs from the plan of the day of the case."""


async def test_where_a_plan_of_ours_stands_none_is_suggested() -> None:
    plan = case_review(PROPOSED).intent.plan
    asked = of_case(PROPOSED)
    asked["prefetch"]["carePlan"] = searchset([plan or {}])
    async with serving() as site:
        (card,) = await cards_of(site, asked)

    assert card["summary"].endswith("treatment-resistant depression; no new plan is drafted.")
    assert "the plan on record is kept unchanged" in card["detail"]
    assert "is proposed" not in card["summary"] + card["detail"]
    assert "suggestions" not in card


async def test_a_repeated_question_has_the_same_cards_and_another_has_others() -> None:
    asked = of_case(PROPOSED)
    async with serving() as site:
        first = await cards_of(site, asked)
        assert await cards_of(site, asked) == first
        other = await cards_of(site, {**asked, "hookInstance": INSTANCE.replace("d157", "d158")})

    assert other[0]["uuid"] != first[0]["uuid"]
    assert other[0]["summary"] == first[0]["summary"]


async def test_the_source_has_an_address_where_a_public_one_is_set() -> None:
    for address, expected in ((None, None), ("https://trd.example", "https://trd.example/")):
        async with serving(public_url=address) as site:
            (card,) = await cards_of(site, of_case(PROPOSED))
        assert card["source"].get("url") == expected
        assert card["source"]["label"].startswith("trd-careplan, criteria seed")


# --- what others wrote ------------------------------------------------------------------------------

ATTACKS = [
    "<script>alert(1)</script>",
    "[click](https://evil.example)",
    "![x](https://evil.example/x.png)",
    "https://evil.example",
    "www.evil.example",
    "somebody@evil.example",
    "mailto:somebody",
    "# heading",
    "a\n\n# heading\n- list",
    "|a|b|\n|-|-|",
    "`code` ~~gone~~ **bold** _it_",
    "&lt;b&gt;",
    "\u202eevil\x1b[31m",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_a_text_of_a_record_stays_text(attack: str) -> None:
    said = escape(attack)

    assert not set("<>\n\r\x1b\u202e") & set(said)
    for start in ("](", "![", "://", "www.", "`", "**", "~~"):
        assert start not in said.replace(f"\\{start[0]}", "")


@given(st.text())
def test_every_text_is_one_line_without_markup(text: str) -> None:
    said = escape(text)
    bare = said.replace("\\\\", "")

    assert "\n" not in said
    assert "<" not in said
    for sign in "`*_[]#|~!":
        assert sign not in bare.replace(f"\\{sign}", "")


@pytest.mark.parametrize("attack", ATTACKS)
async def test_no_card_carries_markup_of_a_record(attack: str) -> None:
    allergy = {**an_allergy("a"), "code": {"text": f"ketamine {attack}"}}
    unknown = a_condition("c", code={"text": attack})
    resources = [*with_two_trials(), allergy, unknown]
    review = reviewer().review(read_bundle(json.dumps(a_bundle(resources)).encode()))
    occasion = CardOccasion(Hook.ORDER_SIGN, uuid4(), (Order("MedicationRequest/o", attack),), None)
    (card,) = render_cards(occasion, review.decision, review.answer, None)

    assert escape(attack) in card["detail"]
    for sign in ("<", "](", "![", "\x1b", "\u202e"):
        assert sign not in card["detail"].replace("\\!\\[", "").replace("\\](", "")
