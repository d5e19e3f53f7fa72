"""Documents in PostgreSQL, found by the cosine similarity of their embeddings (pgvector)."""

import asyncio
import logging
from typing import Any

import psycopg
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from app import seed
from app.embedding import DIMENSIONS, embed
from app.settings import DATABASE

logger = logging.getLogger("database")

SCHEMA = "fastapi"
TABLE = f"""
CREATE TABLE IF NOT EXISTS documents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL UNIQUE,
    text text NOT NULL,
    embedding vector({DIMENSIONS}) NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX IF NOT EXISTS documents_embedding ON documents USING hnsw (embedding vector_cosine_ops);
"""
LOCK = 5_717_001  # any number, the same in every copy of the app

prepared = asyncio.Event()
pool = AsyncConnectionPool(
    connection_class=psycopg.AsyncConnection[DictRow],
    kwargs={
        **DATABASE,
        "connect_timeout": 3,
        "application_name": "fastapi",
        # The vector type lives where the platform created the extension: public.
        "options": f"-c search_path={SCHEMA},public -c statement_timeout=5000",
        "row_factory": dict_row,
    },
    min_size=1,
    max_size=5,
    timeout=3,
    # A connection that the server closed meanwhile is replaced, not handed to a request.
    check=AsyncConnectionPool.check_connection,
    open=False,
)


def literal(vector: list[float]) -> str:
    """Write a vector as pgvector reads it."""
    return f"[{','.join(map(str, vector))}]"


async def prepare() -> None:
    """Make schema, table and first documents where they are missing; try until the database lets it."""
    while not prepared.is_set():
        try:
            async with pool.connection() as connection:
                await _prepare(connection)
            prepared.set()
            logger.info("Prepared.")
        except psycopg.Error as error:
            logger.error("Not prepared, trying again in 2 s: %s", error)
            await asyncio.sleep(2)


async def _prepare(connection: psycopg.AsyncConnection[DictRow]) -> None:
    # Both colours may start at once: IF NOT EXISTS alone does not keep two transactions from colliding.
    await connection.execute("SELECT pg_advisory_xact_lock(%s)", (LOCK,))
    # Asked first: CREATE SCHEMA IF NOT EXISTS needs the right to create one even where it exists.
    found = await connection.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", (SCHEMA,))
    if not await found.fetchone():
        await connection.execute(f"CREATE SCHEMA {SCHEMA}")
    await connection.execute(TABLE)
    async with connection.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO documents (title, text, embedding) VALUES (%s, %s, %s::vector) ON CONFLICT DO NOTHING",
            [(title, text, literal(embed(f"{title} {text}") or [])) for title, text in seed.DOCUMENTS.items()],
        )


async def reachable() -> bool:
    """Whether a query would be answered now."""
    try:
        async with pool.connection(timeout=2) as connection:
            await connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return prepared.is_set()


async def store(title: str, text: str, embedding: list[float]) -> int:
    """Store a document, in place of the one with the same title and return its id."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "INSERT INTO documents (title, text, embedding) VALUES (%s, %s, %s::vector) "
            "ON CONFLICT (title) DO UPDATE SET text = EXCLUDED.text, embedding = EXCLUDED.embedding RETURNING id",
            (title, text, literal(embedding)),
        )
        row = await cursor.fetchone()
    assert row is not None  # an upsert always returns its row
    return row["id"]


async def search(embedding: list[float], limit: int) -> list[dict[str, Any]]:
    """Find the nearest documents, most similar first; similarity from -1 to 1."""
    async with pool.connection() as connection:
        cursor = await connection.execute(
            "SELECT id, title, text, 1 - (embedding <=> %(q)s::vector) AS similarity "
            "FROM documents ORDER BY embedding <=> %(q)s::vector LIMIT %(limit)s",
            {"q": literal(embedding), "limit": limit},
        )
        return await cursor.fetchall()
