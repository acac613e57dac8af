"""Our own record of documents, in the database of the queue."""

from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from service.apply.ledger import LedgerEntry, open_ledger
from service.errors import QueueError

SERVER = "http://fhir.test/r4"
ENTRY = LedgerEntry(reference=None, sent="digest", proposed_on=date(2026, 11, 23), grounds="grounds")


async def test_the_last_entry_of_a_patient_is_kept(database: str) -> None:
    settled = replace(ENTRY, reference="DocumentReference/1", stored="stored", settled=True)
    async with open_ledger(database, SERVER, "DocumentReference") as ledger:
        assert await ledger.find("ann") is None
        await ledger.save("ann", ENTRY)
        await ledger.save("bob", ENTRY)
        await ledger.save("ann", settled)
    async with open_ledger(database, SERVER, "DocumentReference") as ledger:
        assert await ledger.find("ann") == settled
        assert await ledger.all() == {"ann": settled, "bob": ENTRY}


@pytest.mark.parametrize(("server", "kind"), [("http://other/r4", "DocumentReference"), (SERVER, "Other")])
async def test_servers_and_kinds_are_kept_apart(sqlite_database: str, server: str, kind: str) -> None:
    async with open_ledger(sqlite_database, SERVER, "DocumentReference") as ledger:
        await ledger.save("ann", ENTRY)
    async with open_ledger(sqlite_database, server, kind) as other:
        assert await other.find("ann") is None


async def test_a_database_that_cannot_be_opened_is_an_error_of_the_queue(tmp_path: Path) -> None:
    with pytest.raises(QueueError, match="the database of the queue"):
        async with open_ledger(f"sqlite:///{tmp_path}/nowhere/queue.sqlite", SERVER, "DocumentReference"):
            pass


async def test_a_new_file_is_for_its_owner_only(tmp_path: Path) -> None:
    async with open_ledger(f"sqlite:///{tmp_path}/queue.sqlite", SERVER, "DocumentReference"):
        pass
    assert (tmp_path / "queue.sqlite").stat().st_mode & 0o077 == 0
