"""The version of a model that is shown: what the server serves, and whether an index fits."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

from catalog.model_versions import names
from catalog.networks import spec
from serving.similar import index_info
from serving.similar.published_index import newest_version

_CONFIG = """model_config_list {{
  config {{
    name: {name}
    base_path: {base_path}
    model_platform: "tensorflow"
    model_version_policy {{ specific {{ versions: {version} }} }}
  }}
}}
"""


@dataclass(frozen=True)
class ServedModel:
    """One version of a model, whatever other versions are beside it.

    Attributes:
      folder: DIR/MODEL/VERSION, absolute.
      name: Its name.
      version: Its version.
    """

    folder: str
    name: str
    version: int

    @property
    def runtime(self) -> str:
        """What runs it, for people."""
        if not spec.is_there(self.folder):
            return 'SavedModel'
        network = spec.read(self.folder)
        return f'{network.runtime} {network.precision}'

    def write_config(self, path: Path) -> None:
        """Writes a ModelServerConfig that serves this version only."""
        config = _CONFIG.format(
            name=json.dumps(self.name, ensure_ascii=False),
            base_path=json.dumps(os.path.dirname(self.folder), ensure_ascii=False),
            version=self.version,
        )
        path.write_text(config, encoding='utf-8')

    def misfit(self, index: str) -> str | None:
        """Returns why an index of similar products is of no use, as a sentence; None if it fits.

        Embeddings of two versions of a model cannot be compared.
        """
        newest = newest_version(index)
        if newest is None:
            return f'{index} has no index; build one with serving.index'
        built_by = index_info.read(f'{index}/{newest}').model.version
        if built_by == self.version:
            return None
        return (
            f'{index} is of version {built_by} of the model; build one of version {self.version} '
            'with serving.index, or give a conversion the number of its source '
            '(docs/serving_speed.md)'
        )


def read(folder: str) -> ServedModel:
    """Returns the version that a folder DIR/MODEL/VERSION holds.

    Raises:
      UserError: If its name is another one.
    """
    whole = os.path.abspath(folder)
    found = names.read_path(whole, flag='model')
    return ServedModel(whole, found.model, found.version)
