"""Subscriptions as multipart/mixed, as Apollo's clients take them: subscriptionSpec=1.0.

Every part ends with the delimiter of the next one: clients take a part as complete only when they see it.
"""

import orjson

from api.http.live.answers import Response

_DELIMITER = b"--graphql"
_HEAD = b"\r\nContent-Type: application/json\r\n\r\n"


class Multipart:
    """The format of multipart/mixed; responses come in an envelope, and an empty object is a heartbeat."""

    content_type = b'multipart/mixed;boundary="graphql";subscriptionSpec="1.0"'
    opening = _DELIMITER
    heartbeat = _HEAD + b"{}\r\n" + _DELIMITER
    ending = b"--\r\n"

    def part(self, response: Response) -> bytes:
        """One response."""
        return _HEAD + b'{"payload":' + response.json + b"}\r\n" + _DELIMITER

    def failure(self, response: Response) -> bytes:
        """A last response, of the transport's and not the operation's."""
        envelope = {"payload": None, "errors": response.body["errors"]}
        return _HEAD + orjson.dumps(envelope) + b"\r\n" + _DELIMITER
