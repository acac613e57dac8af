"""The clinical lists as FHIR definitions."""
