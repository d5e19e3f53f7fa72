"""Demo API: documents found by similarity in pgvector, and the worker of the jobs that nest queues in Redis."""
