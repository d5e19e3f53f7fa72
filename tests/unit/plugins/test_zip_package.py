"""The filter that packs a program: it runs, and is the same text wherever it is made."""

import base64
import io
import os
import subprocess
import sys
import zipfile

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.protostar.platform.plugins.filter.zip_package import zip_package

MODULES = {"__main__.py": "import words\nprint(words.SAID)\n", "words.py": 'SAID = "grüß"\n', "deep/er.py": "X = 1\n"}


def program(directory, names):
    for name in names:
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(MODULES[name])
    return directory


def test_the_packed_program_runs_as_the_directory_does(tmp_path):
    packed = tmp_path / "program.zip"
    packed.write_bytes(base64.b64decode(zip_package(str(program(tmp_path / "program", MODULES)))))
    said = [
        subprocess.run([sys.executable, path], capture_output=True, check=True, encoding="utf-8").stdout
        for path in (packed, tmp_path / "program")
    ]
    assert said[0] == said[1] != ""


def test_neither_time_nor_order_nor_permissions_nor_leftovers_change_the_text(tmp_path):
    one = program(tmp_path / "one", MODULES)
    two = program(tmp_path / "two", reversed(MODULES))
    os.utime(two / "words.py", (10**9, 10**9))
    (two / "words.py").chmod(0o600)
    (two / "__pycache__").mkdir()
    (two / "__pycache__/words.cpython-310.pyc").write_bytes(b"compiled")
    (two / "notes.txt").write_text("not a module")
    assert zip_package(str(one)) == zip_package(str(two))


def test_a_changed_module_changes_the_text(tmp_path):
    directory = program(tmp_path, MODULES)
    before = zip_package(str(directory))
    (directory / "deep/er.py").write_text("X = 2\n")
    assert zip_package(str(directory)) != before


def test_nothing_in_it_depends_on_the_compressor(tmp_path):
    # zlib and its replacements make different bytes of the same text.
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(zip_package(str(program(tmp_path, MODULES))))))
    assert {entry.compress_type for entry in archive.infolist()} == {zipfile.ZIP_STORED}
    assert {entry.filename for entry in archive.infolist()} == set(MODULES)


def test_a_directory_without_a_program_is_refused(tmp_path):
    program(tmp_path, ["words.py"])
    with pytest.raises(AnsibleFilterError, match=r"has no __main__\.py"):
        zip_package(str(tmp_path))
