"""The export is readable by TensorFlow 2.20, on which TensorFlow Serving 2.20.0 is built.

`operations_of_tensorflow_2_20.txt` has the names and attributes of operations as TensorFlow 2.20.0
registers them (`op_def_registry.get`). An export was loaded and run there once, with the same
outputs as in 2.21.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tensorflow.core.protobuf import saved_model_pb2

REGISTERED = Path(__file__).with_name('operations_of_tensorflow_2_20.txt')
GRAPH_DEF_VERSION = 2288  # tf.version.GRAPH_DEF_VERSION of 2.20.0


@pytest.fixture(scope='module')
def graph(exported: Path) -> Any:
    content = (exported / 'saved_model.pb').read_bytes()
    (meta_graph,) = saved_model_pb2.SavedModel.FromString(content).meta_graphs
    return meta_graph.graph_def


def nodes(graph: Any) -> Iterator[Any]:
    yield from graph.node
    for function in graph.library.function:
        yield from function.node_def


def test_each_operation_and_attribute_exists_in_the_older_version(graph: Any) -> None:
    registered = {
        name: set(attributes)
        for name, *attributes in map(str.split, REGISTERED.read_text().splitlines())
    }
    functions = {function.signature.name for function in graph.library.function}
    unknown = {
        (node.op, attribute)
        for node in nodes(graph)
        if node.op not in functions
        for attribute in ['', *node.attr]  # '' for the operation itself
        if not attribute.startswith('_')  # an annotation, which a reader ignores
        if attribute not in {'', *registered.get(node.op, ())} or node.op not in registered
    }
    assert not unknown, 'check these in TensorFlow 2.20, then add them to the file'
    assert len({node.op for node in nodes(graph)}) > 50


def test_the_graph_admits_the_older_version(graph: Any) -> None:
    assert graph.versions.min_consumer <= GRAPH_DEF_VERSION
    assert GRAPH_DEF_VERSION not in graph.versions.bad_consumers
