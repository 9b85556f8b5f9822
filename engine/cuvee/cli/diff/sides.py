"""The configuration that another is compared with: of a file, of a folder, or of a running server."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

from cuvee.config import Files, Settings, read_settings
from cuvee.config.printing import as_toml
from cuvee.errors import ConfigError, NotFound, OperatorError

if TYPE_CHECKING:
    from cuvee.cli.ask.calling import Server
    from cuvee.product import Product
    from cuvee.registry import Registry

__all__ = ["files_of", "served_files", "settings_for", "sides_of_variant"]


def files_of(config: Path, product: str, against: Path) -> Files:
    """The files that ``against`` stands for: a folder, a ``cuvee.toml``, or another file of the product.

    Raises:
        OperatorError: it is not there.
    """
    if against.is_dir():
        against = against / config.name
    if not against.is_file():
        raise OperatorError(f"{against} is not there; give a folder, a cuvee.toml, or a file of the product")
    if "sources" not in _parsed(against.read_bytes()):
        return Files.read(against)
    own = Files.read(config)
    return own.among({product: against.read_bytes()})


def served_files(config: Path, product: str, server: Server) -> Files:
    """What a running server serves, over the rest of ``config``.

    Raises:
        RequestError: the server does not know the product, or does not let the caller ask.
    """
    from cuvee.cli.steering import TIMEOUT, admin
    from cuvee.v1 import admin_pb2 as pb

    found = admin(server, lambda stub: stub.GetConfig(pb.GetConfigRequest(product=product), timeout=TIMEOUT))
    served = _parsed(found.effective_toml.encode())
    own = Files.read(config)
    tables = _parsed(own.server or b"")
    recommenders = tables.get("recommenders")
    mine = recommenders if isinstance(recommenders, dict) else {}
    tables["recommenders"] = {**mine, **served["recommenders"]}  # type: ignore[dict-item]
    content = as_toml(served["products"][product]).encode()  # type: ignore[index]
    return Files(own.file, as_toml(tables).encode(), {product: content})


def settings_for(files: Files, registry: Registry, product: str) -> Settings:
    """The settings of files, as far as they concern a product.

    Raises:
        ConfigError: with every mistake of ``cuvee.toml`` and of the product's file.
        NotFound: there is no such product.
    """
    if product not in files.products:
        raise NotFound("product", product, sorted(files.products))
    settings, mistakes = read_settings(files.among({product: files.products[product]}), registry)
    if mistakes or settings is None:
        raise ConfigError(mistakes)
    return settings


def sides_of_variant(settings: Settings, product: str, variant: str) -> tuple[Settings, Settings]:
    """The settings without any experiment, and with one variant for everybody.

    Raises:
        NotFound: the product has no such variant, or the variant overrides nothing.
    """
    whole = settings.products[product]
    if variant not in whole.variants:
        raise NotFound("variant with overrides", variant, sorted(whole.variants))
    plain = whole.model_copy(update={"experiments": (), "shadows": ()}).with_variants({})
    return _with_product(settings, plain), _with_product(settings, whole.variants[variant])


def _with_product(settings: Settings, product: Product) -> Settings:
    return settings.model_copy(update={"products": {**settings.products, product.name: product}})


def _parsed(content: bytes) -> dict[str, object]:
    try:
        return tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        return {}
