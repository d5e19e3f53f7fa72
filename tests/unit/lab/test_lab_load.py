"""The load sees what is lost, and by whom; it never sends a request twice."""

import asyncio
import json

import pytest

from lab.client.load.http1 import Origin
from lab.client.load.record import Sink
from lab.client.load.routes import GET, POST
from lab.client.load.workers import Client, keep_asking, plain, stay

HEAD = "HTTP/1.1 {} X\r\nX-App-Version: 1.0.0\r\nX-App-Colour: green\r\n"
GOOD = (HEAD.format(200) + "Content-Length: 2\r\n\r\nok").encode()
CHUNKED = (HEAD.format(200) + "Transfer-Encoding: chunked\r\n\r\n2\r\nok\r\n").encode()
OVER = b"0\r\n\r\n"


class Server:
    """Answers the requests that come, whatever they are, as it was told; None closes the connection."""

    def __init__(self, answers):
        self.answers = list(answers)
        self.asked = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        while self.answers:
            try:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
            except asyncio.IncompleteReadError:
                break
            length = head.partition("Content-Length: ")[2].partition("\r\n")[0]
            await reader.readexactly(int(length or 0))
            self.asked.append(head.split()[0])
            answer = self.answers.pop(0)
            if answer:
                writer.write(answer)
                await writer.drain()
            if answer is None or answer.endswith(b"cut"):
                break
        writer.close()


def load(server, work, **options):
    """Let clients work on a server until they are over; returns what they noted."""

    async def run():
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0)
        port = listening.sockets[0].getsockname()[1]
        sink = Sink()
        client = Client(Origin(f"http://127.0.0.1:{port}"), ["nest"], sink, len(server.answers))
        await asyncio.wait_for(work(client, **options), 10)
        listening.close()
        return [json.loads(line) for line in sink._lines]

    return asyncio.run(run())


def ask(client, routes=GET):
    return keep_asking(client, "get", routes, plain, 0)


@pytest.mark.parametrize(
    ("answer", "failed"),
    [
        (None, "unanswered"),
        (b"HTTP/1.1 200 OK\r\nhalf a headcut", "truncated"),
        (GOOD.replace(b": 2\r\n", b": 9\r\n") + b"cut", "truncated"),
        (CHUNKED + b"cut", "truncated"),
        (GOOD.replace(b" 200 ", b" 502 "), "status"),
        (GOOD.replace(b" 200 ", b" 404 "), "status"),
        (GOOD, None),
        (CHUNKED + OVER, None),
    ],
)
def test_what_becomes_of_an_answer_is_noted(answer, failed):
    server = Server([GOOD, answer])
    first, second = load(server, ask)
    assert (first["status"], first["version"], first["colour"]) == (200, "1.0.0", "green")
    assert "failed" not in first
    assert "reused" not in first
    assert second.get("failed") == failed
    assert second["reused"] is True
    assert first["start"] <= first["end"] <= second["start"] <= second["end"]


def test_a_lost_post_is_not_sent_again():
    server = Server([GOOD, None, GOOD])
    lines = load(server, ask, routes=POST)
    assert server.asked == ["POST"] * 3
    assert [line.get("failed", "") for line in lines] == ["", "unanswered", ""]
    assert server.connections == 2


def test_a_connection_that_the_server_announces_to_close_loses_nothing():
    last = GOOD.replace(b"Content-Length", b"Connection: close\r\nContent-Length")
    server = Server([GOOD, last + b"", GOOD])
    lines = load(server, ask)
    assert [line.get("failed") for line in lines] == [None] * 3
    assert server.connections == 2


def test_who_does_not_listen_is_lost():
    server = Server([])

    async def nobody(client):
        client.origin = Origin("http://127.0.0.1:1")
        client._left = 1
        await ask(client)

    (line,) = load(server, nobody)
    assert line["failed"] == "connect"


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (CHUNKED.replace(b"2\r\nok", b"6\r\na: 1\n\n") + OVER, {"reason": "end", "events": 1}),
        (CHUNKED + b"cut", {"reason": "cut"}),
        (GOOD.replace(b" 200 ", b" 502 "), {"failed": "status"}),
    ],
)
def test_the_end_of_a_session_is_noted(answer, expected):
    async def session(client):
        asyncio.get_running_loop().call_later(0.3, client.over.set)
        await stay(client, "sse")

    (line,) = load(Server([answer]), session)[:1]
    assert {name: line[name] for name in ("reason", "events", "failed") if name in line} == expected


def test_a_session_that_the_load_ends_is_no_cut():
    async def session(client):
        asyncio.get_running_loop().call_later(0.3, client.over.set)
        await stay(client, "sse")

    (line,) = load(Server([CHUNKED, b""]), session)
    assert line["reason"] == "stopped"
