"""Names of files that every file system takes."""

from __future__ import annotations

import hashlib
import re

LONGEST = 48  # letters of a name, without the hash


def filename(label: str) -> str:
    """A file's name for a spelling: the spelling if it is plain, else its plain part and a hash that makes it unique.

    It depends on the spelling alone. Spellings that differ only in case get names that differ in more.
    """
    if re.fullmatch(r"[a-z0-9][a-z0-9_.+-]*", label) and len(label) <= LONGEST and not label.endswith("."):
        return label
    plain = re.sub(r"[^a-z0-9_.=+-]+", "-", label.lower())[:LONGEST].strip("-.")
    return f"{plain}-{hashlib.sha256(label.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}".lstrip("-")
