"""Loki's configuration, held to the names and types of Loki 3.7's reference: a key that it does not know is fatal."""

import configparser
import json
from pathlib import Path

import jsonschema
import pytest
import yaml

SCHEMA = json.loads((Path(__file__).parents[1] / "schemas/loki-3.7.json").read_text())


@pytest.fixture
def config(render, file):
    """config(variables…): the checked configuration."""

    def config(**variables):
        document = yaml.safe_load(file(render("loki", **variables), "config/loki.yaml"))
        jsonschema.Draft202012Validator(SCHEMA).validate(document)
        return document

    return config


VARIANTS = [
    {},
    {"loki_retention": "1w", "loki_max_line_size": "1MB", "loki_schema_from": "2027-03-01"},
    {"loki_endpoint": "s3.example.com:443", "loki_insecure": False, "loki_bucket": "logs"},
    {"loki_config_extra": {"limits_config": {"max_query_series": 50}, "server": {"log_level": "debug"}}},
]


@pytest.mark.parametrize("variables", VARIANTS)
def test_the_configuration_is_in_lokis_language(config, variables):
    config(**variables)


@pytest.mark.parametrize(
    "extra",
    [
        {"limitsconfig": {}},
        {"limits_config": {"retention": "30d"}},
        {"storage_config": {"object_store": {"s3": {"bucketnames": "loki"}}}},
        {"compactor": {"retention_enabled": "often"}},
        {"limits_config": {"retention_period": "a month"}},
        {"query_range": {"results_cache": {"cache": {"embedded_cache": {"size": 1}}}}},
    ],
)
def test_what_loki_would_refuse_is_refused(config, extra):
    with pytest.raises(jsonschema.ValidationError):
        config(loki_config_extra=extra)


def test_an_extra_setting_wins_and_leaves_its_neighbours(config):
    limits = config(loki_config_extra={"limits_config": {"max_query_series": 50}})["limits_config"]
    assert limits["max_query_series"] == 50
    assert limits["retention_period"] == config()["limits_config"]["retention_period"]


def test_everything_is_in_one_bucket_through_the_client_that_is_named(config):
    document = config(loki_bucket="logs", loki_endpoint="s3:1", loki_insecure=False, loki_schema_from="2027-03-01")
    period = document["schema_config"]["configs"][0]
    assert (period["store"], period["schema"], period["from"]) == ("tsdb", "v13", "2027-03-01")
    store = document["storage_config"]["object_store"][period["object_store"]]
    assert document["storage_config"]["use_thanos_objstore"] is True
    assert (store["bucket_name"], store["endpoint"], store["insecure"]) == ("logs", "s3:1", False)
    assert document["compactor"]["delete_request_store"] == period["object_store"]


def test_old_logs_are_deleted(config):
    document = config(loki_retention="1w")
    assert document["compactor"]["retention_enabled"] is True
    assert document["limits_config"]["retention_period"] == "1w"


def paths(document):
    for value in document.values() if isinstance(document, dict) else document:
        if isinstance(value, dict | list):
            yield from paths(value)
        elif isinstance(value, str) and value.startswith("/"):
            yield value


def test_loki_writes_to_its_volume_only(render, config):
    document = config()
    volume = next(v for v in render("loki")["compose"]["services"]["loki"]["volumes"] if v.startswith("data:"))
    assert {path.split("/")[1] for path in paths(document)} == {volume.partition(":")[2].strip("/")}
    # Its default is relative to the working directory, which is read-only.
    assert document["ruler"]["wal"]["dir"]
    assert "storage" not in document["ruler"]


def test_the_keys_are_in_the_file_that_loki_is_pointed_to(render, file):
    arguments = render("loki", loki_access_key="ann", loki_secret_key="a#b;c 'd' \\")
    keys = configparser.RawConfigParser()
    keys.read_string(file(arguments, "secrets/credentials"))
    # In back quotes, the parser of Loki's client takes a value as it is.
    assert dict(keys["default"]) == {"aws_access_key_id": "`ann`", "aws_secret_access_key": "`a#b;c 'd' \\`"}
    service = arguments["compose"]["services"]["loki"]
    source, target = next(v for v in service["volumes"] if "secrets" in v).split(":")[:2]
    assert service["environment"]["AWS_SHARED_CREDENTIALS_FILE"] == f"{target}/credentials"
    assert source == "./secrets"


def test_no_second_loki_runs_on_the_bucket(render):
    assert render("loki")["rehearse"] is False
