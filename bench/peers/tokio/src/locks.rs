//! Workloads over locks, wait groups, once and conditions. No lock here is held across an await:
//! there the standard library's are what tokio's own documentation says to use.

use crate::measure::{check, warm, warm_now};
use crate::settings::Settings;
use crate::Workload;
use std::future::Future;
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, Once, OnceLock, RwLock};
use tokio::sync::Notify;
use tokio_util::task::TaskTracker;

const LOCKERS: usize = 8;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload { name: "mutex_uncontended", by: "std", body: mutex_uncontended },
        Workload { name: "mutex_uncontended:tokio", by: "", body: mutex_uncontended_by_tokio },
        Workload { name: "mutex_uncontended:parking_lot", by: "", body: mutex_uncontended_parking },
        Workload { name: "mutex_contended", by: "std", body: mutex_contended },
        Workload { name: "mutex_contended:tokio", by: "", body: mutex_contended_by_tokio },
        Workload { name: "mutex_contended:parking_lot", by: "", body: mutex_contended_parking },
        Workload { name: "rwmutex_read_contended", by: "std", body: rwmutex },
        Workload { name: "rwmutex_read_contended:tokio", by: "", body: rwmutex_by_tokio },
        Workload { name: "rwmutex_read_contended:parking_lot", by: "", body: rwmutex_parking },
        Workload { name: "waitgroup", by: "an atomic counter and Notify", body: waitgroup },
        Workload { name: "waitgroup:tracker", by: "", body: waitgroup_by_tracker },
        Workload { name: "once", by: "std", body: once },
        Workload { name: "once:call_once", by: "", body: once_by_call },
        Workload { name: "once:tokio", by: "", body: once_by_tokio },
        Workload {
            name: "cond_pingpong",
            by: "Notify",
            body: |s| s.run(warm("cond_pingpong", s.scaled(2_000_000, 1), "ns/op", pingpong)),
        },
    ]
}

/// Eight tasks run what `body` makes; the sum of what they return.
async fn by_eight<Fut>(body: impl Fn() -> Fut) -> usize
where
    Fut: Future<Output = usize> + Send + 'static,
{
    let handles: Vec<_> = (0..LOCKERS).map(|_| tokio::spawn(body())).collect();
    let mut sum = 0;
    for handle in handles {
        sum += handle.await.unwrap();
    }
    sum
}

fn mutex_uncontended(s: &Settings) {
    let n = s.scaled(20_000_000, 1);
    s.run(async move {
        let mutex = Mutex::new(0);
        warm_now("mutex_uncontended", n, "ns/op", |n| {
            *mutex.lock().unwrap() = 0;
            for _ in 0..n {
                *black_box(&mutex).lock().unwrap() += 1;
            }
            check(*mutex.lock().unwrap() == n, "mutex: each increment");
        });
    });
}

fn mutex_uncontended_by_tokio(s: &Settings) {
    let n = s.scaled(20_000_000, 1);
    s.run(warm("mutex_uncontended", n, "ns/op", |n| async move {
        let mutex = tokio::sync::Mutex::new(0);
        for _ in 0..n {
            *mutex.lock().await += 1;
        }
        check(*mutex.lock().await == n, "mutex: each increment");
    }));
}

fn mutex_uncontended_parking(s: &Settings) {
    let n = s.scaled(20_000_000, 1);
    s.run(async move {
        let mutex = parking_lot::Mutex::new(0);
        warm_now("mutex_uncontended", n, "ns/op", |n| {
            *mutex.lock() = 0;
            for _ in 0..n {
                *black_box(&mutex).lock() += 1;
            }
            check(*mutex.lock() == n, "mutex: each increment");
        });
    });
}

fn mutex_contended(s: &Settings) {
    let n = s.scaled(10_000_000, LOCKERS);
    s.run(warm("mutex_contended", n, "ns/op", |n| async move {
        let mutex = Arc::new(Mutex::new(0));
        by_eight(|| {
            let mutex = mutex.clone();
            async move {
                for _ in 0..n / LOCKERS {
                    *mutex.lock().unwrap() += 1;
                }
                0
            }
        })
        .await;
        check(*mutex.lock().unwrap() == n / LOCKERS * LOCKERS, "mutex: each increment");
    }));
}

fn mutex_contended_parking(s: &Settings) {
    let n = s.scaled(10_000_000, LOCKERS);
    s.run(warm("mutex_contended", n, "ns/op", |n| async move {
        let mutex = Arc::new(parking_lot::Mutex::new(0));
        by_eight(|| {
            let mutex = mutex.clone();
            async move {
                for _ in 0..n / LOCKERS {
                    *mutex.lock() += 1;
                }
                0
            }
        })
        .await;
        check(*mutex.lock() == n / LOCKERS * LOCKERS, "mutex: each increment");
    }));
}

fn mutex_contended_by_tokio(s: &Settings) {
    let n = s.scaled(10_000_000, LOCKERS);
    s.run(warm("mutex_contended", n, "ns/op", |n| async move {
        let mutex = Arc::new(tokio::sync::Mutex::new(0));
        by_eight(|| {
            let mutex = mutex.clone();
            async move {
                for _ in 0..n / LOCKERS {
                    *mutex.lock().await += 1;
                }
                0
            }
        })
        .await;
        check(*mutex.lock().await == n / LOCKERS * LOCKERS, "mutex: each increment");
    }));
}

fn rwmutex(s: &Settings) {
    let n = s.scaled(10_000_000, LOCKERS);
    s.run(warm("rwmutex_read_contended", n, "ns/op", |n| async move {
        let lock = Arc::new(RwLock::new(1));
        let sum = by_eight(|| {
            let lock = lock.clone();
            async move { (0..n / LOCKERS).map(|_| *lock.read().unwrap()).sum() }
        });
        check(sum.await == n / LOCKERS * LOCKERS, "RwLock: each read");
    }));
}

fn rwmutex_parking(s: &Settings) {
    let n = s.scaled(10_000_000, LOCKERS);
    s.run(warm("rwmutex_read_contended", n, "ns/op", |n| async move {
        let lock = Arc::new(parking_lot::RwLock::new(1));
        let sum = by_eight(|| {
            let lock = lock.clone();
            async move { (0..n / LOCKERS).map(|_| *lock.read()).sum() }
        });
        check(sum.await == n / LOCKERS * LOCKERS, "RwLock: each read");
    }));
}

fn rwmutex_by_tokio(s: &Settings) {
    let n = s.scaled(10_000_000, LOCKERS);
    s.run(warm("rwmutex_read_contended", n, "ns/op", |n| async move {
        let lock = Arc::new(tokio::sync::RwLock::new(1));
        let sum = by_eight(|| {
            let lock = lock.clone();
            async move {
                let mut sum = 0;
                for _ in 0..n / LOCKERS {
                    sum += *lock.read().await;
                }
                sum
            }
        });
        check(sum.await == n / LOCKERS * LOCKERS, "RwLock: each read");
    }));
}

fn waitgroup_by_tracker(s: &Settings) {
    let n = s.scaled(20_000_000, 1);
    s.run(async move {
        let tracker = TaskTracker::new();
        warm_now("waitgroup", n, "ns/op", |n| {
            for _ in 0..n {
                drop(tracker.token());
            }
            check(tracker.is_empty(), "wait group: none is left");
        });
        tracker.close();
        tracker.wait().await;
    });
}

/// What one writes by hand: a count, and who takes it to nought wakes who waits.
fn waitgroup(s: &Settings) {
    let n = s.scaled(20_000_000, 1);
    s.run(async move {
        let left = (AtomicUsize::new(0), Notify::new());
        warm_now("waitgroup", n, "ns/op", |n| {
            for _ in 0..n {
                let (count, ended) = black_box(&left);
                count.fetch_add(1, Ordering::Relaxed);
                if count.fetch_sub(1, Ordering::AcqRel) == 1 {
                    ended.notify_one();
                }
            }
            check(left.0.load(Ordering::Acquire) == 0, "wait group: none is left");
        });
        left.1.notified().await;
    });
}

fn once(s: &Settings) {
    let n = s.scaled(100_000_000, 1);
    s.run(async move {
        let once = OnceLock::new();
        let mut runs = 0;
        warm_now("once", n, "ns/op", |n| {
            for _ in 0..n {
                black_box(&once).get_or_init(|| runs += 1);
            }
        });
        check(runs == 1, "once: one run");
    });
}

fn once_by_call(s: &Settings) {
    let n = s.scaled(100_000_000, 1);
    s.run(async move {
        let once = Once::new();
        let mut runs = 0;
        warm_now("once", n, "ns/op", |n| {
            for _ in 0..n {
                black_box(&once).call_once(|| runs += 1);
            }
        });
        check(runs == 1, "once: one run");
    });
}

fn once_by_tokio(s: &Settings) {
    let n = s.scaled(100_000_000, 1);
    s.run(warm("once", n, "ns/op", |n| async move {
        let once = tokio::sync::OnceCell::new();
        let mut runs = 0;
        for _ in 0..n {
            black_box(&once).get_or_init(|| async { runs += 1 }).await;
        }
        check(runs == 1, "once: one run");
    }));
}

async fn pingpong(n: usize) {
    let changed = Arc::new([Notify::new(), Notify::new()]);
    let players: Vec<_> = (0..2)
        .map(|mine| {
            let changed = changed.clone();
            tokio::spawn(async move {
                let mut turns = 0;
                for _ in (mine..n).step_by(2) {
                    changed[mine].notified().await;
                    turns += 1;
                    changed[1 - mine].notify_one();
                }
                turns
            })
        })
        .collect();
    changed[0].notify_one();
    let mut turns = 0;
    for player in players {
        turns += player.await.unwrap();
    }
    check(turns == n, "cond: each turn once");
}
