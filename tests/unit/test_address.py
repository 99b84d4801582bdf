from __future__ import annotations

import pytest

from bulk_sync.address import check_base_url


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://api.example.com", "https://api.example.com"),
        ("https://api.example.com/", "https://api.example.com"),
        ("https://api.example.com/v1/", "https://api.example.com"),
        ("https://proxy.example.com/north/", "https://proxy.example.com/north"),
        ("http://localhost:8787", "http://localhost:8787"),
        ("http://[::1]:8787", "http://[::1]:8787"),
        ("http://127.9.9.9", "http://127.9.9.9"),
    ],
)
def test_base_urls(text: str, url: str) -> None:
    assert check_base_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "api.example.com",
        "ftp://api.example.com",
        "http://api.example.com",
        "http://10.0.0.1",
        "https://user:secret@api.example.com",
        "https://api.example.com?x=1",
        "https://api.example.com:port",
        "https://",
        "user:secret@api.example.com",
    ],
)
def test_what_is_no_base_url(text: str) -> None:
    with pytest.raises(ValueError, match=r"base URL|https") as raised:
        check_base_url(text)
    assert "secret" not in str(raised.value) or not text.startswith("https")
