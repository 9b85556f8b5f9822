"""The whole effective configuration."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field

from cuvee.config.masking import masked
from cuvee.config.server import ServerConfig
from cuvee.config.store import PrivacyConfig, StoreConfig
from cuvee.product import Name, Product, Table
from cuvee.recommender import RecommenderConfig

__all__ = ["Instance", "Settings"]


class Instance(Table):
    """A configured recommender: ``[recommenders.<name>]``."""

    name: Name
    plugin: str
    config: RecommenderConfig
    vectors: Mapping[str, str] = Field(default_factory=dict)
    """The recommenders whose item vectors it is fitted on, with their digests."""

    @property
    def digest(self) -> str:
        """sha256 of the plugin, the effective config and the recommenders whose vectors it needs.

        A model fitted under another digest is not used. Fields that only concern serving
        (:attr:`RecommenderConfig.serving_only`) do not count.
        """
        fitted = self.config.model_dump(mode="json", exclude=set(self.config.serving_only))
        dump = json.dumps([self.plugin, fitted, *([dict(self.vectors)] if self.vectors else [])], sort_keys=True)
        return hashlib.sha256(dump.encode()).hexdigest()


class Settings(Table):
    """The whole effective configuration."""

    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True)

    root: Path = Field(exclude=True)
    """The folder of ``cuvee.toml``: relative paths start there."""
    data: Path = Path("var/data")
    artifacts: str = "var/artifacts"
    """A folder, or any fsspec URL."""
    artifact_cache: Path = Path("var/cache")
    """Where versions from a remote ``artifacts`` are kept on this machine, for all its processes."""
    artifact_cache_bytes: int = Field(20 * 2**30, ge=0)
    """Beyond it, versions that no process uses are deleted from there."""
    keep_snapshots: int = Field(10, ge=1, le=1_000)
    """How many of the newest versions of a product ``cuvee fit`` leaves there; those in use stay beside them."""
    server: ServerConfig = ServerConfig()
    store: StoreConfig = StoreConfig()
    privacy: PrivacyConfig = PrivacyConfig()
    recommenders: Mapping[str, Instance]
    products: Mapping[str, Product]

    @property
    def revision(self) -> str:
        """Twelve hex digits that change with any effective value."""
        return hashlib.sha256(self.canonical().encode()).hexdigest()[:12]

    def revision_of(self, product: str) -> str:
        """Twelve hex digits that change with any effective value of a product's file or of its recommenders."""
        told = {
            "product": self.products[product].model_dump(mode="json", exclude={"name"}),
            # what their overrides make, since a blender's options may be of files of their own
            "variants": {
                label: one.model_dump(mode="json", include={"blend", "rules"})
                for label, one in self.products[product].variants.items()
            },
            "recommenders": {
                name: [self._told(name), dict(self.recommenders[name].vectors)]
                for name in self.products[product].recommenders
            },
        }
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:12]

    def _told(self, recommender: str) -> dict[str, Any]:
        instance = self.recommenders[recommender]
        return {"plugin": instance.plugin, **instance.config.model_dump(mode="json")}

    def effective(self) -> dict[str, Any]:
        """Every value, defaults filled in and passwords masked, as plain values in the order of the files."""
        dump = self.model_dump(mode="json", exclude={"recommenders", "products"})
        dump["recommenders"] = {name: self._told(name) for name in self.recommenders}
        dump["products"] = {name: p.model_dump(mode="json", exclude={"name"}) for name, p in self.products.items()}
        return {key: masked(value) for key, value in dump.items()}

    def canonical(self) -> str:
        """The effective configuration as JSON, keys sorted."""
        return json.dumps(self.effective(), sort_keys=True)

    @property
    def data_dir(self) -> Path:
        """Absolute folder of the datasets."""
        return (self.root / self.data).resolve()

    @property
    def cache_dir(self) -> Path:
        """Absolute folder of versions from a remote root."""
        return (self.root / self.artifact_cache).resolve()

    @property
    def artifact_url(self) -> str:
        """The artefact root: a URL as given, or an absolute folder."""
        return self.artifacts if "://" in self.artifacts else str((self.root / self.artifacts).resolve())
