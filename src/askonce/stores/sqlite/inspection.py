"""The inspection of a SQLite file: read all of it, report every damage, repair on request."""

from askonce.core.models import Damage, Key, Selection
from askonce.stores.envelope import fault_in
from askonce.stores.sqlite.file import DatabaseFile
from askonce.stores.sqlite.pages import BLOBS, delete_rows, page
from askonce.stores.sqlite.schema import FileDamaged, FileForeign, probe


def inspect(file: DatabaseFile, *, fix: bool) -> list[Damage]:
    """Report the damages of a file and of its entries.

    With `fix`, remove damaged entries, or move a damaged file aside and start a new one. Another
    program's file is reported and left alone.
    """
    where = str(file.path)
    try:
        with file.connected() as db:
            faults = [fault for (fault,) in db.execute("PRAGMA integrity_check")]
            probe(db)
        if faults == ["ok"]:
            return _inspect_entries(file, fix=fix)
    except FileForeign as error:
        return [Damage(str(error), where)]
    except FileDamaged as error:
        faults = [str(error)]
    if fix:
        file.move_aside()
    return [Damage(fault, where) for fault in faults]


def _inspect_entries(file: DatabaseFile, *, fix: bool) -> list[Damage]:
    damages: list[Damage] = []
    place: int | None = 0
    while place is not None:
        with file.connected() as db:
            rows, place = page(db, Selection(), place, BLOBS)
        # A damaged row may hold values of any type; such a key equals no entry's.
        faults = {id_: fault_in(blob, Key(*key)) for id_, *key, blob in rows}
        bad = {id_: fault for id_, fault in faults.items() if fault is not None}
        damages += [Damage(fault, f"entries row {id_}") for id_, fault in bad.items()]
        if fix and bad:
            with file.writing() as db:
                delete_rows(db, bad)
    return damages
