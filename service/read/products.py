"""Read which medicine a record is about: by concept, by a Medication inside or elsewhere, by ingredients."""

import math
from collections.abc import Callable, Iterator

import msgspec

from service.core.dose_words import UnitKind
from service.core.records import ActiveIngredient, Concept, Product, Strength, Unreadable
from service.fhir.references import read_reference
from service.fhir.sources import UNDECODABLE, Source
from service.fhir.views import (
    ConceptView,
    IngredientView,
    MedicationView,
    MedicineOnlyView,
    QuantityView,
    RatioView,
    ReferenceView,
    View,
)
from service.read.dosage import read_amount
from service.read.elements import Elements, UnreadableElement, decode

Resolve = Callable[[ReferenceView], Source | None]
Contained = list[msgspec.Raw]

ABSENT = frozenset({"data-absent-reason", "null-flavor"})
"""Code systems whose codes say why there is no value; a medicine so coded is not named."""
_UNITS = {UnitKind.ITEM: "item", UnitKind.VOLUME: "mL"}
_DEEPEST = 3
"""Medications that are ingredients of others are followed so far."""
_MEDICATION = msgspec.json.Decoder(MedicationView)


class _IdentityView(View):
    id: str | None = None


IDENTITY = msgspec.json.Decoder(_IdentityView)


class ProductReader:
    """Reads the products of one patient's records; what could not be read of them is in `unreadable`."""

    def __init__(self, elements: Elements, resolve: Resolve) -> None:
        self.unreadable: list[Unreadable] = []
        self._elements = elements
        self._resolve = resolve

    def read(self, view: MedicineOnlyView) -> Product:
        """The medicine of a record; one that says nothing where it cannot be resolved."""
        if view.medication_codeable_concept is not None:
            return Product(self._named(view.medication_codeable_concept))
        reference = view.medication_reference
        return Product() if reference is None else self._at(reference, view.contained, depth=1)

    def _at(self, reference: ReferenceView, contained: Contained, *, depth: int) -> Product:
        inside = read_reference(reference.reference).fragment
        display = Product(Concept(text=reference.display))
        if depth > _DEEPEST:
            return display
        if inside is not None:
            medication = _inside(contained, inside)
            return display if medication is None else self._of(medication, contained, depth)
        source = self._resolve(reference)
        if source is None:
            return display
        try:
            view: MedicationView = decode(source, _MEDICATION)
        except UnreadableElement as fault:
            self._note(Unreadable(source.reference, fault.element))
            return self._trace(source, display)._replace(doubtful=fault.element or "resource")
        product = self._of(view, contained, depth)
        if product.doubtful is not None:
            self._note(Unreadable(source.reference, product.doubtful))
        return product

    def _trace(self, source: Source, display: Product) -> Product:
        """The name of a Medication that cannot be read in full: it may be one that matters for safety."""
        try:
            return Product(self._named(_MEDICATION.decode(source.content).code))
        except UNDECODABLE:
            return display

    def _note(self, unreadable: Unreadable) -> None:
        if unreadable not in self.unreadable:
            self.unreadable.append(unreadable)

    def _of(self, view: MedicationView, contained: Contained, depth: int) -> Product:
        ingredients = tuple(self._ingredients(view, contained, depth))
        return Product(self._named(view.code), ingredients, _doubt(view))

    def _ingredients(
        self, view: MedicationView, contained: Contained, depth: int
    ) -> Iterator[ActiveIngredient]:
        """The ingredients that act, each with its strength."""
        for ingredient in view.ingredient:
            if ingredient.is_active is False:
                continue
            strength = _strength(ingredient.strength, self._elements)
            for concept in self._named_in(ingredient, contained, depth):
                yield ActiveIngredient(concept, strength)

    def _named_in(self, ingredient: IngredientView, contained: Contained, depth: int) -> Iterator[Concept]:
        if ingredient.item_codeable_concept is not None or ingredient.item_reference is None:
            yield self._named(ingredient.item_codeable_concept)
            return
        product = self._at(ingredient.item_reference, contained, depth=depth + 1)
        yield product.concept
        yield from (one.concept for one in product.ingredients)

    def _named(self, view: ConceptView | None) -> Concept:
        """A concept without codes that only say why there is none: such a medicine is not named."""
        concept = self._elements.concept(view)
        codings = tuple(coding for coding in concept.codings if coding.system not in ABSENT)
        if len(codings) < len(concept.codings):
            return Concept(codings)
        return concept


def _doubt(view: MedicationView) -> str | None:
    """The element that leaves open whether a Medication is what it is called."""
    if view.modifier_extension:
        return "modifierExtension"
    if view.implicit_rules is not None:
        return "implicitRules"
    if view.status == "entered-in-error":
        return "status"
    return "ingredient.modifierExtension" if any(one.modifier_extension for one in view.ingredient) else None


def _inside(contained: Contained, identity: str) -> MedicationView | None:
    """A contained resource; one that cannot be read is one of which nothing is known."""
    for content in contained:
        try:
            if IDENTITY.decode(content).id == identity:
                return _MEDICATION.decode(content)
        except UNDECODABLE:
            continue
    return None


def _strength(ratio: RatioView | None, elements: Elements) -> Strength | None:
    """The mg in one item or one mL; a strength that cannot be understood keeps that it is stated."""
    if ratio is None:
        return None
    amount = read_amount(ratio.numerator, elements)
    if amount is None or amount.unit is None or amount.unit.kind is not UnitKind.MASS or amount.low < 0:
        return Strength(0.0, None)
    milligrams = amount.low * amount.unit.size
    if ratio.denominator is None or _is_one(ratio.denominator):
        return Strength(milligrams, "item")
    of = read_amount(ratio.denominator, elements)
    if of is None or of.unit is None or of.unit.kind not in _UNITS or of.low * of.unit.size <= 0:
        return Strength(0.0, None)
    per_unit = milligrams / (of.low * of.unit.size)
    return Strength(per_unit, _UNITS[of.unit.kind]) if per_unit < math.inf else Strength(0.0, None)


def _is_one(quantity: QuantityView) -> bool:
    return quantity.value == 1 and not (quantity.unit or quantity.code)
