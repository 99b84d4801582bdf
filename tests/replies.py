"""Replies of the API, and of what may be in front of it, each with the verdict on it.

One table: the decision is tested with it as such, and both transports over sockets.
"""

from __future__ import annotations

import gzip
import json
import zlib
from typing import Literal, NamedTuple

from pydantic import SecretStr

from bulk_sync.send.acknowledgement import Acknowledged
from bulk_sync.send.decide import (
    Blocked,
    Decision,
    RetryIn,
    RetryPolicy,
    RowFailed,
    RowRejected,
    SoFar,
    StopRun,
    decide,
    may_have_been_applied,
)
from bulk_sync.send.transport.interface import Failure, Reply
from bulk_sync.send.transport.masking import Masking
from bulk_sync.send.transport.replies import reply_of
from tests.helpers import KEY

Verdict = Literal[
    "updated",
    "again",
    "rejected",
    "forbidden",
    "not_found",
    "throttled",
    "waits",
    "blocked",
    "Outage",
    "KeyRefused",
]


class Case(NamedTuple):
    """A reply to a patch of the key `ext_1`, or of the id `ID`, and the verdict on it.

    `words` are in the message of the row, or of the attempt that failed. `in_doubt` is True when
    the patch may have been applied.
    """

    status: int
    body: bytes
    verdict: Verdict
    words: str = ""
    headers: dict[str, str] = {}  # noqa: RUF012 - never changed
    in_doubt: bool = False
    by_id: bool = False
    sent: str = '{"rating":4}'

    @property
    def target(self) -> str:
        return ID if self.by_id else "ext_1"


ID = "11111111-1111-4111-8111-111111111111"
OTHER = "00000000-0000-4000-8000-000000000000"
TOO_HIGH = "rating must be a number from 1 to 5"
CONTRACT = {
    "data": {"id": ID, "north_id": ID, "updated_at": "2026-03-02T15:00:00Z"},
    "message": "Showing updated successfully",
}


def _json(value: object) -> bytes:
    return json.dumps(value).encode()


def _updated(status: int, value: object, **more: object) -> Case:
    return Case(status, _json(value), "updated", **more)  # type: ignore[arg-type]


def _refused(status: int, value: object, words: str = TOO_HIGH, **more: object) -> Case:
    return Case(status, _json(value), "rejected", words, **more)  # type: ignore[arg-type]


def _bad(status: int, value: object, words: str, **more: object) -> Case:
    body = value if isinstance(value, bytes) else _json(value)
    return Case(status, body, "again", words, in_doubt=True, **more)  # type: ignore[arg-type]


ACKNOWLEDGED = {
    "the contract's": _updated(200, CONTRACT),
    "201": _updated(201, CONTRACT),
    "203 from a proxy": _updated(203, CONTRACT),
    "206": _updated(206, CONTRACT),
    "202 with data": _updated(202, CONTRACT, words="may apply it later (202)"),
    "207 with data": _updated(207, CONTRACT),
    "empty data": _updated(200, {"data": {}}),
    "error null": _updated(200, {**CONTRACT, "error": None}),
    "errors empty": _updated(200, {**CONTRACT, "errors": [], "success": True, "status": "ok"}),
    "status 200 in the body": _updated(200, {**CONTRACT, "status": 200, "ok": True}),
    "an id that is a number": _updated(200, {"data": {"id": 7, "updated_at": 5, "feedback": []}}),
    "a byte order mark": Case(200, b"\xef\xbb\xbf" + _json(CONTRACT), "updated"),
    "whitespace around": Case(200, b" \r\n" + _json(CONTRACT) + b"\n", "updated"),
    "Latin-1, as it says": Case(
        200,
        '{"data": {"id": "café"}}'.encode("latin-1"),
        "updated",
        headers={"content-type": "application/json; charset=ISO-8859-1"},
    ),
    "UTF-8, whatever it says": Case(
        200,
        _json(CONTRACT),
        "updated",
        headers={"content-type": 'application/json; charset="windows-1252"'},
    ),
    "UTF-16": Case(200, json.dumps(CONTRACT).encode("utf-16"), "updated"),
    "code 0": _updated(200, {**CONTRACT, "code": 0, "error_code": None, "errors": {}}),
    "a showing with a status": _updated(200, {"data": {"id": ID, "status": "failed"}}),
    "half a surrogate pair": Case(200, b'{"data": {"id": "\\ud800"}}', "updated"),
    "no body": Case(200, b"", "updated", "confirmed nothing in words (200)"),
    "202 without a body": Case(202, b"", "updated", "confirmed nothing in words (202)"),
    "204": Case(204, b"", "updated", "confirmed nothing in words (204)"),
    "blanks for a body": Case(200, b" \r\n", "updated", "confirmed nothing in words (200)"),
    "a byte order mark alone": Case(200, b"\xef\xbb\xbf", "updated", "confirmed nothing"),
    "the key that was addressed": _updated(200, {"data": {"unique_showing_key": "ext_1"}}),
    "the key that was set": _updated(
        200, {"data": {"unique_showing_key": "x"}}, sent='{"unique_showing_key":"x"}'
    ),
    "an id for a key": _updated(200, {"data": {"id": OTHER}}),
    "the id that was addressed": _updated(200, CONTRACT, by_id=True),
    "the id in capitals": _updated(200, {"data": {"id": ID.upper()}}, by_id=True),
    "the id as north_id": _updated(200, {"data": {"id": "7", "north_id": ID}}, by_id=True),
    "a key for an id": _updated(200, {"data": {"unique_showing_key": "ext_1"}}, by_id=True),
    "neither key nor id": _updated(200, {"data": {"id": None}}, by_id=True),
}

REFUSED = {
    "GraphQL": _refused(200, {"errors": [{"message": TOO_HIGH}]}),
    "GraphQL with data null": _refused(200, {"data": None, "errors": [{"message": TOO_HIGH}]}),
    "data and errors": _refused(
        200, {**CONTRACT, "errors": [{"message": TOO_HIGH}]}, in_doubt=True
    ),
    "data and an error": _refused(200, {**CONTRACT, "error": TOO_HIGH}, in_doubt=True),
    "success false": _refused(200, {"success": False, "message": TOO_HIGH}),
    "success as a text": _refused(200, {"success": "false", "message": TOO_HIGH}),
    "success false and data": _refused(
        200, {**CONTRACT, "success": False, "message": TOO_HIGH}, in_doubt=True
    ),
    "success 0": _refused(200, {"success": 0, "message": TOO_HIGH}),
    "success no": _refused(200, {"success": "no", "data": None, "message": TOO_HIGH}),
    "success 0 and data": _refused(
        200, {**CONTRACT, "success": 0, "message": TOO_HIGH}, in_doubt=True
    ),
    "errors in data": _refused(200, {"data": {"errors": [{"message": TOO_HIGH}]}}, in_doubt=True),
    "an error in data": _refused(200, {"data": {"id": ID, "error": TOO_HIGH}}, in_doubt=True),
    "no success in data": _refused(
        200, {"data": {"success": False, "message": TOO_HIGH}, "message": "ok"}, in_doubt=True
    ),
    "error true": _refused(200, {"error": True, "message": TOO_HIGH}),
    "HubSpot": _refused(
        200, {"status": "error", "message": TOO_HIGH, "category": "VALIDATION_ERROR"}
    ),
    "Slack": _refused(200, {"ok": False, "error": TOO_HIGH}),
    "JSend error": _refused(200, {"status": "error", "message": TOO_HIGH}),
    "JSend fail": _refused(
        200,
        {"status": "fail", "data": {"rating": "is too high"}},
        "rating: is too high",
        in_doubt=True,
    ),
    "the status in the body": _refused(200, {"status": 422, "message": TOO_HIGH}),
    "the contract's error": _refused(200, {"error": {"message": TOO_HIGH, "status": 422}}),
    "a list of texts": _refused(200, {"errors": [TOO_HIGH, "and more"]}, f"{TOO_HIGH}; and more"),
    "Rails": _refused(200, {"errors": {"rating": ["is too high"]}}, "rating: is too high"),
    "JSON:API": _refused(200, {"errors": [{"title": "Invalid", "detail": TOO_HIGH}]}),
    "Google": _refused(200, {"error": {"code": 400, "errors": [{"message": TOO_HIGH}]}}),
    "FastAPI": _refused(
        200,
        {"success": False, "detail": [{"loc": ["body", "rating"], "msg": "is too high"}]},
        "rating: is too high",
    ),
    "OAuth": _refused(200, {"error": "invalid", "error_description": TOO_HIGH}),
    "NestJS": _refused(200, {"status": 422, "error": "Unprocessable", "message": TOO_HIGH}),
    "202 with an error": _refused(202, {"error": {"message": TOO_HIGH}}),
    "207 with results": _refused(207, {"results": [{"status": 422, "message": TOO_HIGH}]}),
    "207 as a list": _refused(207, [{"status": "422", "error": {"message": TOO_HIGH}}]),
    "207 with HTTP's words": _refused(
        207, {"parts": [{"status": "HTTP/1.1 422 Unprocessable", "description": TOO_HIGH}]}
    ),
    "a batch": _refused(
        200, {"responses": [{"status": 422, "body": {"error": {"message": TOO_HIGH}}}]}
    ),
    "207 with a part that went well": _refused(
        207, {"results": [{"status": 200}, {"status": 422, "message": TOO_HIGH}]}, in_doubt=True
    ),
    "207 with data and a part that failed": _refused(
        207, {**CONTRACT, "results": [{"status": 422, "message": TOO_HIGH}]}, in_doubt=True
    ),
}

NOT_ACKNOWLEDGED = {
    "202 that queues": _bad(
        202, {"status": "queued"}, "accepted the request and may apply it later"
    ),
    "202 as a page": _bad(202, b"<html>Wait</html>", "accepted the request and may apply it later"),
    "207 without a message": _bad(207, {"results": [{"status": 422}]}, "acknowledges no patch"),
    "207 as XML": _bad(207, b"<multistatus/>", "not the API's JSON"),
    "errors without a message": Case(
        200,
        b'{"data": null, "errors": [{"type": "RATE_LIMITED"}]}',
        "again",
        "acknowledges no patch",
        in_doubt=True,
    ),
    "AWS WAF's challenge": Case(
        202, b"", "blocked", "blocks requests (202, no", {"x-amzn-waf-action": "challenge"}
    ),
    "F5's page": _bad(
        200,
        b"<html><title>Request Rejected</title>The requested URL was rejected.</html>",
        "(text/html",
        headers={"content-type": "text/html"},
    ),
    "a failure without a message in data": _bad(200, {"data": {"errors": [7]}}, "no patch"),
    "success false alone": _bad(200, {"success": False}, "acknowledges no patch"),
    "success false with data": _bad(200, {"data": {"id": ID}, "success": False}, "no patch"),
    "data null": _bad(200, {"data": None}, 'acknowledges no patch: {"data": null}'),
    "data null and a message": _bad(200, {"data": None, "message": "ok"}, "acknowledges no patch"),
    "data as a list": _bad(200, {"data": [{"id": ID}]}, "acknowledges no patch"),
    "data as a text": _bad(200, {"data": "x"}, "acknowledges no patch"),
    "no data": _bad(200, {"message": "Showing updated successfully"}, "acknowledges no patch"),
    "an empty object": _bad(200, {}, "acknowledges no patch"),
    "a list": _bad(200, [], "not the API's JSON"),
    "null": _bad(200, None, "not the API's JSON"),
    "a text": _bad(200, "OK", "not the API's JSON"),
    "a page": _bad(
        200, b"<html>Sign in</html>", "(text/html, 20 bytes)", headers={"content-type": "text/html"}
    ),
    "half a document": _bad(200, b'{"data": {"id": "a', "not the API's JSON"),
    "two documents": _bad(200, b'{"data": {}}{"data": {}}', "not the API's JSON"),
    "invalid UTF-8": _bad(200, b'{"data": {"id": "\xff"}}', "not the API's JSON"),
    "JSON without end": _bad(200, b"[" * 100_000, "not the API's JSON"),
    "another key": _bad(200, {"data": {"unique_showing_key": "ext_2"}}, "showing (ext_2)"),
    "another key than was set": _bad(
        200,
        {"data": {"unique_showing_key": "ext_2"}},
        "showing (ext_2)",
        sent='{"unique_showing_key":"x"}',
    ),
    "another id": _bad(200, {"data": {"id": OTHER, "north_id": OTHER}}, f"({OTHER})", by_id=True),
    "another id with the key that was set": _bad(
        200,
        {"data": {"id": OTHER, "unique_showing_key": "x"}},
        f"({OTHER})",
        by_id=True,
        sent='{"unique_showing_key":"x"}',
    ),
    "no id and another key than was set": _bad(
        200,
        {"data": {"unique_showing_key": "y"}},
        "showing (y)",
        by_id=True,
        sent='{"unique_showing_key":"x"}',
    ),
}

PAGE = b"<!doctype html><title>Just a moment...</title>"
_SECONDARY = {"error": {"message": "You have exceeded a secondary rate limit", "status": 403}}
_EDITED = {"error": {"message": "Showing is being edited", "status": 409}}
_HTML = {"content-type": "text/html; charset=UTF-8"}
_WAIT = {"retry-after": "1"}

ERRORS = {
    "403 in the API's words": Case(
        403, _json({"error": {"message": "No", "status": 403}}), "forbidden", "No"
    ),
    "a firewall's page": Case(403, PAGE, "blocked", "blocks requests (403, text/html)", _HTML),
    "403 without a body": Case(403, b"", "blocked", "(403, no content type)"),
    "403 of a gateway": Case(403, b'{"message": "Forbidden"}', "blocked", "(403"),
    "403 with Retry-After": Case(403, _json(_SECONDARY), "throttled", "403", _WAIT),
    "a page with Retry-After": Case(403, PAGE, "throttled", "403", {**_HTML, **_WAIT}),
    "GitHub's primary limit": Case(
        403,
        _json({"message": "API rate limit exceeded for user ID 1."}),
        "throttled",
        "403",
        {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0", "x-ratelimit-reset": "60"},
    ),
    "a 403 in the API's words with nothing left": Case(
        403,
        _json(_SECONDARY),
        "throttled",
        "403",
        {"ratelimit": '"hour";r=0;t=1800'},
    ),
    "a 403 in the API's words with requests left": Case(
        403,
        _json({"error": {"message": "No", "status": 403}}),
        "forbidden",
        "No",
        {"x-ratelimit-remaining": "9", "x-ratelimit-reset": "60"},
    ),
    "Okta's 403": Case(
        403, _json({"errorCode": "E0000006", "errorSummary": "Access denied"}), "blocked", "(403"
    ),
    "Imperva's page": Case(403, PAGE, "blocked", "text/html", {**_HTML, "x-iinfo": "9-1-0"}),
    "Akamai's page": Case(
        403,
        b"<HTML><TITLE>Access Denied</TITLE>Reference #18.6d",
        "blocked",
        "text/html",
        {"server": "AkamaiGHost", "content-type": "text/html"},
    ),
    "AWS's gateway": Case(403, _json({"message": "Forbidden"}), "blocked", "(403"),
    "AWS WAF's CAPTCHA": Case(
        405, PAGE, "blocked", "(405, text/html)", {**_HTML, "x-amzn-waf-action": "captcha"}
    ),
    "Cloudflare's challenge as a 503": Case(
        503, PAGE, "blocked", "(503, text/html)", {**_HTML, "cf-mitigated": "challenge"}
    ),
    "Cloudflare's 1015": Case(429, PAGE, "throttled", "429", {**_HTML, "cf-mitigated": "block"}),
    "Cloudflare's challenge with a wait": Case(
        503, PAGE, "throttled", "503", {**_WAIT, "cf-mitigated": "challenge"}
    ),
    "405 of the API": Case(405, _json({"error": {"message": "No PATCH"}}), "rejected", "No PATCH"),
    "420 of Twitter": Case(420, b"Enhance your calm", "throttled", "420"),
    "HubSpot's migration": Case(477, b"", "waits", "477", _WAIT),
    "Stripe's lock": Case(
        409,
        _json({"error": {"code": "lock_timeout", "message": "Another request has it"}}),
        "waits",
        "Another request has it",
        {"stripe-should-retry": "true"},
    ),
    "Stripe's last word": Case(
        409,
        _json({"error": {"message": "Another patch with this key"}}),
        "rejected",
        "with this key",
        {"stripe-should-retry": "false"},
    ),
    "Salesforce": Case(
        400,
        _json([{"message": TOO_HIGH, "errorCode": "FIELD_INTEGRITY_EXCEPTION", "fields": []}]),
        "rejected",
        TOO_HIGH,
    ),
    "a text": Case(400, b"Bad rating\r\n", "rejected", "Bad rating"),
    "407": Case(
        407, PAGE, "Outage", 'realm "office"', {"proxy-authenticate": 'Basic realm="office"'}
    ),
    "511": Case(511, PAGE, "Outage", "asks to sign in first", in_doubt=True),
    "413 with Retry-After": Case(413, _json(_EDITED), "waits", "being edited", _WAIT),
    "422 with Retry-After": Case(422, _json(_EDITED), "waits", "being edited", _WAIT),
    "404 with Retry-After": Case(404, _json(_EDITED), "waits", "being edited", _WAIT),
    "409 with a Retry-After that can't be read": Case(
        409, _json(_EDITED), "rejected", "being edited", {"retry-after": "soon"}
    ),
    "407 without a realm": Case(407, b"", "Outage", "HTTPS_PROXY"),
    "409": Case(409, _json(_EDITED), "rejected", "being edited"),
    "409 with Retry-After": Case(409, _json(_EDITED), "waits", "being edited", _WAIT),
    "423 with Retry-After": Case(423, _json(_EDITED), "waits", "being edited", _WAIT),
    "425 with Retry-After": Case(425, b"", "waits", "425", _WAIT),
    "429": Case(429, b"", "throttled", "429"),
    "503 with Retry-After": Case(503, PAGE, "throttled", "503", _WAIT, in_doubt=True),
    "401": Case(401, PAGE, "KeyRefused", "refused the key"),
    "404": Case(404, PAGE, "not_found"),
}


def _raw_deflate(data: bytes) -> bytes:
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


def _encoded(
    coding: str, body: bytes, verdict: Verdict, words: str = "", status: int = 200
) -> Case:
    in_doubt = verdict == "again"
    return Case(status, body, verdict, words, {"content-encoding": coding}, in_doubt=in_doubt)


_PLAIN, _GONE = _json(CONTRACT), _json({"error": {"message": "No such showing", "status": 404}})
_MARKED = b"\xef\xbb\xbf" + _PLAIN
_BROTLI = b"\x8b\x02\x80{}\x03"
_BOMB = gzip.compress(b" " * 10_000_000)

ENCODED = {
    "gzip": _encoded("gzip", gzip.compress(_PLAIN), "updated"),
    "x-gzip in capitals": _encoded("X-GZIP", gzip.compress(_PLAIN), "updated"),
    "gzip in two members": _encoded(
        "gzip", gzip.compress(_PLAIN[:9]) + gzip.compress(_PLAIN[9:]), "updated"
    ),
    "gzip and zeros": _encoded("gzip", gzip.compress(_PLAIN) + bytes(8), "updated"),
    "gzip of a byte order mark": _encoded("gzip", gzip.compress(_MARKED), "updated"),
    "deflate": _encoded("deflate", zlib.compress(_PLAIN), "updated"),
    "raw deflate": _encoded("deflate", _raw_deflate(_PLAIN), "updated"),
    "gzip twice": _encoded("gzip, gzip", gzip.compress(gzip.compress(_PLAIN)), "updated"),
    "deflate, then gzip": _encoded("deflate,gzip", gzip.compress(zlib.compress(_PLAIN)), "updated"),
    "identity": _encoded("identity", _PLAIN, "updated"),
    "an empty name": _encoded(" , ", _PLAIN, "updated"),
    "UTF-8": _encoded("UTF-8", _PLAIN, "updated"),
    "none": _encoded("none", _PLAIN, "updated"),
    "gzip of nothing": _encoded("gzip", b"", "updated", "confirmed nothing in words (200)"),
    "gzip without a body": _encoded("gzip", b"", "updated", "confirmed nothing", 204),
    "brotli without a body": _encoded("br", b"", "updated", "confirmed nothing", 204),
    "a refusal in gzip": _encoded(
        "gzip", gzip.compress(_json({"errors": [{"message": TOO_HIGH}]})), "rejected", TOO_HIGH
    ),
    "a 404 in gzip": _encoded("gzip", gzip.compress(_GONE), "not_found", "No such showing", 404),
    "a 404 in deflate": _encoded("deflate", zlib.compress(_GONE), "not_found", "No such", 404),
    "a 404 in brotli": _encoded("br", _BROTLI, "not_found", "status 404", 404),
    "a 404 in zstd": _encoded("zstd", b"\x28\xb5\x2f\xfd", "not_found", "status 404", 404),
    "a 404 in UTF-8": _encoded("UTF-8", _GONE, "not_found", "No such showing", 404),
    "a 404 as a page in UTF-8": _encoded("UTF-8", b"<html>", "not_found", "status 404", 404),
    "a 404 that unpacks to 10 MB": _encoded("gzip", _BOMB, "not_found", "status 404", 404),
    "a 404 in half a gzip": _encoded(
        "gzip", gzip.compress(_GONE)[:-9], "not_found", "status 404", 404
    ),
    "brotli": _encoded(
        "br", b"\x8b\x02\x80{}\x03", "again", "encoded as br, which was not requested"
    ),
    "a plain body that says brotli": _encoded("br", _PLAIN, "again", "encoded as br"),
    "gzip that is none": _encoded("gzip", _PLAIN, "again", "not in the gzip that it says"),
    "deflate that is none": _encoded("deflate", _PLAIN, "again", "not in the deflate that it says"),
    "half a gzip": _encoded("gzip", gzip.compress(_PLAIN)[:-9], "again", "gzip without its end"),
    "gzip that unpacks to 10 MB": _encoded("gzip", _BOMB, "again", "unpacks to more than 1048576"),
    "a page in UTF-8": _encoded("UTF-8", b"<html>", "again", "encoded as utf-8"),
    "four encodings": _encoded("gzip,gzip,gzip,gzip", _PLAIN, "again", "too many encodings"),
}

REPLIES: dict[str, Case] = {
    **ACKNOWLEDGED,
    **REFUSED,
    **NOT_ACKNOWLEDGED,
    **ENCODED,
    **ERRORS,
}


def seen_of(case: Case) -> Reply:
    """What a transport makes of the reply."""
    return reply_of(case.status, case.headers, case.body, Masking(SecretStr(KEY)))


def decided(case: Case, seen: Reply | Failure, *, attempts: int = 1) -> Decision:
    """Decide about the last of so many requests for a row, with a key that the API accepts."""
    so_far = SoFar(attempts=attempts, throttled=0, elapsed_seconds=5, key_accepted=True)
    policy = RetryPolicy(max_attempts=2, retry_for_seconds=900, repeat_ambiguous=True)
    return decide(
        seen, so_far, policy, target=case.target, sent=case.sent, dice=0.5, by_id=case.by_id
    )


def check(case: Case, seen: Reply | Failure) -> None:
    """Compare the decision about what was seen of a reply with the table's."""
    decision = decided(case, seen)
    verdict, words = _named(decision)
    assert (verdict, case.words in words) == (case.verdict, True), decision
    if case.verdict != "updated":
        assert may_have_been_applied(seen) == case.in_doubt
    if case.verdict == "again":
        last = decided(case, seen, attempts=2)
        assert isinstance(last, RowFailed)
        assert (last.error, case.words in last.message) == ("bad_reply", True)


def _named(decision: Decision) -> tuple[str, str]:
    match decision:
        case Acknowledged(note=note):
            return "updated", note or ""
        case RowRejected("refused", message):
            return "rejected", message
        case RowRejected(error, message):
            return error, message
        case RetryIn(why=why, everyone=True):
            return "throttled", why
        case RetryIn(why=why, decided=True):
            return "waits", why
        case RetryIn(why=why):
            return "again", why
        case Blocked(why):
            return "blocked", why
        case StopRun(reason):
            return type(reason).__name__, str(reason)
        case RowFailed(error, message):
            return error, message
