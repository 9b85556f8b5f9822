"""Files into a dataset: what ``cuvee import --dataset`` does."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from cuvee.errors import DataError

if TYPE_CHECKING:
    from cuvee.data.files.cleaning import CleanOptions
    from cuvee.data.files.raw import ReadOptions
    from cuvee.pseudonyms import Pseudonyms

__all__ = ["import_into_dataset"]


def import_into_dataset(
    folder: Path,
    files: tuple[Path | None, Path | None, Path | None],
    form: str,
    reading: ReadOptions,
    cleaning: CleanOptions,
    pseudonyms: Pseudonyms,
    replace: bool,
    as_json: bool,
) -> None:
    """Read interactions, items and users (``files``), clean them, save them in ``folder``, and print the report.

    Raises:
        DataError: a file cannot be read, none of its rows can be used, or the folder cannot be written.
    """
    from cuvee.cli.importing.told import show_report
    from cuvee.cli.terminal.progress import Bars
    from cuvee.cli.terminal.tables import print_json
    from cuvee.data.dataset import Dataset
    from cuvee.data.files.cleaning import clean
    from cuvee.data.files.fetch import located
    from cuvee.data.files.readers import Part, gather
    from cuvee.registry import Registry

    path, items, users = files
    readers = {known: found.component for known, found in Registry.load().readers.items()}
    n_files = sum(file is not None for file in files)
    with Bars(hidden=as_json) as bars:
        told, done = bars("import"), iter(range(n_files + 2))
        there = Dataset.load(folder) if not replace and (folder / "events.arrow").exists() else None
        if there:
            pseudonyms.check(there.catalog.users.frame["id"], str(folder))
        known = {Part.ITEMS: there.catalog.items, Part.USERS: there.catalog.users} if there else {}
        raw = gather(
            path and located(path),
            items=items,
            users=users,
            form=form,
            options=reading,
            readers=readers,
            there=known,
            strict=cleaning.strict,
            on_file=lambda file: told(next(done), n_files + 2, f"reading {file.name}"),
        )
        told(n_files, n_files + 2, "cleaning")
        made, report = clean(raw.pseudonymised(pseudonyms), cleaning, into=there)
        useless = [t for t in report.tallies if t.read and not t.kept]
        if not useless:
            told(n_files + 1, n_files + 2, f"writing {folder}")
            try:
                folder.parent.mkdir(parents=True, exist_ok=True)
                made.save(folder)
            except OSError as error:
                raise DataError(
                    f"{folder} cannot be written: {error.strerror or error}; say a folder of your own"
                ) from error
    if as_json:
        print_json({"dataset": str(folder), **asdict(report)})
    else:
        show_report(report, folder, saved=not useless)
    if useless:
        which = ", ".join(f"{t.read:,} of {t.part}" for t in useless)
        raise DataError(f"no row of these could be used: {which}; nothing was saved")
