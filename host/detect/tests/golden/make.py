"""Writes the golden outputs beside this file: what ONNX Runtime makes of the networks that ship, and of small networks
of one operator, or of a few, each.

    python3 -m venv venv && venv/bin/pip install onnx onnxruntime numpy
    venv/bin/python make.py ../../../../target/assets

The input is noise from a formula that tests/networks.rs has, too. Of each output every n-th number is kept, so that a
file stays small and still has numbers from everywhere.
"""

import json
import pathlib
import sys

import numpy
import onnx
import onnxruntime
from onnx import TensorProto, helper

# Folder, model file, width, height of the input.
NETWORKS = [
    ("detectors/centerface", "centerface.onnx", 96, 64),
    ("detectors/yolox-nano", "yolox_nano_416.onnx", 416, 416),
    ("embedders/dlib-face", "dlib_face.onnx", 150, 150),
]
KEEP = 150


def noise(width, height):
    """[1, 3, height, width], whole numbers 0..255: the top byte of the index times Knuth's constant."""
    index = numpy.arange(3 * height * width, dtype=numpy.uint64)
    return ((index * 2654435761 % 2**32) >> 24).astype(numpy.float32).reshape(1, 3, height, width)


def networks(assets):
    for folder, file, width, height in NETWORKS:
        model = onnx.load(assets / folder / file)
        weights = {w.name for w in model.graph.initializer}
        (given,) = [i for i in model.graph.input if i.name not in weights]
        for dim, size in zip(given.type.tensor_type.shape.dim, (1, 3, height, width)):
            dim.dim_value = size
        del model.graph.value_info[:]
        for output in model.graph.output:
            output.type.tensor_type.ClearField("shape")
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        outputs = session.run(None, {given.name: noise(width, height)})
        golden = {"onnxruntime": onnxruntime.__version__, "model": file, "width": width, "height": height, "outputs": []}
        for description, values in zip(session.get_outputs(), outputs):
            flat = values.reshape(-1)
            # Odd, so that it is no multiple of rows and channels.
            step = max(1, flat.size // KEEP) | 1
            golden["outputs"].append({
                "name": description.name,
                "dims": list(values.shape),
                "step": step,
                "values": [float(f"{v:.7g}") for v in flat[::step]],
            })
        path = pathlib.Path(__file__).with_name(f"{pathlib.PurePath(folder).name}.json")
        path.write_text(json.dumps(golden) + "\n")
        print(path, path.stat().st_size)


def constant(name, values, kind=TensorProto.FLOAT):
    values = numpy.asarray(values)
    return helper.make_tensor(name, kind, values.shape, values.reshape(-1).tolist())


def integers(name, values):
    return constant(name, values, TensorProto.INT64)


def ramp(*shape):
    """Weights: small, different, of both signs."""
    count = int(numpy.prod(shape))
    return ((numpy.arange(count) * 7 % 11 - 5) / 8).reshape(shape)


def node(operator, inputs, outputs="y", **attributes):
    return helper.make_node(operator, inputs.split(","), outputs.split(","), name=f"{operator}_{outputs}", **attributes)


def operators():
    """Name, nodes from x to y, constants, opset. x is [1, 3, 4, 6] and goes from -1 to 1."""
    for operator in "Relu Sigmoid Tanh Exp Abs Neg Erf Floor Ceil HardSwish Softplus Reciprocal Mish".split():
        yield operator, [node(operator, "x")], [], 18
    yield "SiLU", [node("Sigmoid", "x", "s"), node("Mul", "x,s")], [], 13
    yield "SiLU, gate in front", [node("Sigmoid", "x", "s"), node("Mul", "s,x")], [], 13
    yield "Sigmoid used twice", [node("Sigmoid", "x", "s"), node("Mul", "x,s", "m"), node("Add", "m,s")], [], 13
    yield "LeakyRelu", [node("LeakyRelu", "x", alpha=0.1)], [], 13
    yield "Elu", [node("Elu", "x", alpha=0.5)], [], 13
    yield "HardSigmoid", [node("HardSigmoid", "x", alpha=0.3, beta=0.4)], [], 13
    yield "PRelu", [node("PRelu", "x,a")], [constant("a", ramp(3, 1, 1))], 16
    yield "Clip", [node("Clip", "x,lo,hi")], [constant("lo", -0.25), constant("hi", 0.5)], 13
    yield "Clip of opset 6", [node("Clip", "x", min=-0.25, max=0.5)], [], 9
    yield "Softmax", [node("Softmax", "x", axis=1)], [], 13
    for operator in "Add Sub Mul Div Max Min".split():
        yield operator, [node(operator, "x,a")], [constant("a", ramp(3, 1, 1) + 0.0625)], 13
    yield "Pow", [node("Pow", "x,a")], [constant("a", 2.0)], 13
    yield "MatMul", [node("MatMul", "x,a")], [constant("a", ramp(6, 5))], 13
    yield "Gemm", [node("Flatten", "x", "f"), node("Gemm", "f,a,b", alpha=0.5, beta=2.0)], [constant("a", ramp(72, 4)), constant("b", ramp(4))], 13
    yield "Linear", [node("Flatten", "x", "f"), node("Gemm", "f,a,b", transB=1)], [constant("a", ramp(4, 72)), constant("b", ramp(4))], 13
    weights, bias = constant("w", ramp(4, 3, 3, 3)), constant("b", ramp(4))
    yield "Conv", [node("Conv", "x,w,b", pads=[1, 0, 2, 1], strides=[2, 1])], [weights, bias], 13
    yield "Conv, SAME_UPPER", [node("Conv", "x,w", auto_pad="SAME_UPPER", strides=[2, 2])], [weights], 13
    yield "Conv, SAME_LOWER", [node("Conv", "x,w", auto_pad="SAME_LOWER", strides=[1, 2])], [weights], 13
    yield "Conv, dilated", [node("Conv", "x,w", pads=[2, 2, 2, 2], dilations=[2, 2])], [weights], 13
    yield "Conv, depthwise", [node("Conv", "x,w", group=3, pads=[1, 1, 1, 1])], [constant("w", ramp(3, 1, 3, 3))], 13
    # Chains that may be fused with a convolution, and chains that must not be.
    conv, alike = node("Conv", "x,w,b", "c", pads=[1, 1, 1, 1]), [constant("w", ramp(3, 3, 3, 3)), constant("b", ramp(3))]
    gate = [node("Sigmoid", "c", "s"), node("Mul", "c,s", "m")]
    yield "Conv and Relu", [conv, node("Relu", "c")], alike, 13
    yield "Conv and Sigmoid", [conv, node("Sigmoid", "c")], alike, 13
    yield "Conv and SiLU", [conv, node("Sigmoid", "c", "s"), node("Mul", "s,c")], alike, 13
    yield "Conv and Add", [conv, node("Add", "x,c")], alike, 13
    yield "Conv, SiLU and Add", [conv, *gate, node("Add", "m,x")], alike, 13
    yield "Conv and Add of a constant", [conv, node("Add", "c,k")], [*alike, constant("k", ramp(3, 1, 1))], 13
    yield "Conv and Add that broadcasts", [conv, node("ReduceMean", "x", "k", axes=[2, 3]), node("Add", "c,k")], alike, 13
    yield "Conv and Add that is broadcast", [node("GlobalMaxPool", "x", "g"), node("Conv", "g,w", "c"), node("Add", "c,x")], [constant("w", ramp(3, 3, 1, 1))], 13
    yield "Conv, Add and Relu", [conv, node("Add", "c,x", "a"), node("Relu", "a")], alike, 13
    yield "Conv and Relu, used twice", [conv, node("Relu", "c", "r"), node("Sub", "r,c")], alike, 13
    yield "Conv and a gate used twice", [conv, *gate, node("Sub", "m,s")], alike, 13
    yield "Conv and the gate of another", [conv, node("Sigmoid", "c", "s"), node("Mul", "x,s")], alike, 13
    yield "Conv, doubled", [conv, node("Add", "c,c")], alike, 13
    yield "Conv of Conv", [conv, node("Relu", "c", "r"), node("Conv", "r,w", "d", pads=[1, 1, 1, 1]), node("Add", "d,r")], alike, 13
    yield "Sum of two Convs", [conv, node("Relu", "c", "r"), node("Conv", "x,v", "d", group=3, pads=[1, 1, 1, 1]), node("Add", "r,d")], [*alike, constant("v", ramp(3, 1, 3, 3))], 13
    yield "ConvTranspose", [node("ConvTranspose", "x,w,b", strides=[2, 2], pads=[1, 1, 1, 1], output_padding=[1, 1])], [constant("w", ramp(3, 2, 3, 3)), constant("b", ramp(2))], 13
    statistics = [constant("s", ramp(3) + 1), constant("b", ramp(3)), constant("m", ramp(3)), constant("v", ramp(3) + 1)]
    yield "BatchNormalization", [node("BatchNormalization", "x,s,b,m,v", epsilon=1e-3)], statistics, 15
    yield "MaxPool", [node("MaxPool", "x", kernel_shape=[3, 3], strides=[1, 1], pads=[1, 1, 1, 1])], [], 13
    yield "MaxPool, ceil", [node("MaxPool", "x", kernel_shape=[3, 3], strides=[2, 2], ceil_mode=1)], [], 13
    yield "AveragePool", [node("AveragePool", "x", kernel_shape=[2, 3], strides=[2, 1], pads=[0, 1, 0, 1])], [], 13
    yield "AveragePool, with padding", [node("AveragePool", "x", kernel_shape=[3, 3], pads=[1, 1, 1, 1], count_include_pad=1)], [], 13
    yield "GlobalAveragePool", [node("GlobalAveragePool", "x")], [], 13
    yield "GlobalMaxPool", [node("GlobalMaxPool", "x")], [], 13
    for operator in "ReduceMean ReduceMax ReduceMin".split():
        yield operator, [node(operator, "x", axes=[2, 3], keepdims=1)], [], 13
    yield "ReduceMean, without the axes", [node("ReduceMean", "x", axes=[1, -1], keepdims=0)], [], 13
    yield "ReduceSum", [node("ReduceSum", "x,a")], [integers("a", [1])], 13
    yield "Reshape", [node("Reshape", "x,a")], [integers("a", [0, 2, -1])], 13
    yield "Transpose", [node("Transpose", "x", perm=[0, 2, 3, 1])], [], 13
    yield "Flatten", [node("Flatten", "x", axis=2)], [], 13
    yield "Unsqueeze and Squeeze", [node("Unsqueeze", "x,a", "u"), node("Squeeze", "u,b")], [integers("a", [4]), integers("b", [0])], 13
    yield "Concat", [node("Concat", "x,x", axis=1)], [], 13
    yield "Slice", [node("Slice", "x,s,e,a,t")], [integers("s", [1, -5]), integers("e", [2**62, -1]), integers("a", [2, 3]), integers("t", [1, 2])], 13
    yield "Split", [node("Split", "x,a", "p,q", axis=3), node("Concat", "q,p", axis=3)], [integers("a", [2, 4])], 13
    yield "Split of opset 11", [node("Split", "x", "p,q,r", axis=1), node("Sub", "r,p")], [], 11
    for mode in "constant reflect edge".split():
        yield f"Pad, {mode}", [node("Pad", "x,p", mode=mode)], [integers("p", [0, 0, 1, 2, 0, 0, 2, 1])], 13
    yield "Pad of channels", [node("Pad", "x,p,c")], [integers("p", [0, 0, 0, 0, 0, 2, 0, 0]), constant("c", 0.5)], 13
    yield "Expand", [node("Expand", "x,a")], [integers("a", [2, 1, 4, 1])], 13
    yield "Tile", [node("Tile", "x,a")], [integers("a", [1, 2, 1, 2])], 13
    yield "Gather", [node("Gather", "x,a", axis=3)], [integers("a", [5, -6, 2])], 13
    for mode in ("DCR", "CRD"):
        shuffled = [node("Concat", "x,x,x,x", "c", axis=1), node("DepthToSpace", "c", blocksize=2, mode=mode)]
        yield f"DepthToSpace, {mode}", shuffled, [], 13
    yield "Shape chain", [
        node("Shape", "x", "d"), node("Gather", "d,i", "h"), node("Unsqueeze", "h,z", "u"), node("Mul", "u,two", "m"),
        node("Concat", "one,m,minus", "s", axis=0), node("Reshape", "x,s"),
    ], [integers("i", 2), integers("z", [0]), integers("two", [2]), integers("one", [1]), integers("minus", [-1])], 13
    scales, sizes = constant("s", [1.0, 1.0, 2.0, 2.0]), integers("n", [1, 3, 7, 5])
    for system in "asymmetric half_pixel pytorch_half_pixel align_corners".split():
        for rounding in "floor ceil round_prefer_floor round_prefer_ceil".split():
            modes = {"mode": "nearest", "coordinate_transformation_mode": system, "nearest_mode": rounding}
            yield f"Resize, {system}, {rounding}", [node("Resize", "x,,,n", **modes)], [sizes], 13
    yield "Resize, doubled", [node("Resize", "x,,s", mode="nearest", coordinate_transformation_mode="asymmetric", nearest_mode="floor")], [scales], 13
    for system in "half_pixel align_corners".split():
        modes = {"mode": "linear", "coordinate_transformation_mode": system}
        yield f"Resize, linear, {system}", [node("Resize", "x,,,n", **modes)], [sizes], 13
    yield "Upsample", [node("Upsample", "x,s", mode="nearest")], [scales], 9
    yield "Dropout and Identity", [node("Identity", "x", "i"), node("Dropout", "i")], [], 13


def small():
    x = noise(6, 4) / 127.5 - 1
    cases = []
    for name, nodes, constants, opset in operators():
        given = helper.make_tensor_value_info("x", TensorProto.FLOAT, x.shape)
        wanted = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
        graph = helper.make_graph(nodes, "case", [given], [wanted], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
        session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
        (y,) = session.run(None, {"x": x})
        # As exporters do, since the rank cannot always be inferred.
        model.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, y.shape))
        model = model.SerializeToString()
        values = [float(f"{v:.6g}") for v in y.reshape(-1)]
        cases.append({"name": name, "model": model.hex(), "dims": list(y.shape), "values": values})
    path = pathlib.Path(__file__).with_name("operators.json")
    path.write_text("[\n" + ",\n".join(map(json.dumps, cases)) + "\n]\n")
    print(path, path.stat().st_size, len(cases))


# ONNX Runtime warns of every weight that an old file lists among its inputs.
onnxruntime.set_default_logger_severity(3)
small()
networks(pathlib.Path(sys.argv[1]))
