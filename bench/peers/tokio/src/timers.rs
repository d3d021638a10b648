//! Workloads over timers and sleeping, and how late tasks run.

use crate::measure::{check, figure, usage, warm_now, Latencies, Stopwatch};
use crate::settings::Settings;
use crate::Workload;
use std::future::{poll_fn, Future};
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::sync::{mpsc, Notify};
use tokio::time::sleep;
use tokio_util::time::DelayQueue;

pub const HOUR: Duration = Duration::from_secs(3600);
const PERIOD: Duration = Duration::from_micros(100);

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload { name: "timer_create_stop", by: "", body: create_stop },
        Workload { name: "timer_create_stop:delay_queue", by: "", body: insert_remove },
        Workload { name: "sleep_1m", by: "an atomic counter and Notify", body: sleep_once },
        Workload {
            name: "timer_lateness",
            by: "",
            body: |s| lateness(s, "timer_lateness", 10_000),
        },
        Workload {
            name: "timer_lateness_100",
            by: "",
            body: |s| lateness(s, "timer_lateness_100", 100),
        },
        Workload { name: "hog_latency", by: "spawn_blocking for the hogs", body: hogs },
        Workload {
            name: "spawn_parked_unpark",
            by: "spawn_blocking for the one that spins",
            body: unpark_by_spinner,
        },
        Workload { name: "spawn_parked_unpark:task", by: "", body: unpark_by_spinning_task },
        Workload { name: "spawn_parked_unpark_sleep", by: "", body: unpark_by_sleeper },
    ]
}

/// Runs `work` beside a timer that ends earlier than those it makes, such as a server always has,
/// and that the driver already waits for: each new one would wake the driver if it were to end
/// first.
pub fn run_beside_timer(s: &Settings, mut work: impl FnMut(&mut Context) + Send + 'static) {
    s.run(async move {
        let earlier = tokio::spawn(sleep(HOUR / 2));
        sleep(Duration::from_millis(2)).await;
        poll_fn(|cx| {
            work(cx);
            Poll::Ready(())
        })
        .await;
        earlier.abort();
    });
}

/// A timer is in the wheel from its first poll on; dropping takes it out.
fn create_stop(s: &Settings) {
    let n = s.scaled(2_000_000, 1);
    run_beside_timer(s, move |cx| {
        warm_now("timer_create_stop", n, "ns/op", |n| {
            let pending = (0..n).filter(|_| pin!(sleep(HOUR)).poll(cx).is_pending()).count();
            check(pending == n, "timer: each was stopped");
        });
    });
}

/// A queue that one task owns, with a timer of its own beneath.
fn insert_remove(s: &Settings) {
    let n = s.scaled(2_000_000, 1);
    run_beside_timer(s, move |_| {
        let mut queue = DelayQueue::new();
        queue.insert(0, HOUR / 2);
        warm_now("timer_create_stop", n, "ns/op", |n| {
            for i in 0..n {
                let key = queue.insert(i, HOUR);
                check(queue.remove(&key).into_inner() == i, "timer: each was stopped");
            }
        });
    });
}

fn sleep_once(s: &Settings) {
    let n = s.scaled(1_000_000, 1);
    s.run(async move {
        let watch = Stopwatch::start();
        let left = Arc::new((AtomicUsize::new(n), Notify::new()));
        let mut random = 1u64;
        for _ in 0..n {
            random = random * 48_271 % 0x7fff_ffff;
            let duration = Duration::from_millis(1 + random % 1_000);
            let left = left.clone();
            tokio::spawn(async move {
                sleep(duration).await;
                if left.0.fetch_sub(1, Ordering::AcqRel) == 1 {
                    left.1.notify_one();
                }
            });
        }
        left.1.notified().await;
        let (wall, cpu) = watch.read();
        figure("sleep_1m", wall.as_secs_f64() * 1e3, "ms");
        figure("sleep_1m.cpu", cpu.as_secs_f64(), "s");
        figure("sleep_1m.rss", usage().ru_maxrss as f64 / 1024.0, "MiB");
        check(left.0.load(Ordering::Acquire) == 0, "sleep: all have slept");
    });
}

/// Sleeps of 1 ms until `end`, one at least, and how late each ends.
async fn sleeps(end: Instant, capacity: usize) -> Latencies {
    let mut late = Latencies::with_capacity(capacity);
    let mut now = Instant::now();
    loop {
        let due = now + Duration::from_millis(1);
        sleep(Duration::from_millis(1)).await;
        now = Instant::now();
        late.add(now.saturating_duration_since(due));
        if now >= end {
            return late;
        }
    }
}

fn lateness(s: &Settings, name: &'static str, tasks: usize) {
    let length = s.seconds(5.0);
    s.run(async move {
        let watch = Stopwatch::start();
        let end = Instant::now() + length;
        let capacity = length.as_millis() as usize + 1;
        let handles: Vec<_> = (0..tasks).map(|_| tokio::spawn(sleeps(end, capacity))).collect();
        let mut parts = Vec::new();
        for handle in handles {
            parts.push(handle.await.unwrap());
        }
        let (_, cpu) = watch.read();
        let mut all = Latencies::default();
        for part in parts {
            all.append(part);
        }
        all.print(name, cpu, &[("p50", 0.5), ("p99", 0.99), ("p999", 0.999)]);
    });
}

/// What spins is no work for a worker: it would stand in the way of all other tasks.
fn hogs(s: &Settings) {
    let length = s.seconds(3.0);
    s.run(async move {
        let stop = Arc::new(AtomicBool::new(false));
        let hogs: Vec<_> = (0..2)
            .map(|_| {
                let stop = stop.clone();
                tokio::task::spawn_blocking(move || while !stop.load(Ordering::Relaxed) {})
            })
            .collect();
        let watch = Stopwatch::start();
        let mut late = tokio::spawn(sleeps(Instant::now() + length, 0)).await.unwrap();
        stop.store(true, Ordering::Relaxed);
        for hog in hogs {
            hog.await.unwrap();
        }
        let (_, cpu) = watch.read();
        late.print("hog_latency", cpu, &[("p50", 0.5), ("p99", 0.99), ("max", 1.0)]);
    });
}

/// How late the messages come that say when they were sent.
async fn receive(mut wake: mpsc::Receiver<Instant>) -> Latencies {
    let mut late = Latencies::default();
    while let Some(sent) = wake.recv().await {
        late.add(sent.elapsed());
    }
    late
}

fn spin(until: Instant) {
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

fn print_unpark(name: &str, n: usize, watch: &Stopwatch, late: Latencies, periods: Latencies) {
    let (_, cpu) = watch.read();
    let (mut late, mut periods) = (late, periods);
    check(late.len() == n, "unpark: each wake-up arrived");
    late.print(name, cpu, &[("p50", 0.5), ("p99", 0.99)]);
    figure(&format!("{name}.period"), periods.quantile(0.5), "us");
}

fn unpark_by_spinner(s: &Settings) {
    let n = s.scaled(20_000, 10);
    s.run(async move {
        let (sender, wake) = mpsc::channel(1);
        let watch = Stopwatch::start();
        let receiver = tokio::spawn(receive(wake));
        let spinner = tokio::task::spawn_blocking(move || {
            let mut periods = Latencies::with_capacity(n);
            let mut last = Instant::now();
            for _ in 0..n {
                spin(last + PERIOD);
                let now = Instant::now();
                periods.add(now - last);
                last = now;
                sender.blocking_send(now).unwrap();
            }
            periods
        });
        let periods = spinner.await.unwrap();
        let late = receiver.await.unwrap();
        print_unpark("spawn_parked_unpark", n, &watch, late, periods);
    });
}

/// The waker as a task: what it woke waits in its worker's own slot until it awaits something.
fn unpark_by_spinning_task(s: &Settings) {
    unpark_by_task(s, "spawn_parked_unpark", s.scaled(20_000, 10), |until| async move {
        spin(until);
    });
}

fn unpark_by_sleeper(s: &Settings) {
    unpark_by_task(s, "spawn_parked_unpark_sleep", s.scaled(20_000, 10), |until| async move {
        sleep(until.saturating_duration_since(Instant::now())).await;
    });
}

fn unpark_by_task<Fut>(s: &Settings, name: &'static str, n: usize, pause: fn(Instant) -> Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    s.run(async move {
        let (sender, wake) = mpsc::channel(1);
        let watch = Stopwatch::start();
        let receiver = tokio::spawn(receive(wake));
        let waker = tokio::spawn(async move {
            let mut periods = Latencies::with_capacity(n);
            let mut last = Instant::now();
            for _ in 0..n {
                pause(last + PERIOD).await;
                let now = Instant::now();
                periods.add(now - last);
                last = now;
                sender.send(now).await.unwrap();
            }
            periods
        });
        let periods = waker.await.unwrap();
        let late = receiver.await.unwrap();
        print_unpark(name, n, &watch, late, periods);
    });
}
