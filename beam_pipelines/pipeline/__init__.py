"""Connects scan, plan and write as steps of a Beam pipeline."""
