"""HTML by construction."""

from __future__ import annotations

from bulk_sync.report.page.markup import Html, cut, element, escaped, json_text, shown


def test_markup_is_escaped_by_construction() -> None:
    assert escaped("<a href='x'>&") == "&lt;a href=&#x27;x&#x27;&gt;&amp;"
    assert (
        element("p", "<b>", Html("<i>"), None, class_='"', data_x=None)
        == '<p class="&quot;">&lt;b&gt;<i></p>'
    )
    assert shown("a\u202eb\x00\u200d\u00e9\n") == "a\\u202eb\\x00\u200d\u00e9\\n"
    assert json_text(["</script>", "<!--", "\u2028", "\ud800", "é"]) == (
        '["\\u003c/script\\u003e","\\u003c!--","\\u2028","\\ud800","é"]'
    )


def test_a_long_text_is_cut_to_its_length() -> None:
    assert cut("abcde", 5) == "abcde"
    assert cut("abcdef", 5) == "abcd…"
