"""Builds the Beam pipeline of the job.

Parts of the source, a few numbers each, move through Beam, then their rows as bytes. A worker reads
the pictures of a part, predicts them and forgets them.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import apache_beam as beam
from apache_beam.ml.inference.base import RunInference
from apache_beam.pvalue import AsList, AsSingleton, PCollection

from beam_pipelines.inference.handler import ExportedModelHandler
from beam_pipelines.predict import commit, files, parts
from beam_pipelines.predict.answers import Answerer, Answers
from beam_pipelines.predict.files import WrittenFile
from beam_pipelines.predict.parts import Part, Proven, Walk
from beam_pipelines.write import rejected
from beam_pipelines.write.commit import staging_folder
from catalog.predictions.model import Model
from catalog.process.folder_lock import Ownership
from catalog.sources.source import Source


@dataclass(frozen=True)
class Job:
    """The input, model, options and output of one run.

    Attributes:
      model: Version folder of the model.
      fingerprint: Its `version_folder.fingerprint`.
      answerer: Answers the parts of the source.
      output: Folder of the predictions.
      keep_rejected_bytes: Most bytes of rejected pieces that are kept.
      ownership: The right to write to the output. None if it is not locked.
    """

    model: str
    fingerprint: str
    answerer: Answerer
    output: str
    keep_rejected_bytes: int = rejected.DEFAULT_BYTES
    ownership: Ownership | None = None

    @property
    def source(self) -> Source:
        """The source."""
        return self.answerer.source

    @property
    def shards(self) -> int:
        """Number of files."""
        return self.answerer.options.count_shards(self.source.total_bytes())


def build(pipeline: beam.Pipeline, job: Job) -> None:
    """Adds all steps of the job to a pipeline."""
    handler = ExportedModelHandler(job.model, job.fingerprint, _Answer(job.answerer, job.shards))
    answers = (
        _proven_parts(pipeline, job)
        | 'AsBatches' >> beam.Map(_as_batch)  # [Part]
        | 'Predict' >> RunInference(handler)
    )  # file, Answers
    every_file = pipeline | 'EveryFile' >> beam.Create([(n, None) for n in range(job.shards)])
    written = (
        (answers, every_file)
        | 'AllFiles' >> beam.Flatten()
        | 'GroupByFile' >> beam.GroupByKey()  # file, [Answers | None]
        | 'WriteFiles' >> beam.Map(_write_file, job)
    )  # WrittenFile
    _ = (
        pipeline
        | 'OnceWritten' >> beam.Create([None])
        | 'Commit' >> beam.Map(_commit, AsList(written), job)
    )


@dataclass(frozen=True)
class _Answer:
    """Answers a part for the file that gets its rows."""

    answerer: Answerer
    shards: int

    def __call__(self, model: Model, part: Part) -> tuple[int, Answers]:
        return files.file_of(part, self.shards), self.answerer(model, part)


def _proven_parts(pipeline: beam.Pipeline, job: Job) -> PCollection:
    """Returns the parts of the source, each product in one of them: Part."""
    found = (
        pipeline
        | 'Once' >> beam.Create([None])
        | 'Split' >> beam.FlatMap(_split, job.source)
        | 'SpreadParts' >> beam.Reshuffle()
    )  # Part
    if not job.source.guesses_starts():
        return found
    walks = found | 'Walk' >> beam.Map(parts.walk, job.source)  # Walk
    proven = (
        pipeline
        | 'OnceWalked' >> beam.Create([None])
        | 'Prove'
        >> beam.Map(_prove, AsList(walks), job.source, job.answerer.options.max_rejected_fraction)
    )  # Proven, one
    return (
        walks
        | 'ProvenParts' >> beam.FlatMap(parts.proven_part, AsSingleton(proven))
        | 'SpreadProven' >> beam.Reshuffle()
    )


def _split(_: None, source: Source) -> Iterator[Part]:
    return parts.split(source)


def _prove(_: None, walks: list[Walk], source: Source, max_rejected_fraction: float) -> Proven:
    return parts.prove(walks, source, max_rejected_fraction=max_rejected_fraction)


def _as_batch(part: Part) -> list[Part]:
    """Returns a part as the batch that RunInference passes to the handler."""
    return [part]


def _write_file(element: tuple[int, Iterable[Answers | None]], job: Job) -> WrittenFile:
    index, answers = element
    return files.write_file(
        index,
        answers,
        shards=job.shards,
        form=job.answerer.form,
        folder=staging_folder(job.output),
        keep_rejected=job.answerer.keep_rejected,
    )


def _commit(_: None, written: list[WrittenFile], job: Job) -> None:
    if job.ownership:
        job.ownership.require()
    answerer = job.answerer
    counts, pieces = files.total(written, keep_rejected=answerer.keep_rejected)
    parts.check_damage(
        counts,
        pieces,
        job.source,
        max_rejected_fraction=answerer.options.max_rejected_fraction,
    )
    staging = staging_folder(job.output)
    rejected.write_rejected(
        staging, job.source, pieces.sorted(), most_bytes=job.keep_rejected_bytes
    )
    names = [name for name in (rejected.INDEX, rejected.BYTES) if pieces.first]
    document = commit.describe(
        written,
        counts,
        model=job.fingerprint,
        form=answerer.form.name,
        columns=answerer.options.columns.names(),
        options=answerer.options.as_mapping(),
    )
    commit.commit(
        job.output, document, schema=answerer.form.bigquery_schema(), staged_rejected=names
    )
