"""The script that the server is compared with: OpenCV decodes, ONNX Runtime detects, ByteTrack tracks, and the best crop of each
track is written.

`cargo xtask bench jobs` runs it with the networks, thresholds and recordings of the server. Frames per second are measured from
opening the recording to the last crop, without loading the networks; the same holds for the server.

    peer.py RECORDING --detectors FOLDER --types body,car --out FOLDER

prints one line of JSON.
"""

import argparse
import json
import pathlib
import resource
import time

import cv2
import numpy as np
import onnx
import onnxruntime
import supervision


def session(model):
    options = onnxruntime.SessionOptions()
    # Hides a warning about every output, whose size differs from that in the file.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Yolox:
    """Persons and vehicles in 416x416; the classes are those that the server reports."""

    CLASSES = {0: "body", 2: "car", 5: "car", 7: "car"}

    def __init__(self, folder, types):
        self.session = session(folder / "yolox-nano/yolox_nano_416.onnx")
        self.name = self.session.get_inputs()[0].name
        self.columns = [5 + c for c, t in self.CLASSES.items() if t in types]
        self.types = [t for t in self.CLASSES.values() if t in types]
        cells = []
        for stride in (8, 16, 32):
            side = 416 // stride
            y, x = np.mgrid[:side, :side]
            cells.append(np.stack([x.ravel(), y.ravel(), np.full(side * side, stride)], 1))
        self.cells = np.concatenate(cells).astype(np.float32)

    def __call__(self, frame):
        scale = min(416 / frame.shape[1], 416 / frame.shape[0])
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        picture = np.full((416, 416, 3), 114, np.uint8)
        picture[: small.shape[0], : small.shape[1]] = small
        blob = np.ascontiguousarray(picture.transpose(2, 0, 1)[None], np.float32)
        rows = self.session.run(None, {self.name: blob})[0][0]
        scores = rows[:, 4:5] * rows[:, self.columns]
        best = scores.argmax(1)
        score = scores.max(1)
        hot = score >= 0.3
        rows, cells, best, score = rows[hot], self.cells[hot], best[hot], score[hot]
        centre = (rows[:, :2] + cells[:, :2]) * cells[:, 2:]
        half = np.exp(rows[:, 2:4]) * cells[:, 2:] / 2
        boxes = np.concatenate([centre - half, centre + half], 1) / scale
        for object_type in dict.fromkeys(self.types):
            of = np.array([self.types[b] == object_type for b in best], bool)
            yield object_type, *suppress(boxes[of], score[of], 0.3, 0.45)


class CenterFace:
    """Faces, in the frame's aspect ratio, at most 640 pixels a side."""

    def __init__(self, folder, _types):
        model = onnx.load(folder / "centerface/centerface.onnx")
        for value in [*model.graph.input, *model.graph.output]:
            for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    dimension.dim_param = f"{value.name}-{axis}"
        self.session = session(model.SerializeToString())
        self.name = self.session.get_inputs()[0].name

    def __call__(self, frame):
        scale = min(1, 640 / max(frame.shape[:2]))
        small = cv2.resize(frame, None, fx=scale, fy=scale, interpolation=cv2.INTER_LINEAR)
        height, width = (-(-side // 32) * 32 for side in small.shape[:2])
        picture = np.zeros((height, width, 3), np.uint8)
        picture[: small.shape[0], : small.shape[1]] = small
        blob = np.ascontiguousarray(picture[:, :, ::-1].transpose(2, 0, 1)[None], np.float32)
        heat, size, offset, _ = self.session.run(None, {self.name: blob})
        y, x = np.nonzero(heat[0, 0] >= 0.5)
        score = heat[0, 0, y, x]
        half = np.exp(size[0, ::-1, y, x].reshape(-1, 2)) * 2
        centre = (np.stack([x, y], 1) + offset[0, ::-1, y, x].reshape(-1, 2) + 0.5) * 4
        boxes = np.concatenate([centre - half, centre + half], 1) / scale
        yield "face", *suppress(boxes, score, 0.5, 0.3)


def suppress(boxes, score, least, iou):
    sides = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], 1)
    kept = cv2.dnn.NMSBoxes(sides.tolist(), score.tolist(), least, iou)
    kept = np.asarray(kept, int).ravel()
    return boxes[kept], score[kept]


def peak_memory_mb(used):
    # `ru_maxrss` of a process includes the peak of the parent from which it was forked.
    try:
        with open("/proc/self/status") as status:
            return next(int(line.split()[1]) / 1024 for line in status if line.startswith("VmHWM:"))
    except OSError:
        return used.ru_maxrss / 1024


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("recording")
    parser.add_argument("--detectors", type=pathlib.Path, required=True)
    parser.add_argument("--types", required=True)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    types = arguments.types.split(",")
    networks = [CenterFace(arguments.detectors, types)] if "face" in types else []
    networks += [Yolox(arguments.detectors, types)] if {"body", "car"} & set(types) else []
    arguments.out.mkdir(parents=True, exist_ok=True)

    start = time.monotonic()
    capture = cv2.VideoCapture(arguments.recording)
    rate = capture.get(cv2.CAP_PROP_FPS) or 25
    trackers = {t: supervision.ByteTrack(frame_rate=rate) for t in types}
    best = {}
    frames = 0
    while True:
        there, frame = capture.read()
        if not there:
            break
        frames += 1
        for network in networks:
            for object_type, boxes, score in network(frame):
                seen = supervision.Detections(boxes.astype(np.float32), confidence=score, class_id=np.zeros(len(boxes), int))
                for box, _, confidence, _, track, _ in trackers[object_type].update_with_detections(seen):
                    key = (object_type, int(track))
                    if key not in best or confidence > best[key][0]:
                        left, top, right, bottom = np.clip(box, 0, [*frame.shape[1::-1]] * 2).astype(int)
                        best[key] = confidence, frame[top:bottom, left:right].copy()
    for (object_type, track), (_, crop) in best.items():
        if crop.size:
            cv2.imwrite(str(arguments.out / f"{object_type}-{track}.jpg"), crop, [cv2.IMWRITE_JPEG_QUALITY, 95])
    seconds = time.monotonic() - start
    used = resource.getrusage(resource.RUSAGE_SELF)
    counts = {t: sum(key[0] == t for key in best) for t in types}
    print(json.dumps({
        "frames": frames,
        "fps": frames / seconds,
        "cpu_seconds": used.ru_utime + used.ru_stime,
        "memory_mb": peak_memory_mb(used),
        "objects": counts,
    }))


main()
