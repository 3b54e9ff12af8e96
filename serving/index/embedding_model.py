"""The exported model that embeds pictures: its identity, and that it can."""

import hashlib
import io
import os

from PIL import Image

from catalog import storage
from catalog.digests import folder as digests
from catalog.errors import UserError
from catalog.model_versions import names
from catalog.process import optional_libraries, startup_messages
from serving.index import embedding
from serving.protocol.names import EMBEDDING, EMBEDDING_SIGNATURE, IMAGE_BYTES
from serving.protocol.status import RequestError
from serving.runtimes.model import Model
from serving.similar.index_info import ModelIdentity

_GRAPH = 'saved_model.pb'
_COMPUTED_FROM = (_GRAPH, 'variables/', 'assets/')  # what outputs depend on


def identify(path: str) -> ModelIdentity:
    """Identifies a version folder `DIR/MODEL/VERSION` by its graph, variables and assets.

    Raises:
      UserError: If it is not the folder of a SavedModel.
    """
    if not storage.exists(storage.join(path, _GRAPH)):
        raise UserError(
            f'{path}: --model must be the version folder of an exported model, such as '
            f'DIR/MODEL/1, with a {_GRAPH}, got none'
        )
    lines = [
        f'{name} {digest}\n'
        for name, digest in sorted(digests.compute(path).items())
        if name.startswith(_COMPUTED_FROM)
    ]
    # abspath would shorten the two slashes of gs://.
    whole = path if storage.is_remote(path) else os.path.abspath(path)
    *_, name, version = whole.rstrip('/').split('/')
    return ModelIdentity(
        name=name,
        version=names.read_version(version) or 0,
        sha256=hashlib.sha256(''.join(lines).encode()).hexdigest(),
    )


def load(path: str) -> Model:
    """Verifies and loads a model.

    Raises:
      UserError: If its files are not those of its digests, if it does not load, or if it has no
        signature that embeds pictures.
    """
    digests.verify(path)
    _load_tensorflow()
    from serving.runtimes.saved_model import SavedModel

    try:
        model = SavedModel(path)
    except Exception as error:  # TensorFlow's loader raises many types
        raise UserError(f'{path}: --model must be a loadable model, got: {error}') from error
    signature = model.signatures.get(EMBEDDING_SIGNATURE)
    if not signature or IMAGE_BYTES not in signature.inputs or EMBEDDING not in signature.outputs:
        model.close()
        raise UserError(
            f'{path}: --model must have the signature {EMBEDDING_SIGNATURE} from {IMAGE_BYTES} to '
            f'{EMBEDDING}, got {sorted(model.signatures)}; export it again with trainer.export'
        )
    return model


def _load_tensorflow() -> None:
    """Loads TensorFlow, which takes seconds: an index that is up to date does not wait for it."""
    with startup_messages.hide():
        with optional_libraries.skip():
            import tensorflow as tf

        for kind in (tf.float16, tf.uint8):
            tf.constant(0, kind)  # logs warnings about missing hardware, also oneDNN's
    tf.get_logger().setLevel('ERROR')  # hides deprecation warnings of the TensorFlow 1 loader


def count_dimensions(model: Model) -> int:
    """Returns D, by embedding a white picture.

    Raises:
      UserError: If the model fails.
    """
    file = io.BytesIO()
    Image.new('RGB', (64, 64), 'white').save(file, 'JPEG')
    try:
        return len(embedding.embed(model, [file.getvalue()])[0])
    except RequestError as error:
        raise UserError(f'--model must embed a white picture, got: {error.message}') from error
