"""Files that are written whole or not at all."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

DRAFT = ".draft-"  # what the names of files and folders begin with that are not finished


@contextmanager
def written_whole(path):
    """Yield a temporary path beside ``path`` and rename it onto ``path`` when the block succeeds."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(prefix=DRAFT, suffix=path.suffix, dir=path.parent)
    os.close(handle)
    try:
        yield Path(draft)
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(draft, 0o666 & ~umask)
        os.replace(draft, path)
    finally:
        Path(draft).unlink(missing_ok=True)
