"""The snapshot that answers for each product, with its cache of filter masks."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cached_property

from cuvee.artifacts.snapshot import Snapshot
from cuvee.data.catalog import Entities
from cuvee.data.filters import compile_filter
from cuvee.errors import NotFound, NotReady
from cuvee.ranking.known_users import profile_of
from cuvee.recommender import Bools, Profile
from cuvee.v1 import recommendation_pb2 as pb

__all__ = ["Filters", "Products", "Served"]

MASK_BYTES = 64 * 2**20
"""Memory limit of all filter masks of one snapshot."""
MOST_MASKS = 1024
MOST_NAMED = 100_000
"""Items whose names are kept ready, by snapshot."""

MOST_PROFILES = 20_000
"""Users whose attributes are kept ready, by snapshot."""


class Filters:
    """The masks of the filters that were used last, for one snapshot's catalogue."""

    def __init__(self, items: Entities) -> None:
        self._items = items
        self._most = max(8, min(MOST_MASKS, MASK_BYTES // max(len(items), 1)))
        self._masks: OrderedDict[str, Bools] = OrderedDict()

    def __len__(self) -> int:
        return len(self._masks)

    def known(self, sql: str) -> Bools | None:
        """bool[N] for a filter that was compiled lately."""
        mask = self._masks.get(sql)
        if mask is not None:
            with suppress(KeyError):  # dropped by another thread in the meantime
                self._masks.move_to_end(sql)
        return mask

    def compile(self, sql: str) -> Bools:
        """bool[N]; takes milliseconds, so it is called in a thread.

        Raises:
            InvalidArgument: naming ``filter``, and the position where it is known.
        """
        return compile_filter(sql, self._items).mask

    def keep(self, sql: str, mask: Bools) -> None:
        """Cache a mask, and drop the least recently used ones."""
        mask.flags.writeable = False
        self._masks[sql] = mask
        while len(self._masks) > self._most:
            self._masks.popitem(last=False)


@dataclass(frozen=True)
class Served:
    """A snapshot in use: a request takes it once at its start and uses it to its end."""

    snapshot: Snapshot
    revision: str
    """Of the configuration."""
    filters: Filters
    _named: dict[int, bytes] = field(default_factory=dict, compare=False, repr=False)
    _profiles: dict[int, Profile] = field(default_factory=dict, compare=False, repr=False)

    def profile_of(self, user: int) -> Profile:
        """The imported attributes of the user at a position; -1 is nobody."""
        found = self._profiles.get(user)
        if found is None:
            if len(self._profiles) >= MOST_PROFILES:
                self._profiles.clear()
            found = self._profiles[user] = profile_of(self.snapshot.data.catalog, user)
        return found

    def named(self, items: Sequence[int]) -> list[bytes]:
        """Per item the fields ``item_id`` and ``title`` of a RecommendedItem, as they lie on the wire."""
        missing = [item for item in items if item not in self._named]
        if missing:
            entities = self.snapshot.data.catalog.items
            if len(self._named) > MOST_NAMED:
                self._named.clear()
                missing = list(items)
            for item, name, title in zip(missing, entities.ids(missing), entities.titles_of(missing), strict=True):
                self._named[item] = pb.RecommendedItem(item_id=name, title=title).SerializeToString()
        return [self._named[item] for item in items]

    @cached_property
    def variants(self) -> Mapping[str, Served]:
        """What answers those who are in a variant with overrides, by label as in :attr:`Product.variants`."""
        return {label: replace(self, snapshot=one) for label, one in self.snapshot.variants.items()}

    def chosen(self, unit: str) -> tuple[Served, str]:
        """What answers a unit of the experiments, and the labels of its variants, joined with commas."""
        labels = self.snapshot.product.assignment.labels(unit)
        return self.under(labels), ",".join(labels)

    def under(self, labels: Sequence[str]) -> Served:
        """What answers those who are in these variants, one for each layer in the order of the product's file."""
        there = self.variants
        return there.get(",".join(label for label in labels if label in there), self)

    @classmethod
    def of(cls, snapshot: Snapshot, revision: str) -> Served:
        """Prepare a snapshot for requests."""
        items = snapshot.data.catalog.items
        # built now, since the first request would pay for them
        for entities in (items, snapshot.data.catalog.users):
            _ = entities.index, entities.schema, entities.titles
        return cls(snapshot, revision, Filters(items))


class Products:
    """The configured products, each with the snapshot that answers for it or with none yet."""

    def __init__(self, names: Iterable[str]) -> None:
        self._served: dict[str, Served | None] = dict.fromkeys(names)
        self._failed: dict[str, str] = {}

    @property
    def served(self) -> Mapping[str, Served | None]:
        """By product."""
        return self._served

    @property
    def ready(self) -> tuple[str, ...]:
        """The products that have a snapshot."""
        return tuple(name for name, served in self._served.items() if served is not None)

    def add(self, product: str) -> None:
        """A product that has no snapshot yet."""
        self._served.setdefault(product, None)

    def remove(self, product: str) -> Served | None:
        """A product that is there no more for new requests; what answered for it."""
        self._failed.pop(product, None)
        return self._served.pop(product, None)

    def put(self, served: Served) -> None:
        """Use a snapshot for new requests; running ones keep the old one."""
        self._served[served.snapshot.product.name] = served

    def fail(self, product: str, reason: str) -> None:
        """Record that a product cannot be served for now; callers are told the error's ``reason``."""
        self._failed[product] = reason

    def failed(self, product: str) -> bool:
        """Whether a product without a snapshot could not be loaded, and is not only being loaded."""
        return product in self._failed and self._served.get(product) is None

    def current(self, product: str) -> Served:
        """The snapshot that answers now.

        Raises:
            NotFound: no such product is configured.
            NotReady: its snapshot is not loaded yet, or cannot be loaded.
        """
        if product not in self._served:
            raise NotFound("product", product, sorted(self._served))
        served = self._served[product]
        if served is None and product in self._failed:
            raise NotReady(
                f"product {product!r} cannot be served now ({self._failed[product]}): the server's log says why, "
                "and it is tried again"
            )
        if served is None:
            raise NotReady(f"product {product!r} is being loaded; try again in a moment")
        return served
