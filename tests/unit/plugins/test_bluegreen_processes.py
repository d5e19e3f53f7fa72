"""The parts of a release that meet other processes: the lease, hooks, and requests to the edge."""

import http.server
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _hooks, _lease, _probe
from ansible_collections.protostar.platform.plugins.module_utils._app import Check, Hook
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError

COLLECTIONS = str(Path(__file__).parents[3] / ".ansible/collections")
OWNER = """
import sys, time
from pathlib import Path
from ansible_collections.protostar.platform.plugins.module_utils import _lease
with _lease.held(Path(sys.argv[1]), sys.argv[2], patience=0) as lease:
    lease.renew(float(sys.argv[3]), int(sys.argv[4]))
    print("held", flush=True)
    time.sleep(60)
"""


# --- the lease -----------------------------------------------------------------------------------------------------


@pytest.fixture
def lease_file(tmp_path):
    return tmp_path / "releases" / ".lease"


@pytest.fixture
def owner(lease_file):
    """Start another deployer, which holds the lease for so many seconds."""
    started = []

    def start(seconds=600, release=7, name="bob@ci"):
        process = subprocess.Popen(
            [sys.executable, "-c", OWNER, str(lease_file), name, str(seconds), str(release)],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": COLLECTIONS},
        )
        started.append(process)
        assert process.stdout.readline() == "held\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.wait()
        process.stdout.close()


def test_the_second_deployer_is_told_who_and_since_when(lease_file, owner):
    owner()
    time.sleep(0.1)
    with pytest.raises(_lease.Busy) as caught, _lease.held(lease_file, "ada", patience=0):
        pass
    assert (caught.value.owner, caught.value.release) == ("bob@ci", 7)
    assert 0 < caught.value.age < 30
    assert str(caught.value).startswith("bob@ci has been making release 7 for ")
    assert "nothing was changed" in str(caught.value)


def test_the_holder_is_told_without_disturbing_it(lease_file, owner):
    assert _lease.holder(lease_file) is None
    process = owner()
    found = _lease.holder(lease_file)
    assert (found["owner"], found["release"], found["pid"]) == ("bob@ci", 7, process.pid)
    assert process.poll() is None


def test_a_killed_owner_holds_nothing(lease_file, owner):
    process = owner()
    process.kill()
    process.wait()
    assert _lease.holder(lease_file) is None
    with _lease.held(lease_file, "ada", patience=0):
        assert _lease.holder(lease_file)["owner"] == "ada"
    assert _lease.holder(lease_file) is None


def test_an_owner_that_hangs_past_its_time_loses_it_and_writes_no_more(lease_file, owner):
    process = owner(seconds=0.2)
    process.send_signal(signal.SIGSTOP)
    time.sleep(0.3)
    with _lease.held(lease_file, "ada", patience=0):
        assert process.wait(5) == -signal.SIGKILL
        assert _lease.holder(lease_file)["owner"] == "ada"


def test_one_who_only_looks_is_waited_for(lease_file):
    lease_file.parent.mkdir()
    looking = os.open(lease_file, os.O_RDWR | os.O_CREAT)
    assert _lease._lock(looking)
    threading.Timer(0.3, os.close, [looking]).start()
    with _lease.held(lease_file, "ada", patience=5):
        pass


def test_no_change_of_the_wall_clock_matters(lease_file, owner, monkeypatch):
    owner()
    for wrong in (0, 4e9):
        monkeypatch.setattr(time, "time", lambda wrong=wrong: wrong)
        with pytest.raises(_lease.Busy) as caught, _lease.held(lease_file, "ada", patience=0):
            pass
        assert 0 <= caught.value.age < 30


def test_a_process_that_got_the_number_of_a_dead_owner_is_not_killed(lease_file, owner):
    process = owner(seconds=600)
    document = json.loads(lease_file.read_text())
    lease_file.write_text(json.dumps({**document, "expires": 0, "started": "1"}))
    with pytest.raises(_lease.Busy), pytest.MonkeyPatch.context() as patched:
        patched.setattr(_lease, "_END_TIME", 0.1)
        with _lease.held(lease_file, "ada", patience=0):
            pass
    assert process.poll() is None


@pytest.mark.parametrize("text", ["", "{", "[]", "3", "null", "\xff", '{"owner": "bob@ci"}', "x" * 5000])
def test_a_damaged_lease_is_held_all_the_same(lease_file, owner, text):
    process = owner()
    lease_file.write_bytes(text.encode("latin-1"))
    with pytest.raises(_lease.Busy), _lease.held(lease_file, "ada", patience=0):
        pass
    assert process.poll() is None


def test_a_damaged_lease_that_nobody_holds_is_taken(lease_file):
    lease_file.parent.mkdir()
    lease_file.write_text("{")
    with _lease.held(lease_file, "ada", patience=0) as lease:
        lease.renew(5, release=3)
        assert _lease.holder(lease_file)["release"] == 3


# --- hooks ---------------------------------------------------------------------------------------------------------


def hook(*command, timeout=10):
    return Hook("flip", tuple(command), timeout=timeout)


def test_a_command_is_given_the_release_on_its_input(tmp_path):
    _hooks.call(hook("sh", "-c", 'cat >"$0"', str(tmp_path / "seen")), '{"id": 7}')
    assert json.loads((tmp_path / "seen").read_text()) == {"id": 7}


def test_a_command_need_not_read_it():
    _hooks.call(hook("true"), "x" * (1 << 20))


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sh", "-c", "echo one; echo two >&2; exit 3"], "the hook at flip (sh) ended with 3: one; two"),
        (["false"], "the hook at flip (false) ended with 1: silent"),
        (["/nonexistent/hook"], "the hook at flip (/nonexistent/hook) failed: "),
        (["sh", "-c", "printf '\\377'; exit 1"], "ended with 1: "),
    ],
)
def test_a_command_that_fails_is_told(command, said):
    with pytest.raises(ServiceError) as caught:
        _hooks.call(hook(*command), "{}")
    assert said in str(caught.value)


@pytest.mark.parametrize("start", ["sleep 60 & echo $! >{0}; wait", "(sleep 60 & echo $! >{0}); sleep 60"])
def test_a_command_that_hangs_ends_with_its_children(tmp_path, start):
    began = time.monotonic()
    with pytest.raises(ServiceError, match=r"the hook at flip \(sh\) did not end within 0.5 s"):
        _hooks.call(hook("sh", "-c", start.format(tmp_path / "child"), timeout=0.5), "{}")
    assert time.monotonic() - began < 5
    child = Path(f"/proc/{(tmp_path / 'child').read_text().strip()}/stat")
    deadline = time.monotonic() + 5
    while child.exists() and child.read_text().rpartition(")")[2].split()[0] != "Z":
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_a_child_that_left_its_session_holds_nobody_up():
    began = time.monotonic()
    with pytest.raises(ServiceError, match="did not end"):
        _hooks.call(hook("setsid", "sleep", "20", timeout=0.3), "{}")
    with pytest.raises(ServiceError, match="did not end"):
        _hooks.call(hook("sh", "-c", "setsid sleep 3 & exec sleep 20", timeout=0.3), "{}")
    assert time.monotonic() - began < 2.5


class Answers(http.server.BaseHTTPRequestHandler):
    """Answers as its path says, and remembers what it was asked."""

    asked = ()

    def do_GET(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
        type(self).asked += ((self.command, self.path, dict(self.headers), body),)
        if self.path == "/slow":
            time.sleep(1)
        page = self.path.partition("?")[0].strip("/")
        status = int(page) if page.isdigit() else 200
        self.send_response(status)
        if self.headers.get("X-Protostar-Preview"):
            self.send_header("X-Protostar-Colour", "blue")
        self.send_header("X-Version", "1.2.3")
        self.end_headers()
        self.wfile.write(b"this is\nnest 1.2.3")

    do_POST = do_GET

    def log_message(self, *_arguments):
        pass


@pytest.fixture
def answers():
    Answers.asked = ()
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1]
    server.shutdown()
    server.server_close()


def test_a_url_is_posted_the_release(answers):
    _hooks.call(Hook("released", url=f"http://127.0.0.1:{answers}/told"), '{"id": 7}')
    ((method, path, headers, body),) = Answers.asked
    assert (method, path, headers["Content-Type"]) == ("POST", "/told", "application/json")
    assert json.loads(body) == {"id": 7}


def test_a_url_that_refuses_hangs_or_is_away_is_told_without_its_query(answers):
    with pytest.raises(ServiceError, match=r"the hook at flip \(http://127.0.0.1:\d+/500\) answered 500"):
        _hooks.call(Hook("flip", url=f"http://127.0.0.1:{answers}/500?token=secret"), "{}")
    with pytest.raises(ServiceError, match="failed: "):
        _hooks.call(Hook("flip", url=f"http://127.0.0.1:{answers}/slow", timeout=0.2), "{}")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        with pytest.raises(ServiceError, match="refused"):
            _hooks.call(Hook("flip", url=f"http://127.0.0.1:{unused.getsockname()[1]}/"), "{}")


def test_a_url_that_speaks_no_http_is_told():
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def answer():
            connection, _peer = listening.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"220 mail.example.com ESMTP\r\n\r\n")

        threading.Thread(target=answer, daemon=True).start()
        with pytest.raises(ServiceError, match="the hook at flip"):
            _hooks.call(Hook("flip", url=f"http://127.0.0.1:{listening.getsockname()[1]}/"), "{}")


# --- requests to the edge ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    path = tmp_path_factory.mktemp("certificate")
    subprocess.run(
        [
            "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
            "-days", "1", "-subj", "/CN=www.example.com", "-keyout", str(path / "key"),
            "-out", str(path / "certificate"),
        ],
        check=True, capture_output=True,
    )  # fmt: skip
    return path


@pytest.fixture
def edge(certificate, answers, monkeypatch):
    """nginx, for what a check sees of it: it listens on 443 and 80 of an address of this host."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "certificate", certificate / "key")
    names = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    ports = {443: server.server_address[1], 80: answers}
    original = socket.create_connection
    monkeypatch.setattr(socket, "create_connection", lambda to, *more: original((to[0], ports[to[1]]), *more))
    yield names
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("scheme", ["https", "http"])
def test_a_check_goes_to_the_edge_under_the_public_name(edge, scheme):
    url = f"{scheme}://www.example.com/ready?deep=1"
    _probe.ask(Check(url, body="nest 1\\.", headers={"X-Version": "^1\\."}), "127.0.0.1", {_probe.PREVIEW: "s"}, "blue")
    ((method, path, headers, _body),) = Answers.asked
    assert (method, path, headers["Host"], headers[_probe.PREVIEW]) == ("GET", "/ready?deep=1", "www.example.com", "s")
    assert edge == (["www.example.com"] if scheme == "https" else [])


@pytest.mark.parametrize(
    ("check", "colour", "said"),
    [
        (Check("https://a.example/503"), "", "answered 503 instead of 200: this is nest 1.2.3"),
        (Check("https://a.example/", status=204), "", "answered 200 instead of 204"),
        (Check("https://a.example/", method="POST", body="^nest"), "", "to POST https://a.example/ does not match"),
        (Check("https://a.example/", headers={"X-Version": "^2"}), "", "the header X-Version of the answer"),
        (Check("https://a.example/", headers={"X-Gone": "."}), "", "is '', which does not match '.'"),
        (Check("https://a.example/"), "green", "was answered by blue instead of green"),
        (Check("https://a.example/slow", timeout=0.2), "", "was not answered: "),
    ],
)  # fmt: skip
def test_another_answer_is_told(edge, check, colour, said):
    with pytest.raises(_probe.CheckFailed) as caught:
        _probe.ask(check, "127.0.0.1", {_probe.PREVIEW: "secret"}, colour)
    assert said in str(caught.value)
    assert "secret" not in str(caught.value)


def test_an_answer_of_no_colour_is_told(edge):
    with pytest.raises(_probe.CheckFailed, match="answered by no app instead of blue"):
        _probe.ask(Check("https://a.example/"), "127.0.0.1", {}, "blue")


def test_an_edge_that_is_away_is_told(monkeypatch):
    with pytest.raises(_probe.CheckFailed, match="was not answered"):
        monkeypatch.setattr(
            socket, "create_connection", lambda *_arguments: (_ for _ in ()).throw(OSError(111, "refused"))
        )
        _probe.ask(Check("https://a.example/"), "127.0.0.1", {})
