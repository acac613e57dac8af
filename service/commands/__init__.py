"""Commands over the plans of record: what a review would change, what was written, how it came about."""
