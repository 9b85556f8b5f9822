"""Which models to serve: TensorFlow Serving's configuration message, and its text format."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

from google.protobuf import text_format

from cuvee_tfserving.model_server.refusals import invalid
from cuvee_tfserving.protos import ModelServerConfig

__all__ = ["Model", "Policy", "models_of", "read_models"]

PLATFORM = "tensorflow"


@dataclass(frozen=True, slots=True)
class Policy:
    """Which versions of a model are served: the newest n, named ones, or all."""

    latest: int = 1
    specific: tuple[int, ...] = ()
    all: bool = False


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its name and its folder of versions."""

    name: str
    base: Path
    policy: Policy = Policy()
    labels: Mapping[str, int] = field(default_factory=dict)
    """Label -> version."""


def models_of(config: Any) -> list[Model]:
    """The models of a ``ModelServerConfig`` message.

    Raises:
        Refused: INVALID_ARGUMENT, saying what is wrong.
    """
    if config.WhichOneof("config") != "model_config_list":
        raise invalid("the configuration must be a model_config_list")
    models = [_model(one) for one in config.model_config_list.config]
    names = [model.name for model in models]
    if twice := {name for name in names if names.count(name) > 1}:
        raise invalid(f"models configured twice: {', '.join(sorted(twice))}")
    return models


def _model(config: Any) -> Model:
    if not config.name or not config.base_path:
        raise invalid("every model needs a name and a base_path")
    if config.model_platform != PLATFORM:
        raise invalid(f"model {config.name!r}: model_platform must be {PLATFORM!r}, not {config.model_platform!r}")
    return Model(
        name=config.name,
        base=Path(config.base_path.removeprefix("file://")),
        policy=_policy(config),
        labels=MappingProxyType(dict(config.version_labels)),
    )


def _policy(config: Any) -> Policy:
    policy = config.model_version_policy
    chosen = policy.WhichOneof("policy_choice")
    if chosen == "all":
        return Policy(all=True)
    if chosen == "specific":
        if not policy.specific.versions:
            raise invalid(f"model {config.name!r}: a specific policy names at least one version")
        return Policy(specific=tuple(policy.specific.versions))
    return Policy(latest=max(1, policy.latest.num_versions))


def read_models(file: Path) -> Sequence[Model]:
    """The models of a file in protobuf's text format (``--model_config_file``).

    Raises:
        Refused: INVALID_ARGUMENT, saying what is wrong, and where.
        OSError: the file cannot be read.
    """
    try:
        config = text_format.Parse(file.read_text(), ModelServerConfig())
    except text_format.ParseError as problem:
        raise invalid(f"{file}: {problem}") from problem
    return models_of(config)
