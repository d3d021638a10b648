# Lint of the direction of includes: each layer sees only the layers below it.

import os

from source import Finding

# The layers from the bottom up; those of one line are siblings and never include one another.
LAYERS = (
    ("base",),
    ("arch",),
    ("trace",),
    ("sched",),
    ("netpoll", "chan", "sync", "gc"),
    ("context", "time"),
    ("net", "io", "observe"),
    ("runtime",),
    ("testing", "check"),
)
RANK = {name: rank for rank, row in enumerate(LAYERS) for name in row}
# The composition root and the test kit stand above the public ring's bodies.
MAY_USE_PUBLIC_RING = ("runtime", "testing")


def layer_of(path):
    """The layer of a file below include/weft or src; None for the public ring and other files."""
    parts = path.split("/")
    if parts[:2] == ["include", "weft"] and len(parts) > 3:
        return parts[2]
    if parts[0] == "src" and len(parts) > 2 and parts[1] != "cmake":
        return parts[1]
    return None


def check(tree):
    """Includes point downwards, and inner files do not include public headers."""
    for file in tree.library():
        layer = layer_of(file.path)
        if layer is None:
            continue
        if layer not in RANK:
            yield Finding(file.path, 1, f"`{layer}` is no layer of tests/lint/layers.py")
            continue
        for line, name, _ in file.includes():
            if not name.startswith("weft/"):
                continue
            target = layer_of("include/" + name)
            if target is None:
                # src/<layer>/x.cpp holds the bodies of the public header x.hpp or <layer>.hpp.
                stem = os.path.splitext(os.path.basename(file.path))[0]
                is_body = file.path.startswith("src/") and (
                    layer in MAY_USE_PUBLIC_RING
                    or name in (f"weft/{stem}.hpp", f"weft/{layer}.hpp"))
                if not is_body:
                    yield Finding(file.path, line, f"a layer includes the public header {name}")
            elif target not in RANK:
                yield Finding(file.path, line, f"{name}: `{target}` is no layer")
            elif target != layer and RANK[target] >= RANK[layer]:
                relation = "a sibling" if RANK[target] == RANK[layer] else "a layer above"
                yield Finding(file.path, line, f"{layer} includes {name} of {relation}")
