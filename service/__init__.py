"""trd-careplan: from a FHIR record to a treatment-resistance assessment and an esketamine care plan."""

__version__ = "0.2.0"
