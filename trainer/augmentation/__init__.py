"""Augmentation: how training varies images, on the device, by batch, compiled by XLA, stateless.

| module | owns |
|---|---|
| `random_numbers` | the random numbers of a global batch, from its seed |
| `geometry` | flips, crops and affine transforms; erased rectangles |
| `colour` | brightness, contrast, saturation, hue |
| `rand_augment` | one of many operations, drawn for each image |
| `mixing` | two images in one, and their labels |
| `pictures` | which of these apply, and in which order |

Batches stay uint8 [B, H, W, 3] from the input to the last step; mixing makes them float32. The
result depends on the seed and on the position of the image in the global batch only, so one device,
many devices and many hosts train on the same images.

Keras has layers for most of this, but their generators have a state, and its RandAugment draws one
operation for the entire batch and computes all of them to use one: benchmarks/augment.py.
"""
