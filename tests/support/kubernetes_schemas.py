"""JSON schemas for kubeconform, derived from what Kubernetes and the operator of Prometheus ship.

    python -m tests.support.kubernetes_schemas SWAGGER CUSTOM_RESOURCE FOLDER

Each kind is one file, KIND-GROUP-VERSION.json, that refuses keys which are not known.
"""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

Schema = dict[str, Any]


def strict(schema: Any) -> Any:  # noqa: ANN401 -- JSON's own
    """The same, but that an object with known keys may have no others; whole numbers or texts are both."""
    if isinstance(schema, list):
        return [strict(item) for item in schema]
    if not isinstance(schema, Mapping):
        return schema
    if schema.get("format") == "int-or-string" or schema.get("x-kubernetes-int-or-string"):
        return {"oneOf": [{"type": "string"}, {"type": "integer"}]}
    found = {key: strict(value) for key, value in schema.items() if not key.startswith("x-")}
    if isinstance(schema.get("properties"), Mapping) and isinstance(schema.get("type", "object"), str):
        found.setdefault("additionalProperties", False)
    return found


def kinds_of_kubernetes(swagger: Schema) -> dict[str, Schema]:
    """File name -> schema of each kind."""
    definitions = strict(swagger["definitions"])
    # a quantity may be written as a number, too
    definitions["io.k8s.apimachinery.pkg.api.resource.Quantity"] = {"type": ["string", "number"]}
    found = {}
    for name, definition in swagger["definitions"].items():
        for known in definition.get("x-kubernetes-group-version-kind", ()):
            group = known["group"].split(".")[0]
            file = "-".join(filter(None, (known["kind"], group, known["version"]))).lower()
            found[f"{file}.json"] = {"$ref": f"#/definitions/{name}", "definitions": _needed(name, definitions)}
    return found


def _needed(name: str, definitions: Schema) -> Schema:
    """The definition, and those that it is made of: kubeconform takes none in which anything else is odd."""
    found: Schema = {}
    names = [name]
    while names:
        if (one := names.pop()) not in found:
            found[one] = definitions[one]
            names += _named(definitions[one])
    return found


def _named(schema: Any) -> Iterator[str]:  # noqa: ANN401 -- JSON's own
    if isinstance(schema, list):
        for item in schema:
            yield from _named(item)
    elif isinstance(schema, Mapping):
        if isinstance(reference := schema.get("$ref"), str):
            yield reference.rpartition("/")[2]
        for value in schema.values():
            yield from _named(value)


def kinds_of_resource(resource: Schema) -> dict[str, Schema]:
    """The same of a kind that is defined beside Kubernetes."""
    spec = resource["spec"]
    group, kind = spec["group"].split(".")[0], spec["names"]["kind"]
    known = {v["name"]: strict(v["schema"]["openAPIV3Schema"]) for v in spec["versions"]}
    for schema in known.values():
        schema["properties"]["metadata"] = {"type": "object"}
    return {f"{kind}-{group}-{version}.json".lower(): schema for version, schema in known.items()}


def main(swagger: str, resource: str, folder: str) -> None:
    """Write those that are ours to use: all of them would be a gigabyte."""
    wanted = {
        "configmap-v1.json",
        "networkpolicy-networking-v1.json",
        "poddisruptionbudget-policy-v1.json",
        "secret-v1.json",
        "service-v1.json",
        "statefulset-apps-v1.json",
    }
    found = kinds_of_kubernetes(json.loads(Path(swagger).read_text()))
    found = {name: schema for name, schema in found.items() if name in wanted}
    if wanted - found.keys():
        raise SystemExit(f"{swagger} has no {', '.join(sorted(wanted - found.keys()))}")
    found |= kinds_of_resource(yaml.safe_load(Path(resource).read_text()))
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name, schema in found.items():
        Path(folder, name).write_text(json.dumps(schema))


if __name__ == "__main__":
    main(*sys.argv[1:])
