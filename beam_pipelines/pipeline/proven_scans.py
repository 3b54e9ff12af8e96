"""The scans of a whole source, each document in exactly one. What proves them is in `seams`."""

import dataclasses
from collections.abc import Iterator

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton

from beam_pipelines.local.meter import Meter
from beam_pipelines.pipeline import counters as metrics
from beam_pipelines.plan import resolve
from beam_pipelines.scan import seams
from beam_pipelines.scan.scan import Range, Scan
from beam_pipelines.scan.seams import Edge, Proof
from beam_pipelines.sources.source import Source


class ProvenScans:
    """Scans a source, and proves the scans; what does not hold is scanned again where it is used.

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
        self._arguments = (source, label_of, decode)
        self._scans = (
            pipeline
            | 'Ranges' >> beam.Create(source.split(range_bytes=range_bytes))
            | 'SpreadRanges' >> beam.Reshuffle()
            | 'Scan' >> beam.Map(_scan, *self._arguments, meter)
        )  # Scan
        edges = self._scans | 'Edges' >> beam.Map(_edge)
        self._proof = (
            pipeline
            | 'OnceScanned' >> beam.Create([None])
            | 'Prove' >> beam.Map(_prove, AsList(edges), source)
        )  # Proof, one

    def told(self) -> beam.PCollection:
        """The scans that hold, with a row a document in place of a row a picture: Scan."""
        brief = self._scans | 'LeaveOutPictures' >> beam.Map(_brief)
        return brief | 'KeepProvenToTell' >> self._keep_proven()

    def scans(self) -> beam.PCollection:
        """The scans that hold: Scan."""
        return self._scans | 'KeepProvenToUse' >> self._keep_proven()

    def _keep_proven(self) -> beam.PTransform:
        return beam.FlatMap(_proven, AsSingleton(self._proof), *self._arguments)


def _scan(
    scanned: Range, source: Source, label_of: dict[int, int] | None, decode: bool, meter: Meter
) -> Scan:
    scan = source.scan(scanned, label_of=label_of, decode=decode)
    metrics.count_scan(scan)
    meter.tell('scanned_bytes', scan.bytes)
    return scan


def _proven(
    scan: Scan, proof: Proof, source: Source, label_of: dict[int, int] | None, decode: bool
) -> Iterator[Scan]:
    """The scan if it holds, or what comes out from where its first document is known to begin."""
    place = scan.range.file, scan.range.start
    if place in proof.proven:
        yield scan
    elif place in proof.again:
        yield source.scan(scan.range, label_of=label_of, decode=decode, start=proof.again[place])


def _brief(scan: Scan) -> Scan:
    return dataclasses.replace(scan, table=resolve.documents(scan.table))


def _edge(scan: Scan) -> Edge:
    return Edge(scan.range.file, scan.range.start, scan.range.stop, scan.first, scan.end)


def _prove(_: None, edges: list[Edge], source: Source) -> Proof:
    return seams.prove(edges, lambda scanned, start: source.end_of(scanned, start=start))
