"""A model folder is loaded only as its publisher wrote it."""

import hashlib
import json
from pathlib import Path

import pytest

from catalog.digests import folder as digests
from catalog.digests.keys import PrivateKey, PublicKey, read_private_key, read_public_key
from catalog.errors import UserError
from tests import gcs_emulator
from tests.keys import key_pair, openssl


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / 'model'
    (folder / 'assets').mkdir(parents=True)
    (folder / 'saved_model.pb').write_bytes(b'graph')
    (folder / 'assets' / 'names.csv').write_bytes(b'names')
    return folder


def keys(folder: Path, name: str = 'key') -> tuple[PrivateKey, PublicKey]:
    private, public = key_pair(folder, name)
    return private, read_public_key(str(public))


def test_the_digests_list_every_file(model: Path) -> None:
    digests.write(str(model))
    assert json.loads((model / 'digests.json').read_text()) == {
        'sha256': {
            'assets/names.csv': hashlib.sha256(b'names').hexdigest(),
            'saved_model.pb': hashlib.sha256(b'graph').hexdigest(),
        }
    }
    assert digests.verify(str(model)) == 'intact'


def test_a_folder_without_digests_is_unverified(model: Path) -> None:
    assert digests.verify(str(model)) == 'unverified'


@pytest.mark.parametrize(
    ('damage', 'named'),
    [
        (lambda model: (model / 'saved_model.pb').write_bytes(b'grape'), 'saved_model.pb: must'),
        (lambda model: (model / 'assets' / 'names.csv').unlink(), 'assets/names.csv: must'),
        (lambda model: (model / 'warmup').write_bytes(b''), 'warmup: must be listed'),
        (lambda model: (model / '.hidden').write_bytes(b''), '.hidden: must be listed'),
        (lambda model: (model / 'extra').symlink_to(model), 'extra: must be listed'),
        (lambda model: (model / 'digests.json').write_text('[]'), 'digests.json: must be JSON'),
        (lambda model: (model / 'digests.json').write_text('{"sha'), 'digests.json: must be JSON'),
    ],
)
def test_a_changed_folder_is_refused_by_the_name_of_the_file(
    model: Path, damage: object, named: str
) -> None:
    digests.write(str(model))
    damage(model)
    with pytest.raises(UserError, match=named):
        digests.verify(str(model))


def test_only_the_owner_of_the_key_signs(model: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    _, other = keys(tmp_path, 'other')
    digests.write(str(model), key=private)
    assert digests.verify(str(model), key=public) == 'signed'
    assert digests.verify(str(model)) == 'intact'
    with pytest.raises(UserError, match=r'digests\.json\.sig: must be the signature'):
        digests.verify(str(model), key=other)


def test_digests_made_again_by_someone_else_are_refused(model: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    digests.write(str(model), key=private)
    (model / 'saved_model.pb').write_bytes(b'a graph that writes files')
    digests.write(str(model))
    assert digests.verify(str(model)) == 'intact'
    with pytest.raises(UserError, match='must be the signature'):
        digests.verify(str(model), key=public)
    (model / 'digests.json.sig').unlink()
    with pytest.raises(UserError, match='must be signed'):
        digests.verify(str(model), key=public)
    (model / 'digests.json').unlink()
    with pytest.raises(UserError, match=r'must have a digests\.json and its signature'):
        digests.verify(str(model), key=public)


def test_openssl_makes_and_checks_the_same_signature(model: Path, tmp_path: Path) -> None:
    private, public = keys(tmp_path)
    digests.write(str(model))
    signature = model / 'digests.json.sig'
    openssl(
        *('pkeyutl', '-sign', '-rawin', '-inkey', tmp_path / 'key.pem'),
        *('-in', model / 'digests.json', '-out', signature),
    )
    assert digests.verify(str(model), key=public) == 'signed'
    assert signature.read_bytes() == private.sign((model / 'digests.json').read_bytes())


def test_a_wrong_key_file_is_named(tmp_path: Path) -> None:
    key_pair(tmp_path)
    openssl('genrsa', '-out', tmp_path / 'rsa.pem')
    for read, name in [
        (read_private_key, 'key-public.pem'),
        (read_public_key, 'key.pem'),
        (read_private_key, 'rsa.pem'),
        (read_public_key, 'none.pem'),
    ]:
        with pytest.raises(UserError, match=rf'{name}: must be a PEM file of an Ed25519'):
            read(str(tmp_path / name))


def test_a_folder_in_a_bucket_is_verified_too(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests.write(str(model))
    with gcs_emulator.running_store() as url:
        monkeypatch.setenv('STORAGE_EMULATOR_HOST', url)
        bucket = gcs_emulator.client(url).create_bucket('models')
        bucket.blob('shop/1/').upload_from_string(b'')  # a folder, as browsers make it
        for path in model.rglob('*'):
            if path.is_file():
                name = path.relative_to(model).as_posix()
                bucket.blob(f'shop/1/{name}').upload_from_string(path.read_bytes())
        assert digests.verify('gs://models/shop/1') == 'intact'
        bucket.blob('shop/1/extra').upload_from_string(b'')
        with pytest.raises(UserError, match='gs://models/shop/1/extra: must be listed'):
            digests.verify('gs://models/shop/1')
        assert digests.verify('gs://models/shop/2') == 'unverified'
