"""What a stage's checkpoint holds: its modules' weights and its optimizers' moments, by name."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn
from torch.optim import Optimizer

from earthsynth_factory.training.checkpoint import pack_optimizer, under, unpack_optimizer


def pack_modules(modules: Mapping[str, nn.Module]) -> dict[str, Tensor]:
    """All weights under `<name>.<key>`."""
    return {f"{name}.{k}": v.detach() for name, module in modules.items() for k, v in module.state_dict().items()}


def unpack_modules(modules: Mapping[str, nn.Module], tensors: Mapping[str, Tensor]) -> None:
    """The inverse of `pack_modules`; every key must be there."""
    for name, module in modules.items():
        module.load_state_dict(under(name, tensors))


def pack_state(modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer]) -> dict[str, Tensor]:
    """Everything that the next step of a stage depends on: weights, and moments by the optimizer's name."""
    tensors = pack_modules(modules)
    for name, optimizer in optimizers.items():
        tensors |= pack_optimizer(name, optimizer)
    return tensors


def unpack_state(
    modules: Mapping[str, nn.Module], optimizers: Mapping[str, Optimizer], tensors: Mapping[str, Tensor]
) -> None:
    """The inverse of `pack_state`."""
    unpack_modules(modules, tensors)
    for name, optimizer in optimizers.items():
        unpack_optimizer(name, optimizer, tensors)
