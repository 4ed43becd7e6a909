"""Server-sent events as graphql-sse's "distinct connections" have them: ``next`` for each response, then ``complete``.

Lines end with LF alone: some clients split events at two LFs and would never find the end of one.
"""

from api.http.live.answers import Response


class EventStream:
    """The format of server-sent events."""

    content_type = b"text/event-stream; charset=utf-8"
    opening = b":\n\n"
    heartbeat = b":\n\n"
    # An event without any data would not be dispatched.
    ending = b"event: complete\ndata:\n\n"

    def part(self, response: Response) -> bytes:
        """One response."""
        return b"event: next\ndata: " + response.json + b"\n\n"

    def failure(self, response: Response) -> bytes:
        """A last response."""
        return self.part(response)
