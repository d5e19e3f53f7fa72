"""The HTTP interface."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Annotated, Any

import psycopg
from fastapi import FastAPI, HTTPException, Query, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from pydantic import BaseModel, Field

from app import database, jobs
from app.embedding import NAME, embed
from app.requests import Observe
from app.settings import IDENTITY
from app.shutdown import shutdown

logger = logging.getLogger("app")


@asynccontextmanager
async def lifespan(_: FastAPI) -> AsyncIterator[None]:
    """Run the worker beside the server, and end it in order."""
    # Neither is awaited: the app starts, and answers /health, without its database and queue.
    await database.pool.open()
    preparing = asyncio.create_task(database.prepare())
    working = asyncio.create_task(jobs.work())
    yield
    preparing.cancel()
    await asyncio.wait({working}, timeout=shutdown.remaining)
    if not working.done():
        logger.error("The time to stop ran out: jobs in hand are left to another worker.")
        working.cancel()
    with suppress(asyncio.CancelledError):
        await asyncio.gather(preparing, working)
    await jobs.redis.aclose()
    await database.pool.close(timeout=1)


app = FastAPI(title="fastapi", version=IDENTITY["version"], lifespan=lifespan)
app.add_middleware(Observe)


@app.exception_handler(psycopg.Error)
async def database_failed(_: Request, error: psycopg.Error) -> JSONResponse:
    """Answer what the database could not."""
    if isinstance(error, psycopg.DataError):
        return JSONResponse({"detail": "The database cannot store this text."}, 422)
    logger.error("Database: %s", error)
    return JSONResponse({"detail": "The database does not answer. Try again later."}, 503)


@app.get("/health")
async def health() -> dict[str, str]:
    """Say that the process lives, whatever its backends do."""
    return {"status": "ok"}


@app.get("/ready")
async def ready() -> JSONResponse:
    """Say whether requests and jobs would be answered now."""
    if shutdown.begun:
        return JSONResponse({"status": "stopping"}, 503)
    database_reachable, redis_reachable = await asyncio.gather(database.reachable(), jobs.reachable())
    complete = database_reachable and redis_reachable
    return JSONResponse(
        {"status": "ready" if complete else "unready", "database": database_reachable, "redis": redis_reachable},
        200 if complete else 503,
    )


@app.get("/version")
async def version() -> dict[str, str]:
    """Say which version and colour this is."""
    return IDENTITY


@app.get("/metrics")
async def metrics() -> Response:
    """Give Prometheus what it scrapes."""
    return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)


@app.get("/slow")
async def slow(seconds: Annotated[float, Query(ge=0, le=30)] = 3) -> dict[str, Any]:
    """Take some time: what a drain is tested with."""
    await asyncio.sleep(seconds)
    return {"slept": seconds, **IDENTITY}


class Document(BaseModel):
    """A text to be found again."""

    title: str = Field(min_length=1, max_length=200)
    text: str = Field(min_length=1, max_length=2000)


def vector(text: str) -> list[float]:
    """Embed a text from outside, or refuse it."""
    embedding = embed(text)
    if embedding is None:
        raise HTTPException(422, "The text holds no word that could be searched for.")
    return embedding


@app.post("/documents", status_code=201)
async def create_document(document: Document) -> dict[str, int]:
    """Store a document, in place of the one with the same title."""
    embedding = vector(f"{document.title} {document.text}")
    return {"id": await database.store(document.title, document.text, embedding)}


@app.get("/search")
async def search(
    q: Annotated[str, Query(min_length=1, max_length=200)], limit: Annotated[int, Query(ge=1, le=20)] = 3
) -> dict[str, Any]:
    """Answer with the documents nearest to the question."""
    return {"query": q, "embedding": NAME, "results": await database.search(vector(q), limit)}
