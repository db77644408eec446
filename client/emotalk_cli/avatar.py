"""``emotalk avatar``: photographs become avatars, which are kept in a folder."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import os
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from emotalk_avatar import archive
from emotalk_avatar.errors import AvatarError, InvalidPackage, PictureTooLarge, UnreadablePicture
from emotalk_avatar.limits import MAX_CLIP_BYTES
from emotalk_avatar.naming import EVERYBODY, MAX_NAME, checked_name
from emotalk_avatar.package import Avatar
from emotalk_avatar.registering import Registered, register
from emotalk_avatar.store import AvatarStore
from emotalk_cli.connection import Url, address, security
from emotalk_cli.inputs import is_standard_input, name_of
from emotalk_client.aio import AsyncEmoTalkClient
from emotalk_client.faces.formats import make_folder_of, writing

STORE_VARIABLE = "EMOTALK_AVATARS"
Store = Annotated[
    Path | None,
    typer.Option(
        "--store",
        metavar="DIR",
        envvar=STORE_VARIABLE,
        show_envvar=False,
        help=f"Folder of avatars. Default: ${STORE_VARIABLE}, or emotalk/avatars where a user's data lie.",
    ),
]
Id = Annotated[str, typer.Argument(metavar="ID", help="As its registration printed it.")]

avatar = typer.Typer(
    help="Photographs that speak: registered once, kept in a folder, drawn by any program that reads glTF.",
    no_args_is_help=True,
)


def opened(folder: Path | None) -> AvatarStore:
    """Return the store that the user named, or the user's own (XDG Base Directory Specification)."""
    if folder is None:
        data = os.environ.get("XDG_DATA_HOME", "")
        base = Path(data) if Path(data).is_absolute() else Path.home() / ".local" / "share"
        folder = base / "emotalk" / "avatars"
    return AvatarStore(folder)


@avatar.command("register")
def register_photo(
    photo: Annotated[
        Path,
        typer.Argument(
            metavar="PHOTO", help="One face from the front, mouth closed: jpg, png, webp; a clip: gif, mp4; -: a pipe."
        ),
    ],
    url: Url = None,
    name: Annotated[str | None, typer.Option(help="For people. Default: the file's.")] = None,
    owner: Annotated[str, typer.Option(help="Whose it is.")] = EVERYBODY,
    glasses: Annotated[bool, typer.Option("--glasses", help="Glasses are worn: they stay where they are.")] = False,
    store: Store = None,
) -> None:
    """Make an avatar of a photograph; its id is the last line, its package the folder of that name in DIR."""
    kept = opened(store)
    title = checked_name(name_of(photo)[:MAX_NAME] if name is None else name, "--name")
    checked_name(owner, "--owner")
    content = _content(photo, MAX_CLIP_BYTES, UnreadablePicture, PictureTooLarge)
    kept.check_room(owner)  # before a server is started
    with address(url, avatars=True) as triton:
        found = asyncio.run(_registered(content, title, owner, kept, triton, url, glasses))
    for warning in found.warnings:
        typer.echo(f"emotalk: {photo}: {warning}", err=True)
    typer.echo(f"{title}: {found.avatar.folder}", err=True)
    typer.echo(found.id)


async def _registered(
    content: bytes, name: str, owner: str, store: AvatarStore, triton: str, url: str | None, glasses: bool
) -> Registered:
    from emotalk_avatar.models import FaceModels

    async with AsyncEmoTalkClient(triton, **security(url)) as client:
        return await register(content, name, owner, FaceModels(client), store, glasses=glasses)


@avatar.command("list")
def list_avatars(
    owner: Annotated[str | None, typer.Option(help="Only this one's.")] = None,
    store: Store = None,
) -> None:
    """List the avatars, the oldest first: id, when, bytes, owner, name."""
    listing = opened(store).list(owner)
    for one in listing.avatars:
        facts = one.metadata
        typer.echo(f"{one.id}  {facts.created}  {facts.size:>10}  {facts.owner}  {facts.name}")
    for damaged in listing.damaged:
        typer.echo(f"{damaged}  damaged", err=True)


@avatar.command("info")
def info(avatar_id: Id, store: Store = None) -> None:
    """Say all that is known of an avatar, as JSON."""
    one = opened(store).get(avatar_id)
    typer.echo(json.dumps(described(one), ensure_ascii=False, indent=1))


def described(one: Avatar) -> dict[str, Any]:
    """Return the metadata of ``one``, and where it lies."""
    return {"id": one.id, **dataclasses.asdict(one.metadata), "folder": str(one.folder)}


@avatar.command("delete")
def delete(
    avatar_ids: Annotated[list[str], typer.Argument(metavar="ID...", help="As their registrations printed them.")],
    store: Store = None,
) -> None:
    """Delete avatars, damaged ones too."""
    kept = opened(store)
    for avatar_id in avatar_ids:
        kept.delete(avatar_id)


@avatar.command("export")
def export(
    avatar_id: Id,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help=f"Default: ID{archive.SUFFIX}.")
    ] = None,
    store: Store = None,
) -> None:
    """Write an avatar into one file, to be taken elsewhere."""
    one = opened(store).get(avatar_id)
    content = archive.packed(one)
    path = Path(f"{one.id}{archive.SUFFIX}") if output is None else output
    make_folder_of(path)
    with writing(path):
        path.write_bytes(content)
    typer.echo(str(path))


@avatar.command("import")
def import_file(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="Written by `emotalk avatar export`; or the folder of a lip-sync server's package."
        ),
    ],
    owner: Annotated[str | None, typer.Option(help="Whose it is here. Default: as there.")] = None,
    store: Store = None,
) -> None:
    """Take an avatar in that was exported elsewhere; prints its id, which it keeps where it had one."""
    if file.is_dir():
        from emotalk_avatar import seed_package

        kept = opened(store)
        kept.check_room(owner or EVERYBODY)
        typer.echo(kept.add(seed_package.imported(file, owner=owner or EVERYBODY)).id)
        return
    content = _content(file, archive.MAX_BYTES, InvalidPackage, InvalidPackage)
    avatar_id, draft = archive.imported(io.BytesIO(content))
    if owner is not None:
        facts = dataclasses.replace(draft.facts, owner=checked_name(owner, "--owner"))
        draft = dataclasses.replace(draft, facts=facts)
    typer.echo(opened(store).add(draft, avatar_id).id)


def _content(source: Path, most: int, unreadable: type[AvatarError], too_large: type[AvatarError]) -> bytes:
    """Return the bytes of a file or a pipe, or of standard input.

    Raises:
        AvatarError: it is ``unreadable``, or ``too_large``: more than ``most`` bytes.
    """
    try:
        if is_standard_input(source):
            content = sys.stdin.buffer.read(most + 1)
        else:
            with source.open("rb") as file:
                content = file.read(most + 1)
    except OSError as error:
        raise unreadable(f"{source} cannot be read: {error.strerror or error}") from error
    if len(content) > most:
        raise too_large(f"{source} has more than {most} bytes; accepted: at most {most}")
    return content
