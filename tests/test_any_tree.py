"""From photos to predictions over gRPC, with category trees of other depths than Kaggle's."""

import io
import json
from pathlib import Path

import numpy as np
from PIL import Image

from catalog import categories
from serving.clients import Client, Prediction
from serving.query.answers import Answer
from tests.beam_pipelines.running import read_split, run_job
from tests.serving.running import start_server
from trainer.config import InputConfig, LossConfig, ModelConfig, OptimizerConfig, TrainConfig
from trainer.data import data_set
from trainer.evaluate import evaluation
from trainer.export import saved_model
from trainer.summary import artifacts, facts, page, text
from trainer.training.loop import train

FIVE_LEVELS = (
    'code;level1;level2;level3;level4;level5\n'
    'SKI-1;Sport;Winter;Ski;Alpin;Herren\n'
    'SKI-2;Sport;Winter;Ski;Alpin;Damen\n'
    'BALL;Sport;Bälle;;;\n'
)
ONE_LEVEL = '\ufeffid,level1\n7,Röcke\n8,Hosen\n9,Hüte\n'
GOOGLE = (
    '# Google_Product_Taxonomy_Version: 2021-09-21\r\n'
    '1 - Animals & Pet Supplies\r\n'
    '3237 - Animals & Pet Supplies > Live Animals\r\n'
    '2 - Animals & Pet Supplies > Pet Supplies\r\n'
    '3 - Animals & Pet Supplies > Pet Supplies > Bird Supplies\r\n'
    '7385 - Animals & Pet Supplies > Pet Supplies > Bird Supplies > Bird Cage Accessories\r\n'
    '499954 - Animals & Pet Supplies > Pet Supplies > Bird Supplies > Bird Cage Accessories'
    ' > Bird Cage Bird Baths\r\n'
)


def photo(colour: int, seed: int) -> bytes:
    """A noisy picture of one of three colours."""
    pixels = np.random.default_rng([colour, seed]).integers(0, 80, (16, 16, 3))
    pixels[..., colour] += 170
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, 'JPEG')
    return file.getvalue()


def predict_from_photos(
    tree_text: str, folders: list[str], folder: Path, *, loss: str
) -> list[Prediction]:
    """Runs all steps on a folder of photos for each of three categories, each of its own colour.

    Returns the predictions for the three colours, and for a product of two photos of the last one.
    """
    tree_path = folder / 'tree.txt'
    tree_path.write_bytes(tree_text.encode())
    for colour, name in enumerate(folders):
        (folder / 'photos' / name).mkdir(parents=True)
        for number in range(16):
            path = folder / 'photos' / name / f'{100 * colour + number}.jpg'
            path.write_bytes(photo(colour, number))
    data, workdir = str(folder / 'shards'), str(folder / 'run')
    run_job(folder / 'photos', tree_path, data, validation_fraction=0.25, shards=1)
    config = TrainConfig(
        batch_size=12,
        total_steps=40,
        model=ModelConfig(channels=4),
        input=InputConfig(height=16, width=16),
        loss=LossConfig(levels=loss),  # type: ignore[arg-type]
        optimizer=OptimizerConfig(learning_rate=0.02),
    )
    train(config, data_set.open_data_set(data), workdir)
    evaluation.evaluate(
        workdir=workdir, data_folder=data, split='validation', output=f'{workdir}/report'
    )
    saved_model.export(
        workdir=workdir, output=str(folder / 'colours' / '1'), top_k=2, threshold=0.5
    )
    server = start_server(folder / 'colours')
    try:
        pictures = tuple(photo(colour, 100) for colour in range(3))
        with Client(server.grpc, model='colours', deadline_seconds=60) as client:
            return [*client.classify(pictures), *client.classify_products([pictures[2:] * 2])]
    finally:
        server.kill()


def level_metrics(folder: Path) -> list[tuple[int, int]]:
    """Level and number of nodes in the evaluation."""
    document = json.loads((folder / 'run' / 'report' / 'evaluation.json').read_text())
    return [(level['level'], level['nodes']) for level in document['levels']]


def summary(folder: Path, predictions: list[Prediction]) -> str:
    """The page and the text that `make run` ends with."""
    paths = [folder / f'{colour}.jpg' for colour in range(len(predictions))]
    for colour, path in enumerate(paths):
        path.write_bytes(photo(colour, 100))
    answers = [
        Answer((str(path),), prediction).to_json()
        for path, prediction in zip(paths, predictions, strict=True)
    ]
    document = {'transport': 'grpc', 'server': 'localhost', 'answers': answers}
    (folder / 'answers.json').write_text(json.dumps(document))
    folders = {
        'data': str(folder / 'shards'),
        'workdir': str(folder / 'run'),
        'export': str(folder / 'colours' / '1'),
    }
    run = artifacts.read_run(**folders, answers=[str(folder / 'answers.json')])
    outputs = facts.list_outputs(**folders, page=str(folder / 'index.html'))
    return page.render_page(run, outputs).decode() + text.format_summary(run, outputs, bold=False)


def test_a_shop_with_codes_and_five_levels(tmp_path: Path) -> None:
    folders = ['Sport > Winter > Ski > Alpin > Herren', 'Sport > Winter > Ski > Alpin > Damen']
    folders.append('Sport > Bälle')
    found = predict_from_photos(FIVE_LEVELS, folders, tmp_path, loss='heads')
    assert [prediction.categories[0].code for prediction in found] == [
        *('SKI-1', 'SKI-2', 'BALL', 'BALL')
    ]
    assert found[1].categories[0].levels == ('Sport', 'Winter', 'Ski', 'Alpin', 'Damen')
    assert found[2].categories[0].levels == ('Sport', 'Bälle', '', '', '')
    assert found[3].level == 2  # where the path ends
    assert level_metrics(tmp_path) == [(1, 1), (2, 2), (3, 2), (4, 2), (5, 3)]
    manifest = json.loads((tmp_path / 'shards' / 'manifest.json').read_text())
    assert (manifest['schema_version'], manifest['categories']['levels']) == (2, 5)
    written = (tmp_path / 'shards' / categories.FILE_NAME).read_text().splitlines()
    assert written[0] == 'category_id,' + ','.join(f'category_level{n}' for n in range(1, 6))
    assert written[3] == 'BALL,Sport,Bälle,,,'
    parents = {
        r.category.label: r.category.parents for r in read_split(tmp_path / 'shards', 'train')[0]
    }
    assert parents == {0: (0, 0, 0, 0), 1: (0, 0, 0, 0), 2: (0, 1, 1, 1)}
    report = tmp_path / 'run' / 'report'
    assert 'Sport › Winter › Ski › Alpin' in (report / 'evaluation.html').read_text()
    document = json.loads((report / 'evaluation.json').read_text())
    assert [row['category_id'] for row in document['classes']] == ['SKI-1', 'SKI-2', 'BALL']
    summarized = summary(tmp_path, found[:3])
    assert summarized.count('Herren') > 3
    assert 'Bälle' in summarized.split('</html>')[1]
    card = json.loads((tmp_path / 'colours' / '1' / 'model_card.json').read_text())
    outputs = card['signatures']['serving_default']['outputs']
    assert [name for name in outputs if name.startswith('level')] == [
        f'level{n}' for n in range(1, 6)
    ]


def test_a_shop_with_one_level(tmp_path: Path) -> None:
    found = predict_from_photos(ONE_LEVEL, ['Röcke', '8', 'Hüte'], tmp_path, loss='leaf')
    assert [prediction.categories[0].levels for prediction in found] == [
        *(('Röcke',), ('Hosen',), ('Hüte',), ('Hüte',))
    ]
    assert [prediction.categories[0].category_id for prediction in found] == [7, 8, 9, 9]
    assert found[3].level == 1
    assert level_metrics(tmp_path) == [(1, 3)]


def test_googles_product_taxonomy(tmp_path: Path) -> None:
    bath = 'Animals & Pet Supplies > Pet Supplies > Bird Supplies > Bird Cage Accessories'
    folders = ['1', 'Animals & Pet Supplies > Pet Supplies > Bird Supplies', '499954']
    found = predict_from_photos(GOOGLE, folders, tmp_path, loss='summed')
    assert [prediction.categories[0].category_id for prediction in found] == [1, 3, 499954, 499954]
    assert ' > '.join(found[2].categories[0].levels) == f'{bath} > Bird Cage Bird Baths'
    assert found[0].categories[0].levels == ('Animals & Pet Supplies', '', '', '', '')
    assert level_metrics(tmp_path) == [(1, 1), (2, 3), (3, 4), (4, 5), (5, 6)]
    written = (tmp_path / 'shards' / categories.FILE_NAME).read_text().splitlines()
    assert written[1] == '1,Animals & Pet Supplies,,,,'
