import pytest

from pipeline_worker.engines.scripted.values import clock_times
from tests.pipeline_worker.engines.scripted.values.finding import bare, figures, sure


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("at seven", "19:00 07:00"),
        ("seven o'clock", "19:00 07:00"),
        ("at half past seven", "19:30 07:30"),
        ("half seven", "19:30 07:30"),
        ("seven thirty", "19:30 07:30"),
        ("7:30", "19:30 07:30"),
        ("quarter to eight", "19:45 07:45"),
        ("a quarter past six", "18:15 06:15"),
        ("twenty to nine", "20:40 08:40"),
        ("ten past seven", "19:10 07:10"),
        ("7pm", "19:00"),
        ("at 7 p.m.", "19:00"),
        ("9 am", "09:00"),
        ("at seven in the morning", "07:00"),
        ("19:30", "19:30"),
        ("eighteen hundred hours", "18:00"),
        ("twenty fifteen", "20:15"),
        ("noon", "12:00"),
        ("around midday", "12:00"),
        ("midnight", "00:00"),
        ("at twelve", "12:00 00:00"),
        ("sevenish", "19:00 07:00"),
        ("around eight", "20:00 08:00"),
    ],
)
def test_a_time_of_day(text: str, clock: str) -> None:
    (time,) = sure(clock_times.find(figures(text)))
    assert " ".join(f"{one // 60:02}:{one % 60:02}" for one in time.readings) == clock


@pytest.mark.parametrize(
    "text", ["seven people", "at seven people's request", "in 7 days", "on the 7th", "a table", ""]
)
def test_no_time_of_day(text: str) -> None:
    assert sure(clock_times.find(figures(text))) == []


def test_a_bare_number_may_be_an_hour() -> None:
    assert [time.readings for time in bare(clock_times.find("7"))] == [(19 * 60, 7 * 60)]
    assert bare(clock_times.find("27")) == []
