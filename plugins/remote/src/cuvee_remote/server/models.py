"""The models: fitted, kept in a folder by their names, and loaded over the catalogues that they are asked about.

::

    FOLDER/3/model/         what the recommender's ``save`` wrote
    FOLDER/3/about.json     its settings, and what it serves
    FOLDER/3/users.arrow    the users of the fit, at their positions
    FOLDER/apart-1/         the same, of a measurement
"""

from __future__ import annotations

import json
import re
import shutil
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cuvee import Catalog, Dataset, Entities
from cuvee.recommender import Recommender, Serves
from pydantic import ValidationError

from cuvee_remote.server.refusals import bad_request, no_model

__all__ = ["Loaded", "Models"]

ABOUT = "about.json"
LOADED = 8
"""Models that stay loaded, each over one catalogue."""
APART = 20
"""Models of measurements that are kept."""


@dataclass(frozen=True)
class Loaded:
    """A model over a catalogue."""

    name: str
    recommender: Recommender[Any]
    users: Entities


class Models:
    """The models of one recommender class. From any thread."""

    def __init__(self, component: type[Recommender[Any]], folder: Path, keep: int) -> None:
        """``keep`` models of fits that are served, the newest."""
        self._component = component
        self._folder = folder
        self._keep = keep
        self._lock = threading.Lock()
        self._fitting = threading.Lock()
        self._loaded: OrderedDict[tuple[str, str], Loaded] = OrderedDict()
        folder.mkdir(parents=True, exist_ok=True)

    def fit(self, data: Dataset, options_json: str, *, apart: bool) -> str:
        """Fit, and keep; the model's name.

        Raises:
            Refused: INVALID_ARGUMENT, the recommender does not take these options.
        """
        try:
            config = self._component.Config.model_validate(json.loads(options_json or "{}"))
        except (ValidationError, ValueError) as problem:
            raise bad_request(f"options of {self._component.__name__}: {problem}") from problem
        with self._fitting:
            model = self._component.fit(data, config, _progress)
            try:
                about = {"options": config.model_dump(mode="json"), "serves": model.serves.value}
                return self._kept(model, about, data.catalog.users, apart=apart)
            finally:
                model.close()

    def _kept(self, model: Recommender[Any], about: Mapping[str, Any], users: Entities, *, apart: bool) -> str:
        before = self._names(apart=apart)
        name = f"{'apart-' if apart else ''}{before[-1][0] + 1 if before else 1}"
        aside = Path(tempfile.mkdtemp(prefix=".writing-", dir=self._folder))
        (aside / "model").mkdir()
        model.save(aside / "model")
        (aside / ABOUT).write_text(json.dumps(about))
        users.save(aside / "users.arrow")
        aside.rename(self._folder / name)
        for _, old in [*before, (0, name)][: -(APART if apart else self._keep)]:
            shutil.rmtree(self._folder / old, ignore_errors=True)
        return name

    def _names(self, *, apart: bool) -> list[tuple[int, str]]:
        """Numbers and names of the models that there are, the oldest first."""
        form = re.compile(r"apart-(\d+)" if apart else r"(\d+)")
        found = [(int(m[1]), one.name) for one in self._folder.iterdir() if (m := form.fullmatch(one.name))]
        return sorted(found)

    def get(self, name: str, items: Entities, key: str) -> Loaded:
        """A model, the newest where no name is given, over the items with a key.

        Raises:
            Refused: NOT_FOUND, there is none.
        """
        if not name:
            names = self._names(apart=False)
            name = names[-1][1] if names else ""
        with self._lock:
            found = self._loaded.get((name, key))
            if found is None:
                found = self._load(name, self._place(name), items)
                self._loaded[name, key] = found
                while len(self._loaded) > LOADED:  # a call may still use it: it is closed when it is let go
                    self._loaded.popitem(last=False)
            self._loaded.move_to_end((name, key))
            return found

    def serves(self, name: str) -> Serves:
        """What a model serves.

        Raises:
            Refused: NOT_FOUND, there is none.
        """
        return Serves(_about(self._place(name))["serves"])

    def _place(self, name: str) -> Path:
        folder = self._folder / name
        if not re.fullmatch(r"(apart-)?\d+", name) or not folder.is_dir():
            raise no_model(name)
        return folder

    def _load(self, name: str, folder: Path, items: Entities) -> Loaded:
        users = Entities.load(folder / "users.arrow")
        config = self._component.Config.model_validate(_about(folder)["options"])
        return Loaded(name, self._component.load(folder / "model", config, Catalog(items, users)), users)


def _about(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / ABOUT).read_text())
    return found


def _progress(done: float, total: float, note: str = "") -> None:
    """Nobody is shown how far it is."""
