"""Gather a record: from a FHIR server or from a file."""
