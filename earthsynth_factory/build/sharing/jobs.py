"""Ready jobs for clusters: a build in shares as an `sbatch` script or as an indexed Job of Kubernetes."""

from __future__ import annotations

import io
import math
import os
import re
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from earthsynth_factory.build.plan import Estimate, Plan
from earthsynth_factory.build.preflight.space import GIGABYTE, weights_here
from earthsynth_factory.datasets.build.layout import shard_count
from earthsynth_factory.errors import InputError
from earthsynth_factory.io.objects import ObjectAddress
from earthsynth_factory.io.printable import one_line
from earthsynth_factory.recipe.load import LoadedRecipe

MOST_TASKS = 64
"""As many tasks are asked for unless the user says how many, or there are fewer shards."""

SLACK = 1.5
"""A task is given this many times the time that its images take, and `OPENING_SECONDS`."""

OPENING_SECONDS = 1800
"""For loading models, reading sources and, of the last task, exports and the report."""

UNKNOWN_SECONDS = 24 * 3600
"""A task's time if no rate is known."""

WORKER_BYTES = 4 * GIGABYTE
"""Memory of a worker beside twice its weights, which are read before they go to the device."""

UNKNOWN_WEIGHTS = 6 * GIGABYTE
"""Stands for weights that are not on this machine: those of Stable Diffusion 1.5 with a ControlNet, in float32."""

DRAIN_SECONDS = 300
"""This long before its end a task is told to stop, to keep the images that are in progress."""

TO_FILL_IN = "REPLACE-WITH-YOUR"


@dataclass(frozen=True)
class Job:
    """A build in shares. recipe, out: absolute; `out` may lie in an object store. changes: of the recipe, as `--set` takes
    them. seconds: of a task; None if no rate is known. bytes: of a task's memory. gpu: whether a task gets one.
    """

    name: str
    recipe: Path
    out: Path | ObjectAddress
    changes: Sequence[str]
    tasks: int
    seconds: float | None
    bytes: int
    cpus: int
    gpu: bool

    @classmethod
    def of(
        cls,
        loaded: LoadedRecipe,
        plan: Plan,
        cost: Estimate,
        recipe: Path,
        out: Path,
        changes: Sequence[str],
        tasks: int,
    ) -> Job:
        """The job of a recipe. tasks: 0 lets the plan decide. Raises InputError if there are more than shards."""
        engine, synthesis = loaded.recipe.engine, loaded.recipe.synthesis
        if engine.kind != "local":
            raise InputError("tasks of a job need no cluster of `engine.kind: ray`; give --set engine.kind=local")
        shards = shard_count(len(plan), engine.shard_size)
        if tasks > shards:
            raise InputError(
                f"--tasks {tasks}: the plan has {shards} shards of {engine.shard_size} images, and a task needs one at "
                f"least; ask for fewer, or for smaller shards with --set engine.shard_size={max(1, len(plan) // tasks)}"
            )
        count = tasks or min(shards, MOST_TASKS)
        workers = 1 if engine.workers == "auto" else engine.workers  # a task has one GPU
        weights = weights_here(loaded) or (UNKNOWN_WEIGHTS if synthesis.repositories(loaded.base) else 0)
        return cls(
            name=re.sub(r"[^a-z0-9]+", "-", loaded.recipe.name.lower()).strip("-")[:40].strip("-") or "build",
            recipe=recipe.resolve(),
            out=ObjectAddress.of(out) or out.resolve(),
            changes=changes,
            tasks=count,
            seconds=None if cost.seconds is None else cost.seconds / count * SLACK + OPENING_SECONDS,
            bytes=workers * (WORKER_BYTES + 2 * weights),
            cpus=2 * workers + engine.writers,
            gpu=bool(weights) and engine.device.startswith(("auto", "cuda")),
        )

    def command(self, shard: str | None) -> list[str]:
        """The words of a task's command, or of the one that finishes the dataset."""
        changes = [word for change in self.changes for word in ("--set", change)]
        shared = [] if shard is None else ["--shard", shard]
        return ["earthsynth-factory", "build", str(self.recipe), "--out", str(self.out), *changes, *shared]


def slurm_script(job: Job) -> str:
    """A script for `sbatch`: an array with a task for each share."""
    asked = {
        "job-name": job.name,
        "array": f"1-{job.tasks}",
        "time": _hours(job.seconds or UNKNOWN_SECONDS),
        "mem": f"{math.ceil(job.bytes / GIGABYTE)}G",
        "cpus-per-task": job.cpus,
        **({"gpus": 1} if job.gpu else {}),
        "signal": f"B:TERM@{DRAIN_SECONDS}",
    }
    why = (
        "no rate is known here; `plan --probe` on such a node measures it"
        if job.seconds is None
        else "by the rate known here"
    )
    lines = [
        "#!/bin/bash",
        *(f"#SBATCH --{key}={value}" for key, value in asked.items()),
        f"# Time: {why}. Add what your site wants: --partition, --account, modules, an environment to activate.",
        "# The last task to be done finishes the dataset. Tasks that were cut off: submit this again, what is made is kept.",
        f"# Should no task have finished it: {_shown(job.command(None))}",
        "set -eu",
        f'exec {shlex.join(job.command(None))} --shard "$SLURM_ARRAY_TASK_ID/{job.tasks}"',
    ]
    return "\n".join(lines) + "\n"


def kubernetes_job(job: Job) -> str:
    """The manifest of an indexed Job with a completion for each share. Image and volume are for the user to fill in.

    Raises InputError if recipe and folder have no folder in common that a volume can be mounted at.
    """
    from ruamel.yaml import YAML

    yaml, text = YAML(), io.StringIO()
    yaml.default_flow_style = False
    yaml.width = 4096
    yaml.dump(_manifest(job), text)
    return text.getvalue()


def _manifest(job: Job) -> dict[str, Any]:
    memory = f"{math.ceil(job.bytes / GIGABYTE)}Gi"
    container = {
        "name": "build",
        "image": f"{TO_FILL_IN}-IMAGE",
        "command": job.command("env"),
        "env": [{"name": "JOB_COMPLETIONS", "value": str(job.tasks)}],
        "resources": {
            "requests": {"cpu": str(job.cpus), "memory": memory},
            "limits": {"memory": memory, **({"nvidia.com/gpu": "1"} if job.gpu else {})},
        },
        "volumeMounts": [{"name": "shared", "mountPath": str(_mount(job))}],
    }
    pod = {
        "restartPolicy": "Never",
        "terminationGracePeriodSeconds": DRAIN_SECONDS,
        "containers": [container],
        "volumes": [{"name": "shared", "persistentVolumeClaim": {"claimName": f"{TO_FILL_IN}-CLAIM"}}],
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": job.name},
        "spec": {
            "completionMode": "Indexed",
            "completions": job.tasks,
            "parallelism": job.tasks,
            "backoffLimitPerIndex": 6,
            # What is wrong in the recipe stays wrong however often it is tried.
            "podFailurePolicy": {
                "rules": [
                    {
                        "action": "FailIndex",
                        "onExitCodes": {"containerName": "build", "operator": "In", "values": [InputError.exit_code]},
                    }
                ]
            },
            "template": {"spec": pod},
        },
    }


def _mount(job: Job) -> Path:
    """The folder that recipe and output share, or the recipe's own. Raises InputError if that is the root."""
    common = Path(os.path.commonpath([job.recipe.parent, *([job.out] if isinstance(job.out, Path) else [])]))
    if common == Path(common.anchor):
        raise InputError(
            f"{job.recipe} and {job.out} have no folder in common; put the recipe beside the output, on the volume that "
            "all pods mount, and give both paths as the pods see them"
        )
    return common


def _hours(seconds: float) -> str:
    """Whole minutes as SLURM reads them."""
    minutes = math.ceil(seconds / 60)
    return f"{minutes // 60}:{minutes % 60:02d}:00"


def _shown(words: Sequence[str]) -> str:
    """A command in a comment: on one line whatever is in it."""
    return one_line(shlex.join(words))
