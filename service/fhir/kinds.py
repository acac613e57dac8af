"""The kinds of resource that this service reads."""

READ_TYPES = (
    "Patient",
    "Condition",
    "MedicationStatement",
    "MedicationRequest",
    "MedicationDispense",
    "MedicationAdministration",
    "Medication",
    "AllergyIntolerance",
    "Observation",
    "Procedure",
    "CarePlan",
)
"""Kinds of resource that are read; every other kind is left alone."""
