"""`python -m tests.benchmarks.openvino`: what OpenVINO would gain on a processor. Needs `pip install openvino`.

UNet, ControlNet and decoder at fixed shapes in float32, one thread each, seconds of processor time (the least of several), so
that the ratios hold on a busy machine: the embedded model, then Stable Diffusion 1.5 at half its width with random weights.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import openvino
import torch
from diffusers import AutoencoderKL, ControlNetModel, UNet2DConditionModel
from torch import Tensor, nn

from earthsynth_factory.models.weights import EMBEDDED
from tests.tiny_models import SD15

RUNS = 4
OPTIONS = {"INFERENCE_NUM_THREADS": 1, "NUM_STREAMS": 1, "INFERENCE_PRECISION_HINT": "f32"}


class _Control(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor, time: Tensor, words: Tensor, image: Tensor) -> tuple[Tensor, ...]:
        down, middle = self.network(latents, time, words, image, conditioning_scale=1.0, return_dict=False)
        return middle, *down


class _Denoiser(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor, time: Tensor, words: Tensor, middle: Tensor, *down: Tensor) -> Tensor:
        added = {"down_block_additional_residuals": down, "mid_block_additional_residual": middle}
        predicted: Tensor = self.network(latents, time, words, **added, return_dict=False)[0]
        return predicted


class _Decoder(nn.Module):
    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, latents: Tensor) -> Tensor:
        pixels: Tensor = self.network.decode(latents, return_dict=False)[0]
        return pixels


def main() -> None:
    """Measure and print."""
    torch.manual_seed(0)
    torch.set_num_threads(1)
    core = openvino.Core()
    print(core.get_property("CPU", "FULL_DEVICE_NAME"), core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"))
    folder = EMBEDDED / "pipeline"
    kinds = {"unet": UNet2DConditionModel, "controlnet": ControlNetModel, "vae": AutoencoderKL}
    embedded = [kind.from_pretrained(folder / name).float() for name, kind in kinds.items()]
    measure(core, "embedded, 128 px, batch 4", embedded, batch=4, side=128, words=32)
    unet = UNet2DConditionModel(**{**SD15["unet"], "block_out_channels": (160, 320, 640, 640)})
    vae = AutoencoderKL(**{**SD15["vae"], "block_out_channels": (64, 128, 256, 256)})
    half = [unet, ControlNetModel.from_unet(unet), vae]
    measure(core, "Stable Diffusion 1.5 at half width, 256 px, batch 1", half, batch=1, side=256, words=77)


@torch.no_grad()
def measure(core: Any, name: str, networks: Sequence[Any], batch: int, side: int, words: int) -> None:
    """A line for each network, then what they come to in an image of few and of many steps."""
    unet, control, vae = networks
    cell = side // 2 ** (len(vae.config.block_out_channels) - 1)
    latents = torch.randn(batch, unet.config.in_channels, cell, cell)
    given = [latents, torch.tensor(500), torch.randn(batch, words, unet.config.cross_attention_dim)]
    image = torch.rand(batch, 3, side, side)
    added = [one.clone() for one in _Control(control)(*given, image)]
    took = {
        "ControlNet": both(core, _Control(control), [*given, image]),
        "UNet": both(core, _Denoiser(unet), [*given, *added]),
        "decoder": both(core, _Decoder(vae), [latents]),
    }
    for network, (torchs, theirs) in took.items():
        print(f"{name}, {network}: {torchs * 1e3:.0f} and {theirs * 1e3:.0f} ms, {torchs / theirs:.2f} ×", flush=True)
    for steps, passes in ((2, 1), (20, 2)):
        sums = [steps * passes * (took["ControlNet"][n] + took["UNet"][n]) + took["decoder"][n] for n in (0, 1)]
        print(f"{name}: {steps} steps, {passes} passes each: {sums[0] / sums[1]:.2f} ×", flush=True)


def both(core: Any, network: nn.Module, inputs: Sequence[Tensor]) -> tuple[float, float]:
    """Seconds of processor time of a call by torch, channels last, and by OpenVINO."""
    network.eval()
    model = openvino.convert_model(network, example_input=tuple(inputs))
    for parameter, tensor in zip(model.inputs, inputs, strict=True):
        parameter.get_node().set_partial_shape(openvino.PartialShape(list(tensor.shape)))
    model.validate_nodes_and_infer_types()
    request = core.compile_model(model, "CPU", OPTIONS).create_infer_request()
    arrays = [tensor.numpy() for tensor in inputs]
    wide = [one.contiguous(memory_format=torch.channels_last) if one.dim() == 4 else one for one in inputs]
    network.to(memory_format=torch.channels_last)
    ours = lambda: network(*wide)  # noqa: E731
    theirs = lambda: request.infer(arrays, share_inputs=True, share_outputs=True)  # noqa: E731
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(RUNS)]
    return min(one for one, _ in pairs), min(other for _, other in pairs)


def seconds(call: Callable[[], object]) -> float:
    """Of processor time, after a call to warm up."""
    call()
    begun = time.process_time()
    call()
    return time.process_time() - begun


if __name__ == "__main__":
    main()
