"""The adversary tells made from real, its terms pull what is made towards the real, and only its own turn changes it."""

from __future__ import annotations

import torch

from research.embedded.adversary import Adversary

CPU = torch.device("cpu")


def _real(step: int) -> torch.Tensor:
    """Sharp stripes, (4, 3, 32, 32) in [-1, 1], at places drawn by the step."""
    generator = torch.Generator().manual_seed(step)
    places = torch.rand((4, 3, 1, 32), generator=generator)
    return (places > 0.5).float().expand(4, 3, 32, 32) * 2 - 1


def _blurred(images: torch.Tensor) -> torch.Tensor:
    return torch.nn.functional.avg_pool2d(images, 5, 1, 2)


def _taught() -> Adversary:
    torch.manual_seed(0)
    adversary = Adversary(CPU)
    for step in range(60):
        adversary.learn(_real(step), _blurred(_real(step)))
    return adversary


def test_it_learns_to_tell_blurred_from_sharp() -> None:
    adversary, real = _taught(), _real(1000)
    assert adversary.network(real).mean() > adversary.network(_blurred(real)).mean() + 0.5


def test_its_terms_are_lower_for_the_real_thing_and_their_gradient_reaches_what_was_made() -> None:
    adversary, real = _taught(), _real(1000)
    made = _blurred(real).requires_grad_()
    poor, good = adversary.losses(real, made), adversary.losses(real, real)
    assert good["match"] == 0 and poor["match"] > 0.01
    assert good["fool"] < poor["fool"]
    (poor["match"] + poor["fool"]).backward()
    assert made.grad is not None and made.grad.abs().sum() > 0
    assert all(weight.grad is None or weight.requires_grad for weight in adversary.network.parameters())


def test_being_fooled_changes_none_of_its_weights() -> None:
    adversary, real = _taught(), _real(1000)
    adversary.optimizer.zero_grad(set_to_none=True)
    made = _blurred(real).requires_grad_()
    torch.stack(list(adversary.losses(real, made).values())).sum().backward()
    assert all(weight.grad is None for weight in adversary.network.parameters())
