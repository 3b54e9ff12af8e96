"""Beam metrics of a run: the ledger, bytes, shards."""

from apache_beam.metrics import Metrics

from beam_pipelines.ledger import Counts
from beam_pipelines.scan.scan import Scan
from beam_pipelines.write.shard_writer import WrittenShard

NAMESPACE = 'shard'


def count_places(counts: Counts) -> None:
    """Counts documents and pictures by place, as `documents_read`, `pictures_rejected_empty`."""
    for kind, places in (('documents', counts.documents), ('pictures', counts.pictures)):
        for place, number in places.items():
            _add(f'{kind}_{place}', number)
    for name, number in counts.notes.items():
        _add(name, number)


def count_scan(scan: Scan) -> None:
    """Counts the bytes of a scanned range."""
    _add('bytes_scanned', scan.bytes)
    Metrics.distribution(NAMESPACE, 'documents_a_range').update(scan.counts.documents['read'])


def count_planned(shards: int) -> None:
    """Counts the shards that will be written."""
    _add('shards_planned', shards)


def count_shard(written: WrittenShard) -> None:
    """Counts a shard, and what is only known after it is written."""
    if written.resumed:
        _add('shards_found_written', 1)
    else:
        _add('shards_written', 1)
        _add('bytes_written', written.shard.bytes)
    _add('leaked_pictures', written.leaked)
    _add('converted_pictures', written.converted)
    Metrics.distribution(NAMESPACE, 'bytes_a_shard').update(written.shard.bytes)


def _add(name: str, number: int) -> None:
    if number:
        Metrics.counter(NAMESPACE, name).inc(number)
