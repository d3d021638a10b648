//! What parked tasks cost in memory.

use crate::measure::{check, figure, Stopwatch};
use crate::settings::Settings;
use crate::Workload;
use kanal::{bounded_async, AsyncReceiver, AsyncSender};
use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::Arc;
use tokio::sync::{watch, Notify};

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "mem_parked_1m",
            by: "kanal",
            body: |s| parked::<Kanal>(s, "mem_parked_1m", 1_000_000),
        },
        Workload {
            name: "mem_parked_100k",
            by: "kanal",
            body: |s| parked::<Kanal>(s, "mem_parked_100k", 100_000),
        },
        Workload {
            name: "mem_parked_100k:watch",
            by: "",
            body: |s| parked::<Watch>(s, "mem_parked_100k", 100_000),
        },
    ]
}

/// Resident memory and page tables, in bytes.
fn memory_of_process() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let sum: f64 = status
        .lines()
        .filter_map(|line| line.strip_prefix("VmRSS:").or_else(|| line.strip_prefix("VmPTE:")))
        .filter_map(|value| value.split_whitespace().next()?.parse::<f64>().ok())
        .sum();
    check(sum > 0.0, "/proc/self/status tells the memory");
    sum * 1024.0
}

/// Counts down; the last one wakes who waits.
struct Left(AtomicUsize, Notify);

impl Left {
    fn one_less(&self) {
        if self.0.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.1.notify_one();
        }
    }
}

/// A channel at which tasks wait until it is closed.
trait Gate: Send + Sync + 'static {
    fn new() -> Self;
    fn is_open(&self) -> impl Future<Output = bool> + Send;
    fn open(&self);
}

struct Kanal(AsyncSender<usize>, AsyncReceiver<usize>);

impl Gate for Kanal {
    fn new() -> Kanal {
        let (sender, receiver) = bounded_async(0);
        Kanal(sender, receiver)
    }
    async fn is_open(&self) -> bool {
        self.1.recv().await.is_err()
    }
    fn open(&self) {
        self.0.close().unwrap();
    }
}

struct Watch(watch::Sender<bool>);

impl Gate for Watch {
    fn new() -> Watch {
        Watch(watch::Sender::new(false))
    }
    async fn is_open(&self) -> bool {
        self.0.subscribe().wait_for(|open| *open).await.is_ok()
    }
    fn open(&self) {
        self.0.send_replace(true);
    }
}

fn parked<G: Gate>(s: &Settings, name: &'static str, n: usize) {
    let n = s.scaled(n, 1);
    s.run(async move {
        let state = Arc::new((
            G::new(),
            Left(AtomicUsize::new(n), Notify::new()),
            Left(AtomicUsize::new(n), Notify::new()),
        ));
        let before = memory_of_process();
        let spawning = Stopwatch::start();
        for _ in 0..n {
            let state = state.clone();
            tokio::spawn(async move {
                state.1.one_less();
                check(state.0.is_open().await, "parked: until the channel is closed");
                state.2.one_less();
            });
        }
        state.1 .1.notified().await;
        let (spawn_wall, spawn_cpu) = spawning.read();
        figure(&format!("{name}.spawn"), spawn_wall.as_nanos() as f64 / n as f64, "ns/op");
        figure(name, (memory_of_process() - before) / n as f64, "B/fiber");
        let waking = Stopwatch::start();
        state.0.open();
        state.2 .1.notified().await;
        let (wake_wall, wake_cpu) = waking.read();
        figure(&format!("{name}.wake"), wake_wall.as_nanos() as f64 / n as f64, "ns/op");
        let cpu = (spawn_cpu + wake_cpu).as_nanos() as f64;
        figure(&format!("{name}.cpu"), cpu / n as f64, "ns/op");
    });
}
