"""Answers that come in more than one part: over WebSockets, as server-sent events, as multipart.

``answers``: one operation as a series of responses, whatever carries them. ``guard``: for how long a connection's
credentials hold. ``websocket``, ``messages``: graphql-transport-ws. ``streams``, ``event_stream``, ``multipart``: HTTP.
"""
