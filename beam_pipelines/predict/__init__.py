"""Owns `python -m beam_pipelines.predict`: the predictions of every product of a source, in files.

| module | owns |
|---|---|
| `options` | the options that change the result |
| `parts` | the parts of the source, each product in exactly one of them |
| `answers` | the answers to a part: rows, counts, what was rejected |
| `files` | the files of rows |
| `commit` | the output folder: checks, final names, `predictions.json` |
| `job` | the Beam steps and their order |
| `opening`, `running` | a job from its flags to its end |
| `summary` | the printed summary |
"""
