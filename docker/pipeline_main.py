"""Runs the module that PIPELINE_MODULE names: flex templates launch a file instead of a module."""

import os
import runpy

runpy.run_module(os.environ['PIPELINE_MODULE'], run_name='__main__', alter_sys=True)
