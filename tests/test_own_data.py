"""Runs the commands of docs/own-data.md as a new user would."""

import csv
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import bson
import pytest
from pymongo import MongoClient

from tests import mongodb, ports
from tests.shop import photo, write_photo

ROOT = Path(__file__).resolve().parents[1]
GUIDE = (ROOT / 'docs' / 'own-data.md').read_text()
CATEGORIES = ('Clothes/Shoes', 'Clothes/Hats', 'Home')


def commands(heading: str) -> list[str]:
    """The blocks of commands of a section."""
    (section,) = re.findall(rf'^## {heading}$(.*?)(?=^## |\Z)', GUIDE, re.DOTALL | re.MULTILINE)
    found = re.findall(r'^```bash\n(.*?)^```$', section, re.DOTALL | re.MULTILINE)
    assert found
    return found


def run(folder: Path, script: str) -> str:
    """Runs commands in a folder; what they started ends with them."""
    script = script.replace('python ', f'{sys.executable} ').replace(
        'configs/tiny.py', str(ROOT / 'configs' / 'tiny.py')
    )
    process = subprocess.Popen(
        ['bash', '-euc', script],
        cwd=folder,
        env=os.environ | {'PYTHONPATH': str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        if '&\n' in script:  # a server in the background keeps the pipe open
            process.wait(timeout=300)
            os.killpg(process.pid, signal.SIGTERM)
        output, _ = process.communicate(timeout=300)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        raise
    assert process.returncode == 0, output
    return output


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """Photos in folders, as the guide shows them: ten products a category, some of two photos."""
    for number in range(30):
        name = f'photos/{CATEGORIES[number % 3]}/item{number}'
        views = [f'{name}/1.jpg', f'{name}/2.jpg'] if number % 5 == 0 else [f'{name}.jpg']
        for view, path in enumerate(views):
            write_photo(tmp_path, path, photo(100 * number + view))
    write_photo(tmp_path, 'photos/Home/mug.jpg', photo(9))
    return tmp_path


def shard_counts(folder: Path) -> tuple[int, int]:
    manifest = json.loads((folder / 'shards' / 'manifest.json').read_text())
    ledger = manifest['ledger']
    return ledger['documents']['read'], ledger['pictures']['read']


def test_folders_become_a_served_model(shop: Path) -> None:
    run(shop, *commands('Route 1: folders'))
    assert shard_counts(shop) == (31, 37)
    (train,) = commands('Train, evaluate, export')
    run(shop, train.replace('total_steps=300', 'total_steps=5'))
    predict, serve = commands('Predict and serve')
    assert re.search(r'accuracy [01]\.\d{4}: \d+ of 31 labelled products', run(shop, predict))
    with (shop / 'answers.csv').open(newline='') as file:
        rows = list(csv.DictReader(file))
    assert 'Clothes/Hats/item1.jpg' in {row['_id'] for row in rows}
    assert {row['true_category_id'] for row in rows} == {'0', '1', '2'}
    port = ports.find_free_port()
    serve = serve.replace('8500', str(port)).replace('_name=shop', f'_name=shop --port={port}')
    answer = run(shop, serve.replace('--port', '--rest_api_port=0 --port'))
    assert 'photos/Home/mug.jpg\n' in answer


def test_a_list_becomes_shards(shop: Path) -> None:
    rows = [
        (path.stem if path.parent.name in ('Shoes', 'Hats', 'Home') else path.parent.name, path)
        for path in sorted((shop / 'photos').rglob('*.jpg'))
    ]
    with (shop / 'products.csv').open('w', newline='') as file:
        writer = csv.writer(file)
        writer.writerow(['sku', 'photo', 'category'])
        for sku, path in rows:
            category = next(name for name in CATEGORIES if f'photos/{name}/' in str(path))
            name = path.relative_to(shop)
            writer.writerow([sku, name, category.replace('/', ' > ')])
    run(shop, *commands('Route 2: a list'))
    assert shard_counts(shop) == (31, 37)


@pytest.fixture(scope='module')
def mongodb_server():
    with mongodb.running_server() as (uri, _):
        yield uri


def test_a_collection_becomes_shards(shop: Path, mongodb_server: str) -> None:
    documents = [
        bson.encode(
            {
                'sku': f'item{number}',
                'images': [{'data': photo(number)}],
                'category': CATEGORIES[number % 3].replace('/', ' > '),
            }
        )
        for number in range(30)
    ]
    with MongoClient(mongodb_server) as client:
        mongodb.fill(client['shop']['products'], documents)
        client['shop']['products'].create_index('sku')
    (shop / 'tree.csv').write_text('id,level1,level2\n1,Clothes,Shoes\n2,Clothes,Hats\n3,Home,\n')
    (script,) = commands('Route 3: MongoDB')
    run(shop, script.replace('mongodb://127.0.0.1:27017', mongodb_server))
    assert shard_counts(shop) == (30, 30)
