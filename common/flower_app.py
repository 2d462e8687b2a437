"""The app that Flower carries from the coordinator to the hospitals: a name, and no code.

It names modules that are installed on both sides, and has the same bytes wherever the same version of Hepafed builds
it. So a hospital knows the one app that it runs by its hash, without being told.
"""

import hashlib
from importlib.metadata import version

from flwr.cli.build import build_fab_from_files

PUBLISHER = "hepafed"
RUN = "run"
"""The key of the run's configuration that names the coordinator's folder of the run."""


def app_bytes() -> bytes:
    """The app, as Flower carries it."""
    project = f"""[project]
name = "hepafed-app"
version = "{version("hepafed")}"
description = "Names the apps that are installed with Hepafed."
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "{PUBLISHER}"

[tool.flwr.app.components]
serverapp = "server.deployed:app"
clientapp = "client.deployed:app"

[tool.flwr.app.config]
{RUN} = ""
"""
    return build_fab_from_files({"pyproject.toml": project.encode()})[0]


def app_hash() -> str:
    """SHA-256 of the app."""
    return hashlib.sha256(app_bytes()).hexdigest()
