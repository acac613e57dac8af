"""The only place that asks what day it is."""

from datetime import date, datetime
from zoneinfo import ZoneInfo


def today(timezone: str) -> date:
    """Today's date in a time zone of the IANA database."""
    return datetime.now(ZoneInfo(timezone)).date()
