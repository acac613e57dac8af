"""The clinic's calendar, from the settings."""

from datetime import date

import pytest

from service.clinic import clinic_calendar
from service.core.knowledge import CareSetting
from service.errors import SettingsError
from service.settings import load_settings

AS_OF = date(2026, 11, 23)


def is_closed(day: str, **settings: object) -> bool:
    return date.fromisoformat(day) in clinic_calendar(load_settings(**settings), AS_OF).closed


@pytest.mark.parametrize(
    ("settings", "closed", "open_"),
    [
        pytest.param({}, "2026-11-26", "2026-12-26", id="US: Thanksgiving"),
        pytest.param({"region": "eu"}, "2026-12-26", "2026-11-26", id="EU: the ECB's closing days"),
        pytest.param({"country": "DE"}, "2026-10-03", "2026-11-01", id="Germany"),
        pytest.param({"country": "de", "subdivision": "by"}, "2026-11-01", "2026-11-26", id="Bavaria"),
        pytest.param({"country": "US", "subdivision": "CA"}, "2027-03-31", "2026-12-26", id="California"),
        pytest.param({"closed_days": "2026-12-24,2026-12-31"}, "2026-12-31", "2026-12-30", id="closed"),
        pytest.param({}, "2028-07-04", "2028-07-05", id="a plan may reach into the second next year"),
    ],
)
def test_when_the_clinic_is_closed(settings: dict[str, object], closed: str, open_: str) -> None:
    assert is_closed(closed, **settings)
    assert not is_closed(open_, **settings)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"country": "XX"}, "TRD_COUNTRY: no public holidays are known of 'XX'"),
        ({"country": "DE", "subdivision": "CA"}, "TRD_SUBDIVISION: not one of DE; there are: BB"),
        ({"subdivision": "CA"}, "TRD_SUBDIVISION: needs TRD_COUNTRY"),
        ({"closed_days": "Christmas"}, "TRD_CLOSED_DAYS"),
    ],
)
def test_a_setting_that_cannot_be_meant_stops_the_start(settings: dict[str, object], message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        clinic_calendar(load_settings(**settings), AS_OF)


def test_the_care_setting() -> None:
    assert clinic_calendar(load_settings(), AS_OF).setting is CareSetting.OUTPATIENT
    inpatient = load_settings(care_setting="inpatient")
    assert clinic_calendar(inpatient, AS_OF).setting is CareSetting.INPATIENT
