"""An encoder that needs no training: a hierarchical PCA of patches, written into AutoencoderKL's own weights.

Every level gathers 2×2 cells and keeps the leading components, so a latent cell holds the principal components of its
8×8 patch. The residual branches start at zero (each block passes its input on); the final norm and SiLU are made
near linear. Latents then are known before any gradient step: the decoder and the diffusion model can train on them at
once, and a single convolution gives them (`projection`). Ours; a learned encoder can start from here too.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import torch
from diffusers import AutoencoderKL
from torch import Tensor

from earthsynth_factory.domain.seeds import rng

SAMPLES = 1500
"""Crops that the components are measured on."""

PEDESTAL = 20.0
"""Constant channels ±PEDESTAL in every norm group, far above the unit signals: the norm's scale hardly depends on them."""

LIFT, GAIN = 6.0, 0.5
"""The signals enter SiLU as LIFT + GAIN·s, where SiLU is close to the identity."""

LOG_VARIANCE = -10.0
"""Posterior log-variance: next to none."""

_Array = npt.NDArray[np.float32]


@torch.no_grad()
def write_encoder(model: AutoencoderKL, images: npt.NDArray[np.uint8], seed: int) -> None:
    """Replaces the encoder's weights by the components of `images` uint8 (N, S, S, 3)."""
    encoder = model.encoder
    for parameter in encoder.parameters():
        parameter.zero_()
    picks = rng(seed, "components").permutation(len(images))[:SAMPLES]
    cells = images[picks].astype(np.float32) / 127.5 - 1
    _identity(encoder.conv_in.weight, 3)
    for block in encoder.down_blocks[:-1]:
        _pass_on(block.resnets[0], cells.shape[-1])
        kept = block.downsamplers[0].conv.out_channels
        basis, cells = components(cells, kept)
        taps = torch.from_numpy(basis).reshape(len(basis), 2, 2, -1).permute(0, 3, 1, 2)
        block.downsamplers[0].conv.weight[: len(basis), : taps.shape[1], :2, :2] = taps
    _unit_signals(model, cells)


def components(cells: _Array, kept: int) -> tuple[_Array, _Array]:
    """Leading components (K ≤ kept, 4·C) of 2×2 cells of (N, H, W, C), and the cells' coordinates (N, H/2, W/2, K)."""
    count, height, width, channels = cells.shape
    patches = cells.reshape(count, height // 2, 2, width // 2, 2, channels).transpose(0, 1, 3, 2, 4, 5)
    flat = patches.reshape(-1, 4 * channels)
    _, vectors = np.linalg.eigh(np.cov(flat, rowvar=False))
    basis = np.ascontiguousarray(vectors[:, ::-1].T[:kept]).astype(np.float32)
    return basis, (flat @ basis.T).reshape(count, height // 2, width // 2, -1)


def _unit_signals(model: AutoencoderKL, cells: _Array) -> None:
    """The last level: leading components at unit deviation, spread over the norm's groups, beside the pedestals.

    Only on leaving are they scaled to the latents' √-deviations (see the module).
    """
    encoder, latent = model.encoder, model.config.latent_channels
    last, norm = encoder.down_blocks[-1].resnets[0], encoder.conv_norm_out
    size = norm.num_channels // norm.num_groups
    places = [size * (k % norm.num_groups) + k // norm.num_groups for k in range(latent)]
    mean, deviation = cells.mean(axis=(0, 1, 2)), cells.std(axis=(0, 1, 2))
    for k, place in enumerate(places):
        last.conv_shortcut.weight[place, k] = 1 / float(deviation[k])
        last.conv_shortcut.bias[place] = -float(mean[k] / deviation[k])
    last.conv_shortcut.bias[size - 2 :: size] = PEDESTAL
    last.conv_shortcut.bias[size - 1 :: size] = -PEDESTAL
    norm.weight.fill_(GAIN * PEDESTAL * (2 / size) ** 0.5)
    norm.bias.fill_(LIFT)
    scales = latent_scales(deviation[:latent])
    for k, place in enumerate(places):
        encoder.conv_out.weight[k, place, 1, 1] = float(scales[k]) / GAIN
    encoder.conv_out.bias[:latent] = torch.from_numpy(scales) * -LIFT / GAIN
    encoder.conv_out.bias[latent:] = LOG_VARIANCE
    model.quant_conv.bias.zero_()
    model.quant_conv.weight.zero_()
    model.quant_conv.weight[:, :, 0, 0].fill_diagonal_(1.0)


def latent_scales(deviation: _Array) -> _Array:
    """Deviation of each latent channel: √ of its component's, all scaled to a mean variance of 1.

    Unit deviations throughout would make noise-like detail as loud as layout (a flat spectrum is hard to diffuse), the
    components' own would drown it.
    """
    return np.asarray(np.sqrt(deviation / deviation.mean()), np.float32)


@torch.no_grad()
def projection(model: AutoencoderKL) -> tuple[Tensor, Tensor]:
    """The encoder as what it is: weights (C, 3, f, f) and bias (C,) of one convolution of stride f.

    Exact if the encoder itself is only nearly linear, and a thousandth of its work.
    """
    encoder, size = model.encoder, 2 ** (len(model.encoder.down_blocks) - 1)
    taps = torch.eye(3 * size**2, device=encoder.conv_in.weight.device).reshape(-1, 3, size, size)
    for block in encoder.down_blocks[:-1]:
        kernel = block.downsamplers[0].conv.weight[:, :, :2, :2]
        taps = torch.nn.functional.conv2d(_padded(taps, kernel.shape[1]), kernel, stride=2)
    last, latent = encoder.down_blocks[-1].resnets[0].conv_shortcut, model.config.latent_channels
    signals = torch.nn.functional.conv2d(_padded(taps, last.weight.shape[1]), last.weight)[:, :, 0, 0]
    chosen = encoder.conv_out.weight[:latent, :, 1, 1]
    kept = (chosen != 0).float() * chosen * GAIN
    weights = (signals @ kept.T).T.reshape(latent, 3, size, size)
    return weights, kept @ last.bias


def _padded(taps: Tensor, channels: int) -> Tensor:
    return torch.nn.functional.pad(taps, (0, 0, 0, 0, 0, channels - taps.shape[1]))


def _pass_on(block: torch.nn.Module, channels: int) -> None:
    """Makes a residual block hand on its first `channels` channels (its second convolution is zero already)."""
    if isinstance(block.conv_shortcut, torch.nn.Conv2d):
        _identity(block.conv_shortcut.weight, channels)


def _identity(weight: Tensor, channels: int) -> None:
    middle = weight.shape[-1] // 2
    for channel in range(channels):
        weight[channel, channel, middle, middle] = 1.0
