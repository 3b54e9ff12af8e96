"""The scans of a whole source, each document in exactly one. What proves them is in `seams`."""

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton

from beam_pipelines import metrics, seams
from beam_pipelines.meter import Meter
from beam_pipelines.scan import Range, Scan
from beam_pipelines.seams import Edge, Proof
from beam_pipelines.sources.source import Source


class ProvenScans:
    """Scans a source, proves the scans, and scans again what did not hold.

    Args:
      pipeline: to add the steps to.
      source: of the products.
      range_bytes: what one element of the scan reads.
      label_of: the label by category id; None for unlabelled data.
      decode: whether every picture is decoded.
      meter: is told what was scanned.
    """

    def __init__(
        self,
        pipeline: beam.Pipeline,
        source: Source,
        *,
        range_bytes: int,
        label_of: dict[int, int] | None,
        decode: bool,
        meter: Meter,
    ) -> None:
        self._scans = (
            pipeline
            | 'Ranges' >> beam.Create(source.split(range_bytes=range_bytes))
            | 'SpreadRanges' >> beam.Reshuffle()
            | 'Scan' >> beam.Map(_scan, source, label_of, decode, meter)
        )  # Scan
        edges = self._scans | 'Edges' >> beam.Map(_edge)
        self._proof = (
            pipeline
            | 'OnceScanned' >> beam.Create([None])
            | 'Prove' >> beam.Map(_prove, AsList(edges), source)
        )  # Proof, one
        self._again = (
            self._proof
            | 'Again' >> beam.FlatMap(lambda proof: proof.again)  # (Range, start)
            | 'SpreadAgain' >> beam.Reshuffle()
            | 'ScanAgain' >> beam.Map(_scan_from, source, label_of, decode)
        )  # Scan

    def to(self, purpose: str) -> beam.PCollection:
        """The scans that hold: Scan.

        Each purpose has a step of its own that picks them: what two steps take from a third one, a
        local runner keeps in memory once more.
        """
        held = self._scans | f'KeepProvenTo{purpose}' >> beam.Filter(
            _is_proven, AsSingleton(self._proof)
        )
        return (held, self._again) | f'AllScansTo{purpose}' >> beam.Flatten()


def _scan(
    scanned: Range, source: Source, label_of: dict[int, int] | None, decode: bool, meter: Meter
) -> Scan:
    scan = source.scan(scanned, label_of=label_of, decode=decode)
    metrics.count_scan(scan)
    meter.tell('scanned_bytes', scan.bytes)
    return scan


def _scan_from(
    again: tuple[Range, int], source: Source, label_of: dict[int, int] | None, decode: bool
) -> Scan:
    scanned, start = again
    scan = source.scan(scanned, label_of=label_of, decode=decode, start=start)
    metrics.count_scan(scan)
    return scan


def _edge(scan: Scan) -> Edge:
    return Edge(scan.range.file, scan.range.start, scan.range.stop, scan.first, scan.end)


def _prove(_: None, edges: list[Edge], source: Source) -> Proof:
    return seams.prove(edges, lambda scanned, start: source.end_of(scanned, start=start))


def _is_proven(scan: Scan, proof: Proof) -> bool:
    return (scan.range.file, scan.range.start) in proof.proven
