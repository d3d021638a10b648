# Shows of each lint that it rejects what it must and accepts what it must: no lint passes for ever.

import os
import sys
import tempfile

from lint import LINTS, NOTES, TOOL_LINTS, Tree

GOOD_HEADER = "// A thing that works.\n#pragma once\n"
A = "include/weft/sched/a.hpp"
TEST = "tests/sched/a_test.cpp"


def case(tags, name="a: works", body=""):
    return f'// Tests of a.\nTEST_CASE("{name}", "{tags}") {{{body}}}\n'


# Words that the lints reject in this file as well are put together here.
LATER = "TO" + "DO"
HOME = "/ho" + "me/ann/x"
BAR = "=" * 20

MODEL = "tests/models/a.pml"
PAGE = "docs/internals/protocols.md"
MODEL_TEXT = ("// A.\n//\n// Code  src/sched/a.cpp\n// Run all:\n"
              "// Break X: src/sched/a.cpp: a = b;\n"
              "// Break Y in all: src/sched/a.cpp: c(d, e);\n\nBREAK_X BREAK_Y\n")
MODELLED = "a =\n  b;  // why\nc(d,\n  e);\n"
PAGE_TEXT = ("| Protocol | Head | Model | Tests |\n|---|---|---|---|\n"
             "| a | [a](../../src/sched/a.cpp) "
             '| [a](../../tests/models/a.pml) | "a: works" |\n')
MODELS = {MODEL: MODEL_TEXT, "src/sched/a.cpp": MODELLED, PAGE: PAGE_TEXT, TEST: case("[unit]")}

# For each lint: trees that it rejects with a message that contains the text, and trees that it
# accepts.
REJECTED = {
    "layers": [
        ("a layer above", {A: '#include "weft/runtime/x.hpp"\n'}),
        ("a sibling", {"include/weft/chan/a.hpp": '#include "weft/sync/mutex.hpp"\n'}),
        ("a sibling", {"src/time/a.cpp": '#include "weft/context/node.hpp"\n'}),
        ("the public header", {A: '#include "weft/chan.hpp"\n'}),
        ("the public header", {"src/chan/core.cpp": '#include "weft/sync.hpp"\n'}),
        ("is no layer", {"src/util/a.cpp": ""}),
    ],
    "seams": [
        ("`thread_local`", {A: "thread_local int x;\n"}),
        ("`asm`", {A: 'asm volatile("nop");\n'}),
        ("`reinterpret_cast`", {A: "auto* p = reinterpret_cast<int*>(q);\n"}),
        ("`const_cast`", {A: "auto* p = const_cast<int*>(q);\n"}),
        ("`std::atomic`", {A: "std::atomic_thread_fence(x);\n"}),
        ("`boost/context`", {"src/sched/a.cpp": "#include <boost/context/fiber.hpp>\n"}),
        ("`mmap`", {"src/net/a.cpp": "void* p = mmap(0, 1, 2, 3, 4, 5);\n"}),
    ],
    "heavy includes": [
        ("<functional>", {A: "#include <functional>\n"}),
        ("<boost/config.hpp>", {"include/weft/chan.hpp": "#include <boost/config.hpp>\n"}),
    ],
    "memory orders": [
        ("relaxed without", {A: "int f() { return x.load(relaxed); }\n"}),
        ("acquire without", {A: "int f() { return x.load(acquire); }\n"}),
        ("release without", {A: "void f() {\n  x.store(1,\n          release);\n}\n"}),
        ("seq_cst without", {"src/arch/a.cpp": "void f() { g(std::memory_order_seq_cst); }\n"}),
        ("at one site only",
         {A: "// pair a.x: none.\nint f() { return x.load(acquire); }  // pairs: a.x\n"}),
        ("no opening comment explains",
         {A: "int f() {\n  y.store(1, release);  // pairs: a.x\n"
             "  return x.load(acquire);  // pairs: a.x\n}\n"}),
        ("has no site", {A: "// pair a.x: said, not done.\n"}),
        # A comment of another statement does not count.
        ("acquire without",
         {A: "// pair a.x: p.\nvoid f() {\n  y.store(1, release);  // pairs: a.x\n  int a = 1;\n"
             "  int b = x.load(acquire);\n}\n"}),
    ],
    "invariants": [
        ("names no assert", {A: "// A.\n//\n// Invariants  I1 all is well\n"}),
        ("there is no test", {A: '// A.\n//\n// Invariants  I1 all is well (test "a I1")\n'}),
        ("has a push", {A: "// A.\n//\n// Invariants  I1 well (assert push)\n"}),
        ("tests/models/ has no", {A: "// A.\n//\n// Invariants  I1 all is well (model a)\n"}),
        ("I2 names no", {A: '// A.\n//\n// Invariants  I1 well (test "a: works")\n'
                            "//             I2 also well\n", TEST: case("[unit]")}),
    ],
    "models": [
        ("has no `a = b;`", MODELS | {"src/sched/a.cpp": "c(d, e);\n"}),
        ("Y: changes nothing", MODELS | {MODEL: MODEL_TEXT.replace("BREAK_Y", "")}),
        ("Z: no line `// Break`", MODELS | {MODEL: MODEL_TEXT + "BREAK_Z\n"}),
        ("fewer than two", MODELS | {MODEL: MODEL_TEXT.replace("Break Y", "break Y")}),
        ("no run `all`", MODELS | {MODEL: MODEL_TEXT.replace("Run all", "Run one")}),
        ("no line `// Code`", MODELS | {MODEL: MODEL_TEXT.replace("Code", "Text")}),
        ("which does not exist",
         MODELS | {MODEL: MODEL_TEXT.replace("Code  src/sched", "Code  src/chan")}),
        ("and there are models", {MODEL: MODEL_TEXT, "src/sched/a.cpp": MODELLED}),
        ("does not list tests/models/b.pml", MODELS | {"tests/models/b.pml": MODEL_TEXT}),
        ("there is no test", MODELS | {PAGE: PAGE_TEXT.replace("works", "fails")}),
        ("names no test", MODELS | {PAGE: PAGE_TEXT.replace('"', "")}),
        ("src/sched/b.cpp does not exist",
         MODELS | {PAGE: PAGE_TEXT.replace("sched/a", "sched/b")}),
        ("four cells", MODELS | {PAGE: PAGE_TEXT + "| b |\n"}),
    ],
    "first lines": [
        ("does not open", {A: "#pragma once\n"}),
        ("does not open", {"src/sched/a.cpp": "// a\nint x;\n"}),
        ("no sentence", {"examples/a.cpp": "// something or other\nint x;\n"}),
        ("does not open", {"dev": "#!/bin/sh\nset -e\n"}),
    ],
    "comments": [
        ("a banner", {A: f"// {BAR}\n"}),
        ("a banner", {A: "// Part two " + "-" * 20 + "\n"}),
        ("for later", {A: f"// {LATER}: make it work\n"}),
        ("a date", {A: "// Changed on 2024-0" + "1-31 for speed.\n"}),
        ("code in a comment", {A: "int x;\n  // x.store(1);\n"}),
        ("code in a comment", {A: "int x;\n  // return x + 1;\n"}),
    ],
    "machine paths": [
        ("a machine's path", {"README.md": f"cd {HOME}\n"}),
        ("a machine's path", {"dev": "cd /wo" + "rk/weft\n"}),
        ("a machine's path", {A: "// see /ro" + "ot/notes\n"}),
    ],
    "lines": [
        ("columns", {A: GOOD_HEADER + "int x;" + " " * 95 + "int y;\n"}),
        ("blanks", {A: GOOD_HEADER + "int x; \n"}),
        ("without #pragma once", {A: "// A thing.\nint x;\n"}),
    ],
    "contract lines": [
        ("`Blocks` stands after `Errors`",
         {A: "/// Does.\n/// Errors  none.\n/// Blocks  never.\n"}),
    ],
    "names in comments": [
        ("names sched/b.hpp", {A: "// As sched/b.hpp says.\n"}),
        ("names limits.md", {A: "// See limits.md.\n"}),
        ("names a.py", {"tests/CMakeLists.txt": "# See a.py.\n"}),
    ],
    "time in tests": [
        ("a test sleeps", {TEST: "void f() { std::this_thread::sleep_for(1ms); }\n"}),
        ("a test sleeps", {TEST: "void f() { ::usleep(1); }\n"}),
        ("a test sleeps", {TEST: case("[os]", body=" sleep(1); ")}),
        ("a real clock", {TEST: case("[unit]", body=" std::chrono::steady_clock::now(); ")}),
    ],
    "labels of tests": [
        ("none of the tags", {TEST: case("[sched]")}),
        ("stands also in", {TEST: case("[unit]"), "tests/sched/b_test.cpp": case("[unit]")}),
    ],
    "semantics": [
        ("lists no ids", {}),
        ("no test has the tag [CH-01]", {"tests/semantics/ids.txt": "CH-01 a rule\n"}),
        ("no test has the tag [SC-21:IO wait]",
         {"tests/semantics/ids.txt": "SC-21 a rule\nSC-21:IO wait  half of it\n",
          TEST: case("[unit][SC-21]")}),
        ("take it off this list",
         {"tests/semantics/ids.txt": "CH-01 a rule\n", "tests/semantics/later.txt": "net: CH-01\n",
          TEST: case("[unit][CH-01]")}),
        ("take it off this list",
         {"tests/semantics/ids.txt": "SC-21 a rule\nSC-21:IO wait  half of it\n",
          "tests/semantics/later.txt": "network: SC-21:IO wait\n",
          TEST: case("[unit][SC-21][SC-21:IO wait]")}),
        ("is not in", {"tests/semantics/ids.txt": "CH-01 a rule\n",
                       "tests/semantics/later.txt": "net: CH-02\n", TEST: case("[unit][CH-01]")}),
        ("is none of those", {"tests/semantics/ids.txt": "CH-01 a rule\n",
                              TEST: case("[unit][CH-01][CH-99]")}),
        ("not understood", {"tests/semantics/ids.txt": "CH-1 a rule\n"}),
        # A hidden test is run by nobody, and a comment is no test.
        ("no test has the tag", {"tests/semantics/ids.txt": "CH-01 a rule\n",
                                 TEST: case("[.][unit][CH-01]")}),
        ("no test has the tag", {"tests/semantics/ids.txt": "CH-01 a rule\n",
                                 TEST: "/*\n" + case("[unit][CH-01]") + "*/\n"}),
    ],
    "documentation code": [
        ("without <!-- from", {"README.md": "```cpp\nint x;\n```\n"}),
        ("has no part", {"README.md": "<!-- from examples/a.cpp go -->\n```cpp\nint x;\n```\n"}),
        ("differs", {"README.md": "<!-- from examples/a.cpp all -->\n```cpp\nint x;\n```\n",
                     "examples/a.cpp": "// A.\nint y;\n"}),
    ],
    "documentation examples": [
        ("has no such example", {A: "/// It:\n///\n///     f(1);\n///     f(2);\nint f(int);\n",
                                 "tests/docs/reference_test.cpp": "f(1);\ng();\nf(2);\n"}),
    ],
    "documentation names": [
        ("weft::gone", {"docs/a.md": "Call `weft::gone`.\n", A: "void here();\n"}),
        ("called `gone`", {"README.md": "See `gone()`.\n", A: "void here();\n"}),
        ("called `was_here`", {"docs/a.md": "If `x = was_here + 1`.\n", A: "void here();\n"}),
        # A comment keeps no name alive.
        ("called `gone`", {"docs/a.md": "See `gone`.\n", A: "// gone\nvoid here();\n"}),
        ("called `sched/b.hpp`", {"docs/a.md": "In `sched/b.hpp`.\n", A: "int x;\n"}),
        ("there is no src/sched/b.cpp", {"docs/a.md": "In src/sched/b.cpp.\n", A: "int x;\n"}),
        ("leads nowhere", {"docs/a.md": "See [that](b.md).\n"}),
    ],
    "documentation claims": [
        ("a promise without", {"README.md": "## What is promised\n\n- all goes well\n"}),
        ("`10 ms` without", {"README.md": "It takes 10 ms.\n"}),
        ("`a million` without", {"docs/a.md": "| many | a million |\n"}),
        ("no test has the tag [SC-01]",
         {"README.md": "It takes 10 ms.\n<!-- held by: [SC-01] -->\n"}),
        ('no test "a: works"',
         {"README.md": "It takes 10 ms.\n<!-- held by: test \"a: works\" -->\n"}),
        ("does not say `limit = 1`",
         {"README.md": f'It takes 1 ms.\n<!-- held by: code {A} "limit = 1" -->\n',
          A: "int limit = 2;  // limit = 1\n"}),
        ("there is no bench/a.cpp",
         {"README.md": "It takes 1 ms.\n<!-- held by: measured bench/a.cpp -->\n"}),
        ("not understood", {"README.md": "It takes 1 ms.\n<!-- held by: luck -->\n"}),
        # The marker of one item holds no other.
        ("a.md:3: `20 ms`", {"docs/a.md": "- 10 ms\n  <!-- held by: [SC-01] -->\n- 20 ms\n",
                             TEST: case("[unit][SC-01]")}),
        ("without **Evidence.**", {"docs/decisions/0001-a.md": "# a\n"}),
        ("neither a test nor a file", {"docs/decisions/0001-a.md": "**Evidence.** trust\n"}),
        ('no test "a: works"', {"docs/decisions/0001-a.md": '**Evidence.** test "a: works"\n'}),
    ],
    "documentation length": [
        ("over 200 lines", {"docs/a.md": "a\n" * 300}),
    ],
    "format": [
        ("not laid out", {A: "// A.\nint    x ;\n"}),
    ],
    "header cost": [
        ("brings the system's", {"include/weft/a.hpp": "// A.\n#include <unistd.h>\n"}),
        ("does not compile alone", {"include/weft/a.hpp": '// A.\n#include "weft/gone.hpp"\n'}),
        ("fmt", {"include/weft/a.hpp": "// A.\n#include <fmt/format.h>\n"}),
    ],
    "length": [
        ("over 600 lines", {A: "int x;\n" * 700}),
    ],
}
ACCEPTED = {
    "layers": [{A: '#include "weft/arch/x.hpp"\n#include "weft/sched/b.hpp"\n',
                "src/chan/select.cpp": '#include "weft/select.hpp"\n',
                "src/io/notify.cpp": '#include "weft/io.hpp"\n',
                "src/runtime/a.cpp": '#include "weft/runtime.hpp"\n#include "weft/chan/core.hpp"\n',
                "include/weft/chan.hpp": '#include "weft/time/clock.hpp"\n'}],
    "seams": [{"src/arch/a.cpp": "thread_local int x;\n", TEST: "std::atomic<int> x;\n",
               A: '// thread_local and asm\nconst char* s = "const_cast"; atomic<int> asm_;\n'}],
    "heavy includes": [{A: "#include <vector>\n", TEST: "#include <functional>\n",
                        "include/weft/arch/a.hpp": "#include <boost/context/a.hpp>\n"}],
    "memory orders": [
        {A: "// A.\n// Order  pair a.x: store to load.\nvoid f() {\n"
            "  y.store(1, release);  // pairs: a.x\n"
            "  // pairs: a.x, for a reason that\n  // takes two lines\n"
            "  if (x.load(acquire))\n    return;\n"
            "  p.acquire(1);\n  release();\n"
            "  if (z.compare_exchange(a,  // relaxed: tried again\n"
            "                         b, relaxed))\n    return;\n}\n"},
        {A: "// A.\n// Order  pair a.refs: the last one sees what the others did.\nvoid f() {\n"
            "  if (refs.fetch_sub(1, acq_rel) == 1) destroy();  // pairs: a.refs\n}\n"}],
    "invariants": [
        {A: '// A.\n//\n// Invariants  I1 all is well (test "a I1"; assert push)\n'
            '//             I2 also well\n//                (test "[CH-01]")\n// Locks  none.\n'
            "void push() { assert(1); }\n",
         TEST: case("[unit][CH-01]", "a I1: holds")}],
    "models": [MODELS, {A: GOOD_HEADER}],
    "first lines": [{A: GOOD_HEADER, "dev": "#!/bin/sh\n# The commands of a day.\n"}],
    "comments": [{A: f"// {LATER}(#12): a better way.\n// It blocks (for a time), then returns;\n"
                     "/// c.send(1);\n// a -> b; 1 - 2 - 3\n"}],
    "machine paths": [{"README.md": "See docs/work/a, $HOME/root and /usr/include.\n"}],
    "lines": [{A: GOOD_HEADER}],
    "contract lines": [{A: "/// Does.\n/// Blocks  ever.\n/// Errors  none.\nint x;\n"
                           "/// Other.\n/// Blocks  never.\n"}],
    "names in comments": [
        {A: "// As sched/a.hpp, a.hpp and Go's runtime/proc.go say; *_test.cpp, <x>_test.cpp.\n"}],
    "time in tests": [{TEST: case("[os]", body=" std::chrono::steady_clock::now(); "),
                       "tests/sched/b_test.cpp": "// no sleep(1) here\nweft::sleep_for(1ms);\n"}],
    "labels of tests": [{TEST: case("[unit]"), "tests/sync/a_test.cpp": case("[os]")}],
    "semantics": [
        {"tests/semantics/ids.txt": "CH-01 a rule\nCH-34 no\nSC-21 a rule\n"
                                    "SC-21:IO wait  half of it\nSC-31 labels\n",
         "tests/semantics/later.txt": "network: SC-21:IO wait\nobservability: SC-31\n",
         TEST: case("[unit][CH-01][SC-21][SY-01]"),
         "tests/compile_fail/a.cpp": "// A.\n// shows: [CH-34]\n"}],
    "documentation code": [
        {"README.md": "<!-- from examples/a.cpp all -->\n```cpp\nint y;\n```\n\n"
                      "<!-- from examples/a.cpp part -->\n```cpp\nint z;\n```\n```sh\nls\n```\n",
         "examples/a.cpp": "// A.\nint y;\n// Output:\n//   // [part]\n  // [part]\n  int z;\n"
                           "  // [end]\n"}],
    "documentation examples": [
        {A: "/// It:\n///\n///     f(1);\n///     ...\n///     f(2);\nint f(int);\n"
            "/// Errors  one that\n///          goes on.\nint g();\n",
         "tests/docs/reference_test.cpp": "  f(1);\n  g();\n  h();\n  f(2);\n"}],
    "documentation names": [
        {"docs/a.md": "Call `weft::here`, link `weft::weft`, `here()` in a.hpp, `sched/a.hpp`, "
                      "include/weft/sched/; `std::not_ours` and `--option`, not `a b c`; "
                      "[back](../README.md).\n```sh\n`gone`\n```\n",
         "README.md": "Read [it](docs/a.md) or [there](https://a.example/b.md).\n",
         A: "void here();\n"}],
    "documentation claims": [
        {"README.md": "## What is promised\n\n- all goes well\n  <!-- held by: [SC-01] -->\n",
         "docs/a.md": f'It takes 10 ms.\n<!-- held by: test "a: w"; code {A} "limit=1" -->\n\n'
                      "Chapter 3 of 4.\n\n```sh\nsleep 10 s\n```\n",
         "docs/decisions/0001-a.md": '**Evidence.** test "a: …", tests/sched/a_test.cpp.\n',
         A: "int limit = 1;\n", TEST: case("[unit][SC-01]")}],
    "documentation length": [{"docs/a.md": "a\n" * 100}],
    "format": [{A: "// A.\nint x;\n"}],
    "header cost": [{"include/weft/a.hpp": "// A.\n#include <string>\n#include <cstdint>\n"}],
    "length": [{A: "int x;\n" * 100}],
}


def run(name, texts, compiler):
    tree = Tree(texts)
    if name in TOOL_LINTS:
        with tempfile.TemporaryDirectory() as root:
            for path, text in texts.items():
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(text)
            return list(TOOL_LINTS[name](root, compiler, tree))
    return list((LINTS | NOTES)[name](tree))


def main():
    compiler, names = sys.argv[1], sys.argv[2:]
    failures = []
    if set(names) != set(LINTS) | set(TOOL_LINTS) | set(NOTES):
        failures.append("the lints of CMakeLists.txt and those of lint.py differ")
    for name in [*LINTS, *TOOL_LINTS, *NOTES]:
        if name == "format":
            from tools import clang_format
            if not clang_format():
                continue
        if not REJECTED.get(name) or not ACCEPTED.get(name):
            failures.append(f"{name}: no example of what it rejects or accepts")
        for text, tree in REJECTED.get(name, []):
            findings = [str(finding) for finding in run(name, tree, compiler)]
            if not any(text in finding for finding in findings):
                failures.append(f"{name}: does not say `{text}` of {tree}, but {findings}")
        for tree in ACCEPTED.get(name, []):
            findings = [str(finding) for finding in run(name, tree, compiler)]
            if findings:
                failures.append(f"{name}: rejects {tree}: {findings}")
    print("\n".join(failures))
    sys.exit(bool(failures))


if __name__ == "__main__":
    main()
