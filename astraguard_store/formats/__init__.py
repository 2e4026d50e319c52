"""Bytes ↔ values: the files of a run, without any input or output."""
