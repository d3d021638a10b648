# Lint of the models in tests/models and of docs/internals/protocols.md, which lists them: what they
# name exists.

import re

from source import Finding, test_cases

PAGE = "docs/internals/protocols.md"
CODE = re.compile(r"^// Code\s+(.*(?:\n// {3,}.*)*)", re.MULTILINE)
RUN = re.compile(r"^// Run (?:long )?(\w+):", re.MULTILINE)
BREAK = re.compile(r"^// Break (?:long )?(\w+)(?: in (\w+))?: (\S+): (.+)$", re.MULTILINE)
PATH = re.compile(r"\b(?:include|src|tests)/[\w./-]*\w\.\w+")
LINK = re.compile(r"\]\(([^)#]+)\)")
ROW = re.compile(r"^\|(.*)\|$", re.MULTILINE)


def plain(text):
    """On one line, without the comments."""
    return re.sub(r"\s+", " ", re.sub(r"//.*", "", text))


def check_model(tree, path, text):
    """One model: what it stands for is in the code, and each of its breaks breaks something."""
    head, _, body = text.partition("\n\n")
    code = CODE.search(head)
    named = PATH.findall(code.group(1)) if code else []
    if not named:
        yield Finding(path, 1, "no line `// Code` with the files that it models")
    for file in named:
        if file not in tree.texts:
            yield Finding(path, 1, f"models {file}, which does not exist")
    runs = RUN.findall(head)
    if not runs:
        yield Finding(path, 1, "no line `// Run`")
    breaks = BREAK.findall(head)
    if len(breaks) < 2:
        yield Finding(path, 1, "fewer than two lines `// Break`")
    for name, run, file, line in breaks:
        if file not in tree.texts:
            yield Finding(path, 1, f"{name}: {file} does not exist")
        elif plain(line).strip() not in plain(tree.texts[file]):
            yield Finding(path, 1, f"{name}: {file} has no `{line}`")
        if run and run not in runs:
            yield Finding(path, 1, f"{name}: there is no run `{run}`")
        if not re.search(rf"\bBREAK_{name}\b", body):
            yield Finding(path, 1, f"{name}: changes nothing in the model")
    for name in sorted(set(re.findall(r"\bBREAK_(\w+)", body)) - {name for name, *_ in breaks}):
        yield Finding(path, 1, f"{name}: no line `// Break` says what it stands for")


def check_page(tree, models):
    """Each row of the table names a model, tests, and a file with the head comment."""
    text = tree.texts[PAGE]
    names = [name for file in tree.tests() for _, name, _ in test_cases(file)]
    listed = set()
    for match in LINK.finditer(text):
        target = "/".join(part for part in ("docs/internals/" + match.group(1)).split("/"))
        while re.search(r"[^/]+/\.\./", target):
            target = re.sub(r"[^/]+/\.\./", "", target, count=1)
        if not any(path == target or path.startswith(target + "/") for path in tree.texts):
            yield Finding(PAGE, text.count("\n", 0, match.start()) + 1, f"{target} does not exist")
        listed.add(target)
    for row in list(ROW.finditer(text))[2:]:
        line = text.count("\n", 0, row.start()) + 1
        cells = row.group(1).split("|")
        if len(cells) != 4:
            yield Finding(PAGE, line, "a row has four cells: protocol, head comment, model, tests")
            continue
        for cell, folder in ((1, "../../include/"), (2, "../../tests/models/")):
            if folder not in cells[cell] and folder.replace("include", "src") not in cells[cell]:
                yield Finding(PAGE, line, f"cell {cell + 1} has no link into {folder[6:]}")
        quoted = re.findall(r'"([^"]+)"', cells[3])
        if not quoted:
            yield Finding(PAGE, line, "names no test")
        for test in quoted:
            if not any(name.startswith(test) for name in names):
                yield Finding(PAGE, line, f'there is no test "{test}"')
    for path in models:
        if path not in listed:
            yield Finding(PAGE, 1, f"does not list {path}")


def check(tree):
    """Models, the lines that they stand for, and the page that lists them agree."""
    models = {path: text for path, text in tree.texts.items()
              if path.startswith("tests/models/") and path.endswith(".pml")}
    for path, text in models.items():
        yield from check_model(tree, path, text)
    if PAGE in tree.texts:
        yield from check_page(tree, models)
    elif models:
        yield Finding(PAGE, 1, "does not exist, and there are models")
