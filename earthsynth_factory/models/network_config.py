"""The settings of networks and schedulers that are looked at here, and what each must be. No torch here."""

from __future__ import annotations

from collections.abc import Mapping
from json import dumps
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

Count = Annotated[int, Field(ge=1, le=1_000_000)]
Share = Annotated[float, Field(gt=0, lt=1)]
Counts = Annotated[list[Count], Field(min_length=1, max_length=32)]


class NetworkConfig(BaseModel):
    """Settings of diffusers' networks and of CLIP's encoders; what is left out is the library's default."""

    model_config = ConfigDict(strict=True, extra="ignore")

    kind: str = Field(default="", alias="_class_name")
    architectures: list[str] | None = None
    block_out_channels: Counts = [1]
    layers_per_block: Count | Counts = 1
    down_block_types: list[str] | None = None
    up_block_types: list[str] | None = None
    in_channels: Count = 1
    out_channels: Count = 1
    latent_channels: Count = 1
    scaling_factor: Annotated[float, Field(gt=0, lt=1e6)] = 1.0
    norm_num_groups: Count | None = None
    cross_attention_dim: Count | Counts | None = None
    attention_head_dim: Count | Counts | None = None
    num_attention_heads: Count | Counts | None = None
    time_cond_proj_dim: Count | None = None
    addition_embed_type: str | None = None
    encoder_hid_dim_type: str | None = None
    class_embed_type: str | None = None
    conditioning_channels: Count = 1
    conditioning_embedding_out_channels: Counts | None = None
    controlnet_conditioning_channel_order: Literal["rgb", "bgr"] = "rgb"
    hidden_size: Count = 1
    intermediate_size: Count = 1
    num_hidden_layers: Count = 1
    projection_dim: Count | None = None
    vocab_size: Count = 1
    max_position_embeddings: Count = 1


class SchedulerConfig(BaseModel):
    """Settings of diffusers' schedulers; noise that is added is a share of the whole."""

    model_config = ConfigDict(strict=True, extra="ignore")

    num_train_timesteps: int = 1000
    beta_start: Share = 0.1
    beta_end: Share = 0.1
    beta_schedule: str = ""
    steps_offset: Annotated[int, Field(ge=0, le=1000)] = 0


def config_faults(config: Mapping[str, Any], kind: type[BaseModel] = NetworkConfig) -> str:
    """What is wrong with settings, in words; "" if nothing is."""
    try:
        kind.model_validate(dict(config))
    except ValidationError as error:
        keys = dict.fromkeys(str(one["loc"][0]) for one in error.errors())
        told = {str(one["loc"][0]): one["msg"][:1].lower() + one["msg"][1:] for one in reversed(error.errors())}
        return "; ".join(f"{key} is {dumps(config.get(key))[:40]}: {told[key]}" for key in list(keys)[:3])
    return ""
