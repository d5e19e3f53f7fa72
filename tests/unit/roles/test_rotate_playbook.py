"""playbooks/rotate.yml, as far as it comes without a host."""

import pytest
import yaml
from production import Production


@pytest.fixture
def production(tmp_path):
    made = Production(tmp_path)
    assert made.run()[0] == 0
    return made


def plan(production, secret):
    status, output = production.run("-e", f"secret={secret}", "--check", playbook="rotate")
    assert status == 0, output
    assert not any(value in output for value in production.secrets().values())
    return output


@pytest.mark.parametrize(
    ("secret", "stages", "users"),
    [
        ("redis_fastapi", "accept, use, close", ["main.home.example.com: redis, fastapi (released)"]),
        ("redis_monitor", "accept, use, close", ["main.home.example.com: redis"]),
        ("pgvector_fastapi", "accept, use, return, close", ["main.home.example.com: pgvector, fastapi (released)"]),
        ("pgvector_exporter", "use", ["main.home.example.com: pgvector"]),
        ("minio_loki", "use", ["sub.home.example.com: minio, loki"]),
        ("preview", "use", ["main.home.example.com: nginx", "sub.home.example.com: nginx"]),
    ],
)
def test_check_mode_tells_the_plan_and_changes_nothing(production, secret, stages, users):
    before = production.files()
    output = plan(production, secret)
    assert f"{secret}: {stages}." in output
    assert [user for user in users if user not in output] == []
    assert production.files() == before


@pytest.mark.parametrize(
    ("secret", "words"),
    [
        ("redis_monitr", ["no secret redis_monitr", "Did you mean redis_monitor?"]),
        ("", ["say which secret", "redis_monitor"]),
        ("grafana_admin", ["Grafana", "roles/grafana/README.md"]),
    ],
)
def test_what_is_not_rotated_is_refused(production, secret, words):
    production.refuses(*words, arguments=("-e", f"secret={secret}"), playbook="rotate")


def test_a_part_of_the_hosts_is_refused(production):
    arguments = ("-e", "secret=redis_nest", "--limit", "main")
    production.refuses("Run it without --limit", arguments=arguments, playbook="rotate")


def test_a_host_that_is_not_reached_leaves_both_values_in_the_vault(production):
    old = production.secrets()["redis_nest"]
    (production.inventory / "host_vars").mkdir()
    (production.inventory / "host_vars/main.home.example.com.yml").write_text(
        "ansible_host: 127.0.0.1\nansible_port: 1\n"
    )
    assert production.run("-e", "secret=redis_nest", playbook="rotate")[0] != 0
    # It was not reached before anything was written.
    assert "platform_rotation" not in yaml.safe_load(production.text())
    assert production.secrets()["redis_nest"] == old
