"""Users on disk, in imported datasets and fitted versions: where a user occurs, and the removal of forgotten users."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import polars as pl
import structlog

from cuvee.artifacts.versions import ArtifactRoot, Manifest
from cuvee.config import Settings
from cuvee.data.imported import imported_data
from cuvee.data.store import Store
from cuvee.errors import ArtifactError

__all__ = ["rows_in_dataset", "take_out", "versions_that_know"]

log = structlog.get_logger(__name__)


def rows_in_dataset(settings: Settings, product: str, user_id: str) -> int:
    """How many rows of a user a product's imported dataset has: his own row, and his events."""
    folder = settings.data_dir / settings.products[product].dataset
    at = (pl.read_ipc(folder / "users.arrow")["id"] == user_id).arg_true()
    return int((pl.read_ipc(folder / "events.arrow")["user"] == at[0]).sum()) + 1 if len(at) else 0


def versions_that_know(settings: Settings, product: str, user_id: str) -> dict[str, bool]:
    """The versions that were fitted on a user, and whether each one stores his id itself.

    A version that does not store the id knows the user only by his position in the imported dataset.
    """
    imported = pl.read_ipc(settings.data_dir / settings.products[product].dataset / "users.arrow")["id"]
    found = {}
    with _artifacts(settings) as root:
        for version in root.versions(product):
            try:
                manifest = root.manifest(product, version)
                own = _own_ids(root, manifest)
            except ArtifactError:  # a fit has removed it in the meantime
                continue
            ids = imported.head(manifest.n_users) if own is None else own
            if (ids == user_id).any():
                found[version] = own is not None
    return found


@contextmanager
def _artifacts(settings: Settings) -> Iterator[ArtifactRoot]:
    """The versions of a product. Files fetched from a remote root to read them are deleted at the end."""
    with tempfile.TemporaryDirectory(prefix="cuvee-forgotten-") as cache:
        yield ArtifactRoot(settings.artifact_url, Path(cache))


def _own_ids(root: ArtifactRoot, manifest: Manifest) -> pl.Series | None:
    """Ids of the users of a version that was fitted on more than the imported dataset."""
    if not manifest.catalog:
        return None
    return pl.read_ipc(root.fetch_catalog(manifest, checked=False) / "users.arrow")["id"]


def take_out(settings: Settings, product: str, store: Store) -> None:
    """Remove forgotten users from a product's older versions and from its dataset, after a fit without them.

    From a dataset that several products share, a user is removed once every one of these products has
    forgotten him and was fitted since.

    Raises:
        UnavailableError: the store cannot be reached.
    """
    with _artifacts(settings) as root:
        root.sweep(product)
        if not store.someone_forgotten(product):
            return
        gone = store.forgotten(product)
        for version in root.versions(product)[:-1]:
            try:
                own = _own_ids(root, root.manifest(product, version))
            except ArtifactError as problem:  # it cannot be served, and it cannot be read which users it was fitted on
                root.retire(product, version)
                log.warning("a damaged version was removed", product=product, version=version, problem=str(problem))
                continue
            if own is not None and any(map(gone, own)):
                root.retire(product, version)
                log.info("a version that was fitted on forgotten users was removed", product=product, version=version)
        _take_out_of_dataset(settings, product, store, root)


def _take_out_of_dataset(settings: Settings, product: str, store: Store, root: ArtifactRoot) -> None:
    name = settings.products[product].dataset
    data = imported_data(settings, product)
    ids = data.catalog.users.frame["id"]
    leaving = np.ones(len(ids), np.bool_)
    for other, config in settings.products.items():
        if config.dataset == name:
            leaving &= np.fromiter(map(store.forgotten(other), ids), np.bool_, len(ids))
    if not leaving.any():
        return
    people = ids.filter(leaving)
    for other, config in settings.products.items():
        newest = root.manifest(other) if config.dataset == name and root.versions(other) else None
        own = None if newest is None else _own_ids(root, newest)
        if newest is not None and (own is None or people.is_in(own.implode()).any()):
            return
    data.without_users(leaving).save(settings.data_dir / name)
    log.info("forgotten users were removed from the imported dataset", dataset=name, count=len(people))
