"""What every source can do."""

from collections.abc import Iterable, Mapping
from typing import Protocol, runtime_checkable

from beam_pipelines.scan.scan import Range, Rejected, Scan
from beam_pipelines.table import Table


@runtime_checkable  # Beam checks arguments against annotations
class Source(Protocol):
    """A dump of products. Small and picklable: it travels to every worker."""

    def split(self, *, range_bytes: int) -> list[Range]:
        """The ranges of the source, in order, about `range_bytes` each."""

    def total_bytes(self) -> int:
        """The size of the source."""

    def scan(
        self,
        scanned: Range,
        *,
        label_of: Mapping[int, int] | None,
        decode: bool,
        start: int | None = None,
    ) -> Scan:
        """Scans a range; from `start`, where the first document of it is known to begin."""

    def end_of(self, scanned: Range, *, start: int) -> int:
        """Where the last document that begins in a range ends, if one begins at `start`."""

    def fetch(self, table: Table) -> Iterable[bytes]:
        """The pictures of the rows, in their order, as they are in the source."""

    def fetch_rejected(self, rejected: Rejected) -> bytes:
        """The bytes of a rejected piece."""

    def name(self, file: int) -> str:
        """The name of a file of the source, for people."""

    def place(self, rejected: Rejected) -> str:
        """Where a rejected piece lies, for people."""
