"""Sessions of the filter. componentize-py requires the module to have the interface's name."""

import json

from componentize_py_types import Err
from wit_world.exports import filtering
from wit_world.imports import types


class Session(filtering.Session):
    def __init__(self, minimum: float):
        self.minimum = minimum

    @classmethod
    def open(cls, settings: str, source: types.StreamInfo) -> "Session":
        try:
            return cls(float(json.loads(settings).get("min", 0)))
        except ValueError as error:
            raise Err(str(error)) from error

    def detections(self, frame: types.FrameInfo, detections: list[types.Detection]) -> list[filtering.Verdict]:
        return [filtering.Verdict_Keep() for _ in detections]

    def shots(self, frame: types.FrameInfo, candidates: list[filtering.Candidate]) -> list[filtering.Verdict]:
        return [self.judge(candidate.detection.rect) for candidate in candidates]

    def objects(self, objects: list[filtering.Object]) -> list[filtering.Verdict]:
        return [filtering.Verdict_Keep() for _ in objects]

    def judge(self, rect: types.Rect) -> filtering.Verdict:
        ratio = (rect.bottom - rect.top) / (rect.right - rect.left)
        if ratio >= self.minimum:
            return filtering.Verdict_Keep()
        return filtering.Verdict_Reject(filtering.Rejection(rule="min", value=f"{ratio:.2f}"))
