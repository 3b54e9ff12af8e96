"""Losses by the papers they come from. Tensors and arrays in, one number a picture out.

| module | owns |
|---|---|
| `softmax` | cross-entropy, focal and generalised cross-entropy, of log probabilities |
| `margin` | the margins of LDAM |
| `effective_number` | the weights of classes |
| `levels` | the parents of a leaf: their priors, their cross-entropy |

Each takes logits that the prior rule (`trainer/loss.py`) has shifted; none knows a prior itself.
What a run minimises of them: `trainer/objective.py`.
"""
