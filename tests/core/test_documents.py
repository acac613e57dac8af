"""What becomes of the document that stands in place of a CarePlan."""

from dataclasses import replace

import pytest

from service.core.documents import EDITED, DocumentOfRecord, reconcile_document
from service.core.plans import UNKNOWN_GROUNDS
from service.core.records import VersionedReference

STANDS = DocumentOfRecord(
    evidence=VersionedReference("DocumentReference", "1", "1"), proposal="a", grounds="grounds"
)
SUPERSEDED = replace(STANDS, proposal=None)
WITHDRAWN = replace(SUPERSEDED, withdrawn=True)


@pytest.mark.parametrize(
    ("wanted", "known", "action"),
    [
        ("a", None, "create"),
        ("a", STANDS, "none"),
        ("b", STANDS, "update"),
        (None, STANDS, "revoke"),
        (None, None, "none"),
        (None, SUPERSEDED, "none"),
        ("a", SUPERSEDED, "update"),
        ("a", WITHDRAWN, "leave"),
        ("a", replace(WITHDRAWN, grounds="others"), "update"),
        ("a", replace(WITHDRAWN, grounds=UNKNOWN_GROUNDS), "leave"),
        (None, WITHDRAWN, "none"),
        ("b", replace(STANDS, left=EDITED), "leave"),
        (None, replace(STANDS, left=EDITED), "leave"),
    ],
)
def test_each_row(wanted: str | None, known: DocumentOfRecord | None, action: str) -> None:
    step = reconcile_document(wanted, known, grounds="grounds", otherwise="no plan is proposed")
    assert step.action == action
    assert step.writes == (action in {"create", "update", "revoke"})
