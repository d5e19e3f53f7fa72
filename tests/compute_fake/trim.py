"""Cuts Google's discovery document of the Compute API down to what the fake answers.

``python -m compute_fake.trim <wheel of google-api-python-client>`` prints the trimmed document. See scripts/discovery.
"""

from __future__ import annotations

import json
import sys
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

Json = dict[str, Any]

DOCUMENT = "googleapiclient/discovery_cache/documents/compute.v1.json"

# Collection: the methods of it that the fake answers.
METHODS = {
    "addresses": "aggregatedList delete get insert list setLabels",
    "disks": "aggregatedList delete get insert list resize setLabels",
    "diskTypes": "get list",
    "firewalls": "delete get insert list patch update",
    "globalOperations": "get list wait",
    "images": "get getFromFamily list",
    "instances": "addAccessConfig aggregatedList delete deleteAccessConfig get getGuestAttributes insert list reset"
    " setDeletionProtection setDiskAutoDelete setLabels setMachineType setMetadata setScheduling setServiceAccount"
    " setShieldedInstanceIntegrityPolicy setTags start stop update updateAccessConfig updateNetworkInterface"
    " updateShieldedInstanceConfig",
    "machineTypes": "get list",
    "networks": "delete get insert list patch",
    "projects": "get",
    "regionOperations": "get list wait",
    "regions": "get list",
    "subnetworks": "delete expandIpCidrRange get insert list patch",
    "zoneOperations": "get list wait",
    "zones": "get list",
}

# What says how a request looks. Everything else (descriptions, scopes, deprecations) is dropped.
METHOD_KEYS = ("id", "httpMethod", "path", "parameters", "parameterOrder", "request", "response")
SCHEMA_KEYS = (
    *("$ref", "type", "format", "enum", "items", "additionalProperties", "properties", "pattern", "minimum", "maximum"),
    *("required", "repeated", "location", "default", "annotations", "readOnly"),
)
# Most fields that only the server sets are marked by their description alone.
OUTPUT_ONLY = ("[output only]", "output only.")


def trim(document: Json, methods: dict[str, str], package: str) -> Json:
    """Return a document with ``methods`` only, and the schemas that they reach.

    Args:
        document: The whole discovery document.
        methods: Per collection, the names of its methods with spaces between them.
        package: Name and version of the package that the document came from, which the result records.
    """
    kept = {
        collection: {name: _method(document["resources"][collection]["methods"][name]) for name in names.split()}
        for collection, names in methods.items()
    }
    identifiers = {method["id"] for collection in kept.values() for method in collection.values()}
    schemas: Json = {}
    wanted = sorted(set(_references(kept)))
    while wanted:
        name = wanted.pop()
        if name not in schemas:
            schemas[name] = _schema(document["schemas"][name], identifiers)
            wanted.extend(_references(schemas[name]))
    return {
        "package": package,
        **{key: document[key] for key in ("id", "revision", "rootUrl", "servicePath")},
        "parameters": {name: _schema(value, set()) for name, value in document["parameters"].items()},
        "methods": kept,
        "schemas": dict(sorted(schemas.items())),
    }


def _method(method: Json) -> Json:
    kept = {key: method[key] for key in METHOD_KEYS if key in method}
    kept["parameters"] = {name: _schema(value, set()) for name, value in method.get("parameters", {}).items()}
    return kept


def _schema(schema: Json, methods: set[str]) -> Json:
    kept = {key: schema[key] for key in SCHEMA_KEYS if key in schema}
    if schema.get("description", "").lower().startswith(OUTPUT_ONLY):
        kept["readOnly"] = True
    if "properties" in kept:
        kept["properties"] = {name: _schema(value, methods) for name, value in kept["properties"].items()}
    for key in ("items", "additionalProperties"):
        if key in kept:
            kept[key] = _schema(kept[key], methods)
    if "annotations" in kept:
        required = [method for method in kept.pop("annotations").get("required", []) if method in methods]
        if required:
            kept["annotations"] = {"required": required}
    return kept


def _references(part: Any) -> Iterator[str]:
    if isinstance(part, dict):
        if isinstance(part.get("$ref"), str):
            yield part["$ref"]
        for value in part.values():
            yield from _references(value)


def text(document: Json) -> str:
    """Write a trimmed document with one method or schema per line, so that a change of it can be read."""

    def members(values: Iterable[tuple[str, Any]], indent: str, last: str) -> str:
        return ",\n".join(f"{indent}{json.dumps(name)}: {value}" for name, value in values) + last

    def line(value: Any) -> str:
        return json.dumps(value, separators=(",", ":"))

    collections = (
        (name, "{\n" + members(((key, line(value)) for key, value in methods.items()), "      ", "\n    }"))
        for name, methods in document["methods"].items()
    )
    schemas = ((name, line(value)) for name, value in document["schemas"].items())
    head = ((name, line(value)) for name, value in document.items() if name not in ("methods", "schemas"))
    blocks = (
        ("methods", "{\n" + members(collections, "    ", "\n  }")),
        ("schemas", "{\n" + members(schemas, "    ", "\n  }")),
    )
    return "{\n" + members((*head, *blocks), "  ", "\n}\n")


def main(wheel: str) -> None:
    """Print the trimmed document of a wheel of google-api-python-client."""
    with zipfile.ZipFile(wheel) as archive:
        document = json.loads(archive.read(DOCUMENT))
        record = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    package = record.split("/")[0].removesuffix(".dist-info").replace("_", "-")
    sys.stdout.write(text(trim(document, METHODS, package)))


if __name__ == "__main__":
    main(sys.argv[1])
