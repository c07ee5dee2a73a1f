"""The networks below every head: maps of features at several strides, from torchvision, timm or EfficientNet-Lite0.

With weights, the first layers and all batch statistics stay as they were learnt; without, batch normalisation gives way to
group normalisation. Either way what a network makes of an image does not depend on the others in the batch: otherwise a
control's noise, or synthetic images, would act on the real ones through the statistics of the batch.
"""

from __future__ import annotations

import math
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from earthsynth_factory.errors import InputError, ModelError
from earthsynth_factory.evaluation.features import PACKAGE, Lite0, lite0_weights
from earthsynth_factory.evaluation.spec import NetworkSpec

LITE0 = "efficientnet_lite0"
PLAIN = "mobilenet_v3_large"
GROUPS = 8
PROBE = 64
"""Side of the image that strides are read off with."""


class Levels(nn.Module):
    """Images (B, 3, H, W) in [-1, 1] → stride → map. channels: of each stride's map."""

    def __init__(self, levels: dict[int, nn.Module], frozen: bool) -> None:
        super().__init__()
        self.strides = tuple(levels)
        self.levels = nn.ModuleList(levels.values())
        self.frozen = frozen
        self.channels = self._probe()
        if frozen:
            self.levels[0].requires_grad_(False)

    def forward(self, images: Tensor) -> dict[int, Tensor]:
        maps, x = {}, images
        for stride, level in zip(self.strides, self.levels, strict=True):
            maps[stride] = x = level(x)
        return maps

    def train(self, mode: bool = True) -> Levels:
        """As usual, but batch statistics of learnt weights stay as they are."""
        super().train(mode)
        if self.frozen:
            for module in self.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    @torch.no_grad()
    def _probe(self) -> dict[int, int]:
        self.eval()
        return {stride: found.shape[1] for stride, found in self(torch.zeros(1, 3, PROBE, PROBE)).items()}


def resolved(spec: NetworkSpec) -> NetworkSpec:
    """The spec with `auto` replaced by what this machine has."""
    lite0 = find_spec(PACKAGE) is not None
    backbone = spec.backbone
    if backbone == "auto":
        backbone = LITE0 if lite0 and spec.weights in ("auto", "imagenet") else PLAIN
    weights = spec.weights
    if weights == "auto":
        weights = "imagenet" if backbone == LITE0 else "none"
    return NetworkSpec(backbone=backbone, weights=weights)


def open_backbone(spec: NetworkSpec) -> Levels:
    """The backbone of a resolved spec; first weights come from torch's generator.

    Raises InputError for a name that is none, ModelError if weights are missing or do not fit.
    """
    if spec.backbone == LITE0 and spec.weights == "imagenet":
        return _lite0()
    network = _whole(spec)
    if spec.weights not in ("none", "imagenet"):
        _load(network, Path(spec.weights))
    learnt = spec.weights != "none"
    return Levels(_by_stride(network, spec.backbone), frozen=learnt) if learnt else _grouped(network, spec.backbone)


def _lite0() -> Levels:
    network = Lite0(lite0_weights()).requires_grad_(True)
    first = nn.Sequential(network.stem, network.levels[0])
    return Levels(dict(zip(Lite0.STRIDES, [first, *network.levels[1:]], strict=True)), frozen=True)


def _whole(spec: NetworkSpec) -> nn.Module:
    """A classifier of torchvision or timm. Raises InputError, ModelError."""
    pretrained = spec.weights == "imagenet"
    try:
        if spec.backbone.startswith("timm:") or spec.backbone == LITE0:
            import timm

            name = spec.backbone.removeprefix("timm:")
            return _module(timm.create_model(f"tf_{name}" if name == LITE0 else name, pretrained=pretrained))
        import torchvision

        return _module(torchvision.models.get_model(spec.backbone, weights="DEFAULT" if pretrained else None))
    except OSError as error:
        raise ModelError(
            f"weights of {spec.backbone} cannot be fetched ({error}); give `weights: none`, or a safetensors file"
        ) from error
    except (ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"model.backbone {spec.backbone!r}: not a classifier that is known here ({error}); try resnet18, "
            f"mobilenet_v3_small, {LITE0} or timm:NAME"
        ) from error


def _module(network: object) -> nn.Module:
    assert isinstance(network, nn.Module)
    return network


def _by_stride(network: nn.Module, name: str) -> dict[int, nn.Module]:
    """The layers of a classifier split where the map gets smaller. Raises InputError if it is built otherwise."""
    layers = _layers(network, name)
    levels: dict[int, nn.Module] = {}
    waiting: list[nn.Module] = []
    stride, x = 1, torch.zeros(1, 3, PROBE, PROBE)
    network.eval()
    with torch.no_grad():
        for layer in layers:
            x = layer(x)
            if PROBE // x.shape[-1] > stride and waiting and stride > 1:
                levels[stride] = nn.Sequential(*waiting)
                waiting = []
            stride = PROBE // x.shape[-1]
            waiting.append(layer)
    levels[stride] = nn.Sequential(*waiting)
    if not {4, 8, 16, 32} <= levels.keys():
        raise InputError(f"model.backbone {name!r}: has maps at strides {[*levels]}; 4, 8, 16 and 32 are needed")
    return levels


def _layers(network: Any, name: str) -> list[nn.Module]:
    features = getattr(network, "features", None)
    if isinstance(features, nn.Sequential):
        return list(features)
    if isinstance(getattr(network, "blocks", None), nn.Sequential) and hasattr(network, "conv_stem"):
        stem = nn.Sequential(network.conv_stem, network.bn1, getattr(network, "act1", nn.Identity()))
        return [stem, *network.blocks]
    if isinstance(getattr(network, "layer4", None), nn.Module):
        stem = nn.Sequential(network.conv1, network.bn1, getattr(network, "relu", nn.ReLU()))
        return [stem, nn.Sequential(network.maxpool, network.layer1), network.layer2, network.layer3, network.layer4]
    raise InputError(f"model.backbone {name!r}: neither a ResNet nor a net of `features` or `blocks`; choose another")


def _grouped(network: nn.Module, name: str) -> Levels:
    replace_batch_norm(network)
    return Levels(_by_stride(network, name), frozen=False)


def replace_batch_norm(module: nn.Module) -> None:
    """Put group normalisation in the place of every batch normalisation below `module`, with its activation if it has one."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm2d):
            norm = nn.GroupNorm(math.gcd(GROUPS, child.num_features), child.num_features)
            act = getattr(child, "act", None)
            setattr(module, name, nn.Sequential(norm, act) if isinstance(act, nn.Module) else norm)
        else:
            replace_batch_norm(child)


def _load(network: nn.Module, path: Path) -> None:
    """Raises ModelError if the file is no safetensors of this network; layers of the classifier alone may differ."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: no readable safetensors file ({error}); name a file of weights") from error
    own = network.state_dict()
    fitting = {key: value for key, value in tensors.items() if key in own and value.shape == own[key].shape}
    missing = [key for key in own if key not in fitting and not key.startswith(("classifier", "fc", "head"))]
    if missing:
        raise ModelError(
            f"{path}: lacks {len(missing)} tensors of the backbone, such as {missing[0]}; give its own weights"
        )
    network.load_state_dict(fitting, strict=False)
