"""Rows, replies and policies for the tests of decisions."""

from __future__ import annotations

from bulk_sync.send.decide import Decision, RetryPolicy, SoFar, decide
from bulk_sync.send.transport.interface import Failure, Reply

POLICY = RetryPolicy(
    max_attempts=3,
    retry_for_seconds=60,
    repeat_ambiguous=True,
    max_wait_seconds=300,
    base_seconds=0.5,
    longest_seconds=30,
)
FIRST = SoFar(attempts=1, throttled=0, elapsed_seconds=0, key_accepted=False)
LATER = SoFar(attempts=1, throttled=0, elapsed_seconds=0, key_accepted=True)
LAST = SoFar(attempts=3, throttled=0, elapsed_seconds=5, key_accepted=True)
SENT = '{"feedback":"Fine","showing_date":"2026-03-02T09:00:00-06:00"}'
CAUTIOUS = RetryPolicy(max_attempts=3, retry_for_seconds=60, repeat_ambiguous=False)
NO_MORE = b'{"error": {"message": "Daily quota exceeded", "status": 429}}'
OWN_REFUSAL = b'{"error": {"message": "no"}}'


def decided(
    status: int, body: bytes = b"", so_far: SoFar = FIRST, sent: str = SENT, **headers: str
) -> Decision:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return decide(Reply(status, named, body), so_far, POLICY, target="ext_1", sent=sent, dice=0.5)


def cautiously(seen: Reply | Failure, so_far: SoFar = LATER) -> Decision:
    return decide(seen, so_far, CAUTIOUS, target="ext_1", sent=SENT, dice=0.5)
