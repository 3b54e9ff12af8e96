"""Runs a program in a process of its own, where it sets TensorFlow's devices."""

import os
import subprocess
import sys
from pathlib import Path


def run_program(code: str, *arguments: str) -> 'subprocess.CompletedProcess[str]':
    """Runs Python code from the root of the repository, where it finds all packages."""
    return subprocess.run(
        [sys.executable, '-c', code, *arguments],
        env={**os.environ, 'TF_CPP_MIN_LOG_LEVEL': '2'},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
