# The workloads of the suite in the order in which they are shown, and what is special about some.

import fnmatch

WORKLOADS = """
    spawn_join spawn_join_1 yield yield_1000
    chan_pingpong_unbuf chan_buf128_spsc chan_buf128_mpmc chan_unbuf_spsc chan_unbuf_mpmc
    chan_uncontended select_default_miss select_2 select_8 select_2_buf128 select_8_buf128
    skynet sieve threadring fib quicksort
    mutex_uncontended mutex_contended rwmutex_read_contended waitgroup once cond_pingpong
    timer_create_stop sleep_1m timer_lateness timer_lateness_100
    ctx_withcancel ctx_tree_cancel ctx_withtimeout ctx_value_depth10
    mem_parked_1m mem_parked_100k
    hog_latency spawn_parked_unpark spawn_parked_unpark_sleep
    foreign_call
""".split()

# Programs that serve until they are killed; a client drives them.
SERVERS = ["echo_server"]

# Over some two seconds each: fewer rounds.
LONG = {"sleep_1m", "timer_lateness", "timer_lateness_100", "mem_parked_1m", "hog_latency",
        "spawn_parked_unpark", "spawn_parked_unpark_sleep", "echo_server"}
ROUNDS, LONG_ROUNDS = 5, 3

# With more P's than cores: whatever has many fibers that run, and its numbers of P's.
OVERSUBSCRIBED = """
    spawn_join yield_1000 chan_pingpong_unbuf chan_buf128_mpmc chan_unbuf_mpmc select_8
    skynet sieve threadring fib quicksort mutex_contended rwmutex_read_contended
""".split()
MANY_PROCS = (2, 16, 64)

# A waker that spins needs a processor of its own.
ONLY_WITH_PROCS = {"spawn_parked_unpark": 2}

# What a side has nothing for. Tokio: values in contexts, foreign calls that cost anything.
# Boost.Fiber: select, cancellation, timers to stop, wait groups, preemption.
NO_COUNTERPART = {
    "tokio": {"ctx_value_depth10", "foreign_call"},
    "Boost.Fiber": {
        "select_2", "select_8", "select_2_buf128", "select_8_buf128",
        "rwmutex_read_contended", "waitgroup", "once", "timer_create_stop",
        "ctx_withcancel", "ctx_tree_cancel", "ctx_withtimeout", "ctx_value_depth10",
        "hog_latency", "spawn_parked_unpark", "spawn_parked_unpark_sleep", "foreign_call"},
}


def rounds_of(workload):
    return LONG_ROUNDS if workload in LONG else ROUNDS


def chosen(patterns, known):
    """The known names that the patterns (names, or with * and ?) select, in order; a pattern that
    selects nothing is a ValueError."""
    if not patterns:
        return list(known)
    for pattern in patterns:
        if not fnmatch.filter(known, pattern):
            raise ValueError(f"no workload {pattern!r}; there are: " + " ".join(known))
    return [name for name in known if any(fnmatch.fnmatch(name, p) for p in patterns)]


def disagreements(lists):
    """What is wrong with the names that sides list: {side: names}; weft has all but servers, which
    need its network, and a peer all that weft has and its own part allows."""
    for side, names in lists.items():
        wanted = set(WORKLOADS) - NO_COUNTERPART.get(side, set())
        known = wanted | set(SERVERS)
        for name in sorted(set(names) - known):
            yield f"{side} lists {name}, which workloads.py does not know"
        for name in sorted(wanted - set(names)):
            yield f"{side} lacks {name}"
