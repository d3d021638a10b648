# Runs an example and compares what it prints with the comment at the end of its source.
#
# The comment starts with the line `// Output:`, or `// Unordered output:` when the order of the
# lines is not promised; each line after it is one line of output behind `// `. A line `// ...`
# stands for any number of lines, and `*` inside a line for any text. Without such a comment only
# the exit status counts.

import fnmatch
import subprocess
import sys


def expected_output(source):
    """The expected lines and whether their order matters; None without a comment."""
    lines = open(source, encoding="utf-8").read().splitlines()
    for number, line in enumerate(lines):
        if line in ("// Output:", "// Unordered output:"):
            body = lines[number + 1:]
            for follower in body:
                if not follower.startswith("//"):
                    sys.exit(f"{source}: code after the line {line!r}")
            return [follower[2:].removeprefix(" ") for follower in body], line == "// Output:"
    return None, True


def line_matches(pattern, line):
    return fnmatch.fnmatchcase(line, pattern.replace("[", "[[]").replace("?", "[?]"))


def matches(patterns, lines):
    """Whether the lines match in order; `...` takes any number of them."""
    if not patterns:
        return not lines
    if patterns[0] == "...":
        return any(matches(patterns[1:], lines[skip:]) for skip in range(len(lines) + 1))
    return bool(lines) and line_matches(patterns[0], lines[0]) and matches(patterns[1:], lines[1:])


def main():
    program, source = sys.argv[1:3]
    expected, ordered = expected_output(source)
    result = subprocess.run([program], stdout=subprocess.PIPE, text=True, timeout=100)
    if result.returncode != 0:
        print(result.stdout)
        sys.exit(f"{source}: exit status {result.returncode}")
    if expected is None:
        return
    lines = result.stdout.splitlines()
    if not ordered:
        expected, lines = sorted(expected), sorted(lines)
    if not matches(expected, lines):
        sys.exit("\n".join([f"{source}: printed", *("  " + line for line in lines),
                            "where the comment at its end says",
                            *("  " + line for line in expected)]))


if __name__ == "__main__":
    main()
