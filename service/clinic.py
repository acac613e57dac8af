"""The clinic's calendar: its weekdays, its closing days and public holidays, its lead time and setting."""

from datetime import date

import holidays

from service.core.knowledge import CareSetting
from service.core.schedule import Calendar
from service.errors import SettingsError
from service.settings import Settings


def clinic_calendar(settings: Settings, as_of: date) -> Calendar:
    """The calendar that sessions are planned on.

    Closed on the public holidays of the country and subdivision, and on further days that are set. Without
    a country, the US has its federal holidays; the EU has no common list, and the closing days of the
    TARGET system of the European Central Bank stand in. Raises `SettingsError` for a country or subdivision
    that is not known.
    """
    years = range(as_of.year, as_of.year + 3)
    closed = frozenset(_public_holidays(settings, years)) | frozenset(settings.closed_days)
    return Calendar(settings.weekdays, closed, settings.lead_days, CareSetting(settings.care_setting))


def _public_holidays(settings: Settings, years: range) -> holidays.HolidayBase:
    if settings.country is None:
        if settings.subdivision is not None:
            raise SettingsError("TRD_SUBDIVISION: needs TRD_COUNTRY")
        if settings.region == "us":
            return holidays.country_holidays("US", years=years)
        return holidays.financial_holidays("XECB", years=years)
    known = holidays.list_supported_countries()
    if settings.country not in known:
        raise SettingsError(f"TRD_COUNTRY: no public holidays are known of {settings.country!r}")
    parts = {part.upper(): part for part in known[settings.country]}
    if settings.subdivision is not None and settings.subdivision not in parts:
        there = ", ".join(parts) or "none"
        raise SettingsError(f"TRD_SUBDIVISION: not one of {settings.country}; there are: {there}")
    chosen = parts[settings.subdivision] if settings.subdivision else None
    return holidays.country_holidays(settings.country, subdiv=chosen, years=years)
