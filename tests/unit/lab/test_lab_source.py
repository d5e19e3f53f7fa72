"""An image is built again when, and only when, what it is made of changed."""

import io
import os
import tarfile

import pytest

from lab.builder import catalogue, source

CERTIFICATE = "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n"


@pytest.fixture
def tree(tmp_path):
    for name, dockerfile in {
        "base": "FROM scratch\nARG MIRROR\n",
        "child": "ARG BASE_IMAGE\nFROM ${BASE_IMAGE}\nARG VERSION\n",
        "other": "FROM scratch\n",
    }.items():
        (tmp_path / name).mkdir()
        (tmp_path / name / "Dockerfile").write_text(dockerfile)
    (tmp_path / "child/file").write_text("one")
    return tmp_path


def digests(tree, version="1", mirror="http://one", extra=None):
    images = [
        catalogue.Image(name, "lab", tree / name, version=version if name == "child" else "1")
        for name in ("base", "child", "other")
    ]
    sources = source.collect(images, {"MIRROR": mirror}, extra or {})
    return {name: item.digest for name, item in sources.items()}


def change_file(tree):
    (tree / "child/file").write_text("two")


def add_file(tree):
    (tree / "child/more").write_text("")


def rename_file(tree):
    (tree / "child/file").rename(tree / "child/elsewhere")


def make_executable(tree):
    (tree / "child/file").chmod(0o755)


def change_parent(tree):
    (tree / "base/more").write_text("")


def touch(tree):
    os.utime(tree / "child/file", (1, 1))


def install_modules(tree):
    (tree / "child/node_modules/left-pad").mkdir(parents=True)
    (tree / "child/node_modules/left-pad/index.js").write_text("")


@pytest.mark.parametrize(
    ("change", "changed"),
    [
        (change_file, {"child"}),
        (add_file, {"child"}),
        (rename_file, {"child"}),
        (make_executable, {"child"}),
        (change_parent, {"base", "child"}),
        (touch, set()),
        (install_modules, set()),
    ],
)
def test_hash_follows_files_and_parents(tree, change, changed):
    before = digests(tree)
    change(tree)
    after = digests(tree)
    assert {name for name in before if before[name] != after[name]} == changed


def test_hash_follows_the_arguments_that_a_dockerfile_declares(tree):
    before = digests(tree)
    assert digests(tree, version="2")["child"] != before["child"]
    mirrored = digests(tree, mirror="http://two")
    assert mirrored["base"] != before["base"]
    assert mirrored["other"] == before["other"]


def test_hash_follows_this_machines_cas(tree):
    before, after = digests(tree), digests(tree, extra={"base": {"ca/one.crt": b"certificate"}})
    assert {name for name in before if before[name] != after[name]} == {"base", "child"}


def test_context_holds_every_file_with_its_mode(tree):
    make_executable(tree)
    files = dict(source.read(tree / "child"))
    with tarfile.open(fileobj=io.BytesIO(source.context(files))) as archive:
        assert {entry.name: entry.mode for entry in archive} == {"Dockerfile": 0o644, "file": 0o755}
        assert archive.extractfile("file").read() == b"one"


def test_only_cas_that_the_distribution_does_not_bring_are_private(tmp_path):
    public, bundle = tmp_path / "public/mozilla", tmp_path / "bundle.crt"
    public.mkdir(parents=True)
    (public / "known.crt").write_text(CERTIFICATE.format("known"))
    bundle.write_text(CERTIFICATE.format("known") + CERTIFICATE.format("company"))
    private = source.private_cas(bundle, public)
    assert [data for path, data in private.items() if path.endswith(".crt")] == [CERTIFICATE.format("company").encode()]


def test_machine_without_a_bundle_has_no_private_cas(tmp_path):
    assert not [path for path in source.private_cas(tmp_path / "none", tmp_path) if path.endswith(".crt")]
