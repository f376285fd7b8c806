"""Decisions only: no I/O, no clock, nothing that Temporal could not replay."""
