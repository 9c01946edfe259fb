"""A filter in Python that drops shots whose height divided by width is less than `min`."""

import json

from wit_world import exports
from wit_world.imports import types

SCHEMA = {
    "type": "object",
    "additionalProperties": False,
    "properties": {
        "min": {"type": "number", "minimum": 0, "default": 0, "description": "Least height by width."},
    },
}


class Filtering(exports.Filtering):
    def describe(self) -> types.Manifest:
        return types.Manifest(
            name="tall",
            version="0.1.0",
            description="Drops shots that are not tall enough for their width.",
            settings_schema=json.dumps(SCHEMA),
            capabilities=[],
            stages=types.Stages.SHOTS,
            limits=types.Limits(deadline_ms=None, memory_bytes=None, output_bytes=None),
            on_fault=None,
        )
