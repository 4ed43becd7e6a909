"""When a sequence is behind the ids that it has handed out, and how badly."""

from dataclasses import dataclass
from enum import StrEnum

GAP_HIGH = 100
GAP_MEDIUM = 10


class SequenceStatus(StrEnum):
    """Whether the next id is a new one."""

    HEALTHY = "HEALTHY"
    NEEDS_REPAIR = "NEEDS_REPAIR"


class SequenceSeverity(StrEnum):
    """How far a sequence is behind."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


@dataclass(frozen=True, slots=True)
class SequenceHealth:
    """A table's sequence as it stands: its last value, which is the next one where ``is_called`` is false, and the
    highest id in the table, over all organizations; None in an empty one.
    """

    table: str
    sequence: str
    last_value: int
    is_called: bool
    max_id: int | None

    @property
    def gap(self) -> int:
        """How many ids it would hand out that may be taken; 0 where the next one is new."""
        handed_out = self.last_value if self.is_called else self.last_value - 1
        return max(0, (self.max_id or 0) - handed_out)

    @property
    def status(self) -> SequenceStatus:
        """HEALTHY where the next id is above the highest; a last value that is the highest id is as it should be."""
        return SequenceStatus.NEEDS_REPAIR if self.gap else SequenceStatus.HEALTHY

    @property
    def severity(self) -> SequenceSeverity | None:
        """None where it is healthy."""
        if not self.gap:
            return None
        if self.gap > GAP_HIGH:
            return SequenceSeverity.HIGH
        return SequenceSeverity.MEDIUM if self.gap > GAP_MEDIUM else SequenceSeverity.LOW
