"""Alertmanager: whom it tells, and that no secret is in its configuration."""

import json

import pytest
import yaml

WAYS = {
    "slack": {"webhook_url": "https://hooks.test/slack's", "channel": "#alerts"},
    "email": {
        "to": "ops@example.test", "from": "am@example.test", "smarthost": "mail.test:587",
        "username": "am", "password": "mail's",
    },
    "telegram": {"bot_token": "1:telegram's", "chat_id": -5},
    "webhook": {"url": "https://hook.test/webhook's"},
}  # fmt: skip


@pytest.fixture
def configured(render, file):
    """The arguments of the task and the configuration, with some ways to notify."""

    def configured(*ways, **variables):
        arguments = render("alertmanager", **{f"alertmanager_{way}": WAYS[way] for way in ways}, **variables)
        return arguments, yaml.safe_load(file(arguments, "config/alertmanager.yml"))

    return configured


def receiver(config, name):
    return next(entry for entry in config["receivers"] if entry["name"] == name)


@pytest.mark.parametrize("ways", [[], ["slack"], ["email"], ["telegram"], ["webhook"], list(WAYS)])
def test_people_are_told_by_the_ways_that_are_set_and_no_other(configured, ways):
    _, config = configured(*ways)
    found = [key.removesuffix("_configs") for key in receiver(config, config["route"]["receiver"]) if key != "name"]
    assert found == ways


@pytest.mark.parametrize("way", WAYS)
def test_a_secret_is_a_file_that_the_configuration_names(configured, way):
    arguments, config = configured(way)
    (secret,) = arguments["secrets"]
    (settings,) = receiver(config, "people")[f"{way}_configs"]
    assert secret["content"] in WAYS[way].values()
    assert secret["dest"].replace("secrets/", "/run/secrets/", 1) in settings.values()
    assert secret["content"] not in json.dumps({key: value for key, value in arguments.items() if key != "secrets"})
    assert "./secrets:/run/secrets:ro" in arguments["compose"]["services"]["alertmanager"]["volumes"]


def test_a_mail_server_may_want_no_login_but_tls_unless_told(configured):
    without = {key: value for key, value in WAYS["email"].items() if key not in ("username", "password")}
    arguments, config = configured(alertmanager_email=without)
    (settings,) = receiver(config, "people")["email_configs"]
    assert arguments["secrets"] == []
    assert [key for key in settings if key.startswith("auth")] == []
    assert settings["require_tls"] is True
    _, config = configured(alertmanager_email={**without, "require_tls": False})
    assert receiver(config, "people")["email_configs"][0]["require_tls"] is False


def test_the_watchdog_goes_elsewhere_or_nowhere(configured):
    arguments, config = configured(alertmanager_watchdog_url="https://elsewhere.test/watchdog's")
    assert [entry["content"] for entry in arguments["secrets"]] == ["https://elsewhere.test/watchdog's"]
    assert "webhook_configs" in receiver(config, "watchdog")
    _, config = configured()
    assert receiver(config, "watchdog") == {"name": "watchdog"}


def test_how_often_alerts_are_repeated_is_the_users(configured):
    _, config = configured(
        alertmanager_repeat_critical="7m", alertmanager_repeat_warning="8h", alertmanager_repeat_info="9d"
    )
    repeats = {tuple(route["matchers"]): route["repeat_interval"] for route in config["route"]["routes"]}
    assert config["route"]["repeat_interval"] == "7m"
    assert repeats["severity = warning",] == "8h"
    assert repeats["severity = info",] == "9d"


def test_more_configuration_is_merged_into_the_roles(configured):
    _, config = configured(alertmanager_config_extra={"route": {"group_wait": "3s"}})
    assert config["route"]["group_wait"] == "3s"
    assert config["route"]["receiver"] == "people"


def test_behind_a_proxy_it_links_to_the_proxy_but_answers_at_the_root(configured):
    arguments, _ = configured(alertmanager_external_url="https://ops.test/alertmanager/")
    command = arguments["compose"]["services"]["alertmanager"]["command"]
    assert "--web.external-url=https://ops.test/alertmanager/" in command
    assert "--web.route-prefix=/" in command
