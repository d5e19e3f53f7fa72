"""Preflight refuses a weak password, if it is this platform's own."""

import pytest
from ansible_collections.protostar.platform.plugins.action import check_variables

STRONG = "Zu7bq1Vd9kXw3LmP0sTy"
SECRET = {"type": "str", "no_log": True}
OPTIONS = {
    "redis_password": SECRET,
    "redis_users": {"type": "list", "options": {"name": {"type": "str"}, "password": SECRET}},
    "alertmanager_email": {"type": "dict", "options": {"password": SECRET}},
    "ddclient_password": {**SECRET, "default": ""},
    "nginx_peer_key": SECRET,
    "app_definition": {"type": "dict", "options": {"secrets": {"type": "dict", "no_log": True}}},
}


@pytest.mark.parametrize(
    ("values", "allow", "wheres"),
    [
        ({"redis_password": STRONG}, [], []),
        ({"redis_password": "admin"}, [], ["redis_password"]),
        ({"redis_password": "redis_password"}, [], ["redis_password"]),
        ({"redis_password": "change me"}, [], []),
        ({"redis_password": ""}, [], []),
        (
            {"redis_users": [{"name": "a-long-enough-name", "password": "a-long-enough-name"}]},
            [],
            ["redis_users[a-long-enough-name].password"],
        ),
        ({"redis_users": [{"name": "nest", "password": "admin"}]}, [], ["redis_users[nest].password"]),
        ({"redis_users": [{"name": "nest", "password": "admin"}]}, ["redis_users[nest].password"], []),
        ({"redis_users": [{"name": "nest", "password": "admin"}]}, ["redis_users*"], []),
        ({"redis_users": [{"name": "nest", "password": "admin"}]}, ["redis_password"], ["redis_users[nest].password"]),
        ({"alertmanager_email": {"password": "admin"}, "ddclient_password": "abc"}, [], []),
        ({"nginx_peer_key": "PEM", "app_definition": {"secrets": {"licence": "abc"}}}, [], []),
    ],
)
def test_preflight_refuses_a_weak_password_that_is_ours(values, allow, wheres):
    problems = list(check_variables.find_weak(OPTIONS, values, allow))
    assert [problem.split(" is a secret ")[0] for problem in problems] == wheres
    assert all(f'preflight_allow_weak: ["{where}"]' in problem for where, problem in zip(wheres, problems, strict=True))
    assert not any("admin" in problem for problem in problems)
