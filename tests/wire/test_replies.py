"""The table of replies, over sockets: both transports come to the same verdicts."""

from __future__ import annotations

from functools import partial

import pytest

from bulk_sync.send.transport.choose import Name
from bulk_sync.send.transport.interface import Reply
from tests.faultserver import always, says
from tests.helpers import reply
from tests.replies import REPLIES, check, seen_of
from tests.transports import Ask, asked

pytestmark = pytest.mark.uncovered


@pytest.fixture
def ask(transport: Name) -> Ask:
    return partial(asked, transport)


@pytest.mark.parametrize("name", REPLIES)
def test_a_reply_over_a_socket_gets_the_verdict_of_the_table(ask: Ask, name: str) -> None:
    case = REPLIES[name]
    lines = [f"{header}: {value}" for header, value in case.headers.items()]
    seen, _ = ask(always(says(reply(case.status, case.body, *lines))), "a", "b")
    for one in seen:  # the second comes on a connection, and with a head, that are known
        assert isinstance(one, Reply)
        assert (one.body, one.undecoded) == (seen_of(case).body, seen_of(case).undecoded)
        check(case, one)
