"""The summary of a run, on the terminal and as a page."""

import html.parser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from catalog import record
from catalog.formats import tfrecord
from trainer.config import InputConfig, ModelConfig, TrainConfig
from trainer.data import data_set
from trainer.evaluate import evaluation
from trainer.export import saved_model
from trainer.training import loop

LEDGER = {
    'documents': {'read': 105, 'train': 80, 'validation': 18, 'rejected_no_pictures': 7},
    'pictures': {'read': 1208, 'train': 163, 'validation': 39, 'rejected_not_a_picture': 1006},
    'notes': {'pseudo_labelled_products': 20},
}


@pytest.fixture(scope='module')
def run(data_folder: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete run: data, workdir with report, model, photos and two response files."""
    folder = tmp_path_factory.mktemp('run')
    shutil.copytree(data_folder, folder / 'shards')
    manifest = json.loads((folder / 'shards' / 'manifest.json').read_text())
    manifest['ledger'] = LEDGER
    (folder / 'shards' / 'manifest.json').write_text(json.dumps(manifest))
    data, workdir = str(folder / 'shards'), str(folder / 'workdir')
    config = TrainConfig(
        batch_size=8,
        total_steps=12,
        log_every_steps=2,
        model=ModelConfig(channels=4),
        input=InputConfig(height=28, width=28),
    )
    loop.train(config, data_set.open_data_set(data), workdir)
    evaluation.evaluate(
        workdir=workdir, data_folder=data, split='validation', output=f'{workdir}/report'
    )
    model = str(folder / 'models' / 'clothes' / '1')
    saved_model.export(workdir=workdir, output=model, top_k=5, threshold=0.5)
    _write_photos(folder)
    for transport in ('rest', 'grpc'):
        _write_responses(folder, transport)
    return folder


def _write_photos(folder: Path) -> None:
    with (folder / 'shards' / 'validation-00000-of-00003.tfrecord').open('rb') as file:
        products = [record.decode(data) for data in tfrecord.read(file)]
    for i in range(3):
        (folder / f'photo-{i}.jpg').write_bytes(products[i].pictures[0])


def _write_responses(folder: Path, transport: str, *, confidence: float = 0.75) -> None:
    """What serving.query --json writes; 0.1 as REST writes a float32, and as gRPC does."""
    tenth = {'rest': 0.1, 'grpc': 0.10000000149011612}[transport]
    answers = [
        {
            'image': str(folder / f'photo-{i}.jpg'),
            'predictions': [
                {
                    'label': label,
                    'category_id': 1000 + 7 * label,
                    'confidence': value,
                    'level1': f'ROOT {label % 2}',
                    'level2': f'BRANCH {label // 2}',
                    'level3': f'LEAF {label}',
                }
                for label, value in [(i, confidence), (3, tenth)]
            ],
        }
        for i in range(3)
    ]
    document = {'transport': transport, 'server': 'h:1', 'model': 'clothes', 'answers': answers}
    (folder / f'{transport}.json').write_text(json.dumps(document))


def _run_command(
    folder: Path, output: Path, **changes: str | None
) -> 'subprocess.CompletedProcess[str]':
    flags = {
        'data': f'{folder}/shards',
        'workdir': f'{folder}/workdir',
        'export': f'{folder}/models/clothes/1',
        'answers': f'{folder}/rest.json,{folder}/grpc.json',
        'output': str(output),
        **changes,
    }
    arguments = [f'--{name}={value}' for name, value in flags.items() if value]
    return subprocess.run(
        [sys.executable, '-m', 'trainer.summary', *arguments], capture_output=True, text=True
    )


@pytest.fixture(scope='module')
def summary(run: Path) -> 'subprocess.CompletedProcess[str]':
    """The finished command; the page is run/index.html."""
    done = _run_command(run, run / 'index.html')
    assert done.returncode == 0, done.stderr
    return done


class _Page(html.parser.HTMLParser):
    """The tags and the text of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ''
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def _line(text: str, start: str) -> list[str]:
    (line,) = [line for line in text.splitlines() if line.startswith(start)]
    return line.removeprefix(start).split()


def test_the_summary_shows_the_complete_ledger(
    run: Path, summary: 'subprocess.CompletedProcess[str]'
) -> None:
    assert _line(summary.stdout, 'read ') == ['105', '1,208']
    assert _line(summary.stdout, 'rejected: no pictures') == ['7', '-']
    assert _line(summary.stdout, 'rejected: not a picture') == ['-', '1,006']
    page = _Page(run / 'index.html').text
    assert '1,208 photos of 105 products' in page
    assert 'rejected: not a picture' in page


def test_reports_say_how_many_training_products_have_a_pseudo_label(
    run: Path, summary: 'subprocess.CompletedProcess[str]'
) -> None:
    said = '20 of the 80 products for training (25.0 %) have a pseudo-label'
    report = run / 'workdir' / 'report'
    assert said in summary.stdout
    for page in (run / 'index.html', report / 'evaluation.html'):
        assert said in _Page(page).text.replace('\xa0', ' ')
    metrics = json.loads((report / 'evaluation.json').read_text())
    assert metrics['train'] == {'products': 80, 'pseudo_labelled': 20}


def test_the_metrics_are_those_of_the_evaluation(
    run: Path, summary: 'subprocess.CompletedProcess[str]'
) -> None:
    metrics = json.loads((run / 'workdir' / 'report' / 'evaluation.json').read_text())
    accuracy = f'{100 * metrics["accuracy"]:.1f}'
    unleaked = f'{100 * metrics["without_leaked"]["accuracy"]:.1f}'
    assert _line(summary.stdout, 'accuracy ') == [accuracy, '%', unleaked, '%']
    assert f'{accuracy} %' in _Page(run / 'index.html').text


def test_the_summary_shows_class_shares_before_and_after_balancing(
    summary: 'subprocess.CompletedProcess[str]',
) -> None:
    # Products 46, 29, 16, 7 of 98 in all; records 40, 24, 12, 4 of 80 in train.
    line = next(line for line in summary.stdout.splitlines() if line.startswith('LEAF 0'))
    assert line.split()[2:6] == ['46.9', '%', '50.0', '%']
    assert '6.6 times the smallest before balancing, 10 times after' in summary.stdout


def test_equal_responses_are_reported_as_identical(
    run: Path, summary: 'subprocess.CompletedProcess[str]'
) -> None:
    """Although JSON has 0.1 and gRPC the float32 nearest to it."""
    assert 'REST and gRPC returned identical responses' in summary.stdout
    assert re.search(r'photo-2\.jpg +LEAF 2 75\.0 % +LEAF 2 75\.0 % +identical', summary.stdout)
    photos = {'data:image/jpeg;base64,'}
    page = _Page(run / 'index.html')
    sources = [attributes['src'] or '' for tag, attributes in page.tags if tag == 'img']
    assert sum(source.startswith(tuple(photos)) for source in sources) == 3
    assert 'identical' in page.text


def test_the_page_is_self_contained(run: Path, summary: 'subprocess.CompletedProcess[str]') -> None:
    page = _Page(run / 'index.html')
    assert not [tag for tag, _ in page.tags if tag in ('script', 'link', 'iframe')]
    sources = [attributes['src'] or '' for tag, attributes in page.tags if tag == 'img']
    assert len(sources) == 6  # three photos, balance, loss, confusion
    assert all(source.startswith('data:image/') for source in sources)
    assert 'url(' not in (run / 'index.html').read_text()


def test_links_still_work_after_the_folder_is_moved(
    run: Path, summary: 'subprocess.CompletedProcess[str]', tmp_path: Path
) -> None:
    moved = tmp_path / 'elsewhere'
    shutil.copytree(run, moved)
    links = [a['href'] or '' for tag, a in _Page(moved / 'index.html').tags if tag == 'a']
    assert len(links) == 7
    for link in links:
        assert not os.path.isabs(link)
        assert (moved / link).exists()


def test_a_pipe_receives_no_control_codes(summary: 'subprocess.CompletedProcess[str]') -> None:
    assert '\x1b' not in summary.stdout
    assert 'Class balance of train\n======================' in summary.stdout


def test_the_summary_ends_with_the_commands_for_the_original_files(
    summary: 'subprocess.CompletedProcess[str]',
) -> None:
    """They parse, and do what their comments promise."""
    start = summary.stdout.index('# 58 GB of products to class-balanced shards')
    commands = summary.stdout[start:].strip()
    subprocess.run(['bash', '-n'], input=commands, text=True, check=True)
    shard, task, evaluate, export, server, query = (
        line for line in commands.replace('\\\n', '').splitlines() if not line.startswith('#')
    )
    assert shard.startswith('python -m beam_pipelines.shard --input=train.bson')
    assert '--balance=sqrt' in shard
    assert '--config=configs/kaggle_inception_v3.py' in task
    assert '--output=kaggle/workdir/report' in evaluate
    assert '--output=kaggle/models/product_categories/1' in export
    assert server.endswith(' &')  # or the query would never run
    assert '--wait_seconds=' in query


def test_every_flag_of_these_commands_exists(
    summary: 'subprocess.CompletedProcess[str]',
) -> None:
    start = summary.stdout.index('# 58 GB of products')
    for line in summary.stdout[start:].replace('\\\n', '').splitlines():
        if not line.startswith('#'):
            _, _, module, *flags = line.removesuffix(' &').split()
            done = subprocess.run(
                [sys.executable, '-m', module, '--help'], capture_output=True, text=True
            )
            assert done.returncode == 0
            for flag in flags:
                assert flag.partition('=')[0] in done.stdout, (module, flag)


def test_different_responses_are_shown_and_end_in_an_error(run: Path, tmp_path: Path) -> None:
    shutil.copy(run / 'rest.json', tmp_path / 'rest.json')
    document = json.loads((run / 'grpc.json').read_text())
    document['answers'][1]['predictions'][0]['confidence'] = 0.7500001
    (tmp_path / 'grpc.json').write_text(json.dumps(document))

    done = _run_command(
        run, tmp_path / 'index.html', answers=f'{tmp_path}/rest.json,{tmp_path}/grpc.json'
    )

    assert done.returncode == 2
    assert 'photo-1.jpg: the responses must be the same over every transport' in done.stderr
    assert 'REST and gRPC differ for 1 of 3 photos' in done.stdout
    assert 'differ for 1 of 3 photos' in _Page(tmp_path / 'index.html').text


def test_a_run_without_responses_has_no_section_of_predictions(run: Path, tmp_path: Path) -> None:
    done = _run_command(run, tmp_path / 'index.html', answers=None)
    assert done.returncode == 0, done.stderr
    assert 'Predictions of the server' not in done.stdout
    assert 'Predictions of the server' not in _Page(tmp_path / 'index.html').text


@pytest.mark.parametrize(
    ('lost', 'message'),
    [
        ('workdir/report/evaluation.json', 'trainer.evaluate --output='),
        ('workdir/metrics.jsonl', 'trainer.task writes it'),
        ('models/clothes/1/saved_model.pb', 'trainer.export writes it'),
        ('shards/manifest.json', 'beam_pipelines.shard writes it last'),
        ('rest.json', 'No such file or directory'),
    ],
)
def test_a_missing_file_is_named_with_the_command_that_writes_it(
    run: Path, tmp_path: Path, lost: str, message: str
) -> None:
    copy = tmp_path / 'run'
    shutil.copytree(run, copy)
    (copy / lost).unlink()
    done = _run_command(copy, tmp_path / 'index.html')
    assert done.returncode == 2
    assert done.stderr.startswith('error: ')
    assert len(done.stderr.splitlines()) == 1
    assert message in done.stderr
    assert not (tmp_path / 'index.html').exists()


def test_a_run_that_logged_no_step_has_a_summary(run: Path, tmp_path: Path) -> None:
    copy = tmp_path / 'run'
    shutil.copytree(run, copy)
    (copy / 'workdir' / 'metrics.jsonl').write_text('{"step": 2, "lo')  # killed while writing
    done = _run_command(copy, tmp_path / 'index.html')
    assert done.returncode == 0, done.stderr
    assert '0 steps' in done.stdout
    assert '0 steps' in _Page(tmp_path / 'index.html').text


def test_a_malformed_response_file_is_named(run: Path, tmp_path: Path) -> None:
    (tmp_path / 'rest.json').write_text('{"transport": "rest", "answers": [{"image": "a"}]}')
    done = _run_command(run, tmp_path / 'index.html', answers=f'{tmp_path}/rest.json')
    assert done.returncode == 2
    assert 'rest.json: must be what serving.query --json writes' in done.stderr


def test_the_summary_imports_no_tensorflow() -> None:
    program = (
        'import sys\n'
        'from trainer.summary import artifacts, facts, page, text\n'
        "print('tensorflow' in sys.modules or 'keras' in sys.modules)\n"
    )
    done = subprocess.run([sys.executable, '-c', program], capture_output=True, text=True)
    assert done.stdout == 'False\n'
