"""Owns `python -m serving.demo`: the server of a model, the gateway and the page, in processes.

| module | owns |
|---|---|
| `served_model` | the version that is shown, and whether an index fits |
| `programs` | the command lines, and what each program prints when it is ready |
| `processes` | processes that start one after the other and end together |
"""
