"""The command lines of the programs, and the addresses that they print when they are ready."""

import re
from dataclasses import dataclass

from serving.demo.processes import Processes
from serving.demo.served_model import ServedModel


@dataclass(frozen=True)
class Demo:
    """What to show.

    Attributes:
      model: The model.
      data: Folder of the shards; None without.
      index: Folder of the index of similar products; None without.
      port: Port of the page.
      gateway_port: Port of the gateway; 0 lets the system choose one.
    """

    model: ServedModel
    data: str | None
    index: str | None
    port: int
    gateway_port: int


@dataclass(frozen=True)
class Addresses:
    """Addresses of a running demonstration."""

    page: str
    gateway: str


def start(demo: Demo, processes: Processes) -> Addresses:
    """Starts the server of the model, the gateway and the page.

    Raises:
      UserError: If one of them does not start.
    """
    config = processes.folder / 'models.config'
    demo.model.write_config(config)
    server = processes.start(
        'serving.model_server', [f'--model_config_file={config}', '--port=0', '--rest_api_port=0']
    )
    gateway = processes.start(
        'serving.gateway',
        [
            f'--target={_found(r"gRPC ([^,]+),", server)}',
            f'--model={demo.model.name}',
            f'--port={demo.gateway_port}',
            *([f'--manifest={demo.data}'] if demo.data else []),
            *([f'--index={demo.index}'] if demo.index else []),
        ],
    )
    gateway_url = _found(r'gateway (\S+),', gateway)
    page = processes.start('serving.web', [f'--gateway={gateway_url}', f'--port={demo.port}'])
    return Addresses(page=_found(r'page (\S+),', page), gateway=gateway_url)


def _found(pattern: str, line: str) -> str:
    found = re.search(pattern, line)
    if not found:
        raise ValueError(f'{line!r} must match {pattern!r}')
    return found[1]
