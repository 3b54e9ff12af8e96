"""Several models: policies, labels, changes of the config, and verified folders."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import tensorflow as tf

from catalog.digests import folder as digests
from catalog.errors import UserError
from serving.config.models import ModelConfig
from serving.config.policies import All, Latest, Policy, Specific
from serving.models.loading import LoadedModel, Loader
from serving.models.models import Models
from serving.models.spec import ModelSpec
from serving.protocol.status import Code, RequestError
from tests.serving.colours import save_version

Copy = Callable[..., Path]


@pytest.fixture(scope='module')
def version(tmp_path_factory: pytest.TempPathFactory) -> Path:
    base = tmp_path_factory.mktemp('model')
    save_version(base, 1)
    return base / '1'


@pytest.fixture
def copy(version: Path, tmp_path: Path) -> Copy:
    """Copies the model to versions of a model's folder, and returns that folder."""

    def call(name: str, *numbers: int) -> Path:
        for number in numbers:
            shutil.copytree(version, tmp_path / name / 'new')
            (tmp_path / name / 'new').rename(tmp_path / name / str(number))
        return tmp_path / name

    return call


def config(base: Path, policy: Policy | None = None, **labels: int) -> ModelConfig:
    return ModelConfig(base.name, str(base), policy or Latest(), labels)


def served(models: Models, name: str, **which: int | str) -> int:
    with models.use(ModelSpec(name, **which)) as loaded:
        return loaded.version


def test_a_policy_serves_several_versions_and_the_highest_by_default(copy: Copy) -> None:
    base = copy('a', 1, 2, 3)
    models = Models(loader=Loader(), report=print)
    models.configure([config(base, Latest(2))])
    assert models.available == {'a': [3, 2]}
    assert (served(models, 'a'), served(models, 'a', version=2)) == (3, 2)
    with pytest.raises(RequestError, match=r'Specific\(a, 1\)') as caught:
        served(models, 'a', version=1)
    assert caught.value.code == Code.NOT_FOUND

    models.configure([config(base, Specific(frozenset({1})))])  # back to an older version
    assert models.available == {'a': [1]}
    models.configure([config(base, All())])
    assert models.available == {'a': [3, 2, 1]}
    models.close()
    assert {status.state for status in models.statuses(ModelSpec('a'))} == {'END'}


def test_a_label_names_a_loaded_version(copy: Copy) -> None:
    base = copy('a', 1, 2)
    models = Models(loader=Loader(), report=print)
    with pytest.raises(UserError, match='label stable to version 1 of model a, which is not'):
        models.configure([config(base, All(), stable=1)])
    models.configure([config(base, All())])
    models.configure([config(base, All(), stable=1, canary=2)])
    assert served(models, 'a', label='stable') == 1
    assert served(models, 'a', label='canary') == 2
    with pytest.raises(RequestError, match='Unrecognized servable version label: beta') as caught:
        served(models, 'a', label='beta')
    assert caught.value.code == Code.INVALID_ARGUMENT

    with pytest.raises(UserError, match='label canary to version 3'):
        models.configure([config(base, Latest(), canary=3)])
    assert models.available == {'a': [2, 1]}  # the config is as before
    assert served(models, 'a', label='canary') == 2


def test_a_new_label_may_name_a_version_that_is_not_loaded_if_allowed(copy: Copy) -> None:
    base = copy('a', 1)
    models = Models(loader=Loader(), report=print, labels_for_unavailable=True)
    models.configure([config(base, stable=1, canary=2)])
    assert served(models, 'a', label='stable') == 1
    with pytest.raises(RequestError, match=r'Specific\(a, 2\)'):
        served(models, 'a', label='canary')
    with pytest.raises(UserError, match='label stable to version 2'):  # a label that is in use
        models.configure([config(base, stable=2)])
    copy('a', 2)
    models.poll()
    assert served(models, 'a', label='canary') == 2


def test_models_are_added_and_removed(copy: Copy, tmp_path: Path) -> None:
    a, b = copy('a', 1), copy('b', 5)
    models = Models(loader=Loader(), report=print)
    models.configure([config(a)])
    with models.use(ModelSpec('a')) as in_use:
        models.configure([config(b)])
        assert models.available == {'b': [5]}
        states = [status.state for status in models.statuses(ModelSpec('a'))]
        assert states == ['UNLOADING']  # a request uses it
        assert in_use.model.signatures
    with pytest.raises(RequestError, match=r'Latest\(a\)'):
        served(models, 'a')
    models.configure([config(a), config(b)])
    assert models.available == {'a': [1], 'b': [5]}

    (tmp_path / 'c').mkdir()
    with pytest.raises(UserError, match='/c: must contain a version folder'):
        models.configure([config(tmp_path / 'c'), config(b)])
    assert models.available == {'a': [1], 'b': [5]}


def test_the_old_version_stays_until_a_selected_one_is_loaded(copy: Copy) -> None:
    base = copy('a', 1)
    lines: list[str] = []
    models = Models(loader=Loader(), report=lines.append)
    models.configure([config(base)])
    (base / '2').mkdir()  # empty: half copied
    models.poll()
    models.poll()
    assert models.available == {'a': [1]}
    assert len([line for line in lines if 'version 2 failed to load' in line]) == 1
    shutil.rmtree(base / '2')
    copy('a', 2)
    models.poll()
    assert models.available == {'a': [2]}


class SlowCopy(Loader):
    """Loads a version while a file of it is still being copied, once."""

    def load(self, path: str, *, model_name: str) -> LoadedModel:
        late = Path(path, 'assets', 'late.csv')
        if not late.exists():
            late.write_bytes(b'')
        return super().load(path, model_name=model_name)


def test_a_version_that_is_being_copied_is_loaded_when_it_is_complete(copy: Copy) -> None:
    base = copy('a', 1)
    models = Models(loader=SlowCopy(), report=print)
    with pytest.raises(UserError, match='must not change while it is loaded; is it being copied'):
        models.configure([config(base)])
    models.configure([config(base)])
    assert models.available == {'a': [1]}


def test_a_folder_is_verified_before_its_graph_runs(version: Path, tmp_path: Path) -> None:
    """The warm-up request of the folder runs a graph that writes a file."""

    class Writer(tf.Module):
        @tf.function(input_signature=[tf.TensorSpec([], tf.string, 'path')])
        def write(self, path: tf.Tensor) -> dict[str, tf.Tensor]:
            with tf.control_dependencies([tf.io.write_file(path, 'written')]):
                return {'done': tf.constant(1)}

    from tensorflow_serving.apis import prediction_log_pb2

    from tests.serving.colours import predict_request

    base, written = tmp_path / 'a', tmp_path / 'written'
    folder = base / '1'
    module = Writer()
    tf.saved_model.save(module, str(folder), {'serving_default': module.write})
    digests.write(str(folder))
    log = prediction_log_pb2.PredictionLog()
    log.predict_log.request.CopyFrom(predict_request({'path': str(written)}))
    (folder / 'assets.extra').mkdir()
    with tf.io.TFRecordWriter(str(folder / 'assets.extra/tf_serving_warmup_requests')) as file:
        file.write(log.SerializeToString())

    models = Models(loader=Loader(), report=print)
    with pytest.raises(UserError, match='tf_serving_warmup_requests: must be listed in digests'):
        models.configure([config(base)])
    assert not written.exists()
    digests.write(str(folder))
    models.configure([config(base)])  # the check is what kept the graph from running
    assert written.read_text() == 'written'
