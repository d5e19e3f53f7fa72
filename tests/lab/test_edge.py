"""The edge, in the lab's nginx: which colour answers, what root may change, what is counted, and what outlives what."""

import re
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from conftest import Container, docker
from edge_rig import NAME, SECRET, ask, running, until

COLOURS = ("green", "blue")


@pytest.fixture(scope="module")
def rig(references, tmp_path_factory):
    """nginx and its applications, which most tests share."""
    with running("edge", tmp_path_factory.mktemp("edge"), references["nginx"], docker, Container) as made:
        yield made


@pytest.fixture(autouse=True)
def everybody_on_green(rig):
    rig.lead()


# --- what root may change --------------------------------------------------------------------------------------------


def test_of_many_writers_exactly_one_wins(rig):
    for _ in range(5):
        now = rig.generation()
        colours = [COLOURS[number % 2] for number in range(48)]
        with ThreadPoolExecutor(24) as pool:
            writes = [pool.submit(rig.put, now, now + 1, {"one": {"live": colour}}) for colour in colours]
        answers = [write.result() for write in writes]
        assert sorted(answer.status for answer in answers) == [200] + 47 * [409]
        [won] = [colour for colour, answer in zip(colours, answers, strict=True) if answer.status == 200]
        assert rig.admin("/pools").json["apps"] == {"one": {"live": won}}
        assert rig.generation() == now + 1


def test_a_stale_writer_changes_nothing(rig):
    now = rig.lead(one="blue")
    answer = rig.put(now - 1, now + 5, {"one": {"live": "green"}})
    assert (answer.status, answer.json["generation"]) == (409, now)
    assert "was expected" in answer.json["error"]
    assert rig.admin("/pools").json["apps"] == {"one": {"live": "blue"}}


@pytest.mark.parametrize(
    "apps",
    [
        [],
        None,
        "green",
        {"one": "green"},
        {"one": None},
        {"one": []},
        {"one": {}},
        {"one": {"live": "red"}},
        {"One": {"live": "green"}},
        {"one;two=blue": {"live": "green"}},
        {"one": {"live": "blue"}, "two": {"live": "Blue"}},
        {"one": {"live": "green", "canary": {}}},
        {"one": {"live": "green", "canary": []}},
        {"one": {"live": "green", "canary": {"weight": 101}}},
        {"one": {"live": "green", "canary": {"weight": -1}}},
        {"one": {"live": "green", "canary": {"weight": 1.5}}},
        {"one": {"live": "green", "canary": {"weight": "10"}}},
        {"one": {"live": "green", "canary": {"weight": 10, "cohort": "a b"}}},
        {"one": {"live": "green", "canary": {"weight": 10, "cohort": "a/b;two=blue"}}},
        {"one": {"live": "green", "canary": {"weight": 10, "cohort": 5}}},
    ],
)
def test_wrong_shapes_are_refused_and_change_nothing(rig, apps):
    now = rig.lead(one="blue")
    answer = rig.put(now, now + 1, apps)
    assert answer.status == 400
    assert answer.json["error"]
    assert rig.admin("/pools").json["apps"] == {"one": {"live": "blue"}}
    assert rig.generation() == now


@pytest.mark.parametrize("body", [None, "", "{", "17", '{"apps": {}}', '{"expected": 1, "generation": 1, "apps": {}}'])
def test_what_is_no_change_is_refused(rig, body):
    assert rig.admin("/pools", "PUT", body).status == 400


def test_the_generation_may_skip_and_never_stays(rig):
    now = rig.generation()
    assert rig.put(now, now, {}).status == 400
    assert rig.put(now, now + 1000, {}).json["generation"] == now + 1000


def test_only_root_reaches_the_socket(rig):
    command = ("curl", "-sS", "--max-time", "5", "--unix-socket", "/run/protostar/edge.sock", "http://edge/pools")
    assert '"generation"' in rig.nginx.output(*command)
    refused = rig.nginx.run(*command, user="101")
    assert (refused.returncode, refused.stdout) == (7, "")
    assert "Permission denied" in rig.nginx.run("ls", "/run/protostar", user="101").stderr


# --- which colour answers --------------------------------------------------------------------------------------------


def test_one_write_leads_two_applications_under_load_and_no_answer_after_it_is_wrong(rig):
    told, writes, done = [], [], threading.Event()

    def load(path):
        connection = rig.connection()
        while not done.is_set():
            began = time.monotonic()
            told.append((began, ask(connection, path), time.monotonic()))
        connection.close()

    threads = [threading.Thread(target=load, args=(path,)) for path in ("/", "/two/x", "/", "/two/y")]
    for thread in threads:
        thread.start()
    for number in range(20):
        colour = COLOURS[(number + 1) % 2]
        begins = time.monotonic()
        rig.lead(one=colour, two=colour)
        writes.append((begins, time.monotonic(), colour))
        time.sleep(0.05)
    done.set()
    for thread in threads:
        thread.join()
    writes.append((time.monotonic(), 0, ""))
    judged = 0
    for (_, returned, colour), (begins, *_) in pairwise(writes):
        between = [answer for began, answer, ended in told if began > returned and ended < begins]
        assert {answer.status for answer in between} <= {200}
        assert {answer.colour for answer in between} <= {colour}
        judged += len(between)
    assert judged > 200
    assert {answer.json["app"] for _, answer, _ in told} == {"one", "two"}


def test_applications_ask_each_other_by_the_same_choice_without_the_prefix(rig):
    answer = rig.get("/two/a/b?c=d", port=8090)
    assert (answer.json["app"], answer.json["path"], answer.colour) == ("two", "/a/b?c=d", "green")
    rig.lead(two="blue")
    assert rig.get("/two/", port=8090).colour == "blue"
    assert rig.get("/one/", port=8090).colour == "green"
    assert rig.get("/nobody/", port=8090).status == 404
    assert rig.get("/two/", port=8090, X_Protostar_Preview=SECRET).headers["X-Protostar-Colour"] == "green"


@pytest.mark.parametrize("live", COLOURS)
def test_a_preview_is_answered_by_the_other_colour_and_a_probe_by_that_of_everybody(rig, live):
    rig.lead(one=live, two=live)
    idle = COLOURS[1 - COLOURS.index(live)]
    for path in ("/", "/two/"):
        ordinary = rig.get(path)
        assert (ordinary.colour, ordinary.headers["X-Protostar-Colour"]) == (live, None)
        for headers, colour in (
            ({"X_Protostar_Preview": SECRET}, idle),
            ({"Cookie": f"a=b; protostar_preview={SECRET}"}, idle),
            ({"X_Protostar_Probe": SECRET}, live),
        ):
            answer = rig.get(path, **headers)
            assert (answer.colour, answer.headers["X-Protostar-Colour"]) == (colour, colour)


@pytest.mark.parametrize(
    "headers",
    [{"X_Protostar_Preview": "x"}, {"X_Protostar_Probe": "x"}, {"Cookie": "protostar_preview=x"}],
    ids=["header", "probe", "cookie"],
)
def test_a_wrong_secret_is_refused(rig, headers):
    before = {colour: rig.counts("one", colour) for colour in COLOURS}
    answer = rig.get("/", **headers)
    assert (answer.status, answer.headers["X-Protostar-Colour"]) == (403, None)
    assert {colour: rig.counts("one", colour) for colour in COLOURS} == before


def test_a_canary_gets_its_share_of_new_visitors(rig):
    rig.lead(one={"live": "green", "canary": {"weight": 30}})
    connection = rig.connection()
    blue = sum(ask(connection, "/").colour == "blue" for _ in range(1500)) / 1500
    assert 0.25 < blue < 0.35
    for weight, colour in ((0, "green"), (100, "blue")):
        rig.lead(one={"live": "green", "canary": {"weight": weight}})
        assert {ask(connection, "/").colour for _ in range(50)} == {colour}


def visitor(rig, wanted=""):
    """The cookie of a visitor whom a canary leads to a colour."""
    while True:
        answer = rig.get("/")
        if answer.colour == (wanted or answer.colour):
            return answer.headers["Set-Cookie"].split(";")[0]


def test_a_visitor_stays_where_a_canary_led_him_until_it_ends(rig):
    rig.lead(one={"live": "green", "canary": {"weight": 50}})
    cookies = {colour: visitor(rig, colour) for colour in COLOURS}
    for colour, cookie in cookies.items():
        answers = [rig.get("/", Cookie=cookie) for _ in range(10)]
        assert {answer.colour for answer in answers} == {colour}
        assert {answer.headers["Set-Cookie"] for answer in answers} == {None}
    # As it grows, who was in it stays and the others come in, each with the cookie that they have.
    rig.lead(one={"live": "green", "canary": {"weight": 100}})
    assert {rig.get("/", Cookie=cookie).colour for cookie in cookies.values()} == {"blue"}
    rig.lead(one="blue")
    # The next canary asks everybody again.
    rig.lead(one={"live": "blue", "canary": {"weight": 0}})
    for cookie in cookies.values():
        answer = rig.get("/", Cookie=cookie)
        assert answer.colour == "blue"
        assert answer.headers["Set-Cookie"]


def test_a_cohort_is_led_to_the_canary(rig):
    rig.lead(one={"live": "blue", "canary": {"weight": 0, "cohort": "beta"}})
    assert rig.get("/", X_Protostar_Cohort="beta").colour == "green"
    assert rig.get("/", Cookie="protostar_cohort=beta").colour == "green"
    assert rig.get("/", X_Protostar_Cohort="alpha").colour == "blue"
    assert rig.get("/").colour == "blue"
    # The preview of a canary is that of the colour that is not live.
    assert rig.get("/", X_Protostar_Preview=SECRET).colour == "green"


def test_files_of_the_other_colour_are_answered_too(rig):
    for live in COLOURS:
        rig.lead(one=live)
        for name in ("green.js", "blue.js"):
            answer = rig.get(f"/static/{name}")
            assert (answer.status, answer.colour) == (200, name.removesuffix(".js"))
        assert rig.get("/static/none.js").status == 404


def test_a_file_that_nobody_has_is_not_found_also_when_the_other_colour_is_down(rig):
    rig.control("stop", "one", "blue")
    try:
        assert rig.get("/static/blue.js").status == 404
        assert rig.get("/static/green.js").status == 200
    finally:
        rig.control("start", "one", "blue")


def test_the_other_colour_answers_where_failover_is_wanted(rig):
    for app in ("one", "two"):
        rig.control("stop", app, "green")
    try:
        assert {rig.get("/two/").colour for _ in range(10)} == {"blue"}
        assert ask(rig.connection(), "/two/", "POST", b"x").colour == "blue"
        # A probe wants to know of this very colour.
        assert rig.get("/two/", X_Protostar_Probe=SECRET).status == 502
        assert rig.get("/").status == 502
    finally:
        for app in ("one", "two"):
            rig.control("start", app, "green")
    assert {rig.get("/two/").colour for _ in range(10)} == {"green"}
    assert rig.get("/").colour == "green"


def test_an_upload_reaches_the_application_while_it_is_sent(rig):
    def sent(path):
        name = str(time.monotonic_ns())
        connection = rig.connection()
        connection.putrequest("POST", f"{path}/{name}", skip_host=True)
        connection.putheader("Host", NAME)
        connection.putheader("Content-Length", "2000000")
        connection.endheaders()
        connection.send(b"x" * 1000000)
        time.sleep(0.3)
        seen = rig.get(f"/seen/{name}").json["seen"]
        connection.send(b"x" * 1000000)
        assert connection.getresponse().status == 200
        return seen

    assert sent("/upload") == 1000000
    assert sent("/buffered") == 0


def test_grpc_passes(rig):
    for colour, address in zip(COLOURS, ("127.0.1.1", "127.0.1.2"), strict=True):
        rig.lead(rpc=colour)
        ask_it = ("curl", "-sSk", "--http2", "-i", "-H", "content-type: application/grpc", "-H", "te: trailers")
        where = ("--resolve", f"{NAME}:443:127.0.0.1", "--data-binary", "x", f"https://{NAME}/rpc/Service/Method")
        answer = rig.nginx.output(*ask_it, *where)
        assert answer.startswith("HTTP/2 200")
        assert "grpc-status: 0" in answer
        assert answer.endswith(address)


# --- what is counted -------------------------------------------------------------------------------------------------


def test_counts_are_exact_and_nothing_stays_in_flight(rig):
    before = {colour: rig.counts("one", colour) for colour in COLOURS}
    rig.get("/")

    def some(colour, number):
        connection = rig.connection()
        for status in [200] * number + [404, 503]:
            assert ask(connection, f"/status/{status}").status == status

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda _: some("green", 50), range(8)))
    rig.lead(one="blue")
    some("blue", 7)
    until(lambda: rig.counts("one", "blue")["requests"] == before["blue"]["requests"] + 9)
    for colour, (good, rest) in {"green": (401, 8), "blue": (7, 1)}.items():
        now, then = rig.counts("one", colour), before[colour]
        assert now["requests"] - then["requests"] == good + 2 * rest
        grown = {status: now["statuses"][status] - then["statuses"][status] for status in now["statuses"]}
        assert grown == {"1xx": 0, "2xx": good, "3xx": 0, "4xx": rest, "5xx": rest}
        assert sum(now["buckets"]) - sum(then["buckets"]) == good + 2 * rest
        assert (now["in_flight"], now["websockets"], now["streams"]) == (0, 0, 0)


def test_what_is_under_way_is_counted_and_how_long_it_took(rig):
    before = rig.counts("one", "green")
    thread = threading.Thread(target=rig.get, args=("/slow/0.7",))
    thread.start()
    until(lambda: rig.counts("one", "green")["in_flight"] == 1)
    thread.join()
    until(lambda: rig.counts("one", "green")["in_flight"] == 0)
    now = rig.counts("one", "green")
    bounds = rig.admin("/counters").json["bounds"]
    grown = [later - earlier for later, earlier in zip(now["buckets"], before["buckets"], strict=True)]
    assert [number for number, count in enumerate(grown) if count] == [bounds.index(1)]
    assert len(grown) == len(bounds) + 1
    assert 0.69 < now["seconds"] - before["seconds"] < 1


def test_a_client_that_goes_is_not_counted_as_under_way(rig):
    connection = rig.connection()
    connection.request("GET", "/slow/5", headers={"Host": NAME})
    until(lambda: rig.counts("one", "green")["in_flight"] == 1)
    connection.close()
    until(lambda: rig.counts("one", "green")["in_flight"] == 0)


def opened(rig, kind):
    """An open session, and what came first."""
    connection = rig.connection()
    more = {"Upgrade": "websocket", "Connection": "Upgrade"} if kind == "websocket" else {"Accept": "text/event-stream"}
    connection.request("GET", "/ws/talk?to=me" if kind == "websocket" else "/events", headers={"Host": NAME, **more})
    received = connection.sock.recv(4096).decode()
    assert received.startswith("HTTP/1.1 101" if kind == "websocket" else "HTTP/1.1 200")
    return connection.sock


@pytest.mark.parametrize(("kind", "path"), [("websocket", "/ws/talk"), ("stream", "/events")])
def test_sessions_are_counted_and_listed_until_they_end(rig, kind, path):
    before = rig.counts("one", "green")
    sessions = [opened(rig, kind), opened(rig, kind)]
    rig.lead(one="blue")
    assert rig.get("/").colour == "blue"
    now = rig.counts("one", "green")
    assert (now[f"{kind}s"], now["in_flight"]) == (2, 0)
    listed = rig.sessions("one", "green")
    assert [(session["kind"], session["path"]) for session in listed] == 2 * [(kind, path)]
    assert all(abs(session["since"] - time.time()) < 10 and session["client"] for session in listed)
    assert len({session["id"] for session in listed}) == 2
    assert rig.sessions("one", "blue") == []
    if kind == "websocket":
        sessions[0].sendall(b"hello")
        assert sessions[0].recv(100) == b"hello"
    for session in sessions:
        session.close()
    until(lambda: rig.sessions("one", "green") == [])
    now = rig.counts("one", "green")
    assert (now["websockets"], now["streams"], now["in_flight"]) == (0, 0, 0)
    assert now["requests"] - before["requests"] == 2
    assert now["buckets"] == before["buckets"], "how long a session lasted is no latency"


def test_prometheus_is_told_the_same(rig):
    generation = rig.lead(two="blue")
    rig.get("/two/")
    rig.get("/nothing", port=8090)
    until(lambda: rig.counts("two", "blue")["requests"])
    text = rig.nginx.output("curl", "-s", "http://127.0.0.1:8080/metrics")
    samples = dict(line.rsplit(" ", 1) for line in text.splitlines() if not line.startswith("#"))
    assert samples["protostar_nginx_generation"] == str(generation)
    assert samples['protostar_nginx_live{app="two",colour="blue"}'] == "1"
    assert samples['protostar_nginx_live{app="two",colour="green"}'] == "0"
    for kind in ("http", "websocket", "stream"):
        assert samples[f'protostar_nginx_in_flight{{app="two",colour="blue",kind="{kind}"}}'] == "0"
    counted = rig.counts("two", "blue")
    assert samples['protostar_nginx_requests_total{app="two",colour="blue",status="2xx"}'] == str(
        counted["statuses"]["2xx"]
    )
    last = samples['protostar_nginx_request_duration_seconds_bucket{app="two",colour="blue",le="+Inf"}']
    assert last == samples['protostar_nginx_request_duration_seconds_count{app="two",colour="blue"}']
    assert 'protostar_nginx_requests_total{app="nginx",colour="",status="4xx"}' in samples
    families = re.findall(r"^# TYPE (\S+)", text, re.MULTILINE)
    assert len(families) == len(set(families)) == 5


# --- what outlives what ----------------------------------------------------------------------------------------------


def test_a_reload_keeps_the_colours_the_counts_and_the_sessions(rig):
    generation = rig.lead(one="blue")
    rig.keep(1, one="green", two="blue")
    talk = opened(rig, "websocket")
    before = rig.counts("one", "blue")
    assert rig.reload().returncode == 0
    assert rig.admin("/pools").json["apps"] == {"one": {"live": "blue"}}
    assert rig.generation() == generation
    assert (rig.get("/").colour, rig.get("/two/").colour) == ("blue", "green")
    assert len(rig.sessions("one", "blue")) == 1
    until(lambda: rig.counts("one", "blue")["requests"] == before["requests"] + 1)
    talk.sendall(b"still there")
    assert talk.recv(100) == b"still there"
    talk.close()
    until(lambda: rig.sessions("one", "blue") == [])


def test_a_reload_is_proven_by_the_digest_and_one_that_cannot_take_effect_fails(rig):
    before = rig.admin("/pools").json["config"]
    # The port of an application that is already there.
    rig.write(nginx_config_extra="server {\n  listen 127.0.1.1:3001;\n}")
    failed = rig.reload()
    assert failed.returncode != 0
    assert "still runs its configuration of before" in failed.stderr
    assert rig.admin("/pools").json["config"] == before
    assert rig.get("/").status == 200
    rig.write(nginx_client_max_body_size="17m")
    assert rig.reload().returncode == 0
    assert rig.admin("/pools").json["config"] == (rig.place / "config/digest").read_text().strip() != before
    rig.write()
    assert rig.reload().returncode == 0
    assert rig.admin("/pools").json["config"] == before


@pytest.mark.parametrize("how", [("stop", "--time=20"), ("kill", "--signal=KILL")], ids=["restart", "crash"])
@pytest.mark.parametrize("live", COLOURS)
def test_nginx_comes_back_on_the_durable_colours(rig, how, live):
    rig.lead(one="green")
    # Written before the change, which a crash may come ahead of.
    rig.keep(40, one=live)
    rig.restart(*how)
    assert rig.admin("/pools").json["generation"] == 40
    assert rig.get("/").colour == live
    assert rig.counts("one", live)["requests"] <= 1
    # What was read at the start stays, though the file has changed.
    rig.keep(41, one="green", two="blue")
    assert rig.reload().returncode == 0
    assert (rig.get("/").colour, rig.get("/two/").colour) == (live, "green")
    assert rig.put(40, 41, {}).status == 200
