"""Milliseconds per picture of the shipped networks in ONNX Runtime's Python package, for comparison with the server.

    networks.py FOLDER

prints one line of JSON: by network, `alone` (one picture after the other in a session that uses all cores, the default) and
`together` (one single-threaded session per core, concurrently).
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
        workers = [session(model, 1) for _ in range(cores)]
        with concurrent.futures.ThreadPoolExecutor(cores) as pool:
            list(pool.map(run, workers))
            rounds = lambda worker: [run(worker) for _ in range(RUNS)]
            together = milliseconds(lambda: list(pool.map(rounds, workers))) / (RUNS * cores)
        figures[name] = {"alone": one, "together": together}
    print(json.dumps(figures))


main()
