from __future__ import annotations

import pytest

from bulk_sync.quantities import Rate, Share, parse_duration, parse_latency, parse_rate, parse_share


@pytest.mark.parametrize(
    ("text", "per_second"),
    [("50/s", 50), ("600/m", 10), ("5000/h", 5000 / 3600), ("0.5/s", 0.5), ("8640/d", 0.1)],
)
def test_rates(text: str, per_second: float) -> None:
    rate = parse_rate(text)
    assert rate.per_second == pytest.approx(per_second)
    assert str(rate) == text


@pytest.mark.parametrize(
    "text", ["0/s", "-1/s", "nan/s", "10", "10/w", "0.5/d", "1e9/s", "999999/s", "", "٣/s"]
)
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match=r"50/s|range"):
        parse_rate(text)


def test_a_rate_of_another_period_has_a_name() -> None:
    assert str(Rate(5, 10)) == "5/10s"


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("5h30m", 19800), ("1m30s", 90)]
)
def test_durations(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "soon", "-1s", "1d", "h"])
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="15m"):
        parse_duration(text)


def test_shares_of_rows() -> None:
    assert parse_share("20") == Share(count=20)
    assert parse_share("2.5%") == Share(percent=2.5)
    assert Share(count=20).exceeded_by(21, 1000)
    assert not Share(count=20).exceeded_by(20, 1000)
    assert Share(percent=50).exceeded_by(3, 5)
    assert not Share(percent=50).exceeded_by(2, 4)
    assert not Share(percent=0).exceeded_by(0, 0)
    for text in ("101%", "1.5", "-3", "many"):
        with pytest.raises(ValueError, match="5%"):
            parse_share(text)


def test_latencies() -> None:
    assert parse_latency("50ms") == 0.05
    assert parse_latency("1.5s") == 1.5
    with pytest.raises(ValueError, match="50ms"):
        parse_latency("50")
