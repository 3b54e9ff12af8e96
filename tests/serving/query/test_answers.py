"""Answers as text and as JSON."""

from serving.clients import Prediction, RankedCategory
from serving.query.answers import Answer

CATEGORIES = (
    RankedCategory(4, 1000004141, 0.75, ('JARDIN', 'OUTIL', 'BÊCHE')),
    RankedCategory(2, 1000004085, 0.25, ('ÉPICERIE', 'VIN', 'VIN, ROUGE')),
)


def test_an_answer_is_readable() -> None:
    assert Answer(('0.jpg',), Prediction(CATEGORIES)).to_text() == (
        '0.jpg\n'
        '  1.  75.0%  JARDIN > OUTIL > BÊCHE  (category 1000004141)\n'
        '  2.  25.0%  ÉPICERIE > VIN > VIN, ROUGE  (category 1000004085)'
    )


def test_the_answer_of_a_product_has_all_its_images_and_a_level() -> None:
    answer = Answer(('0.jpg', '1.jpg'), Prediction(CATEGORIES, level=2))
    assert answer.to_text().startswith('0.jpg, 1.jpg: confident down to level 2\n')
    document = answer.to_json()
    assert (document['images'], document['level']) == (['0.jpg', '1.jpg'], 2)


def test_codes_and_every_level_are_in_an_answer() -> None:
    category = RankedCategory(4, 9, 0.75, ('JARDIN', 'OUTIL', 'BÊCHE', 'PELLE', ''), code='C-4')
    answer = Answer(('0.jpg',), Prediction((category,)))
    assert answer.to_text().endswith('  1.  75.0%  JARDIN > OUTIL > BÊCHE > PELLE  (category C-4)')
    assert answer.to_json() == {
        'image': '0.jpg',
        'predictions': [
            {
                'label': 4,
                'category_id': 9,
                'confidence': 0.75,
                'level1': 'JARDIN',
                'level2': 'OUTIL',
                'level3': 'BÊCHE',
                'level4': 'PELLE',
                'level5': '',
                'category_code': 'C-4',
            }
        ],
    }
