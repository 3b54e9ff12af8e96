"""Builds a synthetic category tree with French names and the proportions of Kaggle's tree. Pure.

Kaggle's tree has 5,270 leaves below 49 level-1 nodes and 486 level-2 paths with 483 names; 5,263
level-3 names; 3 rows that need quotes, 87 with leading or trailing spaces, 19 that are not ASCII;
category ids from 1000000237 to 1000022604; rows sorted by name. The names here are invented.
"""

import functools
import itertools
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from catalog.errors import UserError
from catalog.samples import dump, long_tail

KAGGLE_CLASSES = 5_270
MAX_CLASSES = 6_000

# Words of each column, separated by a bar.
_AISLES = """ATELIER|BALCON|BERCEAU|BUREAU|CAVE|CELLIER|CHAMBRE|CUISINE|ENTREE|FERME|FOURNIL|
GARAGE|GRENIER|JARDIN|LAVERIE|MARCHE|MONTAGNE|PLAGE|POTAGER|SALON|SCENE|TERRASSE|
VERGER|VOYAGE"""
_TRADES = 'ENTRETIEN|EQUIPEMENT|FETE|JEU|LOISIR|MOBILIER|PARURE|REPAS|SOIN|TRANSPORT'
_RANGES = """ACCESSOIRES|APPAREILS|ARTICLES|BOITES|CONSOMMABLES|DECORS|ENSEMBLES|FOURNITURES|
HOUSSES|INSTRUMENTS|KITS|MACHINES|MATERIEL|MODELES|OUTILS|PIECES|PRODUITS|RECHARGES|SUPPORTS|
TEXTILES"""
_USERS = """ADULTE|ARTISAN|ATHLETE|BEBE|BRICOLEUR|CAMPEUR|CAVALIER|CHASSEUR|COLLECTIONNEUR|
CONDUCTEUR|CYCLISTE|ECOLIER|ENFANT|GOURMAND|INVITE|JARDINIER|MARCHEUR|MARIN|MUSICIEN|
NAGEUR|PATISSIER|PEINTRE|PHOTOGRAPHE|RANDONNEUR|SKIEUR|SPORTIF|VENDEUR|VOISIN|VOYAGEUR|
ZOOLOGUE"""
_THINGS = """AGRAFE|ANSE|ARROSOIR|ASSIETTE|BALAI|BASSINE|BOBINE|BOCAL|BOUCHON|BOUGIE|BROSSE|CADRE|
CAISSE|CARAFE|CEINTURE|CHAISE|CHARIOT|CISEAUX|CLOCHE|COFFRET|CORDE|COUSSIN|CROCHET|
CUVE|DRAP|ECHELLE|ECRIN|ENTONNOIR|ETAGERE|ETUI|FILET|FLACON|GANT|GOBELET|GRILLE|
HAMAC|LAMPE|LANTERNE|LOUPE|MALLE|MANCHE|MIROIR|NAPPE|PANIER|PARASOL|PINCE|PLATEAU|
POULIE|RATEAU|RIDEAU|ROBINET|RUBAN|SEAU|SIFFLET|SOUFFLET|TABOURET|TAMIS|TAPIS|TIROIR|
TRETEAU"""
_MATTERS = """ACIER|ARGILE|BAMBOU|BOIS|CERAMIQUE|CORDE|COTON|CUIR|CUIVRE|FER|FEUTRE|LAINE|LIEGE|
LIN|OSIER|PAPIER|PIERRE|RESINE|VERRE|ZINC"""
_MANNERS = """A POSER|A SUSPENDRE|BASCULANT|DE POCHE|DE SECOURS|DEMONTABLE|ETANCHE|EXTENSIBLE|
GONFLABLE|LEGER|MURAL|NOMADE|PLIANT|PLIANT - EMPILABLE|PROFESSIONNEL|REGLABLE|ROND|
SUR MESURE|SUR ROULETTES|XL"""


@functools.cache
def build_tree(*, classes: int, seed: int) -> bytes:
    """Builds a tree, as the bytes of a category_names.csv.

    Raises:
      UserError: If `classes` is not from 1 to MAX_CLASSES.
    """
    if not 1 <= classes <= MAX_CLASSES:
        raise UserError(f'classes must be from 1 to {MAX_CLASSES}, got {classes}')
    rng = np.random.default_rng([seed, 10])
    aisles = min(classes, max(3, _like_kaggle(49, classes)))
    ranges = min(classes, max(5, _like_kaggle(486, classes)))
    level1_weights = np.exp(-4 * np.arange(aisles) / aisles)
    ranges_of = long_tail.apportion(ranges, level1_weights, minimum=1)
    parent = np.repeat(np.arange(aisles), ranges_of)  # [ranges]
    level2_weights = (level1_weights / ranges_of)[parent] * rng.lognormal(0, 0.8, ranges)
    leaves_of = long_tail.apportion(classes, level2_weights, minimum=1)

    level1 = _phrases(rng, aisles, _AISLES, '-', _TRADES)
    level2 = _level2_names(rng, parent, classes)
    level3 = _level3_names(rng, leaves_of, classes)
    node = np.repeat(np.arange(ranges), leaves_of)  # [classes]
    names = [(level1[parent[n]], level2[n], level3[leaf]) for leaf, n in enumerate(node)]
    return dump.category_names(
        [(number, *path) for number, path in zip(_numbers(rng, classes), names, strict=True)]
    )


def _like_kaggle(count: int, classes: int) -> int:
    return max(1, round(count * classes / KAGGLE_CLASSES))


def _phrases(rng: np.random.Generator, count: int, *columns: str) -> list[str]:
    """Draws `count` different phrases of one word from each column, given as `word|word|…`."""
    lists = [[word.strip() for word in column.split('|')] for column in columns]
    sizes = [len(words) for words in lists]
    picks = np.unravel_index(rng.choice(np.prod(sizes), count, replace=False), sizes)
    chosen = ([words[i] for i in pick] for words, pick in zip(lists, picks, strict=True))
    return [' '.join(phrase) for phrase in zip(*chosen, strict=True)]


def _level2_names(
    rng: np.random.Generator, parent: npt.NDArray[np.int64], classes: int
) -> list[str]:
    names = _phrases(rng, len(parent), _RANGES, 'POUR', _USERS)
    _, first = np.unique(parent, return_index=True)  # the first node below each level-1 node
    _repeat_names(names, first, _like_kaggle(3, classes))
    names[first[-1]] += ' '
    return names


def _level3_names(
    rng: np.random.Generator, leaves_of: npt.NDArray[np.int64], classes: int
) -> list[str]:
    names = _phrases(rng, classes, _THINGS, 'EN', _MATTERS, _MANNERS)
    odd = iter(rng.permutation(classes).tolist())
    for _ in range(_like_kaggle(2, classes)):
        _change(names, odd, "{} (JUSQU'A 2,5 KG)")
    _change(names, odd, '{} (12" - 14")')
    _change(names, odd, ' {} ')
    for _ in range(_like_kaggle(60, classes)):
        _change(names, odd, '{} ')
    for form in ('{} À ŒILLETS', '{} D’ÉTÉ', '{} – DÉCORÉ', '{}\xa0'):
        for _ in range(_like_kaggle(5, classes)):
            _change(names, odd, form)
    _repeat_names(names, np.cumsum(leaves_of) - leaves_of, _like_kaggle(7, classes))
    return names


def _repeat_names(names: list[str], places: npt.NDArray[np.int64], pairs: int) -> None:
    """Gives nodes 1, 3, 5, … of `places` the names of nodes 0, 2, 4, …; their parents differ."""
    for i in range(min(pairs, len(places) // 2)):
        names[places[2 * i + 1]] = names[places[2 * i]]


def _change(names: list[str], places: Iterator[int], form: str) -> None:
    for place in itertools.islice(places, 1):
        names[place] = form.format(names[place])


def _numbers(rng: np.random.Generator, classes: int) -> list[int]:
    """Draws the category ids, unordered, as sparse as Kaggle's: about one number in four."""
    span = max(22_368, classes * 22_368 // KAGGLE_CLASSES)
    return [1_000_000_237 + int(i) for i in rng.choice(span, classes, replace=False)]
