"""A decision as FHIR resources and in words."""
