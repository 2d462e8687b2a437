"""`hepafed bundle …`: Hepafed for hospitals without internet, signed by whoever built it."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from common.errors import HepafedError
from deploy.terminal import fail, say

PINNED_KEY = Path("/etc/hepafed/publisher.pub")

bundle_app = typer.Typer(
    name="bundle",
    help="Hepafed for hospitals without internet: wheels, their lock, what they are, and a signature over all.\n\n"
    "Example: hepafed bundle verify hepafed-0.1.0 --key /etc/hepafed/publisher.pub",
    no_args_is_help=True,
)

Bundle = Annotated[Path, typer.Argument(help="The bundle's folder.")]


@bundle_app.callback()
def root() -> None:
    """Hepafed for hospitals without internet: wheels, their lock, what they are, and a signature over all."""


@bundle_app.command("build")
def build(
    folder: Annotated[Path, typer.Argument(help="An empty or new folder for the bundle.")],
    source: Annotated[Path, typer.Option(help="Hepafed's source.")] = Path("."),
    extras: Annotated[
        str,
        typer.Option(help="Extras to carry, with commas: images (PyRadiomics), networks (PyTorch, gigabytes)."),
    ] = "images",
    wheels: Annotated[
        Path | None, typer.Option(help="Wheels that no index has: PyRadiomics; make install builds it.")
    ] = None,
    key: Annotated[Path | None, typer.Option(help="Sign it with this publisher's key.")] = None,
) -> None:
    """Collect Hepafed and all that it needs in a folder, on a machine with internet. Built for this platform.

    Example: hepafed bundle build hepafed-0.1.0 --wheels .build/wheels --key publisher.key
    """
    from deploy.bundle import sign as sign_bundle
    from deploy.bundle_build import build_bundle, platform_words

    console = Console()
    names = [name.strip() for name in extras.split(",") if name.strip()]
    try:
        with console.status("Building the bundle") as status:
            collected = build_bundle(source.resolve(), folder.resolve(), names, wheels, say=status.update)
        if key is not None:
            sign_bundle(folder, key)
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name a folder that you may write to")
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    say(console, f"{folder}: {len(collected)} wheels, {size / 1e6:.0f} MB, for {platform_words()}")
    if key is None:
        say(console, f"Not signed yet: hepafed bundle sign {folder} --key publisher.key", "yellow")


@bundle_app.command("new-key")
def new_key(path: Annotated[Path, typer.Argument(help="The file to write, such as publisher.key.")]) -> None:
    """Make a publisher's key. Its public half is written beside it, for the hospitals to keep.

    Whoever holds the key can have hospitals install anything: keep it on a machine that is not on the network.

    Example: hepafed bundle new-key publisher.key
    """
    from deploy.bundle import fingerprint, read_public_key
    from deploy.bundle import new_key as make_key

    console = Console()
    try:
        public = make_key(path)
        say(console, f"Written: {path} (keep it), {public} (for the hospitals)")
        say(console, f"Fingerprint, to be read out: {fingerprint(read_public_key(public))}")
    except HepafedError as error:
        fail(str(error))
    except OSError as error:
        fail(f"{error.filename}: {error.strerror}; name a file that you may write")


@bundle_app.command("sign")
def sign(folder: Bundle, key: Annotated[Path, typer.Option(help="The publisher's key.")]) -> None:
    """Sign a bundle; refused where a file is not as it was when the bundle was built.

    Example: hepafed bundle sign hepafed-0.1.0 --key publisher.key
    """
    from deploy.bundle import sign as sign_bundle

    try:
        sign_bundle(folder, key)
    except HepafedError as error:
        fail(str(error))
    say(Console(), f"Signed: {folder}")


@bundle_app.command("verify")
def verify(
    folder: Bundle,
    key: Annotated[Path, typer.Option(help="The publisher's public key, as this hospital keeps it.")] = PINNED_KEY,
) -> None:
    """Say whether a bundle is as its publisher signed it: no file changed, missing, or added.

    The exit code is 0 when it is, 1 when it is not.

    Example: hepafed bundle verify hepafed-0.1.0 --key /etc/hepafed/publisher.pub
    """
    from deploy.bundle import fingerprint, read_public_key
    from deploy.bundle import verify as verify_bundle

    try:
        public = read_public_key(key)
        verified = verify_bundle(folder, public)
    except HepafedError as error:
        fail(str(error))
    console = Console()
    say(
        console,
        f"{verified.title}: {verified.files} files, {verified.bytes / 1e6:.0f} MB, all as they were signed",
    )
    say(console, f"Signed with the key {fingerprint(public)}")
