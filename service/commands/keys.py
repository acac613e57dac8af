"""The command `keys`: make, show and change the key pairs by which this service signs."""

from enum import StrEnum
from pathlib import Path
from typing import Any

from service.errors import InputError, OutputError
from service.fhir.auth import Algorithm
from service.fhir.keys import KeyRing, make_key, read_keys


class KeyStep(StrEnum):
    """What to do with the file of keys."""

    SHOW = "show"
    NEW = "new"
    NEXT = "next"
    ROTATE = "rotate"


def change_keys(path: Path, step: KeyStep, algorithm: Algorithm) -> dict[str, Any]:
    """Do one step, and return the public halves that FHIR servers are to know from now on.

    `NEW` makes a file, `NEXT` adds the key that signs after the next `ROTATE`, which drops the one that signs
    now. Raises `InputError` where the file does not allow the step, `SettingsError` for a faulty file,
    and `OutputError` for one that cannot be written.
    """
    if step is KeyStep.NEW:
        if path.exists():
            raise InputError(f"{path}: the file exists; --next adds a key to it")
        ring = KeyRing((make_key(algorithm),))
    else:
        ring = _changed(read_keys(path), step, algorithm)
    if step is not KeyStep.SHOW:
        _write(ring, path)
    return ring.public()


def _write(ring: KeyRing, path: Path) -> None:
    try:
        ring.write(path)
    except OSError as error:
        raise OutputError(f"{path}: cannot be written ({error.strerror})") from None


def _changed(ring: KeyRing, step: KeyStep, algorithm: Algorithm) -> KeyRing:
    match step:
        case KeyStep.NEXT:
            return KeyRing((ring.keys[0], make_key(algorithm)))
        case KeyStep.ROTATE if len(ring.keys) == 1:
            raise InputError("the file has no next key; --next adds one")
        case KeyStep.ROTATE:
            return KeyRing(ring.keys[1:])
        case _:
            return ring
