"""What the benchmark scripts share: shapes, workers that run an engine each, machine limits, and tables.

`shapes`, `worker` and `peer_worker` also run in the peers' environment, so they import neither numpy nor microgpt.
"""
