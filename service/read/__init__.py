"""FHIR JSON to core records."""
