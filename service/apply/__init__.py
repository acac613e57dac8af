"""An outcome, set against what is on record, and written."""
