"""TensorFlow's side: `tensorflow_peer.py MODEL.toml BATCH THREADS`. One tf.function per step, NHWC, oneDNN as it comes."""

import math
import sys

import tensorflow as tf

import serve


def build(path):
    """(parameters, function from images to logits, input shape, classes)."""
    (c, h, w), chain = serve.layers(path)
    parameters, calls = [], []
    shape = (1, h, w, c)

    def variables(dims, fan_in):
        bound = 1 / math.sqrt(fan_in)
        weight = tf.Variable(tf.random.uniform(dims, -bound, bound))
        bias = tf.Variable(tf.zeros(dims[-1]))
        parameters.extend([weight, bias])
        return weight, bias

    for layer in chain:
        kind = layer["kind"]
        kernel, pad = serve.pair(layer.get("kernel", 1)), serve.pair(layer.get("pad", 0))
        stride = serve.pair(layer.get("stride", 1 if kind == "conv" else layer.get("kernel", 1)))
        match kind:
            case "conv":
                weight, bias = variables([*kernel, shape[3], layer["out"]], kernel[0] * kernel[1] * shape[3])
                pads = [[0, 0], [pad[0]] * 2, [pad[1]] * 2, [0, 0]]
                call = lambda x, w=weight, b=bias, s=stride, p=pads: tf.nn.bias_add(tf.nn.conv2d(x, w, s, p), b)
            case "dense":
                weight, bias = variables([shape[1], layer["out"]], shape[1])
                call = lambda x, w=weight, b=bias: tf.nn.bias_add(tf.matmul(x, w), b)
            case "relu":
                call = tf.nn.relu
            case "flatten":
                call = lambda x: tf.reshape(x, [x.shape[0], -1])
            case "maxpool" | "avgpool":
                if pad != (0, 0):
                    raise SystemExit("padded pools are not written here")
                # a last window that hangs over the end is what SAME means where it pads at the end alone
                same = layer.get("ceil", False) and (shape[1] - kernel[0]) % stride[0] != 0
                pool = tf.nn.max_pool2d if kind == "maxpool" else tf.nn.avg_pool2d
                call = lambda x, f=pool, k=kernel, s=stride, p="SAME" if same else "VALID": f(x, k, s, p)
                size = math.ceil((shape[1] - kernel[0]) / stride[0]) + 1 if same else (shape[1] - kernel[0]) // stride[0] + 1
            case _:
                raise SystemExit(f"no TensorFlow counterpart of {kind} is written here")
        shape = tuple(call(tf.zeros(shape)).shape)
        if kind in ("maxpool", "avgpool") and shape[1] != size:
            raise SystemExit(f"layer {layer['name']}: SAME is another window here")
        calls.append(call)

    def logits(x):
        for call in calls:
            x = call(x)
        return x

    return parameters, logits, (h, w, c), shape[1]


def main():
    path, batch, threads = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    tf.random.set_seed(1)
    parameters, logits, shape, classes = build(path)
    momenta = [tf.Variable(tf.zeros_like(p)) for p in parameters]
    x = tf.random.normal([batch, *shape])
    y = tf.random.uniform([batch], 0, classes, tf.int32)

    @tf.function
    def train_step(x, y):
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits(x)))
        for p, m, g in zip(parameters, momenta, tape.gradient(loss, parameters)):
            tf.raw_ops.ResourceApplyMomentum(var=p.handle, accum=m.handle, lr=1e-4, grad=g, momentum=0.9)
        return loss

    infer_step = tf.function(logits)
    steps = {"train": lambda: train_step(x, y).numpy(), "infer": lambda: infer_step(x).numpy()}
    serve.answer(f"TensorFlow {tf.__version__} tf.function NHWC", steps)


main()
