"""Arguments that are refused, each with a sentence that names the culprit."""

import pytest
from ansible_collections.protostar.platform.plugins.module_utils import _desired as desired
from ansible_collections.protostar.platform.plugins.module_utils._errors import ServiceError
from ansible_collections.protostar.platform.plugins.module_utils._run import hidden_words

WEB = {"image": "web:1", "volumes": ["./config:/c:ro"]}


def parameters(**changes):
    return {
        "name": "web",
        "root": "/srv",
        "compose": {"services": {"web": WEB}},
        "overrides": {},
        "lock": {},
        "files": [],
        "secrets": [],
        "validate": [],
        "provision": [],
        "rehearse": True,
        "reload": None,
        "ready": None,
        "keep": 3,
        **changes,
    }


def file(dest="config/a", content="x", mode="0444"):
    return {"dest": dest, "content": content, "mode": mode, "owner": 0}


def reload(service="web", signal=None, command=None, http=None, files=None):
    return {"service": service, "signal": signal, "command": command, "http": http, "files": files}


def build(values):
    release = desired.release(values)
    return release, desired.options(values, release)


def services(**entries):
    return {"services": entries}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "Web"}, "name 'Web'"),
        ({"name": "a" * 42}, "1 to 41"),
        ({"compose": None}, "compose is missing"),
        ({"compose": {"services": {}}}, "at least one service"),
        ({"compose": {"services": ["web"]}}, "must be a mapping"),
        ({"compose": services(web={"build": "."})}, "service web needs an image"),
        ({"compose": {"name": "other", **services(web=WEB)}}, "compose.name is 'other'"),
        (
            {"compose": services(a={**WEB, "container_name": "x"}, b={**WEB, "container_name": "x"})},
            "two services have the container_name x",
        ),
        (
            {"compose": services(a={**WEB, "ports": ["80:1"]}, b={**WEB, "ports": ["127.0.0.1:80:2"]})},
            "published twice",
        ),
        ({"compose": services(a={**WEB, "ports": ["${PORT}:1"]})}, "not a number"),
        ({"files": [file("redis.conf")]}, "sub-directory"),
        ({"files": [file("/etc/passwd")]}, "inside the service directory"),
        ({"files": [file("../x/y")]}, "inside the service directory"),
        ({"files": [file("config/../../x")]}, "inside the service directory"),
        ({"files": [file("config//x")]}, "inside the service directory"),
        ({"files": [file("releases/1/x")]}, "other than releases and staging"),
        ({"files": [file(), file()]}, "'config/a' is given 2 times"),
        ({"files": [file()], "secrets": [file(mode="0400")]}, "'config/a' is given 2 times"),
        ({"files": [file("config/a"), file("config/a/b")]}, "both a file and the directory"),
        ({"files": [file(mode="rw")]}, "mode 'rw'"),
        ({"files": [file(mode="7777")]}, "mode '7777'"),
        ({"secrets": [file(mode="0440")]}, "mode 0440 would let others read it"),
        ({"secrets": [file(mode="0400", content=" \n")]}, "secret 'config/a' is empty"),
        ({"validate": [{"service": "x", "command": ["true"]}]}, "validate names the service x"),
        ({"provision": [{"service": "x", "command": ["true"]}]}, "provision names the service x"),
        ({"reload": reload("x", signal="HUP")}, "reload names the service x"),
        ({"reload": reload(signal="HUPP")}, "there is no signal HUPP"),
        ({"reload": reload()}, "exactly one of signal, command and http, not 0"),
        ({"reload": reload(signal="HUP", command=["x"])}, "exactly one of signal, command and http, not 2"),
        ({"reload": reload(http={"url": "file:///etc/passwd"})}, "must start with http"),
        ({"keep": 0}, "keep at least 1"),
        ({"ready": {"timeout": 0, "interval": 1, "successes": 1}}, "more than 0"),
        (
            {
                "compose": services(web={"image": "x", "volumes": ["./config/a:/a:ro"]}),
                "files": [file()],
                "reload": reload(signal="HUP"),
            },
            "mounts the single file config/a",
        ),
    ],
)
def test_refused(changes, said):
    with pytest.raises(ServiceError, match=said.replace("(", r"\(").replace("$", r"\$")):
        build(parameters(**changes))


def test_built():
    values = parameters(
        overrides={"services": {"web": {"mem_limit": "1g"}}},
        files=[file(mode="0640")],
        secrets=[file("secrets/k", mode="0400")],
        reload=reload(http={"method": "PUT", "url": "http://127.0.0.1/"}, files=["config/*"]),
    )
    release, options = build(values)
    assert release.directory == "/srv/web"
    assert release.compose == {"name": "web", "services": {"web": {**WEB, "mem_limit": "1g"}}}
    assert [(item.dest, item.mode, item.secret) for item in release.files] == [
        ("config/a", 0o640, False),
        ("secrets/k", 0o400, True),
    ]
    assert options.reload.takes("config/a")
    assert not options.reload.takes("secrets/k")


def test_words_that_are_masked():
    secrets = [{"content": "user app on >long-password-of-app\nshort\n"}, {"content": "pin\n"}, {"content": None}]
    assert hidden_words(secrets) == {
        "user app on >long-password-of-app",
        ">long-password-of-app",
        "user app on >long-password-of-app\nshort",
        "pin",
    }


LOCKED = {"web:1": "web:1@sha256:aa", "db:2": "db:2@sha256:bb"}


def test_an_image_is_what_the_lock_says_after_the_overrides():
    values = parameters(
        compose=services(web=WEB, db={"image": "db:1"}, cache={"image": "cache:1@sha256:cc"}),
        overrides=services(db={"image": "db:2"}),
        lock=LOCKED,
    )
    images = {name: service["image"] for name, service in build(values)[0].services.items()}
    assert images == {"web": LOCKED["web:1"], "db": LOCKED["db:2"], "cache": "cache:1@sha256:cc"}


@pytest.mark.parametrize("lock", [{"db:2": LOCKED["db:2"]}, {"web:1": "web:2"}])
def test_an_image_without_digest_is_refused_once_there_is_a_lock(lock):
    with pytest.raises(ServiceError, match=r"web:[12]? .*of web .*run playbooks/lock.yml"):
        build(parameters(lock=lock))
