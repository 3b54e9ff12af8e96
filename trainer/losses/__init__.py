"""Losses by their papers, the prior rule, and the objective of a run: logits and labels to losses.

| module | owns |
|---|---|
| `priors` | the class priors of a run, the shift between priors, class weights |
| `softmax` | cross-entropy, focal loss, generalized cross-entropy, LDAM's margins |
| `hierarchy` | the levels above the leaves: their priors and their cross-entropy |
| `objective` | the loss that a run minimizes, put together from these |
"""
