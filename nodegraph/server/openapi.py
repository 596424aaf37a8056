"""The OpenAPI 3.1 description of the API, made from the endpoints and their pydantic models."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, TypeAdapter
from pydantic.json_schema import models_json_schema

from nodegraph.server.routing import Endpoint, Raw
from nodegraph.wire.problems import MEDIA_TYPE, ProblemDetails

_ALWAYS = (401, 403, 429, 431, 500)


def describe(endpoints: Iterable[Endpoint], version: str) -> dict[str, Any]:
    """The whole API as an OpenAPI document."""
    endpoints = list(endpoints)
    schemas, components = _schemas(endpoints)
    paths: dict[str, dict[str, Any]] = {}
    for found in endpoints:
        paths.setdefault(found.path, {})[found.method.lower()] = _operation(found, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "nodegraph", "version": version, "description": "Typed node graphs for latent diffusion."},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "nodegraph-PORT"},
            },
        },
        "security": [{"token": []}, {"session": []}],
    }


Schemas = Mapping[Any, dict[str, Any]]


def _schemas(endpoints: Iterable[Endpoint]) -> tuple[Schemas, dict[str, Any]]:
    wanted: dict[tuple[type[BaseModel], Any], None] = {(ProblemDetails, "serialization"): None}
    for found in endpoints:
        if (model := _json_body(found)) is not None:
            wanted[model, "validation"] = None
        for answer in found.answers.values():
            if isinstance(answer, type):
                wanted[answer, "serialization"] = None
    refs, whole = models_json_schema(list(wanted), ref_template="#/components/schemas/{model}")
    return refs, dict(whole.get("$defs", {}))


def _operation(found: Endpoint, schemas: Schemas) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": found.handler.__name__,
        "summary": found.summary,
        "tags": [found.tag],
        "responses": _responses(found, schemas),
    }
    if found.description:
        operation["description"] = found.description
    if parameters := _parameters(found):
        operation["parameters"] = parameters
    content: dict[str, Any] = {}
    if isinstance(found.body, Raw):
        content = {media: {"schema": {"type": "string", "format": "binary"}} for media in found.body.media_types}
    if (model := _json_body(found)) is not None:
        content["application/json"] = {"schema": schemas[model, "validation"]}
    if content:
        operation["requestBody"] = {"required": True, "content": content}
    if found.public:
        operation["security"] = []
    return operation


def _json_body(found: Endpoint) -> type[BaseModel] | None:
    return found.body.or_json if isinstance(found.body, Raw) else found.body


def _parameters(found: Endpoint) -> list[dict[str, Any]]:
    parameters = []
    for name, kind in found.path_types.items():
        parameters.append({"name": name, "in": "path", "required": True, "schema": TypeAdapter(kind).json_schema()})
    if found.query is not None:
        schema = found.query.model_json_schema()
        required = schema.get("required", [])
        for name, inner in schema["properties"].items():
            about = {"description": inner["description"]} if "description" in inner else {}
            parameters.append({"name": name, "in": "query", "required": name in required, "schema": inner, **about})
    for name, text in found.headers.items():
        parameters.append({"name": name, "in": "header", "schema": {"type": "string"}, "description": text})
    return parameters


def _responses(found: Endpoint, schemas: Schemas) -> dict[str, Any]:
    responses: dict[str, Any] = {}
    for status, answer in found.answers.items():
        responses[str(status)] = {"description": _words(status), **_content(answer, schemas)}
    always = set(_ALWAYS) - {401} if found.public else set(_ALWAYS)
    refuses = always | set(found.refuses)
    if found.body is not None:
        refuses |= {400, 413, 415, 422}
    if found.query is not None:
        refuses.add(422)
    if found.path_types:
        refuses.add(404)
    problem = schemas[ProblemDetails, "serialization"]
    for status in sorted(refuses):
        responses[str(status)] = {"description": "Refused.", "content": {MEDIA_TYPE: {"schema": problem}}}
    return responses


def _content(answer: type[BaseModel] | Raw | None, schemas: Schemas) -> dict[str, Any]:
    if answer is None:
        return {}
    if isinstance(answer, Raw):
        return {"content": {media: {"schema": {"type": "string"}} for media in answer.media_types}}
    return {"content": {"application/json": {"schema": schemas[answer, "serialization"]}}}


def _words(status: int) -> str:
    return {200: "Here it is.", 201: "Made.", 202: "Accepted.", 204: "Done.", 206: "A part of it.", 101: "A WebSocket."}.get(
        status, "Done."
    )
