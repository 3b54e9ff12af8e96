"""Scans a source so that each document is in exactly one scan. `seams` has the proof."""

import dataclasses
import functools
from collections.abc import Callable, Iterator

import apache_beam as beam
from apache_beam.pvalue import AsList, AsSingleton

from beam_pipelines.local.meter import Meter
from beam_pipelines.pipeline import counters
from beam_pipelines.plan import repeats
from beam_pipelines.scan import scan, seams
from beam_pipelines.scan.pseudo_labels import PseudoLabels
from beam_pipelines.scan.scan import Scan, SplitGroups
from beam_pipelines.scan.seams import Edge, Proof
from catalog.categories import Categories
from catalog.sources.source import Range, Source

ScanPart = Callable[[Range], Scan]


class ProvenScans:
    """Scans a source and, if it guesses starts, proves the scans.

    A wrong scan is replaced by another scan where it is used.

    Args:
      pipeline: Pipeline to add the steps to.
      source: Source of the products.
      range_bytes: Size of the range that one element scans.
      categories: The category tree. None for unlabelled data.
      decode: Whether to decode every picture.
      keep_rejected: Most rejected pieces of a scan to keep.
      visual: Whether to hash what the pictures look like.
      split_groups: Returns the split of each group of products.
      pseudo_labels: Labels of products without a category, or None.
      meter: Receives the number of scanned bytes.
    """

    def __init__(
        self,
        pipeline: beam.Pipeline,
        source: Source,
        *,
        range_bytes: int,
        categories: Categories | None,
        decode: bool,
        keep_rejected: int,
        visual: bool,
        split_groups: SplitGroups,
        pseudo_labels: PseudoLabels | None,
        meter: Meter,
    ) -> None:
        scan_part = functools.partial(
            scan.scan_range,
            source,
            categories=categories,
            decode=decode,
            keep_rejected=keep_rejected,
            visual=visual,
            split_groups=split_groups,
            pseudo_labels=pseudo_labels,
        )
        self._scan_part = scan_part
        self._scans = (
            pipeline
            | 'Ranges' >> beam.Create(source.split(range_bytes=range_bytes))
            | 'SpreadRanges' >> beam.Reshuffle()
            | 'Scan' >> beam.Map(_scan, scan_part, meter)
        )  # Scan
        self._proof = None
        if source.guesses_starts():
            edges = self._scans | 'Edges' >> beam.Map(_edge)
            self._proof = (
                pipeline
                | 'OnceScanned' >> beam.Create([None])
                | 'Prove' >> beam.Map(_prove, AsList(edges), source)
            )  # Proof, one

    def scans(self) -> beam.PCollection:
        """Returns the scans: Scan."""
        return self._correct(self._scans, 'CorrectScans')

    def summaries(self) -> beam.PCollection:
        """Returns the scans with one row per document instead of one per picture: Scan."""
        summaries = self._scans | 'LeaveOutPictures' >> beam.Map(_leave_out_pictures)
        return self._correct(summaries, 'CorrectSummaries')

    def _correct(self, scans: beam.PCollection, label: str) -> beam.PCollection:
        if self._proof is None:
            return scans
        return scans | label >> beam.FlatMap(_correct, AsSingleton(self._proof), self._scan_part)


def _scan(part: Range, scan_part: ScanPart, meter: Meter) -> Scan:
    scanned = scan_part(part)
    counters.count_scan(scanned)
    meter.add('scanned_bytes', scanned.bytes)
    return scanned


def _correct(scanned: Scan, proof: Proof, scan_part: ScanPart) -> Iterator[Scan]:
    """Yields the scan if it is proven, or a new one from the proven start of its range."""
    place = scanned.range.file, scanned.range.start
    if place in proof.proven:
        yield scanned
    elif place in proof.again:
        yield scan_part(proof.again[place])


def _leave_out_pictures(scanned: Scan) -> Scan:
    documents = repeats.documents(scanned.table)
    return dataclasses.replace(scanned, table=documents, visual=scanned.visual[:0])


def _edge(scanned: Scan) -> Edge:
    return Edge(scanned.range, scanned.first, scanned.end)


def _prove(_: None, edges: list[Edge], source: Source) -> Proof:
    return seams.prove(edges, lambda part: scan.read_to_end(source, part))
