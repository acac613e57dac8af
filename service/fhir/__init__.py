"""FHIR at the edge: the client, and reading FHIR JSON into core records."""
