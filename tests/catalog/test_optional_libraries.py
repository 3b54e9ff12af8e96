"""TensorFlow starts without the libraries that only Keras would use, and these load afterwards."""

import subprocess
import sys

_LOAD = """
import sys
from catalog.process import optional_libraries
with optional_libraries.skip():
    import tensorflow
names = {'keras', 'matplotlib', 'pandas', 'sklearn'}
print(*sorted(names & sys.modules.keys()))
import matplotlib.figure, pandas, sklearn.metrics
print(pandas.Series([1, 2]).sum())
with optional_libraries.skip():
    import pandas as loaded
print(loaded is pandas)
"""


def test_optional_libraries_are_skipped_while_tensorflow_loads_and_load_afterwards() -> None:
    done = subprocess.run([sys.executable, '-c', _LOAD], capture_output=True, text=True)
    assert done.stdout.splitlines() == ['keras', '3', 'True'], done.stderr
