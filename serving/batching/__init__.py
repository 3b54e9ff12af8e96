"""Owns the queue before a model: which requests run now, together, later or never.

| module | owns |
|---|---|
| `admission` | how many requests may be in the server |
| `merging` | inputs of several requests as one, its outputs apart again; pure numpy |
| `request` | a request that waits, its deadline and its result |
| `model` | a model behind its queue and its threads |

A batch is what queued while the last one ran: no request waits for others.
"""
