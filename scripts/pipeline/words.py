"""Lists of names in words."""

MOST = 3  # names of a list that are written out


def some(names, one="", more=""):
    """Names in words with the verb for one or for more of them; at most MOST are written out."""
    shown = names if len(names) <= MOST else [*names[: MOST - 1], f"{len(names) - MOST + 1} others"]
    listed = " and ".join(filter(None, [", ".join(shown[:-1]), shown[-1]]))
    return f"{listed} {one if len(names) == 1 else more}".strip()
