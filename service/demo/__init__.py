"""The demo: the service on an embedded FHIR server, and what it makes of synthetic patients."""
