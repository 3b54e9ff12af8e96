"""A model called without a server, a process of benchmarks.serving.

python -m benchmarks.serving_bare MODEL FOLDER

For each line "CLIENTS SECONDS" of the standard input, it runs a load and prints it as JSON.
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
    """Runs loads until the input ends."""
    path, folder = sys.argv[1:]
    model = open_model(path)
    sent = photos(Path(folder), 64)

    def send(photo: bytes) -> object:
        return model.run('', {'image_bytes': np.array([photo], object)})

    print('ready', flush=True)
    for line in sys.stdin:
        clients, seconds = line.split()
        load = serving_load.run(lambda: send, sent, clients=int(clients), seconds=float(seconds))
        print(json.dumps(dataclasses.asdict(load)), flush=True)


if __name__ == '__main__':
    main()
