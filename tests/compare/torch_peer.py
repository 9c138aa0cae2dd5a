"""PyTorch's side: `torch_peer.py MODEL.toml BATCH THREADS eager|channels_last|compile`."""

import sys

import torch
from torch import nn

import serve


def build(path):
    (c, h, w), chain = serve.layers(path)
    modules, shape = [], torch.zeros(1, c, h, w)
    for layer in chain:
        kind = layer["kind"]
        window = dict(
            kernel_size=serve.pair(layer.get("kernel", 1)),
            stride=serve.pair(layer.get("stride", 1 if kind == "conv" else layer.get("kernel", 1))),
            padding=serve.pair(layer.get("pad", 0)),
        )
        match kind:
            case "conv":
                module = nn.Conv2d(shape.shape[1], layer["out"], **window)
            case "dense":
                module = nn.Linear(shape.shape[1], layer["out"])
            case "relu":
                module = nn.ReLU()
            case "flatten":
                module = nn.Flatten()
            case "maxpool":
                module = nn.MaxPool2d(**window, ceil_mode=layer.get("ceil", False))
            case "avgpool":
                module = nn.AvgPool2d(**window, ceil_mode=layer.get("ceil", False))
            case "dropout":
                module = nn.Dropout(layer.get("p", 0.5))
            case _:
                raise SystemExit(f"no PyTorch counterpart of {kind} is written here")
        shape = module(shape)
        modules.append(module)
    return nn.Sequential(*modules), (c, h, w), shape.shape[1]


def main():
    path, batch, threads, how = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    torch.set_num_threads(threads)
    torch.manual_seed(1)
    model, shape, classes = build(path)
    x, y = torch.randn(batch, *shape), torch.randint(0, classes, (batch,))
    if how == "channels_last":
        model, x = model.to(memory_format=torch.channels_last), x.contiguous(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-4, momentum=0.9, fused=True)
    loss = nn.CrossEntropyLoss()
    run = torch.compile(model) if how == "compile" else model

    def train():
        run.train()
        optimizer.zero_grad(set_to_none=True)
        loss(run(x), y).backward()
        optimizer.step()

    def infer():
        run.eval()
        with torch.inference_mode():
            run(x)

    serve.answer(f"PyTorch {torch.__version__} {how}", {"train": train, "infer": infer})


if __name__ == "__main__":
    main()
