//! Workloads that start tasks, and switch between them.

use crate::measure::{check, cold, cold_in_ms, in_ms, warm, Stopwatch};
use crate::settings::Settings;
use crate::Workload;
use kanal::{bounded_async, AsyncSender};
use std::future::{poll_fn, Future};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::Poll;
use tokio::sync::{oneshot, Notify};
use tokio::task::{yield_now, JoinHandle, JoinSet};
use tokio_util::task::TaskTracker;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "spawn_join",
            by: "TaskTracker",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(cold("spawn_join", n, "ns/op", join_by_tracker));
            },
        },
        Workload {
            name: "spawn_join:counter",
            by: "",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(cold("spawn_join", n, "ns/op", join_by_counter));
            },
        },
        Workload {
            name: "spawn_join:handles",
            by: "",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(cold("spawn_join", n, "ns/op", join_by_handles));
            },
        },
        Workload {
            name: "spawn_join:join_set",
            by: "",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(cold("spawn_join", n, "ns/op", join_by_set));
            },
        },
        Workload {
            name: "spawn_join_1:handle",
            by: "",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(warm("spawn_join_1", n, "ns/op", |n| async move {
                    let mut ended = 0;
                    for _ in 0..n {
                        ended += tokio::spawn(async { 1 }).await.unwrap();
                    }
                    check(ended == n, "spawn: each has ended");
                }));
            },
        },
        Workload {
            name: "spawn_join_1",
            by: "oneshot",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(warm("spawn_join_1", n, "ns/op", |n| async move {
                    let mut ended = 0;
                    for _ in 0..n {
                        let (done, end) = oneshot::channel();
                        tokio::spawn(async move { done.send(1) });
                        ended += end.await.unwrap();
                    }
                    check(ended == n, "spawn: each has ended");
                }));
            },
        },
        Workload {
            name: "yield",
            by: "waking itself",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(warm("yield", n, "ns/op", |n| yield_in_turn(n, 2, wake_self)));
            },
        },
        Workload {
            name: "yield:yield_now",
            by: "",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(warm("yield", n, "ns/op", |n| yield_in_turn(n, 2, yield_now)));
            },
        },
        Workload {
            name: "yield_1000",
            by: "waking itself",
            body: |s| {
                let n = s.scaled(4_000_000, 1);
                s.run(warm("yield_1000", n, "ns/op", |n| yield_in_turn(n, 1000, wake_self)));
            },
        },
        Workload {
            name: "yield_1000:yield_now",
            by: "",
            body: |s| {
                let n = s.scaled(4_000_000, 1);
                s.run(warm("yield_1000", n, "ns/op", |n| yield_in_turn(n, 1000, yield_now)));
            },
        },
        Workload {
            name: "skynet",
            by: "kanal",
            body: |s| {
                skynet_workload(s, |leaves| async move {
                    let (out, result) = bounded_async(0);
                    skynet(out, 0, leaves);
                    result.recv().await.unwrap()
                })
            },
        },
        Workload {
            name: "skynet:mpsc",
            by: "",
            body: |s| {
                skynet_workload(s, |leaves| async move {
                    let (out, mut result) = tokio::sync::mpsc::channel(1);
                    skynet_by_mpsc(out, 0, leaves);
                    result.recv().await.unwrap()
                })
            },
        },
        Workload {
            name: "fib",
            by: "JoinHandle",
            body: |s| fib_workload(s, |n| async move { fib(n).await.unwrap() }),
        },
        Workload {
            name: "fib:oneshot",
            by: "",
            body: |s| fib_workload(s, |n| async move { fib_by_oneshot(n).await.unwrap() }),
        },
        Workload {
            name: "fib:kanal",
            by: "",
            body: |s| fib_workload(s, |n| async move { fib_by_kanal(n).recv().await.unwrap() }),
        },
        Workload { name: "quicksort", by: "", body: |s| quicksort_workload(s, quicksort) },
        Workload {
            name: "quicksort:both_halves",
            by: "",
            body: |s| quicksort_workload(s, quicksort_both),
        },
    ]
}

async fn join_by_counter(n: usize) {
    let left = Arc::new((AtomicUsize::new(n), Notify::new()));
    for _ in 0..n {
        let left = left.clone();
        tokio::spawn(async move {
            if left.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                left.1.notify_one();
            }
        });
    }
    left.1.notified().await;
    check(left.0.load(Ordering::Acquire) == 0, "spawn: each has ended");
}

async fn join_by_tracker(n: usize) {
    let tracker = TaskTracker::new();
    for _ in 0..n {
        tracker.spawn(async {});
    }
    tracker.close();
    tracker.wait().await;
}

async fn join_by_handles(n: usize) {
    let handles: Vec<_> = (0..n).map(|_| tokio::spawn(async {})).collect();
    for handle in handles {
        handle.await.unwrap();
    }
}

async fn join_by_set(n: usize) {
    let mut set = JoinSet::new();
    for _ in 0..n {
        set.spawn(async {});
    }
    while set.join_next().await.is_some() {}
}

/// As yield_now of other libraries: the task wakes itself and is pending once, so that it goes behind
/// those that can run. Tokio's own puts it behind the drivers too, at the price of a poll of them
/// where few tasks run.
fn wake_self() -> impl Future<Output = ()> {
    let mut was_polled = false;
    poll_fn(move |cx| {
        if std::mem::replace(&mut was_polled, true) {
            return Poll::Ready(());
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    })
}

/// `n` yields in all.
async fn yield_in_turn<F, Fut>(n: usize, tasks: usize, yield_once: F)
where
    F: Fn() -> Fut + Copy + Send + 'static,
    Fut: Future<Output = ()> + Send,
{
    let each = n / tasks + 1;
    let handles: Vec<_> = (0..tasks)
        .map(|_| {
            tokio::spawn(async move {
                for _ in 0..each {
                    yield_once().await;
                }
            })
        })
        .collect();
    for handle in handles {
        handle.await.unwrap();
    }
}

fn skynet(out: AsyncSender<usize>, number: usize, leaves: usize) {
    if leaves == 1 {
        tokio::spawn(async move { out.send(number).await.unwrap() });
        return;
    }
    tokio::spawn(async move {
        let (sender, sums) = bounded_async(0);
        let part = leaves / 10;
        for i in 0..10 {
            skynet(sender.clone(), number + i * part, part);
        }
        let mut sum = 0;
        for _ in 0..10 {
            sum += sums.recv().await.unwrap();
        }
        out.send(sum).await.unwrap();
    });
}

fn skynet_by_mpsc(out: tokio::sync::mpsc::Sender<usize>, number: usize, leaves: usize) {
    if leaves == 1 {
        tokio::spawn(async move { out.send(number).await.unwrap() });
        return;
    }
    tokio::spawn(async move {
        let (sender, mut sums) = tokio::sync::mpsc::channel(1);
        let part = leaves / 10;
        for i in 0..10 {
            skynet_by_mpsc(sender.clone(), number + i * part, part);
        }
        let mut sum = 0;
        for _ in 0..10 {
            sum += sums.recv().await.unwrap();
        }
        out.send(sum).await.unwrap();
    });
}

fn skynet_workload<Fut>(s: &Settings, tree: fn(usize) -> Fut)
where
    Fut: Future<Output = usize> + Send + 'static,
{
    let mut leaves = 1;
    while leaves * 10 <= s.scaled(1_000_000, 10) {
        leaves *= 10;
    }
    s.run(cold_in_ms("skynet", move || async move {
        check(tree(leaves).await == leaves * (leaves - 1) / 2, "skynet: the sum of the ids");
    }));
}

/// A task's handle is the channel of its one result.
fn fib(n: u32) -> JoinHandle<u64> {
    tokio::spawn(async move {
        if n < 2 {
            return n as u64;
        }
        let (first, second) = (fib(n - 1), fib(n - 2));
        first.await.unwrap() + second.await.unwrap()
    })
}

fn fib_by_oneshot(n: u32) -> oneshot::Receiver<u64> {
    let (out, result) = oneshot::channel();
    tokio::spawn(async move {
        if n < 2 {
            return out.send(n as u64).unwrap();
        }
        let (first, second) = (fib_by_oneshot(n - 1), fib_by_oneshot(n - 2));
        out.send(first.await.unwrap() + second.await.unwrap()).unwrap();
    });
    result
}

fn fib_by_kanal(n: u32) -> kanal::AsyncReceiver<u64> {
    let (out, result) = bounded_async(1);
    tokio::spawn(async move {
        if n < 2 {
            return out.send(n as u64).await.unwrap();
        }
        let (first, second) = (fib_by_kanal(n - 1), fib_by_kanal(n - 2));
        out.send(first.recv().await.unwrap() + second.recv().await.unwrap()).await.unwrap();
    });
    result
}

fn plain_fib(n: u32) -> u64 {
    let (mut a, mut b) = (0, 1);
    for _ in 0..n {
        (a, b) = (b, a + b);
    }
    a
}

fn fib_workload<Fut>(s: &Settings, fib: fn(u32) -> Fut)
where
    Fut: Future<Output = u64> + Send + 'static,
{
    // The number of calls grows with the result.
    let mut n = 27;
    while n > 1 && plain_fib(n) > s.scaled(plain_fib(27) as usize, 1) as u64 {
        n -= 1;
    }
    s.run(cold_in_ms("fib", move || async move {
        check(fib(n).await == plain_fib(n), "fib: the number");
    }));
}

const SORTED_IN_PLACE: usize = 4096;

/// Hoare's partition: both sides are smaller than the whole, also with equal elements.
fn partition(part: &mut [i64]) -> usize {
    let (a, b, c) = (part[0], part[part.len() / 2], part[part.len() - 1]);
    let pivot = a.min(b).max(a.max(b).min(c));
    let (mut i, mut j) = (0, part.len() - 1);
    loop {
        while part[i] < pivot {
            i += 1;
        }
        while pivot < part[j] {
            j -= 1;
        }
        if i >= j {
            return j + 1;
        }
        part.swap(i, j);
        i += 1;
        j -= 1;
    }
}

fn quicksort(mut part: &'static mut [i64]) -> JoinHandle<()> {
    tokio::spawn(async move {
        let mut halves = Vec::new();
        while part.len() > SORTED_IN_PLACE {
            let middle = partition(part);
            let (left, right) = part.split_at_mut(middle);
            halves.push(quicksort(left));
            part = right;
        }
        part.sort_unstable();
        for half in halves {
            half.await.unwrap();
        }
    })
}

fn quicksort_both(part: &'static mut [i64]) -> JoinHandle<()> {
    tokio::spawn(async move {
        if part.len() <= SORTED_IN_PLACE {
            part.sort_unstable();
            return;
        }
        let middle = partition(part);
        let (left, right) = part.split_at_mut(middle);
        let (left, right) = (quicksort_both(left), quicksort_both(right));
        left.await.unwrap();
        right.await.unwrap();
    })
}

fn quicksort_workload(s: &Settings, sort: fn(&'static mut [i64]) -> JoinHandle<()>) {
    // Numbers of splitmix64; they live on, as tasks may not borrow.
    let mut state = 1u64;
    let numbers: Vec<i64> = (0..s.scaled(10_000_000, 1))
        .map(|_| {
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31)) as i64
        })
        .collect();
    let (start, length) = (numbers.leak().as_mut_ptr() as usize, s.scaled(10_000_000, 1));
    // SAFETY: leaked above, and nobody else has it: the first slice ends with the last task, before
    // the second is made.
    let whole = move || unsafe { std::slice::from_raw_parts_mut(start as *mut i64, length) };
    s.run(async move {
        let watch = Stopwatch::start();
        sort(whole()).await.unwrap();
        let (wall, cpu) = watch.read();
        in_ms("quicksort", wall, cpu);
        check(whole().is_sorted(), "quicksort: the order");
    });
}
