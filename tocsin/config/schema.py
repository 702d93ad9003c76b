"""The JSON Schema of `tocsin.yaml`, for editors and for whoever writes it by program."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel

from tocsin.config.fields import SECRET_FILE


def json_schema(model: type[BaseModel]) -> dict[str, Any]:
    """Return the JSON Schema (draft 2020-12) of a configuration file.

    Parameters
    ----------
    model
        Top of the tree of settings. Its secrets appear as the file keys that stand for them.

    """
    schema = _without_secrets(model.model_json_schema(mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _without_secrets(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_secrets(item) for item in node]
    if not isinstance(node, dict):
        return node
    node = {key: _without_secrets(value) for key, value in node.items()}
    properties = node.get("properties")
    if not isinstance(properties, dict):
        return node
    secrets = {name for name, declared in properties.items() if _is_secret(declared)}
    node["properties"] = {
        name + SECRET_FILE * (name in secrets): _file_of(name) if name in secrets else declared
        for name, declared in properties.items()
    }
    if secrets & set(node.get("required", ())):
        node["required"] = [name for name in node["required"] if name not in secrets]
    return node


def _is_secret(declared: Any) -> bool:
    if not isinstance(declared, dict):
        return False
    return declared.get("format") == "password" or any(map(_is_secret, declared.get("anyOf", ())))


def _file_of(name: str) -> dict[str, Any]:
    return {
        "anyOf": [{"type": "string"}, {"type": "null"}],
        "default": None,
        "description": f"A file that holds the secret `{name}`, which may also come from the environment.",
    }
