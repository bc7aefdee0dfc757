"""Loaded at the start of every process of a run: listings of folders come in another order.

Covers ``os.listdir`` and ``os.scandir``, hence ``os.walk``, ``glob``, ``shutil`` and ``pathlib``.
"""

import os
import random

_listdir, _scandir = os.listdir, os.scandir
_order = random.Random("another order")


class _Shuffled:
    """The entries of a folder in a random order, with all that the iterator of ``os.scandir`` offers."""

    def __init__(self, entries):
        with entries:
            self._entries = iter(_shuffled(entries))

    def __iter__(self):
        return self

    def __next__(self):
        return next(self._entries)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self._entries = iter(())


def _shuffled(entries):
    entries = list(entries)
    _order.shuffle(entries)
    return entries


os.listdir = lambda *path: _shuffled(_listdir(*path))
os.scandir = lambda *path: _Shuffled(_scandir(*path))
