"""Weights of a model by path."""

import keras

from trainer.models import weights


def test_unnamed_layers_are_numbered_from_0_in_each_model() -> None:
    def paths() -> list[str]:
        image = keras.Input([8, 8, 3])
        x = keras.layers.Conv2D(2, 3)(image)
        x = keras.layers.Conv2D(2, 3)(x)
        x = keras.layers.Conv2D(2, 3, name='stage_7')(x)
        return [path for path, _ in weights.weight_paths(keras.Model(image, x))]

    names = ['conv2d', 'conv2d_1', 'stage_7']
    expected = [f'{name}/{weight}' for name in names for weight in ('kernel', 'bias')]
    assert paths() == paths() == expected
