"""FHIR R5: what a server of it gives, in R4, and what is written to it."""
