# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
"""Changing a directory by renames alone, so that it can be taken back.

Everything that needs room on the disk has been prepared beside the directory before. No link is followed on
the way: a command may have put one where a directory was, and we must not write to where it leads.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Callable, List, Optional, Tuple

DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Switch:
    """One change of `root`. What is displaced goes to `trash`, a directory on the same disk."""

    def __init__(self, root: str, trash: str) -> None:
        self._root = os.open(root, DIRECTORY)
        self._trash = os.open(trash, DIRECTORY)
        self._folder: Tuple[str, int] = ("", self._root)
        self._undo: List[Callable[[], None]] = []
        self._count = 0

    def close(self) -> None:
        self._enter("", self._root)
        os.close(self._root)
        os.close(self._trash)

    def undo(self) -> None:
        """Take everything back, the last first."""
        while self._undo:
            self._enter("", self._root)  # what was displaced must not be what we stand in
            self._undo.pop()()

    def drop(self, path: str) -> None:
        """Take away a file or link of ours, and directories above that nothing is left in."""
        folder = self._directory(path, make=False)
        if folder is None:
            return
        name = os.path.basename(path)
        found = _lstat(name, folder)
        if found is not None and not stat.S_ISDIR(found.st_mode):
            self._displace(path, folder, name)

    def drop_directory(self, path: str) -> None:
        """If nothing is in it any more."""
        folder = self._directory(path, make=False)
        if folder is None:
            return
        name = os.path.basename(path)
        try:
            mode = stat.S_IMODE(os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode)
            os.rmdir(name, dir_fd=folder)
        except OSError:
            return
        self._undo.append(lambda: self._make_again(path, mode))

    def put(self, path: str, prepared: str) -> os.stat_result:
        """Rename a prepared file or link to its place."""
        folder = self._directory(path, make=True) or 0
        name = os.path.basename(path)
        if _lstat(name, folder) is not None:
            self._displace(path, folder, name)
        os.rename(prepared, name, dst_dir_fd=folder)
        self._undo.append(lambda: self._take(path, prepared))
        return os.stat(name, dir_fd=folder, follow_symlinks=False)

    def directory(self, path: str, mode: int) -> os.stat_result:
        folder = self._directory(path + "/.", make=True)
        if folder is None:
            raise NotADirectoryError(path)
        before = os.fstat(folder)
        os.fchmod(folder, mode)
        self._undo.append(lambda: self._chmod(path, stat.S_IMODE(before.st_mode)))
        return os.fstat(folder)

    def touch(self, path: str, mode: int, mtime_ns: int) -> os.stat_result:
        """Give a file that has the right content its mode and time."""
        folder = self._directory(path, make=True) or 0
        name = os.path.basename(path)
        before = os.stat(name, dir_fd=folder, follow_symlinks=False)
        os.chmod(name, mode, dir_fd=folder)
        self._undo.append(lambda: self._untouch(path, before))
        os.utime(name, ns=(mtime_ns, mtime_ns), dir_fd=folder, follow_symlinks=False)
        return os.stat(name, dir_fd=folder, follow_symlinks=False)

    # Ways back.

    def _make_again(self, path: str, mode: int) -> None:
        os.mkdir(os.path.basename(path), mode, dir_fd=self._directory(path, make=False) or 0)

    def _take(self, path: str, prepared: str) -> None:
        os.rename(os.path.basename(path), prepared, src_dir_fd=self._directory(path, make=False) or 0)

    def _chmod(self, path: str, mode: int) -> None:
        os.chmod(os.path.basename(path), mode, dir_fd=self._directory(path, make=False) or 0)

    def _untouch(self, path: str, before: os.stat_result) -> None:
        folder = self._directory(path, make=False) or 0
        name = os.path.basename(path)
        os.chmod(name, stat.S_IMODE(before.st_mode), dir_fd=folder)
        os.utime(name, ns=(before.st_mtime_ns, before.st_mtime_ns), dir_fd=folder, follow_symlinks=False)

    # Ways there.

    def _displace(self, path: str, folder: int, name: str) -> None:
        self._count += 1
        kept = str(self._count)
        os.rename(name, kept, src_dir_fd=folder, dst_dir_fd=self._trash)

        def back() -> None:
            os.rename(kept, name, src_dir_fd=self._trash, dst_dir_fd=self._directory(path, make=False) or 0)

        self._undo.append(back)

    def _directory(self, path: str, make: bool) -> Optional[int]:
        """The open directory that `path` is in; None when it is not there and is not to be made."""
        above = path.rpartition("/")[0]
        if above == self._folder[0]:
            return self._folder[1]
        fd, done = os.dup(self._root), ""
        for name in above.split("/") if above else ():
            done = done + "/" + name if done else name
            inner = self._step(fd, done, name, make)
            os.close(fd)
            if inner is None:
                return None
            fd = inner
        self._enter(above, fd)
        return fd

    def _step(self, fd: int, path: str, name: str, make: bool) -> Optional[int]:
        try:
            return os.open(name, DIRECTORY, dir_fd=fd)
        except OSError:
            if not make:
                return None
        if _lstat(name, fd) is not None:
            self._displace(path, fd, name)
        os.mkdir(name, 0o777, dir_fd=fd)
        os.chmod(name, 0o755, dir_fd=fd)
        self._undo.append(lambda: self._unmake(path))
        return os.open(name, DIRECTORY, dir_fd=fd)

    def _unmake(self, path: str) -> None:
        self._enter("", self._root)
        os.rmdir(os.path.basename(path), dir_fd=self._directory(path, make=False) or 0)

    def _enter(self, path: str, fd: int) -> None:
        if self._folder[1] not in (fd, self._root):
            os.close(self._folder[1])
        self._folder = (path, fd)


def _lstat(name: str, folder: int) -> Optional[os.stat_result]:
    try:
        return os.stat(name, dir_fd=folder, follow_symlinks=False)
    except FileNotFoundError:
        return None
