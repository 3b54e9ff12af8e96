"""The thesis's server: FastAPI around a Keras model, a process of benchmarks.serving.

python -m benchmarks.serving_thesis WORKDIR PORT predict|predict_on_batch
"""

import io
import sys
from typing import Any

import fastapi
import keras
import numpy as np
import uvicorn
from PIL import Image

from trainer.inference.runs import restore_member


def build_app(model: keras.Model, method: str) -> fastapi.FastAPI:
    """Builds the server of one model, which is called by `predict` or `predict_on_batch`."""
    height, width = model.inputs[0].shape[1:3]
    call = getattr(model, method)
    options = {'verbose': 0} if method == 'predict' else {}
    app = fastapi.FastAPI()

    @app.post('/predict')
    async def predict(request: fastapi.Request) -> dict[str, Any]:
        image = Image.open(io.BytesIO(await request.body())).convert('RGB').resize((width, height))
        pixels = np.asarray(image, np.float32)[np.newaxis] / 127.5 - 1
        logits = call(pixels, **options)[0]
        label = int(logits.argmax())
        return {'label': label, 'confidence': float(np.exp(logits[label] - logits.max()))}

    return app


def main() -> None:
    """Serves until it is terminated."""
    workdir, port, method = sys.argv[1:]
    model = restore_member(workdir)[0].model
    getattr(model, method)(np.zeros([1, *model.inputs[0].shape[1:]], np.float32))
    print('ready', flush=True)
    uvicorn.run(build_app(model, method), port=int(port), log_level='warning')


if __name__ == '__main__':
    main()
