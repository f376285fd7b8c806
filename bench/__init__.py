"""Measurements that anybody can repeat from a checkout: `python -m bench --help`.

Not part of the wheel. Touches `bench/results/` (one JSON line a measurement), `docs/benchmarks.md`
(only with `--write-docs`), the cache directory (answers that are paid for), and a model's server.
"""
