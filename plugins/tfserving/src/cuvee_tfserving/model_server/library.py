"""The served versions of each model, and their replacement.

A folder's newest versions are loaded and warmed up beside the serving ones, then replace them, and only
then the old ones are dropped. So a request always finds a version, and finishes on the one it began with.
A version that cannot be loaded changes nothing.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import grpc

from cuvee_tfserving.model_server.configuration import Model
from cuvee_tfserving.model_server.log import say
from cuvee_tfserving.model_server.refusals import Refused, failed_precondition, invalid, not_found
from cuvee_tfserving.protos import ModelVersionStatus

if TYPE_CHECKING:
    from cuvee_tfserving.model_server.servable import Servable

__all__ = ["Library", "Loader", "State"]

LOADING, AVAILABLE = ModelVersionStatus.LOADING, ModelVersionStatus.AVAILABLE
UNLOADING, END = ModelVersionStatus.UNLOADING, ModelVersionStatus.END
ENDED = 16
"""How many ended versions of a model keep a reported status."""


class Loader(Protocol):
    """Loads a version's folder as a servable, or raises."""

    def __call__(self, path: Path, name: str, version: int) -> Servable:
        """Load and warm up."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of a version."""

    state: int
    """A ``ModelVersionStatus.State``."""
    problem: str = ""
    """Why it could not be loaded."""


@dataclass(slots=True)
class _Shelf:
    """One model. ``servables`` and ``states`` are replaced, never changed: readers need no lock."""

    model: Model
    servables: Mapping[int, Servable] = field(default_factory=dict)
    states: Mapping[int, State] = field(default_factory=dict)
    broken: dict[int, object] = field(default_factory=dict)
    """Version -> a fingerprint of its folder when it could not be loaded."""


class Library:
    """The models of a configuration, and their versions."""

    def __init__(self, models: Sequence[Model], loader: Loader) -> None:
        self._loader = loader
        self._changing = threading.Lock()
        self._shelves: Mapping[str, _Shelf] = {model.name: _Shelf(model) for model in models}

    def find(self, spec: Any) -> Servable:
        """The servable that a ModelSpec means.

        Raises:
            Refused: INVALID_ARGUMENT or NOT_FOUND.
        """
        shelf = self._shelf(spec)
        servables = shelf.servables
        chosen = spec.WhichOneof("version_choice")
        if chosen == "version_label":
            version = shelf.model.labels.get(spec.version_label)
            if version is None:
                raise invalid(f"model {spec.name!r} has no version label {spec.version_label!r}")
        elif chosen == "version":
            version = spec.version.value
        elif servables:
            version = max(servables)
        else:
            raise not_found(f"no version of model {spec.name!r} is served")
        if version not in servables:
            raise not_found(f"version {version} of model {spec.name!r} is not served")
        return servables[version]

    def states(self, spec: Any) -> Mapping[int, State]:
        """The states of the versions that a ModelSpec means, the newest first.

        Raises:
            Refused: INVALID_ARGUMENT or NOT_FOUND.
        """
        shelf = self._shelf(spec)
        states = shelf.states
        chosen = spec.WhichOneof("version_choice")
        if chosen is None:
            if not states:
                raise not_found(f"Could not find any versions of model {spec.name}")
            return dict(sorted(states.items(), reverse=True))
        version = spec.version.value if chosen == "version" else shelf.model.labels.get(spec.version_label)
        if version is None:
            raise invalid(f"model {spec.name!r} has no version label {spec.version_label!r}")
        if version not in states:
            raise not_found(f"Could not find version {version} of model {spec.name}")
        return {version: states[version]}

    def _shelf(self, spec: Any) -> _Shelf:
        if not spec.name:
            raise invalid("ModelSpec has no name specified.")
        shelf = self._shelves.get(spec.name)
        if shelf is None:
            raise not_found(f"no model {spec.name!r} is served")
        return shelf

    def configure(self, models: Sequence[Model]) -> None:
        """Serve these models from now on, and no others; returns when they are loaded.

        Raises:
            Refused: UNKNOWN, if one has no version that can be served; FAILED_PRECONDITION, if a
                label is given to a version that is not served (the model then keeps its labels).
        """
        with self._changing:
            shelves = {}
            for model in models:
                old = self._shelves.get(model.name)
                if old is None or old.model.base != model.base:
                    shelves[model.name] = _Shelf(model, servables=old.servables if old else {})
                else:
                    labels = old.model.labels
                    old.model = Model(model.name, model.base, model.policy, labels)
                    shelves[model.name] = old
            for gone in set(self._shelves) - set(shelves):
                say("model dropped", model=gone)
            self._shelves = shelves
            for shelf in shelves.values():
                self._refresh(shelf)
            for model in models:
                self._label(shelves[model.name], model.labels)
            without = [name for name, shelf in shelves.items() if not shelf.servables]
            if without:
                raise Refused(grpc.StatusCode.UNKNOWN, f"Some models did not become available: {without}")

    @staticmethod
    def _label(shelf: _Shelf, labels: Mapping[str, int]) -> None:
        for label, version in labels.items():
            if version not in shelf.servables:
                raise failed_precondition(
                    f"label {label!r} of model {shelf.model.name!r} cannot be given to version {version}, "
                    "which is not served"
                )
        shelf.model = Model(shelf.model.name, shelf.model.base, shelf.model.policy, labels)

    def refresh(self) -> None:
        """Check the folders, load new versions, and drop those that are not wanted any more."""
        with self._changing:
            for shelf in self._shelves.values():
                self._refresh(shelf)

    def _refresh(self, shelf: _Shelf) -> None:
        there = _versions(shelf.model.base)
        wanted = set(self._wanted(shelf, there))
        unwanted = [v for v in shelf.servables if v not in wanted]
        # the last good version stays until another one loads
        if not wanted and shelf.servables:
            unwanted.remove(max(shelf.servables))
        for version in unwanted:
            self._note(shelf, version, State(UNLOADING))
            shelf.servables = {v: s for v, s in shelf.servables.items() if v != version}
            self._note(shelf, version, State(END))
            say("version unloaded", model=shelf.model.name, version=version)

    def _wanted(self, shelf: _Shelf, there: Mapping[int, Path]) -> Iterator[int]:
        """The versions that the policy wants and that could be loaded; loads them."""
        policy = shelf.model.policy
        versions = sorted(there, reverse=True)
        if policy.specific:
            versions = [v for v in versions if v in policy.specific]
        left = len(versions) if policy.all or policy.specific else policy.latest
        for version in versions:
            if left and self._served(shelf, version, there[version]):
                left -= 1
                yield version

    def _served(self, shelf: _Shelf, version: int, path: Path) -> bool:
        if version in shelf.servables:
            return True
        looks = _looks(path)
        if version in shelf.broken and shelf.broken[version] == looks:
            return False
        self._note(shelf, version, State(LOADING))
        say("version loading", model=shelf.model.name, version=version)
        try:
            servable = self._loader(path, shelf.model.name, version)
        except Exception as problem:  # noqa: BLE001 - a folder may hold anything; the server goes on with what it has
            shelf.broken[version] = looks
            self._note(shelf, version, State(END, f"{type(problem).__name__}: {problem}"))
            say("version broken", model=shelf.model.name, version=version, problem=str(problem)[:500])
            return False
        shelf.broken.pop(version, None)
        shelf.servables = {**shelf.servables, version: servable}
        self._note(shelf, version, State(AVAILABLE))
        say("version available", model=shelf.model.name, version=version)
        return True

    @staticmethod
    def _note(shelf: _Shelf, version: int, state: State) -> None:
        states = {**shelf.states, version: state}
        ended = sorted(v for v, s in states.items() if s.state == END and v != version)
        for old in ended[: max(0, len(ended) - ENDED)]:
            del states[old]
        shelf.states = states


def _versions(base: Path) -> Mapping[int, Path]:
    try:
        return {int(path.name): path for path in base.iterdir() if path.name.isdecimal() and path.is_dir()}
    except OSError:
        return {}  # the folder is not there yet, or not at the moment


def _looks(path: Path) -> object:
    """A fingerprint that changes when a broken version is repaired."""
    try:
        return path.stat().st_mtime_ns, (path / "saved_model.pb").stat().st_mtime_ns
    except OSError:
        return None
