"""What training does to pictures: on the device, by batch, compiled by XLA, without a state.

| module | owns |
|---|---|
| `draws` | the random numbers, drawn for the whole batch by its seed |
| `geometry` | where a pixel comes from: mirror, crop, turn; a rectangle over it |
| `colour` | brightness, contrast, saturation, hue |
| `rand_augment` | one of many operations, another for each picture |
| `mixing` | two pictures in one, and their labels |
| `pictures` | which of these, in which order |

Batches are uint8 [B, H, W, 3] from the input to the last step; mixing makes them float32.
What a picture becomes hangs on its place in the whole batch and the seed alone, so that one device,
many, and many hosts learn from the same pictures.

Keras has layers for most of this, but their generators have a state, and its RandAugment draws one
operation for the whole batch and computes all of them to use one: benchmarks/augment.py.
"""
