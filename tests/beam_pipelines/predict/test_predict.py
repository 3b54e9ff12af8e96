"""`python -m beam_pipelines.predict`: the rows of trainer.predict, from any runner."""

import csv
import io
import json
import os
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path
from typing import Any

import fastavro
import numpy as np
import pandas as pd
import pytest
from apache_beam.io.gcp import bigquery_tools
from google.cloud.bigquery import SchemaField
from pyarrow import parquet

from beam_pipelines.predict import opening, running
from beam_pipelines.predict.options import PredictOptions
from catalog.errors import UserError
from catalog.inputs import parts
from catalog.inputs.options import SourceOptions
from catalog.predictions.columns import Columns
from tests.beam_pipelines.running import files
from tests.shop import product, write_photo
from tests.trainer.conftest import jpeg
from trainer.predict import dump_predictions

COLUMNS = Columns(top_k=3, confidence=True, level=True)
MOST_COMMON = '1000'  # of the data set that the model is trained on
_PADDING = bytes(60_000)  # behind the end of a picture: legal, and makes a dump of several parts


@pytest.fixture(scope='module')
def model(exported_model: Path) -> Path:
    return exported_model


@pytest.fixture(scope='module')
def dump(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """400 products in several parts, some of whose pictures cannot be decoded."""
    random = np.random.default_rng(7)
    pictures = [jpeg(random, label=number % 4) for number in range(40)]
    documents = []
    for number in range(400):
        views = [pictures[(number + view) % 40] for view in range(1 + number % 2)]
        if number == 150:
            views.insert(0, b'not a picture')
        if number == 151:
            views = [pictures[0][: len(pictures[0]) // 2], b'']
        padded = [views[0] + _PADDING, *views[1:]] if number not in (150, 151) else views
        documents.append(product(9000 - number, [1000, 1007, 1014, 4][number % 4], padded))
    path = tmp_path_factory.mktemp('dump') / 'test.bson'
    path.write_bytes(b''.join(documents))
    assert path.stat().st_size > 2 * parts.PART_BYTES
    return path


def predict(
    model: Path,
    source: Path,
    output: Path,
    *beam: str,
    form: Any = 'csv',
    columns: Columns = COLUMNS,
    overwrite: bool = False,
    **options: Any,
) -> dict[str, Any]:
    """Runs the job in this process, or with its workers, and returns `predictions.json`."""
    opened = opening.open_job(
        model=str(model),
        inputs=[str(source)],
        output=str(output),
        options=PredictOptions(columns=columns, **options),
        source=SourceOptions(),
        form=form,
    )
    made = running.run(opened, beam, overwrite=overwrite)
    assert made is not None
    return made


def rows_of(output: Path) -> bytes:
    """The rows of all CSV files, with one header."""
    texts = [path.read_bytes() for path in sorted(output.glob('predictions-*.csv'))]
    header = texts[0].split(b'\n', 1)[0] + b'\n'
    assert all(text.startswith(header) for text in texts)
    return header + b''.join(text.removeprefix(header) for text in texts)


@pytest.fixture(scope='module')
def wanted(model: Path, dump: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """What trainer.predict writes."""
    output = tmp_path_factory.mktemp('wanted') / 'answers.csv'
    dump_predictions.predict(
        models=[str(model)],
        pattern=[str(dump)],
        output=str(output),
        options=dump_predictions.PredictOptions(columns=COLUMNS),
    )
    return output.read_bytes()


@pytest.fixture(scope='module')
def made(model: Path, dump: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the job writes into two files."""
    output = tmp_path_factory.mktemp('made') / 'answers'
    predict(model, dump, output, shards=2)
    return output


def test_the_rows_are_those_of_trainer_predict_to_the_last_byte(
    made: Path, wanted: bytes, model: Path, dump: Path, tmp_path: Path
) -> None:
    assert len(wanted.splitlines()) == 401
    assert len(set(wanted.splitlines())) > 300
    assert rows_of(made) == wanted
    assert len(list(made.glob('predictions-*-of-00002.csv'))) == 2
    predict(model, dump, tmp_path / 'one', shards=1)
    assert (tmp_path / 'one' / 'predictions-00000-of-00001.csv').read_bytes() == wanted


def test_two_worker_processes_and_bundles_that_run_twice_give_the_same_bytes(
    made: Path, model: Path, dump: Path, tmp_path: Path
) -> None:
    beam = ('--direct_num_workers=2', '--direct_runner_bundle_repeat=1')
    predict(model, dump, tmp_path / 'out', *beam, shards=2)
    assert files(tmp_path / 'out') == files(made)


def test_every_product_and_picture_is_accounted_for_and_rejects_are_kept(made: Path) -> None:
    document = json.loads((made / 'predictions.json').read_text())
    assert document['ledger'] == {
        'documents': {'read': 400, 'predicted': 400},
        'pictures': {'read': 601, 'decoded': 598, 'rejected_corrupt': 1, 'rejected_empty': 1,
                     'rejected_not_a_picture': 1},
        'bytes': document['ledger']['bytes'],
        'notes': document['ledger']['notes'],
    }  # fmt: skip
    assert document['ledger']['notes']['unseen_products'] == 1
    assert sum(each['rows'] for each in document['files']) == 400
    lines = (made / 'rejected' / 'rejected.jsonl').read_text().splitlines()
    kept = {
        (line['product_id'], line['picture'], line['reason']) for line in map(json.loads, lines)
    }
    assert kept == {
        (8850, 0, 'not_a_picture'),
        (8849, 0, 'corrupt'),
        (8849, 1, 'empty'),
    }
    with zipfile.ZipFile(made / 'rejected' / 'rejected.zip') as archive:
        assert b'not a picture' in [archive.read(name) for name in archive.namelist()]
    rows = {row['_id']: row for row in csv.DictReader(io.StringIO(rows_of(made).decode()))}
    assert (rows['8849']['category_id'], rows['8849']['level']) == (MOST_COMMON, '0')


def test_photos_in_folders_get_the_rows_of_trainer_predict(model: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    for number in range(9):
        for view in range(1 + number % 2):
            write_photo(tmp_path / 'photos', f'{number}/{view}.jpg', jpeg(random, label=number % 4))
    write_photo(tmp_path / 'photos', 'loose, one.jpg', b'no picture')
    made = predict(model, tmp_path / 'photos', tmp_path / 'out')
    dump_predictions.predict(
        models=[str(model)],
        pattern=[str(tmp_path / 'photos')],
        output=str(tmp_path / 'wanted.csv'),
        options=dump_predictions.PredictOptions(columns=COLUMNS),
    )
    assert rows_of(tmp_path / 'out') == (tmp_path / 'wanted.csv').read_bytes()
    assert made['ledger']['documents'] == {'read': 10, 'predicted': 10}


def test_parquet_has_the_values_of_the_csv_rows(
    wanted: bytes, model: Path, dump: Path, tmp_path: Path
) -> None:
    predict(model, dump, tmp_path / 'out', form='parquet', shards=2)
    found = pd.concat(map(pd.read_parquet, sorted((tmp_path / 'out').glob('*.parquet'))))
    expected = pd.read_csv(io.BytesIO(wanted))
    assert list(found) == list(expected)
    schema = parquet.read_schema(tmp_path / 'out' / 'predictions-00000-of-00002.parquet')
    assert [str(kind) for kind in schema.types] == ['int64'] * 4 + ['double'] * 3 + ['int64']
    np.testing.assert_array_equal(found.to_numpy(float), expected.to_numpy(float))


def test_json_lines_fit_the_schema_that_bigquery_loads_them_with(
    wanted: bytes, model: Path, dump: Path, tmp_path: Path
) -> None:
    predict(model, dump, tmp_path / 'out', form='json')
    (path,) = (tmp_path / 'out').glob('*.jsonl')
    rows = [json.loads(line) for line in path.read_text().splitlines()]
    expected = list(csv.DictReader(io.StringIO(wanted.decode())))
    found = [[value for value in row.values() if type(value) is int] for row in rows]
    whole = [name for name in expected[0] if 'confidence' not in name]
    assert found == [[int(row[name]) for name in whole if row[name]] for row in expected]
    assert [row['confidence'] for row in rows] == [float(row['confidence']) for row in expected]
    schema = json.loads((tmp_path / 'out' / 'schema.json').read_text())
    assert [SchemaField.from_api_repr(field).name for field in schema] == list(expected[0])
    avro = fastavro.parse_schema(
        bigquery_tools.get_avro_schema_from_table_schema({'fields': schema})
    )
    assert all(fastavro.validate(row, avro) for row in rows)


def test_a_labelled_input_gives_the_accuracy(model: Path, dump: Path, tmp_path: Path) -> None:
    columns = Columns(true_category=True)
    made = predict(model, dump, tmp_path / 'out', columns=columns)
    rows = list(csv.DictReader(io.StringIO(rows_of(tmp_path / 'out').decode())))
    labelled = [row for row in rows if row['true_category_id']]
    notes = made['ledger']['notes']
    assert (notes['labelled'], notes['unknown_categories']) == (len(labelled), 100) == (300, 100)
    assert notes['correct'] == sum(r['category_id'] == r['true_category_id'] for r in labelled)


def test_a_truncated_dump_is_no_complete_one(model: Path, dump: Path, tmp_path: Path) -> None:
    cut = tmp_path / 'cut.bson'
    cut.write_bytes(dump.read_bytes()[:-100])
    with pytest.raises(UserError, match=r'--max_rejected_fraction: at most 0 of the documents'):
        predict(model, cut, tmp_path / 'out', max_rejected_fraction=0)
    assert not (tmp_path / 'out').exists()
    made = predict(model, cut, tmp_path / 'out', max_rejected_fraction=0.02)
    assert made['ledger']['documents'] == {'read': 400, 'predicted': 399, 'rejected_cut_off': 1}
    assert b'cut_off' in (tmp_path / 'out' / 'rejected' / 'rejected.jsonl').read_bytes()


def test_predictions_are_only_replaced_with_overwrite(
    model: Path, dump: Path, tmp_path: Path
) -> None:
    predict(model, dump, tmp_path / 'out', columns=Columns(), shards=3)
    before = files(tmp_path / 'out')
    with pytest.raises(UserError, match='contains predictions; use --overwrite to replace them'):
        predict(model, dump, tmp_path / 'out')
    assert files(tmp_path / 'out') == before
    predict(model, dump, tmp_path / 'out', overwrite=True)
    names = [name for name in files(tmp_path / 'out') if name.startswith('predictions-')]
    assert names == ['predictions-00000-of-00001.csv']


def test_kill_9_leaves_nothing_under_a_final_name_and_the_command_runs_again(
    made: Path, model: Path, dump: Path, tmp_path: Path
) -> None:
    output = tmp_path / 'out'
    command = [
        sys.executable, '-m', 'beam_pipelines.predict', f'--model={model}', f'--input={dump}',
        f'--output={output}', '--top_k=3', '--confidence', '--level', '--shards=200',
    ]  # fmt: skip
    running = subprocess.Popen(command, stderr=subprocess.PIPE)
    while not list(output.glob('_staging/predictions-*')):  # the first of 200 files
        assert running.poll() is None, 'it ended before it was killed'
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.communicate()
    assert set(os.listdir(output)) <= {'_staging', '.lock'}
    predict(model, dump, output, shards=2)
    assert files(output) == files(made)


@pytest.mark.parametrize(
    ('change', 'message'),
    [
        ({'model': 'nowhere'}, 'nowhere: --model must be a version folder that trainer.export'),
        ({'source': 'nowhere.bson'}, '--input: must name existing files, got nowhere.bson'),
        ({'output': 'data'}, '--output: data contains a data set; choose another folder'),
    ],
)
def test_a_mistake_is_an_error_before_anything_runs(
    model: Path,
    dump: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Any,
    message: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'data').mkdir()
    (tmp_path / 'data' / 'manifest.json').write_text('{}')
    arguments = {'model': model, 'source': dump, 'output': 'out', **change}
    with pytest.raises(UserError, match=message):
        predict(arguments['model'], arguments['source'], arguments['output'])
    assert os.listdir(tmp_path) == ['data']
