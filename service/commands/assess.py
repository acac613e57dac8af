"""The command `assess`: review one patient, or every patient of an NDJSON file."""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from service.errors import InputError, NotFhir, NotJson
from service.fhir.sources import without_mark
from service.gather.files import NamedRecord
from service.review import Review, Reviewer


class NamedReview(NamedTuple):
    """A patient of an NDJSON file and where in it: the review, or why there is none."""

    where: str
    review: Review | InputError


def read_input(source: str) -> bytes:
    """The content of a file, or of standard input for `-`.

    Raises `NotFhir` for a file that cannot be read and `NotJson` for one without content.
    """
    if source == "-":
        content = sys.stdin.buffer.read()
    else:
        try:
            content = Path(source).read_bytes()
        except OSError as error:
            raise NotFhir(f"{source}: cannot be read ({error.strerror})") from None
    content = without_mark(content)
    if not content.strip():
        raise NotJson("the input is empty")
    return content


def review_each(reviewer: Reviewer, records: Iterable[NamedRecord]) -> Iterator[NamedReview]:
    """Review the patients of an NDJSON file one by one; a record that cannot be used stops no other."""
    for where, record in records:
        try:
            if isinstance(record, InputError):
                raise record
            yield NamedReview(where, reviewer.review(record))
        except InputError as error:
            yield NamedReview(where, error)
