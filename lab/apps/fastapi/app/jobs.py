"""The worker of the jobs that nest queues.

Jobs wait in the Redis stream `jobs`. A job is taken in the name of a consumer group and stays pending until its result
is written, so one that a crashed worker held is taken over by another.
"""

import asyncio
import hashlib
import json
import logging
import socket
import time
from typing import Any

from prometheus_client import Counter
from redis.asyncio import Redis
from redis.exceptions import RedisError, ResponseError

from app.settings import IDENTITY, REDIS
from app.shutdown import shutdown

STREAM = "jobs"
GROUP = "fastapi"
CONSUMER = socket.gethostname()
PARALLEL = 4
RESULT_LIFETIME = 3600
# Longer than the longest job (30 s): what is pending for longer belongs to a worker that is gone.
ABANDONED_AFTER = 60_000

logger = logging.getLogger("jobs")
done = Counter("jobs_done", "Jobs finished", ["state"])
redis = Redis(**REDIS, decode_responses=True, socket_connect_timeout=2, socket_timeout=5)


async def reachable() -> bool:
    """Whether Redis answers now."""
    try:
        await asyncio.wait_for(redis.ping(), 2)
    except (RedisError, OSError, TimeoutError):
        return False
    return True


async def work() -> None:
    """Take and do jobs until the shutdown begins, then finish those in hand."""
    await asyncio.gather(*(_work() for _ in range(PARALLEL)))


async def _work() -> None:
    while not shutdown.begun:
        try:
            for job, fields in await _take():
                await _finish(job, await _perform(job, fields))
        except ResponseError as error:
            if not str(error).startswith("NOGROUP"):
                await _pause(error)
            else:
                await _create_group()
        except (RedisError, OSError) as error:
            await _pause(error)


async def _take() -> list[tuple[str, dict[str, str]]]:
    _, abandoned, *_ = await redis.xautoclaim(STREAM, GROUP, CONSUMER, ABANDONED_AFTER, count=1)
    if abandoned:
        return abandoned
    # Waits a second at most, so that a shutdown is noticed.
    new: Any = await redis.xreadgroup(GROUP, CONSUMER, {STREAM: ">"}, count=1, block=1000)
    return new[0][1] if new else []


async def _perform(job: str, fields: dict[str, str]) -> dict[str, Any]:
    """Do a job and return its result. One that cannot be done fails; it must not come back for ever."""
    taken = time.time()
    try:
        text = fields["text"]
        await asyncio.sleep(float(fields["seconds"]))
    except (KeyError, ValueError) as error:
        logger.error("Job %s is not one that nest queued: %r", job, error)
        return {"state": "failed", "error": "The job has no text or no duration.", "by": IDENTITY}
    return {
        "state": "done",
        "words": len(text.split()),
        "characters": len(text),
        "sha256": hashlib.sha256(text.encode()).hexdigest(),
        # An id begins with the millisecond in which the job was queued.
        "waited_ms": max(0, round(taken * 1000) - int(job.partition("-")[0])),
        "by": IDENTITY,
    }


async def _finish(job: str, result: dict[str, Any]) -> None:
    async with redis.pipeline(transaction=True) as transaction:
        transaction.set(f"{STREAM}:{job}", json.dumps(result), ex=RESULT_LIFETIME)
        transaction.xack(STREAM, GROUP, job)
        transaction.xdel(STREAM, job)
        await transaction.execute()
    done.labels(result["state"]).inc()


async def _create_group() -> None:
    try:
        await redis.xgroup_create(STREAM, GROUP, id="0", mkstream=True)
    except ResponseError as error:
        if not str(error).startswith("BUSYGROUP"):
            raise


async def _pause(error: Exception) -> None:
    logger.error("Redis refused or did not answer, trying again in 1 s: %s", error)
    await asyncio.sleep(1)
