# The files that the lints look at, each as raw lines, as code without comments, and as comments
# only.

import bisect
import os
import re

CODE_FOLDERS = ("include", "src", "tests", "examples", "bench")
SCRIPT_SUFFIXES = (".py", ".cmake", ".sh")


class Finding:
    """One thing that a lint rejects."""

    def __init__(self, path, line, message):
        self.path, self.line, self.message = path, line, message

    def __str__(self):
        return f"{self.path}:{self.line}: {self.message}"


TOKEN = re.compile(
    r'(?P<line>//(?:[^\n\\]|\\.|\\\n)*)'
    r'|(?P<block>/\*.*?\*/)'
    r'|(?P<raw>\bu?8?R"(?P<mark>[^()\\\s]{0,16})\(.*?\)(?P=mark)")'
    r'|(?P<text>"(?:[^"\\\n]|\\.)*")'
    r"|(?P<number>\b[0-9][0-9a-zA-Z'.]*)"
    r"|(?P<char>'(?:[^'\\\n]|\\.)+')",
    re.DOTALL)


def blank(text):
    """The same text as spaces, with its line ends."""
    return re.sub(r"[^\n]", " ", text)


class SourceFile:
    """A C++ file: `text` as it is, `code` with comments and string contents blanked out, `comments`
    with everything else blanked out. All three have the same length and lines."""

    def __init__(self, path, text):
        self.path, self.text = path, text
        code, comments, end = [], [], 0
        for match in TOKEN.finditer(text):
            between = text[end:match.start()]
            code.append(between)
            comments.append(blank(between))
            token = match.group(0)
            if match.lastgroup in ("line", "block"):
                code.append(blank(token))
                comments.append(token)
            elif match.group("number"):
                code.append(token)
                comments.append(blank(token))
            else:
                code.append(token[0] + blank(token[1:-1]) + token[-1])
                comments.append(blank(token))
            end = match.end()
        code.append(text[end:])
        comments.append(blank(text[end:]))
        self.code, self.comments = "".join(code), "".join(comments)
        self.lines = text.splitlines()
        self.code_lines = self.code.splitlines()
        self.comment_lines = self.comments.splitlines()
        self.starts = [0] + [match.end() for match in re.finditer("\n", text)]

    def line_of(self, position):
        """The line number, from 1, of a position in the text."""
        return bisect.bisect_right(self.starts, position)

    def head(self):
        """The opening comment: the leading lines that are comments, without their slashes."""
        result = []
        for line in self.lines:
            if not line.startswith("//"):
                break
            result.append(line.lstrip("/"))
        return result

    def includes(self):
        """(line number, name, quoted) of each #include."""
        for number, line in enumerate(self.lines, 1):
            match = re.match(r'\s*#\s*include\s*([<"])([^>"]+)[>"]', line)
            if match:
                yield number, match.group(2), match.group(1) == '"'


class Tree:
    """The project as a mapping from path to text."""

    def __init__(self, texts):
        self.texts = dict(sorted(texts.items()))
        self.sources = {path: SourceFile(path, text) for path, text in self.texts.items()
                        if path.endswith((".hpp", ".cpp"))}

    @staticmethod
    def read(root):
        texts = {}
        for folder, folders, names in os.walk(root):
            relative = os.path.relpath(folder, root)
            folders[:] = [name for name in folders
                          if name not in (".git", ".cache", "__pycache__")
                          and not (relative == "." and name == "build")]
            for name in names:
                path = os.path.normpath(os.path.join(relative, name))
                if path == ".git":
                    continue  # of a further work tree: it says where the repository is
                try:
                    with open(os.path.join(root, path), encoding="utf-8") as file:
                        texts[path] = file.read()
                except (UnicodeDecodeError, FileNotFoundError):
                    continue  # binary data, or removed while we look
        return Tree(texts)

    def library(self):
        """The files of include/ and src/."""
        return [file for path, file in self.sources.items()
                if path.startswith(("include/", "src/"))]

    def code(self):
        """All C++ files."""
        return [file for path, file in self.sources.items()
                if path.split("/")[0] in CODE_FOLDERS]

    def tests(self):
        """All C++ files of tests/."""
        return [file for path, file in self.sources.items() if path.startswith("tests/")]

    def scripts(self):
        """(path, text) of what is not C++ but is run: CMake, Python and shell."""
        for path, text in self.texts.items():
            if path.endswith(SCRIPT_SUFFIXES) or os.path.basename(path) == "CMakeLists.txt" \
                    or path in ("dev", ".ci/run"):
                yield path, text


TEST_MACRO = re.compile(
    r'^\s*(?:TEST_CASE|SCENARIO|TEMPLATE_TEST_CASE|TEMPLATE_PRODUCT_TEST_CASE|TEST_CASE_METHOD'
    r'|TEMPLATE_LIST_TEST_CASE)\s*\(\s*(?:[A-Za-z_]\w*\s*,\s*)?'
    r'(?P<name>(?:"(?:[^"\\\n]|\\.)*"\s*)+)(?:,\s*(?P<tags>(?:"(?:[^"\\\n]|\\.)*"\s*)+))?',
    re.MULTILINE)


def joined(literals):
    """The text of adjacent string literals."""
    return "".join(re.findall(r'"((?:[^"\\]|\\.)*)"', literals or "")).replace('\\"', '"')


def test_cases(file):
    """(line number, name, list of tags) of each test case of a file."""
    for match in TEST_MACRO.finditer(file.text):
        if file.comments[match.start("name")] != " ":
            continue  # inside a comment
        tags = re.findall(r"\[([^\]]*)\]", joined(match.group("tags")))
        yield file.line_of(match.start("name")), joined(match.group("name")), tags
