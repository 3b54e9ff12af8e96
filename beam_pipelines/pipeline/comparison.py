"""Compares a finished data set with what a job would write, for `--resume`. Writes nothing."""

import dataclasses
from collections.abc import Mapping

import apache_beam as beam
import numpy as np
import numpy.typing as npt
from apache_beam.pvalue import AsSingleton

from beam_pipelines import ledger
from beam_pipelines.ledger import Counts
from beam_pipelines.options import ShardOptions
from beam_pipelines.pipeline import job, steps
from beam_pipelines.pipeline.job import Job
from catalog import manifest
from catalog.errors import UserError
from catalog.manifest import Manifest


def check_settings(opened: Job, made: Manifest) -> None:
    """Checks that a data set has all its files, and the options and categories of a job.

    Raises:
      UserError: Naming the first difference.
    """
    given = dataclasses.asdict(opened.options)
    found = {**dataclasses.asdict(ShardOptions()), **made.options}  # older ones have fewer options
    for name in sorted(given.keys() | found.keys()):
        _require_same(opened, f'--{name}', found=found.get(name), wanted=given.get(name))
    tree = opened.categories
    digest = made.categories.get('sha256')
    _require_same(
        opened, 'SHA-256 of --categories', found=digest, wanted=tree.sha256 if tree else None
    )
    for split in made.splits.values():
        manifest.check_files(opened.output, split)


def build(pipeline: beam.Pipeline, opened: Job, made: Manifest) -> None:
    """Adds the steps that read the source of a job and compare it with a data set.

    They raise a UserError that names the first difference.
    """
    reading = job.read_products(pipeline, opened)
    _ = (
        pipeline
        | 'OnceRead' >> beam.Create([None])
        | 'Compare'
        >> beam.Map(
            _check_source,
            AsSingleton(reading.counts),
            AsSingleton(reading.fingerprint),
            opened,
            made,
        )
    )


def _check_source(
    _: None, counts: Counts, fingerprint: npt.NDArray[np.uint64], opened: Job, made: Manifest
) -> None:
    source = made.source
    kinds: list[tuple[str, Mapping[str, int]]] = [
        ('documents', counts.documents),
        ('pictures', counts.pictures),
    ]
    for kind, places in kinds:
        label = f'number of {kind} in --input'
        _require_same(opened, label, found=source[kind], wanted=places[ledger.READ])
    wanted = steps.format_fingerprint(fingerprint)
    _require_same(opened, 'fingerprint of --input', found=source['fingerprint'], wanted=wanted)
    for kind, places in kinds:
        _require_same(
            opened,
            f'rejected {kind}',
            found=ledger.rejected(made.ledger[kind]),
            wanted=ledger.rejected(places),
        )


def _require_same(opened: Job, name: str, *, found: object, wanted: object) -> None:
    if found != wanted:
        raise UserError(
            f'--resume: {opened.output} contains a finished data set, which must be what this '
            f'command writes, but its {name} is {found} instead of {wanted}; use --overwrite to '
            'replace it, or another --output'
        )
