"""The peers' side: `methods_peer.py captum|pytorch-grad-cam METHOD FOLDER THREADS`.

Reads x.npy and classes.npy from the folder and writes the first maps to peer.npy there. Batches are as large as each
library's own option allows without filling memory, which is its fastest way.
"""

import pathlib
import sys
from importlib.metadata import version

import numpy
import torch
from captum import attr
from safetensors.torch import load_file

import compare
import serve
import torch_peer

REFERENCE = compare.ROOT / "fixtures" / "reference"
LAYER = "features.4"


def net():
    """The reference net, and the module that is called as the layer is."""
    file = REFERENCE / "mnist_cnn.toml"
    model = torch_peer.build(file)[0]
    names = [layer["name"] for layer in serve.layers(file)[1]]
    weights = load_file(REFERENCE / "mnist_cnn.weights.safetensors")
    with torch.no_grad():
        for name, module in zip(names, model):
            for key, value in module.named_parameters():
                value.copy_(weights[f"{name}.{key}"])
    return model.eval(), model[names.index(LAYER)]


def by_captum(method, model, layer, x, classes):
    match method:
        case "grad-cam":
            cam = attr.LayerGradCam(model, layer)
            return lambda: cam.attribute(x, target=classes, relu_attributions=True)
        case "integrated-gradients":
            paths = attr.IntegratedGradients(model)
            return lambda: paths.attribute(x, target=classes, n_steps=50, internal_batch_size=1024)
        case "smoothgrad":
            tunnel = attr.NoiseTunnel(attr.Saliency(model))
            return lambda: tunnel.attribute(
                x, target=classes, nt_samples=50, nt_samples_batch_size=4, stdevs=0.5, abs=False
            )
        case "occlusion":
            cover = attr.Occlusion(model)
            how = dict(sliding_window_shapes=(1, 5, 5), strides=(1, 2, 2), perturbations_per_eval=4)
            return lambda: cover.attribute(x, target=classes, **how)


def by_grad_cam(method, model, layer, x, classes):
    import pytorch_grad_cam
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    targets = [ClassifierOutputTarget(int(k)) for k in classes]
    kind = {"grad-cam": pytorch_grad_cam.GradCAM, "score-cam": pytorch_grad_cam.ScoreCAM}[method]
    cam = kind(model=model, target_layers=[layer])
    cam.batch_size = 64
    return lambda: torch.from_numpy(numpy.ascontiguousarray(cam(input_tensor=x, targets=targets)))


def main():
    library, method, folder = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    torch.set_num_threads(int(sys.argv[4]))
    model, layer = net()
    x = torch.from_numpy(numpy.load(folder / "x.npy"))
    classes = torch.from_numpy(numpy.load(folder / "classes.npy"))
    make, package = (by_captum, "captum") if library == "captum" else (by_grad_cam, "grad-cam")
    run = make(method, model, layer, x, classes)
    numpy.save(folder / "peer.npy", run().detach().numpy())
    serve.answer(f"{library} {version(package)}", {"run": run})


main()
