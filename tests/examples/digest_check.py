# Checks examples/digest against sha256sum, and what it does when something is in its way.

import fcntl
import os
import pathlib
import pty
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest

PROGRAM = None
PATIENCE = 60  # seconds


def digest(*arguments, **options):
    """Runs the program; its output as bytes."""
    return subprocess.run([PROGRAM, *arguments], capture_output=True, timeout=PATIENCE, **options)


def sha256sum(*arguments, **options):
    return subprocess.run(["sha256sum", *arguments], capture_output=True, timeout=PATIENCE,
                          **options)


def expected_list(root):
    """What sha256sum prints for the regular files below root, by name."""
    paths = []
    for directory, _, names in os.walk(os.fsencode(root)):
        paths += [os.path.join(directory, name) for name in names]
    paths = sorted(p for p in paths if os.path.isfile(p) and not os.path.islink(p))
    return b"".join(sha256sum("--", path).stdout for path in paths)


def complaints(result):
    """The lines on stderr but the summary."""
    lines = result.stderr.decode(errors="replace").splitlines()
    return [line for line in lines if not re.search(r"MB/s, \d+ fibers started$", line)]


def until(holds, what):
    end = time.monotonic() + PATIENCE
    while not holds():
        if time.monotonic() > end:
            raise AssertionError(f"waited in vain until {what}")
        time.sleep(0.01)


class DigestTest(unittest.TestCase):
    def setUp(self):
        self.root = pathlib.Path(tempfile.mkdtemp(prefix="digest-"))
        self.addCleanup(shutil.rmtree, self.root, ignore_errors=True)

    def write(self, name, data=b"text\n"):
        path = os.path.join(os.fsencode(self.root), os.fsencode(name))
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(data)
        return path

    def assert_fails_once(self, result, *words):
        """Status 1 and exactly one line, with these words."""
        lines = complaints(result)
        self.assertEqual(result.returncode, 1, lines)
        self.assertEqual(len(lines), 1, lines)
        for word in words:
            self.assertIn(word, lines[0])

    # Lists.

    def test_a_tree_is_listed_as_sha256sum_does(self):
        for i in range(300):
            self.write(f"{i % 7}/{i % 5}/file{i}", os.urandom(i * 97))
        self.write("empty", b"")
        self.write("big", os.urandom(3_000_000))
        result = digest(self.root)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, expected_list(self.root))
        self.assertRegex(result.stderr.decode(),
                         r"^digest: 302 files, \d+ bytes, [0-9.]+ MB/s, \d+ fibers started\n$")

    def test_odd_names_are_written_as_sha256sum_does(self):
        for name in (b"a\nb", b"c\\d", b"e\rf", b"g h", b"\xff\xfe", b"-n", b"*", b"\ti", b"j\\\n"):
            self.write(name, name)
        result = digest(self.root)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, expected_list(self.root))
        self.assertEqual(sha256sum("-c", "-", input=result.stdout).returncode, 0)
        self.assertEqual(digest("--check", "-", input=result.stdout).returncode, 0)

    def test_the_number_of_jobs_changes_nothing(self):
        for i in range(100):
            self.write(f"d{i % 3}/{i}", os.urandom(5000))
        expected = expected_list(self.root)
        for jobs in ("1", "2", "50"):
            self.assertEqual(digest("--jobs", jobs, self.root).stdout, expected)

    def test_one_file(self):
        path = self.write("file")
        self.assertEqual(digest(path).stdout, sha256sum(path).stdout)

    def test_an_empty_tree_has_an_empty_list(self):
        result = digest(self.root)
        self.assertEqual((result.returncode, result.stdout), (0, b""))

    def test_links_are_followed_only_when_asked_for(self):
        self.write("real/file")
        os.symlink("real", self.root / "link")
        os.symlink("real/file", self.root / "file-link")
        os.symlink("nowhere", self.root / "dangling")
        result = digest(self.root)
        self.assertEqual(result.returncode, 0, result.stderr)
        self.assertEqual(result.stdout, expected_list(self.root))
        followed = digest("--follow", self.root)
        self.assert_fails_once(followed, "dangling", "No such file or directory")
        self.assertEqual(followed.stdout.count(b"\n"), 3)

    # What is in the way.

    def test_a_root_that_is_not_there(self):
        self.assert_fails_once(digest(self.root / "none"), "none", "No such file or directory")

    def test_links_in_a_circle_are_one_line_each(self):
        self.write("file")
        self.write("sub/other")
        for follow in ((), ("--follow",)):
            for target in ("loop", "..", ".", "../sub"):
                link = self.root / "sub" / "loop"
                os.symlink(target, link)
                result = digest(*follow, self.root)
                self.assert_fails_once(result, "sub/loop", "symbolic link loop")
                self.assertEqual(result.stdout, expected_list(self.root))
                link.unlink()

    def test_two_links_that_lead_to_each_other_end(self):
        self.write("a/file")
        self.write("b/file")
        os.symlink("../b", self.root / "a" / "to-b")
        os.symlink("../a", self.root / "b" / "to-a")
        result = digest("--follow", self.root)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(complaints(result)), 2, complaints(result))
        self.assertEqual(result.stdout.count(b"\n"), 4)

    def test_what_is_unreadable_is_one_line_each(self):
        good = self.write("good")
        os.chmod(self.write("secret"), 0)
        self.write("closed/file")
        os.chmod(self.root / "closed", 0)
        os.chmod(self.root, 0o755)
        # Root may read everything: let somebody else try.
        user = {"user": 65534, "group": 65534} if os.geteuid() == 0 else {}
        program = shutil.copy(PROGRAM, self.root.parent) if user else None
        try:
            result = subprocess.run([program or PROGRAM, self.root], capture_output=True,
                                    timeout=PATIENCE, **user)
        finally:
            os.chmod(self.root / "closed", 0o755)
            if program:
                os.unlink(program)
        lines = complaints(result)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(lines), 2, lines)
        self.assertTrue(all("Permission denied" in line for line in lines), lines)
        self.assertEqual(result.stdout, sha256sum(good).stdout)

    def test_pipes_are_no_files(self):
        good = self.write("good")
        os.mkfifo(self.root / "pipe")
        result = digest(self.root)
        self.assertEqual((result.returncode, result.stdout), (0, sha256sum(good).stdout))

    def test_a_line_about_an_odd_name_is_one_line(self):
        os.symlink("x\ny", os.path.join(os.fsencode(self.root), b"x\ny"))
        self.assert_fails_once(digest(self.root), "x\\ny")

    def test_a_full_disk(self):
        self.write("file")
        with open("/dev/full", "wb") as full:
            result = subprocess.run([PROGRAM, self.root], stdout=full, stderr=subprocess.PIPE,
                                    timeout=PATIENCE)
        self.assert_fails_once(result, "standard output", "No space left on device")

    # While it runs.

    def start_busy(self, **options):
        """The program in the middle of a file that it will not finish soon."""
        big = os.fsdecode(self.write("0-big", b""))
        os.truncate(big, 1 << 40)
        process = subprocess.Popen([PROGRAM, "--jobs", "1", self.root], stdout=subprocess.PIPE,
                                   **{"stderr": subprocess.PIPE, **options})
        self.addCleanup(lambda: process.poll() is None and process.kill())

        def has_it_open():
            fds = f"/proc/{process.pid}/fd"
            try:
                return any(os.readlink(f"{fds}/{fd}") == big for fd in os.listdir(fds))
            except FileNotFoundError:
                return False
        until(has_it_open, "the big file is open")
        return process, big

    def test_files_that_vanish_are_one_line_each(self):
        doomed = [self.write(f"doomed{i}") for i in range(5)]
        process, big = self.start_busy()
        for path in doomed:
            os.unlink(path)
        os.truncate(big, 0)
        out, err = process.communicate(timeout=PATIENCE)
        result = subprocess.CompletedProcess([], process.returncode, out, err)
        lines = complaints(result)
        self.assertEqual(result.returncode, 1)
        self.assertEqual(len(lines), 5, lines)
        self.assertTrue(all("No such file or directory" in line for line in lines), lines)
        self.assertEqual(out.count(b"\n"), 1)

    def test_an_interrupt_ends_it_cleanly(self):
        for number, word in ((signal.SIGINT, b"interrupted"), (signal.SIGTERM, b"terminated")):
            process, _ = self.start_busy()
            process.send_signal(number)
            out, err = process.communicate(timeout=PATIENCE)
            self.assertEqual(process.returncode, 128 + number)
            self.assertEqual(out, b"")
            self.assertRegex(err, b"^digest: " + word + b" after \\d+ files[^\n]*\n$")

    def test_a_bar_moves_on_a_terminal_only(self):
        terminal, screen = pty.openpty()
        process, big = self.start_busy(stderr=screen)
        os.close(screen)
        shown = bytearray()

        def bars():
            shown.extend(os.read(terminal, 4096))
            bar = rb"\r\[[#.]{30}\] \d+/\d+ files, [0-9.]+ MB/s\x1b\[K"
            return len(re.findall(bar, shown)) >= 3
        until(bars, "the bar was drawn three times")
        os.truncate(big, 0)
        process.communicate(timeout=PATIENCE)
        self.assertEqual(process.returncode, 0)
        fcntl.fcntl(terminal, fcntl.F_SETFL, os.O_NONBLOCK)
        try:
            while chunk := os.read(terminal, 4096):
                shown.extend(chunk)
        except OSError:
            pass
        os.close(terminal)
        self.assertRegex(bytes(shown), rb"\r\x1b\[Kdigest: 1 files, .*fibers started\r\n$")
        self.assertNotIn(b"\x1b", digest(self.root).stderr)

    # Checking.

    def check_both(self, lines):
        """Status and stdout of --check, which are those of sha256sum -c, and its complaints."""
        lines_file = os.fsdecode(self.write("list", lines))
        mine, theirs = digest("--check", lines_file), sha256sum("-c", lines_file)
        self.assertEqual(mine.stdout, theirs.stdout)
        self.assertEqual(mine.returncode, theirs.returncode)
        return complaints(mine)

    def test_check_says_what_sha256sum_says(self):
        for i in range(50):
            self.write(f"files/{i}", os.urandom(1000))
        odd = self.write(b"files/odd\n\\name")
        lines = expected_list(self.root / "files")
        self.assertEqual(self.check_both(lines), [])
        self.assertEqual(self.check_both(b"# comment\n" + lines.replace(b"  ", b" *")), [])

        self.write("files/7", b"changed")
        self.assertEqual(self.check_both(lines),
                         ["digest: WARNING: 1 computed checksum did NOT match"])
        os.unlink(odd)
        os.unlink(self.root / "files" / "8")
        warnings = self.check_both(b"no line\n" + lines)
        self.assertEqual(len(warnings), 5, warnings)
        self.assertIn("digest: WARNING: 1 line is improperly formatted", warnings)
        self.assertIn("digest: WARNING: 2 listed files could not be read", warnings)

    def test_check_of_something_else(self):
        self.assertEqual(len(self.check_both(b"nothing\n")), 1)
        self.assert_fails_once(digest("--check", self.root / "none"), "No such file or directory")
        lines = b"0" * 64 + b"  " + os.fsencode(self.root) + b"\n"
        self.assertEqual(len(self.check_both(lines)), 2)

    def test_usage(self):
        self.assertEqual(digest("--help").returncode, 0)
        for arguments in (("--jobs", "0"), ("--jobs", "x"), ("--wrong",), ("a", "b"),
                          ("--check", "x", "y")):
            result = digest(*arguments)
            self.assertEqual((result.returncode, result.stdout), (2, b""), arguments)


if __name__ == "__main__":
    PROGRAM = sys.argv.pop(1)
    unittest.main()
