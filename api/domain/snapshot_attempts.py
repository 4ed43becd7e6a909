"""How often, and how long, a worker tries to calculate a snapshot before it is given up."""

ATTEMPTS_MAX = 3
FIRST_PAUSE = 1 / 20
"""The pause after the first failure, as a fraction of the whole time; it doubles with each."""


def lease_seconds(seconds_max: float) -> float:
    """How long one attempt has before it counts as lost, where all of them have ``seconds_max`` together."""
    return seconds_max / ATTEMPTS_MAX


def pause_seconds(attempts: int, seconds_max: float) -> float:
    """How long to wait after so many failed attempts, 1 or more."""
    return seconds_max * FIRST_PAUSE * float(2 ** (attempts - 1))


def is_given_up(attempts: int, seconds_since_first: float, seconds_max: float) -> bool:
    """Whether no further attempt follows upon so many, the first of which began so long ago."""
    return attempts >= ATTEMPTS_MAX or seconds_since_first >= seconds_max
