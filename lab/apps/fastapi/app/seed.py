"""What a fresh database holds: how this platform works, in a few lines."""

DOCUMENTS = {
    "A service is a transaction": "Every service is deployed by one task: its files are staged, validated with the "
    "pinned image, started and checked for readiness. On any failure the previous release is put back.",
    "Zero-downtime cutover": "Green and blue are both declared in nginx. A cutover is one write to a shared "
    "dictionary, so no request is lost and no connection dropped when the live colour changes.",
    "Rollback": "The old colour is kept warm after a release. A rollback is one write back to it and takes less than "
    "a millisecond.",
    "Similarity search": "Documents live in PostgreSQL. The pgvector extension stores an embedding beside each text, "
    "and a search answers with those nearest to the question by cosine distance.",
    "Background jobs": "The nest backend puts a job into a Redis stream. A worker in the fastapi backend takes it, "
    "writes the result and acknowledges it, so a crash of the worker loses no job.",
    "Two lines lead in": "The service line goes through the router to nginx on main. The management line goes "
    "through a small relay in the cloud to nginx on sub, and works even when main is dead.",
    "Secrets": "A password is a file that only the container's user can read. It never appears in an environment "
    "variable, a process list, a log or a diff.",
    "Monitoring": "Prometheus on sub scrapes metrics of every service on both hosts: requests, latency, memory, "
    "connections and the queue of jobs.",
}
