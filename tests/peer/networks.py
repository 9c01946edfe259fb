"""Milliseconds a picture of the shipped networks by ONNX Runtime as Python has it: what our own runs are held against.

    networks.py FOLDER

prints one line of JSON: by network, `alone` (one picture after the other on all cores, as sessions are by default) and `together`
(a session and a thread for each core, a picture each).
"""

import concurrent.futures
import json
import os
import pathlib
import statistics
import sys
import time

import numpy as np
import onnx
import onnxruntime

NETWORKS = {
    "yolox-nano": ("yolox_nano_416.onnx", 416, 416),
    "centerface": ("centerface.onnx", 640, 384),
}
RUNS = 40


def session(model, threads):
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    if threads:
        options.intra_op_num_threads = threads
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def milliseconds(work):
    start = time.monotonic()
    work()
    return (time.monotonic() - start) * 1e3


def main():
    cores = len(os.sched_getaffinity(0))
    figures = {}
    for name, (file, width, height) in NETWORKS.items():
        model = onnx.load(pathlib.Path(sys.argv[1]) / name / file)
        for value in [*model.graph.input, *model.graph.output]:
            for axis, dimension in enumerate(value.type.tensor_type.shape.dim):
                if axis != 1:
                    dimension.dim_param = f"{value.name}-{axis}"
        model = model.SerializeToString()
        picture = np.full((1, 3, height, width), 128, np.float32)

        def run(session):
            session.run(None, {session.get_inputs()[0].name: picture})

        alone = session(model, None)
        run(alone)
        one = statistics.median(milliseconds(lambda: run(alone)) for _ in range(RUNS))
        lanes = [session(model, 1) for _ in range(cores)]
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            list(pool.map(run, lanes))
            rounds = lambda lane: [run(lane) for _ in range(RUNS)]
            together = milliseconds(lambda: list(pool.map(rounds, lanes))) / (RUNS * cores)
        figures[name] = {"alone": one, "together": together}
    print(json.dumps(figures))


main()
