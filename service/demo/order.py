"""The order of the demo: esketamine for a patient who may not have it, and the card that answers it."""

import uuid
from typing import Any

from rich.padding import Padding
from rich.text import Text

from service.render.terminal import Terminal

Card = dict[str, Any]
_COLOURS = {"critical": "red", "warning": "yellow"}


def sign_order(patient_id: str) -> dict[str, Any]:
    """The request of an EHR in which somebody signs an order of esketamine; the record is left to be read."""
    order = {
        "resourceType": "MedicationRequest",
        "id": "draft-order",
        "status": "draft",
        "intent": "order",
        "medicationCodeableConcept": {"text": "Spravato 56 mg nasal spray"},
        "subject": {"reference": f"Patient/{patient_id}"},
    }
    drafts = {"resourceType": "Bundle", "type": "collection", "entry": [{"resource": order}]}
    context = {"userId": "Practitioner/demo", "patientId": patient_id, "draftOrders": drafts}
    return {"hook": "order-sign", "hookInstance": str(uuid.uuid4()), "context": context}


def find_order_faults(cards: list[Card]) -> list[str]:
    """What is not as it has to be: one card, which is critical and names its evidence."""
    critical = [card["indicator"] for card in cards] == ["critical"]
    named = critical and "AllergyIntolerance/" in cards[0]["detail"]
    return [] if named else ["the order of esketamine was not answered by a critical card with its evidence"]


def show_cards(console: Terminal, patient_id: str, cards: list[Card]) -> None:
    """Show the cards as an EHR might."""
    head = ("An order of esketamine is signed", "bold"), f"  Patient/{patient_id}"
    console.print(Text.assemble("\n", *head))
    console.print("  The service answers the EHR by a card of CDS Hooks:")
    for card in cards:
        indicator = card["indicator"]
        marked = (indicator, f"bold {_COLOURS.get(indicator, 'cyan')}")
        console.print(Padding(Text.assemble(marked, f"  {card['summary']}"), (0, 0, 0, 2)))
