"""What the command says."""


def told(stderr: str) -> str:
    """Its error output without the lines of progress, of which a slow machine sees some."""
    return "".join(line for line in stderr.splitlines(keepends=True) if " gradient evaluations | ETA " not in line)
