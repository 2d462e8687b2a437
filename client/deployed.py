"""The hospital's ClientApp as the warm executor runs it; where the hospital's data is, the daemon says.

The environment is the daemon's word: nothing that arrives over the network names a folder.
"""

import importlib
import os
from pathlib import Path

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from client.app import Whereabouts, respond
from common import wire

FOLDER = "HEPAFED_SITE_FOLDER"
OWN_FOLDER = "HEPAFED_OWN_FOLDER"
LOWER_PROFILE = "HEPAFED_LOWER_PROFILE"
LATE = (
    "cryptography.hazmat.backends.openssl.backend",
    "encodings.idna",
    "encodings.latin_1",
    "neuroHarmonize.harmonizationApply",
)
"""What answers import only when they need it, which would cost each of them up to 0.7 s."""

for late in LATE:
    importlib.import_module(late)

app = ClientApp()


def whereabouts() -> Whereabouts:
    """The one hospital that this daemon serves."""
    return Whereabouts(
        Path(os.environ[FOLDER]), Path(os.environ[OWN_FOLDER]), os.environ.get(LOWER_PROFILE) == "1"
    )


@app.query("ask")
def ask(message: Message, _: Context) -> Message:
    """Answer one question. Linear algebra has one thread here by the environment (common/flower_processes.py)."""
    return Message(wire.reply_to_record(respond(whereabouts(), message.content)), reply_to=message)
