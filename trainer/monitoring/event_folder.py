"""The folder of TensorBoard's event files."""

from catalog import storage
from trainer import naming, vertex_environment


def event_folder(workdir: str) -> str:
    """Returns `workdir/tensorboard`, or the folder that Vertex AI uploads from."""
    return vertex_environment.tensorboard_folder() or storage.join(workdir, naming.TENSORBOARD)
