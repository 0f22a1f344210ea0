"""Names of files that every file system takes."""

from __future__ import annotations

import hashlib
import re

LONGEST = 48  # letters of a name, before what makes it unique


def filename(label: str) -> str:
    """A file's name for a spelling: itself where it is plain, else what is plain in it and a hash that makes it unique.

    Decided by the spelling alone, whatever others stand beside it; two that differ in case alone differ in more.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9_.+-]*", label) and len(label) <= LONGEST and not label.endswith("."):
        return label
    plain = re.sub(r"[^a-z0-9_.=+-]+", "-", label.lower())[:LONGEST].strip("-.")
    return f"{plain}-{hashlib.sha256(label.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".lstrip("-")
