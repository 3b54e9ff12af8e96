"""A model called without a server, a process of benchmarks.serving. Prints JSON.

python -m benchmarks.serving_bare MODEL FOLDER SECONDS CLIENTS,CLIENTS
"""

import dataclasses
import json
import sys
from pathlib import Path

import numpy as np

from benchmarks import serving_load
from benchmarks.serving_files import photos
from serving.runtimes.opening import open_model


def main() -> None:
    """Runs the loads one after the other."""
    path, folder, seconds, clients = sys.argv[1:]
    model = open_model(path)

    def send(photo: bytes) -> object:
        return model.run('', {'image_bytes': np.array([photo], object)})

    loads = [
        serving_load.run(
            lambda: send, photos(Path(folder), 64), clients=int(count), seconds=float(seconds)
        )
        for count in clients.split(',')
    ]
    print(json.dumps([dataclasses.asdict(load) for load in loads]))


if __name__ == '__main__':
    main()
