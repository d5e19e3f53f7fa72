"""What a TLS server shows, one with a certificate of each kind of key among them."""

import socket
import ssl
import threading

import edge
import pytest
from _certificate import read
from settings import Failed

NAME = "www.example.com"


@pytest.fixture
def serve(tmp_path):
    """A TLS server on loopback with these pairs; returns the Edge that asks it."""
    listeners = []

    def answer(listener, context):
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            try:
                context.wrap_socket(connection, server_side=True).close()
            except OSError:
                connection.close()

    def start(*pairs):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        for number, (chain, key) in enumerate(pairs):
            (tmp_path / f"{number}.crt").write_text(chain)
            (tmp_path / f"{number}.key").write_text(key)
            context.load_cert_chain(tmp_path / f"{number}.crt", tmp_path / f"{number}.key")
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)
        threading.Thread(target=answer, args=(listener, context), daemon=True).start()
        return edge.Edge(("127.0.0.1", listener.getsockname()[1]))

    yield start
    for listener in listeners:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(edge, "PATIENCE", 0)


def fingerprint(pair):
    return read(pair[0]).fingerprint


def test_each_of_two_kinds_is_seen(serve, authority):
    one = authority()
    elliptic, rsa, other = one.sign(NAME), one.sign(NAME, rsa=True), one.sign(NAME, rsa=True)
    both = serve(elliptic, rsa)
    both.check([NAME], fingerprint(elliptic), "ecdsa", "")
    both.check([NAME], fingerprint(rsa), "rsa", "")
    assert both.shown(NAME) == fingerprint(elliptic), "who understands both is shown the smaller"
    with pytest.raises(Failed, match=f"another certificate for {NAME}"):
        both.check([NAME], fingerprint(other), "rsa", "")
    with pytest.raises(Failed, match=f"another certificate for {NAME}"):
        both.check([NAME], fingerprint(one.sign(NAME)), "ecdsa", "")


def test_a_kind_that_no_site_has_yet_is_nobodys(serve, authority):
    one = authority()
    serve(one.sign(NAME)).check([NAME], fingerprint(one.sign(NAME, rsa=True)), "rsa", "")


def test_the_one_before_is_no_other_kinds(serve, authority):
    one = authority()
    before, new = one.sign(NAME, rsa=True), one.sign(NAME)
    with pytest.raises(Failed, match=f"another certificate for {NAME}"):
        serve(before).check([NAME], fingerprint(new), "ecdsa", fingerprint(before))


def test_an_nginx_that_does_not_answer_is_told_with_the_variable():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(Failed, match="certificates_served_at says where"):
        edge.Edge(("127.0.0.1", port)).check([NAME], "", "ecdsa", "")
