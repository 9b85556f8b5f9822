"""The hooks: everything of Cuvée that a plugin can extend, in the order in which they fire.

A plugin is a module named by an entry point in the group ``cuvee``::

    [project.entry-points.cuvee]
    mine = "my_package.plugin"

that implements one or more of these with :data:`cuvee.hookimpl`. pluggy finds the plugins;
the classes that the hooks register do the work. The registration hooks are called once, at start;
the only hook on the request path is :func:`load_history`.

Commands of the ``cuvee`` program are added in another way: by entry points in the group
``cuvee.commands``, see :mod:`cuvee.cli.extensions`.

An implementation may take fewer arguments than the hook has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    from cuvee.data.files.readers import Reader
    from cuvee.ranking.blend import Blender
    from cuvee.ranking.calibrate import Calibrator
    from cuvee.recommender import History, Queries, Recommender
    from cuvee.rules import Rule

PROJECT = "cuvee"
"""The pluggy project name, which is the entry point group too."""

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)
"""Decorator that marks a function of a plugin as the implementation of a hook."""


@hookspec
def register_readers() -> Mapping[str, type[Reader]]:  # type: ignore[empty-body]
    """Register readers of interaction and catalogue files.

    When: at the start of the ``cuvee`` command, once.
    Returns: name -> reader class, the name being what ``cuvee import --format`` takes.
    Who implements it: plugins that know a file layout. A name registered twice is a
    :class:`cuvee.errors.PluginError` that names both distributions.
    """


@hookspec
def register_recommenders() -> Mapping[str, type[Recommender[Any]]]:  # type: ignore[empty-body]
    """Register recommenders.

    When: at start of every process (command and server), once.
    Returns: name -> recommender class, the name being what ``plugin = "..."`` in ``cuvee.toml``
    takes.
    Who implements it: every plugin that recommends. A name registered twice is a
    :class:`cuvee.errors.PluginError` that names both distributions.
    """


@hookspec
def register_calibrators() -> Mapping[str, type[Calibrator]]:  # type: ignore[empty-body]
    """Register calibrators, which bring one source's raw scores to a scale shared by all.

    When: at start, once.
    Returns: name -> calibrator class, the name being what ``[blend] calibrate`` takes.
    Who implements it: the engine itself, and plugins that bring a calibration of their own.
    """


@hookspec
def register_blenders() -> Mapping[str, type[Blender]]:  # type: ignore[empty-body]
    """Register blenders, which turn calibrated scores into contributions that add up.

    When: at start, once.
    Returns: name -> blender class, the name being what ``[blend] method`` takes.
    Who implements it: the engine itself, and plugins that bring a blending of their own.
    """


@hookspec
def register_rules() -> Mapping[str, type[Rule[Any]]]:  # type: ignore[empty-body]
    """Register rules, which say what may be shown and arrange what is shown.

    When: at start, once.
    Returns: name -> rule class, the name being what ``use`` in ``[[rules]]`` takes.
    Who implements it: the engine itself, and plugins that bring a business rule.
    """


@hookspec(firstresult=True)
def load_history(product: str, user_id: str) -> History | None:
    """Load what a user did, for teams whose events live elsewhere.

    When: once per user of a request, before retrieval; the first answer that is not None wins.
    Parameters: ``product`` is the product's id; ``user_id`` the external id as the caller gave it,
    or its keyed hash where ``[privacy]`` of ``cuvee.toml`` asks for hashes.
    Returns: a :class:`cuvee.recommender.History`, or None for "not mine": the engine then takes
    the history it has itself. An exception counts as None, is logged and marks the answer degraded.
    Who implements it: plugins that reach a feature store or an event store.
    """


@hookspec
def on_recommended(queries: Queries, result: Any) -> None:
    """Observe an answer after it was sent.

    When: after the reply, off the request path.
    Parameters: ``queries`` the batch; ``result`` the :class:`cuvee.ranking.pipeline.Answer`.
    Returns: nothing. An exception is logged and counted only.
    Who implements it: plugins that log exposures or feed a monitor.
    """
