"""The module tests, run on the host; each of them is a test here, too."""

import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[3]
RUN = """set -e
rm -rf /opt/module-tests/checkout && mkdir /opt/module-tests/checkout && cd /opt/module-tests/checkout
tar -xf ../collection.tar
docker load --quiet --input ../image.tar
PROTOSTAR_TEST_IMAGE=protostar/module-test ../venv/bin/python -m pytest tests/module -p no:cacheprovider \
  --junitxml=../report.xml >../report.log 2>&1 || true
"""


def names_here():
    """The tests that this checkout has, so that one which the host does not run is missed."""
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", "tests/module"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [line.removeprefix("tests/module/") for line in listed.splitlines() if "::" in line]


NAMES = names_here()


@pytest.fixture(scope="session")
def results(machine):
    """What each test on the host came to: nothing if it passed, else what it said."""
    host = machine("protostar-relay")
    host.run("rm -f /opt/module-tests/report.xml")
    host.run(f"bash -c '{RUN}'")
    report = host.run("cat /opt/module-tests/report.xml")
    assert report.rc == 0, host.check_output("tail -n 40 /opt/module-tests/report.log")
    return {
        f"{case.get('classname').removeprefix('tests.module.').replace('.', '/')}.py::{case.get('name')}": said(case)
        for case in ElementTree.fromstring(report.stdout).iter("testcase")
    }


def said(case):
    return "\n".join(
        f"{child.tag}: {child.get('message')}\n{child.text or ''}" for child in case if child.tag != "properties"
    )


def test_there_are_module_tests():
    assert NAMES


@pytest.mark.parametrize("name", NAMES)
def test_module(results, name):
    assert name in results, "the host did not run it"
    assert not results[name], results[name]
