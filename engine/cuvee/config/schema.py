"""The JSON Schemas of the two files, so that editors complete and check them: made of the very models that read them.

What lies between keys a schema cannot say (a weight for a source that is not there): `cuvee check` does.
"""

from __future__ import annotations

import ast
import inspect
import textwrap
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema
from pydantic_core.core_schema import ModelSchema

from cuvee.config.settings import Settings
from cuvee.config.variants import FIXED
from cuvee.product import Product
from cuvee.registry import Registered, Registry

__all__ = ["product_schema", "server_schema"]

DIALECT = "https://json-schema.org/draft/2020-12/schema"
VARIABLE = {"type": "string", "pattern": r"\$\{"}
"""What stands for a number or a flag where a variable of the environment is read."""
PLAIN = ("boolean", "integer", "number")

Schema = dict[str, Any]


class Described(GenerateJsonSchema):
    """Adds to each key what the docstring below its attribute says.

    Not pydantic's ``use_attribute_docstrings``: that reads the source of each class whenever it is imported.
    """

    def model_schema(self, schema: ModelSchema) -> dict[str, Any]:
        """The schema of one table."""
        table = super().model_schema(schema)
        for key, said in _docstrings(schema["cls"]).items():
            if key in table.get("properties", {}):
                table["properties"][key].setdefault("description", said)
        return table


def _docstrings(model: type) -> dict[str, str]:
    """What stands below each attribute of a class, and of those that it inherits from."""
    found: dict[str, str] = {}
    for one in reversed(model.__mro__):
        if one is BaseModel or not issubclass(one, BaseModel):
            continue
        (body,) = ast.parse(textwrap.dedent(inspect.getsource(one))).body
        statements = body.body if isinstance(body, ast.ClassDef) else []
        for attribute, below in pairwise(statements):
            if not isinstance(attribute, ast.AnnAssign) or not isinstance(attribute.target, ast.Name):
                continue
            if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant):
                found[attribute.target.id] = inspect.cleandoc(str(below.value.value))
    return found


def product_schema(registry: Registry) -> Schema:
    """Of ``products/<name>.toml``, with the keys of the rules and blenders that are installed."""
    schema = _of(Product)
    definitions = schema["$defs"]
    for fixed in ("name",):
        del schema["properties"][fixed]
    schema["required"] = [key for key in schema["required"] if key not in {"name", "dataset"}]
    rules = [_named(definitions, name, one, "Config", "use") for name, one in registry.rules.items()]
    common = {key: one for key, one in definitions["RuleUse"]["properties"].items() if key != "use"}
    for _, rule in rules:
        rule["properties"] = {**common, **rule["properties"]}
    definitions["RuleUse"] = _either("use", rules)
    blend = definitions["BlendConfig"]
    blend["properties"]["method"] = {"default": "weighted", "enum": list(registry.blenders)}
    blend["properties"]["calibrate"] = {"default": "zscore", "enum": list(registry.calibrators)}
    blend["allOf"] = [
        {
            # without a method it is the default's
            "if": {"properties": {"method": {"const": name}}, "required": [] if name == "weighted" else ["method"]},
            "then": {"properties": {"options": _component(definitions, f"blender.{name}", one, "Options")}},
        }
        for name, one in registry.blenders.items()
    ]
    _with_overrides(schema)
    return {"$schema": DIALECT, "title": "A product of Cuvée: products/<name>.toml", **_undescribed(schema)}


def _with_overrides(schema: Schema) -> None:
    """Say what variants and shadows may override: the keys of a product, none of which is required there."""
    definitions = schema["$defs"]
    # which options there are depends on the method, which the product itself may name
    definitions["BlendOverrides"] = {key: one for key, one in definitions["BlendConfig"].items() if key != "allOf"}
    keys = {key: one for key, one in schema["properties"].items() if key not in FIXED}
    definitions["Overrides"] = {
        "type": "object",
        "properties": {**keys, "blend": {"$ref": "#/$defs/BlendOverrides"}},
        "additionalProperties": False,
    }
    for name in ("VariantConfig", "ShadowConfig"):
        table = definitions[name]["properties"]["overrides"]
        kept = {key: one for key, one in table.items() if key in {"description", "minProperties"}}
        definitions[name]["properties"]["overrides"] = {"$ref": "#/$defs/Overrides", **kept}


def server_schema(registry: Registry) -> Schema:
    """Of ``cuvee.toml``, with the keys of the recommenders that are installed."""
    schema = _of(Settings)
    definitions = schema["$defs"]
    for name in ("Instance", "Product"):
        definitions.pop(name, None)
    recommenders = [_named(definitions, name, one, "Config", "plugin") for name, one in registry.recommenders.items()]
    schema["properties"] = {key: one for key, one in schema["properties"].items() if key != "root"}
    schema["properties"]["products"] = {
        "type": "string", "default": "products", "description": "The folder of the products' files.",
    }  # fmt: skip
    schema["properties"]["recommenders"] = {
        "type": "object",
        "description": "One table for each recommender; `plugin` says which, the other keys are its own.",
        "propertyNames": {
            "pattern": r"^[a-z][a-z0-9_-]{0,62}$",
            "not": {"enum": ["catalogue", "load_history", "store"]},
        },
        "additionalProperties": _either("plugin", recommenders),
    }
    schema.pop("required", None)
    _with_variables(schema)
    return {"$schema": DIALECT, "title": "The operators' file of Cuvée: cuvee.toml", **_undescribed(schema)}


def _of(model: type[BaseModel]) -> Schema:
    schema = model.model_json_schema(schema_generator=Described)
    schema.setdefault("$defs", {})
    return schema


def _component(definitions: Schema, prefix: str, one: Registered[Any], model: str) -> Schema:
    """The schema of a plugin's own keys; what it refers to goes to the definitions."""
    schema: Schema = getattr(one.component, model).model_json_schema(
        ref_template=f"#/$defs/{prefix}.{{model}}", schema_generator=Described
    )
    for name, inner in schema.pop("$defs", {}).items():
        definitions[f"{prefix}.{name}"] = inner
    return schema


def _named(definitions: Schema, name: str, one: Registered[Any], model: str, key: str) -> tuple[str, Schema]:
    """A table that names what it is for by a key, with the keys of its own beside that."""
    schema = _component(definitions, f"{key}.{name}", one, model)
    schema["properties"] = {key: {"const": name}, **schema.get("properties", {})}
    schema["required"] = [key, *schema.get("required", [])]
    schema["type"] = "object"
    return name, schema


def _either(key: str, tables: list[tuple[str, Schema]]) -> Schema:
    """One of some tables, by the value of a key: a mistake inside is then told of that table alone."""
    return {
        "type": "object",
        "properties": {key: {"enum": [name for name, _ in tables]}},
        "required": [key],
        "allOf": [
            {"if": {"properties": {key: {"const": name}}, "required": [key]}, "then": schema} for name, schema in tables
        ],
    }


def _with_variables(schema: Any) -> None:
    """Let a variable stand for every number and flag, in place."""
    if isinstance(schema, list):
        for one in schema:
            _with_variables(one)
    if not isinstance(schema, dict):
        return
    for inner in schema.values():
        _with_variables(inner)
    properties = schema.get("properties")
    if isinstance(properties, Mapping):
        schema["properties"] = {
            key: {
                **{k: v for k, v in one.items() if k in {"default", "description", "title"}},
                "anyOf": [one, VARIABLE],
            }
            if isinstance(one, Mapping) and one.get("type") in PLAIN
            else one
            for key, one in properties.items()
        }


def _undescribed(schema: Schema) -> Schema:
    """Without the docstring of the class, which speaks to its readers."""
    return {key: one for key, one in schema.items() if key not in {"description", "title"}}
