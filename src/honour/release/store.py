"""Bundles of a data folder: each in a folder of its own, named by its content, put there whole or not at all.

    bundles/<64 hexadecimal digits>/    every bundle that was ever asked to do anything here
    bundle -> bundles/<...>             the live one, for people and commands; a folder put there by hand is a bundle to be taken up

A server reads a bundle only from `bundles/`, so that one that is being copied or half copied is never read.
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from pathlib import Path

import msgspec

from honour.errors import BundleRefused
from honour.release.bundle import MANIFEST, Bundle, load_bundle, sync

BUNDLES, LIVE = "bundles", "bundle"
_ID = re.compile(r"sha256:([0-9a-f]{64})")


class _Named(msgspec.Struct):
    bundle_id: str


class BundleStore:
    """Bundles under a data folder."""

    def __init__(self, data_dir: Path) -> None:
        self._root, self.by_hand = data_dir / BUNDLES, data_dir / LIVE

    def __contains__(self, bundle_id: str) -> bool:
        return self.path(bundle_id).is_dir()

    def path(self, bundle_id: str) -> Path:
        """Where a bundle is, or would be."""
        named = _ID.fullmatch(bundle_id)
        if named is None:
            raise BundleRefused(f"{bundle_id!r} names no bundle; a bundle_id is sha256: and 64 hexadecimal digits.")
        return self._root / named[1]

    def ids(self) -> tuple[str, ...]:
        """Every bundle that is here, the newest first."""
        found = [path for path in self._root.glob("*") if _ID.fullmatch(f"sha256:{path.name}")]
        return tuple(f"sha256:{path.name}" for path in sorted(found, key=lambda path: -path.stat().st_mtime_ns))

    def install(self, folder: Path) -> Bundle:
        """Copy a bundle here and load the copy, with every check; BundleRefused changes nothing."""
        if not folder.is_dir():
            raise BundleRefused(f"{folder}: no such bundle. Name a folder with {MANIFEST} in it.")
        self._root.mkdir(parents=True, exist_ok=True)
        beside = Path(tempfile.mkdtemp(prefix=".copying-", dir=self._root))
        try:
            copy = beside / LIVE
            shutil.copytree(folder, copy, symlinks=True)
            copy.chmod(0o755)
            bundle = load_bundle(copy)
            for file in copy.iterdir():
                sync(file)
            sync(copy)
            place = self.path(bundle.bundle_id)
            if not self._is_whole(bundle.bundle_id):
                shutil.rmtree(place, ignore_errors=True)
                os.replace(copy, place)
                sync(self._root)
        except OSError as error:
            raise BundleRefused(
                f"{folder}: cannot be copied ({error.strerror or type(error).__name__}). Copy the bundle again, whole."
            ) from error
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return bundle

    def load(self, bundle_id: str) -> Bundle:
        """A bundle that was put here, with every check anew."""
        if bundle_id not in self:
            raise BundleRefused(
                f"{self.path(bundle_id)}: no such bundle here. `honour release` with the folder of the bundle puts it there."
            )
        bundle = load_bundle(self.path(bundle_id))
        if bundle.bundle_id != bundle_id:
            raise BundleRefused(f"{self.path(bundle_id)}: holds bundle {bundle.bundle_id}. Somebody exchanged it: put the right one there.")
        return bundle

    @property
    def is_put_by_hand(self) -> bool:
        """There is a bundle in the place of the link that is not the link."""
        return self.by_hand.exists() and not self._is_ours()

    def id_by_hand(self) -> str | None:
        """The bundle_id of a folder that somebody put in place of the link to the live bundle; None when there is none, or none yet."""
        if self._is_ours():
            return None
        try:
            said = msgspec.json.decode((self.by_hand / MANIFEST).read_bytes(), type=_Named).bundle_id
        except (OSError, msgspec.DecodeError):
            return None
        return said if _ID.fullmatch(said) else None

    def link(self, bundle_id: str) -> None:
        """Let `bundle` be the live one. A folder that was put there by hand makes room when it is known here, and stays otherwise."""
        target = Path(BUNDLES) / self.path(bundle_id).name
        if self.by_hand.is_symlink() and self.by_hand.readlink() == target:
            return
        if os.path.lexists(self.by_hand) and not self._is_ours() and self.id_by_hand() not in self.ids():
            return
        beside = Path(tempfile.mkdtemp(prefix=".linking-", dir=self.by_hand.parent))
        try:
            (beside / "link").symlink_to(target)
            if self.by_hand.is_dir() and not self.by_hand.is_symlink():
                os.replace(self.by_hand, beside / "by-hand")
            os.replace(beside / "link", self.by_hand)
            sync(self.by_hand.parent)
        finally:
            shutil.rmtree(beside, ignore_errors=True)

    def marks_by_hand(self) -> tuple[tuple[str, int, int], ...]:
        """What tells one state of that folder from another: names, sizes and instants of change of its files."""
        try:
            return tuple(sorted((file.name, file.stat().st_size, file.stat().st_mtime_ns) for file in self.by_hand.iterdir()))
        except OSError:
            return ()

    def _is_ours(self) -> bool:
        return self.by_hand.is_symlink() and self.by_hand.readlink().parts[:-1] == (BUNDLES,)

    def _is_whole(self, bundle_id: str) -> bool:
        try:
            self.load(bundle_id)
        except BundleRefused:
            return False
        return True
