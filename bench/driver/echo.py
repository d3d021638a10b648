# Drives the echo servers: each is started, loaded by the one client with more and more
# connections, and stopped.

import contextlib
import os
import socket
import subprocess
import time

from results import BadOutput
from sides import run_build

SOURCE = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                      "client", "echo_client.cpp")
CONNECTIONS = (1, 100, 1000, 10000)
SECONDS = 5.0
DEADLINE = 20.0


def client_of(build_tree):
    return os.path.join(build_tree, "peers", "echo_client")


def build_client(build_tree):
    """The client's path; it is compiled where it is older than its source."""
    client = client_of(build_tree)
    if not os.path.exists(client) or os.path.getmtime(client) < os.path.getmtime(SOURCE):
        os.makedirs(os.path.dirname(client), exist_ok=True)
        run_build("the client", os.environ.get("CXX", "c++"), "-std=c++20", "-O2", SOURCE,
                  "-o", client)
    return client


def on_cpus(cpus):
    """For subprocess: before the program starts it is bound to these CPUs, if to any."""
    return (lambda: os.sched_setaffinity(0, cpus)) if cpus else None


def places(procs):
    """(CPUs of the server, of the client): with one P each has a core of its own."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    if procs > 1 or len(usable) < 2:
        return None, None
    return usable[:1], usable[1:2]


def free_address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()


@contextlib.contextmanager
def serving(command, address, cpus):
    """The server's process, once it accepts connections."""
    server = subprocess.Popen([*command, "-addr", "%s:%d" % address], preexec_fn=on_cpus(cpus),
                              stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    try:
        end = time.monotonic() + DEADLINE
        while True:
            if server.poll() is not None:
                raise BadOutput(f"the server ended: {server.stderr.read().strip()[-500:]}")
            try:
                socket.create_connection(address, timeout=1).close()
                break
            except OSError:
                if time.monotonic() > end:
                    raise BadOutput("the server does not accept connections") from None
                time.sleep(0.01)
        yield server
    finally:
        server.kill()
        server.wait()
        server.stderr.close()


def drive(program, name, procs, scale, build_tree, connections=CONNECTIONS):
    """What the client prints of a server with these numbers of connections, one after the other."""
    client = build_client(build_tree)
    server_cpus, client_cpus = places(procs)
    seconds = max(0.05, SECONDS * scale)
    address = free_address()
    output = []
    with serving([program, name, "-procs", str(procs)], address, server_cpus) as server:
        for count in connections:
            done = subprocess.run(
                [client, f"{name.partition(':')[0]}_{count}", "%s:%d" % address, str(count),
                 str(seconds), str(server.pid)], preexec_fn=on_cpus(client_cpus),
                capture_output=True, text=True, timeout=DEADLINE + 10 * seconds)
            if done.returncode != 0:
                raise BadOutput(f"{count} connections: {done.stderr.strip()[-500:]}")
            output.append(done.stdout)
    return "".join(output)
