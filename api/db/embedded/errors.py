"""What goes wrong with an embedded database, in sentences that a person can act on."""


class EmbeddedDatabaseError(Exception):
    """The embedded PostgreSQL cannot be found, started or joined; the message says why and what to do."""
