"""What a run counts for Beam's page of it: the ledger as it comes about, bytes, shards."""

from apache_beam.metrics import Metrics

from beam_pipelines.scan.scan import Counts, Scan
from beam_pipelines.write.gather import Gathered

NAMESPACE = 'shard'


def count(counts: Counts) -> None:
    """Counts documents and pictures where they go: `documents_read`, `pictures_rejected_empty`."""
    for kind, places in (('documents', counts.documents), ('pictures', counts.pictures)):
        for place, number in places.items():
            _add(f'{kind}_{place}', number)
    for name, number in counts.notes.items():
        _add(name, number)


def count_scan(scan: Scan) -> None:
    """Counts the bytes of a range."""
    _add('bytes_scanned', scan.bytes)
    Metrics.distribution(NAMESPACE, 'documents_a_range').update(scan.counts.documents['read'])


def count_shard(made: Gathered) -> None:
    """Counts a shard, and what is only known once it is written."""
    if made.resumed:
        _add('shards_found_written', 1)
    else:
        _add('shards_written', 1)
        _add('bytes_written', made.shard.bytes)
    _add('leaked_pictures', made.leaked)
    _add('converted_pictures', made.converted)
    Metrics.distribution(NAMESPACE, 'bytes_a_shard').update(made.shard.bytes)


def _add(name: str, number: int) -> None:
    if number:
        Metrics.counter(NAMESPACE, name).inc(number)
