"""An ordinary PyTorch script: `torch_train.py DATA THREADS SEED EPOCHS` trains the net of mnist-example on MNIST, eagerly.

SGD with momentum 0.9 and weight decay 5e-4 on shuffled batches of 64, one cycle of rates up to 0.05. The whole set lies in memory as
normalised tensors, so that no time goes into loading. A line an epoch: its number and the test accuracy.
"""

import gzip
import pathlib
import sys

import numpy
import torch
from torch import nn
from torch.nn import functional


def idx(folder, name):
    path = pathlib.Path(folder) / name
    packed = path.with_name(name + ".gz")
    bytes_ = gzip.open(packed).read() if packed.exists() else path.read_bytes()
    rank = bytes_[3]
    shape = numpy.frombuffer(bytes_, ">u4", rank, 4).astype(int)
    return torch.from_numpy(numpy.frombuffer(bytes_, numpy.uint8, offset=4 + 4 * rank).reshape(shape).copy())


def half(folder, name):
    images = idx(folder, f"{name}-images-idx3-ubyte").unsqueeze(1).float() / 255
    return (images - 0.1307) / 0.3081, idx(folder, f"{name}-labels-idx1-ubyte").long()


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(32, 64, 3)
        self.fc1 = nn.Linear(64 * 12 * 12, 128)
        self.fc2 = nn.Linear(128, 10)

    def forward(self, x):
        x = functional.relu(self.conv2(functional.relu(self.conv1(x))))
        x = torch.flatten(functional.max_pool2d(x, 2), 1)
        return self.fc2(functional.relu(self.fc1(x)))


def main():
    folder, threads, seed, epochs = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    train, test = half(folder, "train"), half(folder, "t10k")
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9, weight_decay=5e-4)
    steps = epochs * len(train[0].split(64))
    rates = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=steps, cycle_momentum=False)
    print("ready", flush=True)
    for epoch in range(1, epochs + 1):
        net.train()
        for batch in torch.randperm(len(train[0])).split(64):
            optimizer.zero_grad()
            functional.cross_entropy(net(train[0][batch]), train[1][batch]).backward()
            optimizer.step()
            rates.step()
        net.eval()
        with torch.no_grad():
            parts = zip(test[0].split(1000), test[1].split(1000))
            right = sum((net(x).argmax(1) == y).sum().item() for x, y in parts)
        print(epoch, right / len(test[0]), flush=True)


main()
