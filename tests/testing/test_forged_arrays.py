"""Every array of every installed plugin is checked before it is used, and refused by its file's name."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cuvee import Recommender
from cuvee.errors import ArtifactError
from cuvee.registry import Registry
from cuvee.testing import two_tribes

INSTALLED = {
    name: one.component for name, one in Registry.load().recommenders.items() if not one.component.needs_server
}


def forged(array: np.ndarray[Any, Any]) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """The same array as somebody else's: other types, other sizes, values that are no such ones."""
    yield "another type", array.astype(np.complex128)
    yield "text", array.astype("U4")
    yield "a dimension more", array[..., None]
    if array.size and array.dtype.kind == "i":
        yield "far outside", np.full_like(array, np.iinfo(array.dtype).max)
        yield "negative", np.full_like(array, -7)


@pytest.mark.parametrize("name", INSTALLED)
def test_a_forged_array_is_refused_by_its_name(name: str, tmp_path: Path) -> None:
    component: type[Recommender[Any]] = INSTALLED[name]
    toy = two_tribes()
    fitted = component.fit(toy.data, component.Config(), lambda *_: None)
    fitted.save(tmp_path)
    fitted.close()
    files = sorted(tmp_path.glob("*.npy"))
    tried = 0
    for path in files:
        whole = path.read_bytes()
        for what, array in forged(np.load(path)):
            path.unlink()  # the whole one may be mapped
            np.save(path, array)
            with pytest.raises(ArtifactError) as refused:
                component.load(tmp_path, component.Config(), toy.data.catalog)
            assert f"{tmp_path}/" in str(refused.value) and ".npy" in str(refused.value), (path.name, what)
            tried += 1
        path.unlink()
        path.write_bytes(whole)
    assert tried >= 3 * len(files) > 0
    component.load(tmp_path, component.Config(), toy.data.catalog).close()


@pytest.mark.parametrize("name", INSTALLED)
def test_the_files_of_another_recommender_are_refused(name: str, tmp_path: Path) -> None:
    """Or taken where they are of the same form, as those of a recommender of the same kind are."""
    toy = two_tribes()
    forms = {}
    for other, component in INSTALLED.items():
        folder = tmp_path / other
        folder.mkdir()
        model = component.fit(toy.data, component.Config(), lambda *_: None)
        model.save(folder)
        model.close()
        forms[other] = {
            path.name: [str(np.load(path).dtype), np.load(path).ndim] for path in sorted(folder.glob("*.npy"))
        }
    for other in INSTALLED:
        if other == name or json.dumps(forms[other]) == json.dumps(forms[name]):
            continue
        with pytest.raises((ArtifactError, FileNotFoundError)):
            INSTALLED[name].load(tmp_path / other, INSTALLED[name].Config(), toy.data.catalog)
