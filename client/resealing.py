"""A new key for a hospital's store and identity: both are encrypted anew, and stay what they are.

The new key is written beside the old one first, and takes its place last. A renewal that was interrupted is finished
by the same command: each part opens with one of the two keys, and neither is thrown away before all open with the new.
"""

import os
from contextlib import closing

from sqlcipher3 import dbapi2

from client.identity import Identity
from client.sealing import (
    ENVIRONMENT,
    KEYRING,
    OwnFolder,
    SealingKey,
    alone_in,
    connect_with,
    key_in_file,
    pending_key,
    write_key,
)
from common.errors import Code, HospitalError


def reseal(own: OwnFolder) -> None:
    """Make a new key where the old one is kept, and seal everything with it; the old key then opens nothing."""
    if os.environ.get(ENVIRONMENT) or own.named_key == KEYRING:
        raise HospitalError(
            Code.STORE_SEALED,
            f"the store's key comes from {'the environment' if os.environ.get(ENVIRONMENT) else 'the keyring'}, where "
            "it cannot be renewed safely: put it into a file that site.yaml names (store_key), renew it there, and "
            "put the new one back",
        )
    if not own.key_file.exists():
        raise HospitalError(Code.STORE_SEALED, f"{own.key_file} is not there: there is nothing to renew")
    pending = pending_key(own)
    with alone_in(own.path):
        if not pending.exists():
            write_key(pending)
        old, new = key_in_file(own.key_file), key_in_file(pending)
        if own.store.exists():
            _reseal_store(own, old, new)
        if own.identity.exists():
            Identity.reseal(own, old, new)
        pending.replace(own.key_file)


def _reseal_store(own: OwnFolder, old: SealingKey, new: SealingKey) -> None:
    try:
        connect_with(own, new).close()  # an earlier attempt came as far as this
    except HospitalError:
        with closing(connect_with(own, old)) as database:
            try:
                database.execute("PRAGMA busy_timeout = 2000")
                database.execute("PRAGMA journal_mode = DELETE")  # refused while anybody else has the store open
                database.execute(f"PRAGMA rekey = \"x'{new.secret.hex()}'\"")
            except dbapi2.OperationalError as error:
                raise HospitalError(
                    Code.STORE_SEALED,
                    f"{own.store} is in use ({error}): stop the hospital's service and extraction, then renew the key",
                ) from None
