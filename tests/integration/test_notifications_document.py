"""The receiver that docs/notifications.md shows, run as it stands there, at what the product sends."""

import base64
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from definitions.notification import Notification, NotificationKind
from net.client import GuardedClient
from runtime.notifiers import WebhookNotifier
from tests.fixtures.http import FaultServer, Received

KEY = b"a key of thirty-two bytes, no le"
SECRET = "whsec_" + base64.b64encode(KEY).decode()
DOCUMENT = Path(__file__).parents[2] / "docs" / "notifications.md"

Verify = Callable[[str, dict[str, str], bytes], dict[str, Any]]


@pytest.fixture(scope="module")
def verified() -> Verify:
    """The function of the document."""
    [code] = re.findall(r"^```python\n(.*?)^```$", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    names: dict[str, Any] = {}
    exec(code, names)
    function: Verify = names["verified"]
    return function


async def sent(http_client: GuardedClient, http_server: FaultServer, *, at: float) -> Received:
    """What a receiver gets at this time."""
    http_server.reply("/")
    notification = Notification(id="n-1", kind=NotificationKind.TEST, message="größer", happened_at=datetime.now(UTC))
    await WebhookNotifier(http_client, http_server.url, KEY, clock=lambda: at).tell(notification)
    return http_server.received[0]


async def test_it_takes_what_is_signed(verified: Verify, http_client: GuardedClient, http_server: FaultServer) -> None:
    request = await sent(http_client, http_server, at=time.time())
    assert verified(SECRET, dict(request.headers), request.body)["message"] == "größer"


async def test_it_refuses_a_changed_body(
    verified: Verify, http_client: GuardedClient, http_server: FaultServer
) -> None:
    request = await sent(http_client, http_server, at=time.time())
    with pytest.raises(PermissionError, match="not signed"):
        verified(SECRET, dict(request.headers), request.body + b" ")


async def test_it_refuses_what_somebody_sends_again_later(
    verified: Verify, http_client: GuardedClient, http_server: FaultServer
) -> None:
    request = await sent(http_client, http_server, at=time.time() - 301)
    with pytest.raises(PermissionError, match="old"):
        verified(SECRET, dict(request.headers), request.body)
