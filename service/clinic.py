"""The clinic's calendar: its weekdays, the public holidays of its region, and its lead time."""

from datetime import date

import holidays

from service.core.schedule import Calendar
from service.settings import Settings


def clinic_calendar(settings: Settings, as_of: date) -> Calendar:
    """The calendar that sessions are planned on.

    US: federal holidays. EU: there is no common list of public holidays; the closing days of the
    TARGET system of the European Central Bank stand in until a country can be set.
    """
    years = range(as_of.year, as_of.year + 2)
    if settings.region == "us":
        closed = holidays.country_holidays("US", years=years)
    else:
        closed = holidays.financial_holidays("XECB", years=years)
    return Calendar(settings.weekdays, frozenset(closed), settings.lead_days)
