"""Opens the network of a version folder in its runtime, which only then is imported."""

from catalog import storage
from catalog.errors import UserError
from catalog.networks.network import FILES, Network
from catalog.networks.spec import NetworkSpec


def open_network(folder: str, spec: NetworkSpec, *, threads: int = 0) -> Network:
    """Loads a network.

    Args:
      folder: A version folder.
      spec: Its `network.json`.
      threads: Threads of a run; 0 for all cores.

    Raises:
      UserError: If the folder is remote, or the runtime is not installed.
    """
    if storage.is_remote(folder):
        raise UserError(f'{folder}: a converted model must be a local folder; copy it first')
    path = storage.join(folder, FILES[spec.runtime])
    try:
        match spec.runtime:
            case 'openvino':
                from catalog.networks.openvino_network import OpenVinoNetwork

                return OpenVinoNetwork(path, precision=spec.precision, threads=threads)
            case 'onnx':
                from catalog.networks.onnx_network import OnnxNetwork

                return OnnxNetwork(path, threads=threads)
            case 'litert':
                from catalog.networks.litert_network import LiteRtNetwork

                return LiteRtNetwork(path, threads=threads)
    except ModuleNotFoundError as error:
        raise UserError(
            f'{folder}: needs the runtime {spec.runtime}, and {error.name} is not installed; '
            "pip install 'product-categories[fast]'"
        ) from error
