"""The blackbox exporter: what it trusts, and what counts as an answer."""

import pytest
import yaml


@pytest.fixture
def modules(render, file):
    return lambda **variables: yaml.safe_load(file(render("blackbox", **variables), "config/config.yml"))["modules"]


def tls(module):
    return module.get(module["prober"], {}).get("tls_config")


def test_every_web_probe_wants_a_certificate_that_verifies(modules):
    for name, module in modules().items():
        assert "insecure_skip_verify" not in (tls(module) or {}), name
        if module["prober"] == "http":
            assert module["http"]["fail_if_not_ssl"] is True, name


def test_authorities_are_files_that_the_modules_name(render, file, modules):
    variables = {"blackbox_authority": "public's\n", "blackbox_peer_authority": "peer's\n"}
    arguments = render("blackbox", **variables)
    mount = "/etc/blackbox_exporter/"
    assert f"./config:{mount.rstrip('/')}:ro" in arguments["compose"]["services"]["blackbox"]["volumes"]
    trusted = {
        name: file(arguments, tls(module)["ca_file"].replace(mount, "config/"))
        for name, module in modules(**variables).items()
        if tls(module)
    }
    assert trusted.pop("peer_closed") == "peer's\n"
    assert set(trusted.values()) == {"public's\n"}


def test_without_an_authority_those_of_the_image_count(render, modules):
    assert not [tls(module) for module in modules().values() if tls(module)]
    assert [entry["dest"] for entry in render("blackbox")["files"]] == ["config/config.yml"]


def test_a_closed_door_is_not_a_success_when_it_opens(modules):
    assert all(400 <= status < 500 for status in modules()["peer_closed"]["http"]["valid_status_codes"])


def test_a_module_can_be_changed_and_added(modules):
    extra = {"modules": {"http_2xx": {"timeout": "3s"}, "dns": {"prober": "dns"}}}
    changed = modules(blackbox_config_extra=extra)
    assert changed["http_2xx"] == {**modules()["http_2xx"], "timeout": "3s"}
    assert changed["dns"] == {"prober": "dns"}
