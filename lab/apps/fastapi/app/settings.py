"""Settings from the environment; secrets from the files that *_FILE variables name."""

import os
from pathlib import Path
from typing import Any


def secret(name: str) -> str | None:
    """Read the secret file that NAME_FILE names; None where the variable is unset."""
    path = os.environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").rstrip()
    except OSError as error:
        raise SystemExit(f"Cannot read the secret {path}: make it readable by uid {os.getuid()}.") from error


IDENTITY = {
    "app": "fastapi",
    "version": os.environ.get("APP_VERSION") or "dev",
    "colour": os.environ.get("APP_COLOUR") or "none",
}
PORT = int(os.environ.get("PORT") or 8000)
# Seconds that requests and jobs in flight have to finish after SIGTERM.
SHUTDOWN_TIMEOUT = int(os.environ.get("SHUTDOWN_TIMEOUT") or 25)
DATABASE: dict[str, Any] = {
    "host": os.environ.get("DATABASE_HOST") or "pgvector",
    "port": int(os.environ.get("DATABASE_PORT") or 5432),
    "dbname": os.environ.get("DATABASE_NAME") or "app",
    "user": os.environ.get("DATABASE_USER") or "app",
    "password": secret("DATABASE_PASSWORD"),
}
REDIS: dict[str, Any] = {
    "host": os.environ.get("REDIS_HOST") or "redis",
    "port": int(os.environ.get("REDIS_PORT") or 6379),
    "username": os.environ.get("REDIS_USERNAME") or None,
    "password": secret("REDIS_PASSWORD"),
}
