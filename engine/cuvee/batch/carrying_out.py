"""A whole batch, from what a person asked for to the last part."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

from cuvee import __version__
from cuvee.artifacts.choice import wanted
from cuvee.artifacts.versions import ArtifactRoot
from cuvee.batch import job as jobs
from cuvee.batch.job import Asked, Job, Manifest
from cuvee.batch.run import Place, here
from cuvee.batch.users import digest_of, everyone, from_file
from cuvee.batch.worker import store_of
from cuvee.config import Settings
from cuvee.data.catalog import Catalog, Entities
from cuvee.data.filters import compile_filter
from cuvee.data.imported import imported_data
from cuvee.data.store import Store
from cuvee.data.store.catalogue.overlay import overlaid
from cuvee.errors import ArtifactError, DataError, InvalidArgument
from cuvee.folder import Folder
from cuvee.recommender import Progress
from cuvee.serving.fields import check_filter, length_of

__all__ = ["Summary", "Wanted", "carry_out"]


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a person asks for."""

    product: str
    target: str
    page_size: int = 0
    """0: the product's own."""
    filter: str = ""
    where: str = ""
    """A SQL condition on users; empty: all."""
    file: Path | None = None
    """The ids of the users, in place of ``where``."""
    attributions: bool = False
    chunk: int = 10_000
    version: str | None = None


@dataclass(slots=True)
class Summary:
    """What came of it; all but ``seconds`` and ``cpu_seconds`` counts this run's parts alone."""

    product: str
    target: str
    version: str
    parts: int = 0
    parts_before: int = 0
    """Parts that an earlier run had written."""
    users: int = 0
    left_out: int = 0
    """Users who were deleted since the batch began."""
    rows: int = 0
    fallback: int = 0
    """Rows that the fallback chain or the last resort filled."""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    """Of the processors, for the lists alone, over all processes."""


def carry_out(settings: Settings, config: Path, what: Wanted, told: Progress, place: Place = here) -> Summary:
    """Make every part that is missing, and say in the target that it is whole.

    Args:
        settings: the configuration.
        config: the file that they were read from: other processes read it, too.
        what: is wanted.
        told: is told how many users have a list, of how many.
        place: where the parts are made.

    Raises:
        InvalidArgument: a filter or the length is wrong.
        ArtifactError: nothing was fitted yet, or the version is gone.
        DataError: the target holds something else, or a batch with other settings.
        UnavailableError: something cannot be reached now; the same call goes on later.
    """
    began = time.monotonic()
    product = settings.products[what.product]
    check_filter(what.filter)
    if what.page_size > product.page_size.max:
        most = f"{what.page_size} is more than {product.page_size.max}, page_size.max of products/{what.product}.toml"
        raise InvalidArgument("page_size", f"{most}; raise it there, or ask for less")
    page_size = length_of(what.page_size, product.page_size)
    folder = Folder(what.target)
    root = ArtifactRoot.of(settings)
    newest = wanted(root, what.product) or root.manifest(what.product).version
    ids = None if what.file is None else from_file(what.file, settings.privacy.pseudonyms)
    asked = Asked(
        product=what.product,
        revision=settings.revision_of(what.product),
        page_size=page_size,
        filter=what.filter,
        users=f"sha256 {digest_of(ids)}" if ids is not None else f"where {what.where}" if what.where else "all",
        attributions=what.attributions,
        chunk=what.chunk,
    )
    store = store_of(settings)
    try:
        begun = jobs.manifest_of(folder)
        version = what.version or (begun.version if begun is not None else newest)
        catalog = _catalog(settings, root, what.product, version, begun)
        _check_conditions(what, catalog, store)
        manifest = jobs.begin(folder, asked, newest, what.version, __version__)
        if manifest.n_users is None:
            found = ids if ids is not None else everyone(catalog.users, store, what.product, what.where)
            manifest = jobs.write_users(folder, manifest, found)
    finally:
        if store is not None:
            store.close()
    return _made(Job(config=str(config.resolve()), target=_absolute(what.target)), folder, manifest, told, place, began)


def _made(job: Job, folder: Folder, manifest: Manifest, told: Progress, place: Place, began: float) -> Summary:
    numbers = jobs.missing(folder, manifest)
    found = Summary(manifest.asked.product, folder.url, manifest.version, parts_before=manifest.n_parts - len(numbers))
    total = manifest.n_users or 0
    lacking = sum(min(manifest.asked.chunk, total - number * manifest.asked.chunk) for number in numbers)
    told(total - lacking, max(total, 1))
    for done in place(job, numbers) if numbers else ():
        found.parts += 1
        found.users += done.users
        found.left_out += done.left_out
        found.rows += done.rows
        found.fallback += done.fallback
        found.cpu_seconds += done.cpu
        told(total - lacking + found.users + found.left_out, max(total, 1))
    jobs.end(folder, manifest)
    found.seconds = time.monotonic() - began
    return found


def _catalog(settings: Settings, root: ArtifactRoot, product: str, version: str, begun: Manifest | None) -> Catalog:
    """The items and users that a version was fitted on."""
    try:
        manifest = root.manifest(product, version)
    except ArtifactError as problem:
        if begun is None:
            raise
        raise DataError(
            f"the batch was begun with version {version}, which is there no more ({problem}); "
            "begin anew in another folder, and let more versions stay (keep_snapshots)"
        ) from problem
    if manifest.catalog:
        return Catalog.load(root.fetch_catalog(manifest))
    return imported_data(settings, product).catalog


def _check_conditions(what: Wanted, catalog: Catalog, store: Store | None) -> None:
    """Raises InvalidArgument before anything is written."""
    if what.filter:
        items: Entities = catalog.items
        if store is not None:
            rows = sorted(store.items_since(what.product, 0), key=lambda row: row.born)
            items = overlaid(items, rows)
        compile_filter(what.filter, items)
    if what.where:
        compile_filter(what.where, catalog.users, field="where")


def _absolute(target: str) -> str:
    return target if "://" in target else str(Path(target).resolve())
