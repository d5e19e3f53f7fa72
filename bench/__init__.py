"""How long things take, beside the same work in the usual style of roles: docs/benchmarks.md."""
