"""Owns what an HTTP request must pass before it is answered: keys, limits and the queue.

| module | owns |
|---|---|
| `options` | the limits, as checked values |
| `errors` | one sentence and an HTTP status for each error |
| `observer` | one line in the log and one count for each request |
| `keys`, `key_check` | API keys: their file, and the check of a request |
| `bodies` | bodies of requests: their size, time and memory |
| `admission` | the bounded queue before the model |
"""
