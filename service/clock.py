"""The only place that asks what time it is."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo


def today(timezone: str) -> date:
    """Today's date in a time zone of the IANA database."""
    return datetime.now(ZoneInfo(timezone)).date()


def now() -> datetime:
    """This instant, in UTC."""
    return datetime.now(UTC)


def now_iso() -> str:
    """This instant as FHIR writes it."""
    return now().isoformat(timespec="milliseconds")
