//! Time, and the figures that are printed.

use crate::settings::fail;
use std::future::Future;
use std::time::{Duration, Instant};

/// Wall time, and the process's user and system time, since it was made.
pub struct Stopwatch {
    start: Instant,
    cpu: Duration,
}

pub fn usage() -> libc::rusage {
    // SAFETY: all zeros is a value of this plain struct, and getrusage writes into it.
    unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        if libc::getrusage(libc::RUSAGE_SELF, &mut usage) != 0 {
            fail(1, "getrusage failed");
        }
        usage
    }
}

fn cpu_of_process() -> Duration {
    let usage = usage();
    [usage.ru_utime, usage.ru_stime]
        .iter()
        .map(|t| Duration::new(t.tv_sec as u64, t.tv_usec as u32 * 1000))
        .sum()
}

impl Stopwatch {
    pub fn start() -> Stopwatch {
        Stopwatch { start: Instant::now(), cpu: cpu_of_process() }
    }

    pub fn read(&self) -> (Duration, Duration) {
        (self.start.elapsed(), cpu_of_process() - self.cpu)
    }
}

pub fn figure(name: &str, value: f64, unit: &str) {
    println!("{name}\t{value:.6}\t{unit}");
}

pub fn check(right: bool, what: &str) {
    if !right {
        fail(1, &format!("wrong result: {what}"));
    }
}

fn ns(d: Duration) -> f64 {
    d.as_secs_f64() * 1e9
}

pub fn per_operation(name: &str, wall: Duration, cpu: Duration, n: usize, unit: &str) {
    figure(name, ns(wall) / n as f64, unit);
    figure(&format!("{name}.cpu"), ns(cpu) / n as f64, unit);
}

pub fn in_ms(name: &str, wall: Duration, cpu: Duration) {
    figure(name, ns(wall) / 1e6, "ms");
    figure(&format!("{name}.cpu"), ns(cpu) / 1e6, "ms");
}

/// Measures `work(n)` after a tenth of it.
pub async fn warm<F, Fut>(name: &str, n: usize, unit: &str, work: F)
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = ()>,
{
    work(n / 10 + 1).await;
    let watch = Stopwatch::start();
    work(n).await;
    let (wall, cpu) = watch.read();
    per_operation(name, wall, cpu, n, unit);
}

/// The same of work that waits for nothing.
pub fn warm_now(name: &str, n: usize, unit: &str, mut work: impl FnMut(usize)) {
    work(n / 10 + 1);
    let watch = Stopwatch::start();
    work(n);
    let (wall, cpu) = watch.read();
    per_operation(name, wall, cpu, n, unit);
}

/// Measures `work(n)` as the first thing in the process, then once more as `name`.warm.
pub async fn cold<F, Fut>(name: &str, n: usize, unit: &str, work: F)
where
    F: Fn(usize) -> Fut,
    Fut: Future<Output = ()>,
{
    for suffix in ["", ".warm"] {
        let watch = Stopwatch::start();
        work(n).await;
        let (wall, cpu) = watch.read();
        per_operation(&format!("{name}{suffix}"), wall, cpu, n, unit);
    }
}

pub async fn cold_in_ms<F, Fut>(name: &str, work: F)
where
    F: Fn() -> Fut,
    Fut: Future<Output = ()>,
{
    for suffix in ["", ".warm"] {
        let watch = Stopwatch::start();
        work().await;
        let (wall, cpu) = watch.read();
        in_ms(&format!("{name}{suffix}"), wall, cpu);
    }
}

/// Latencies in ns; 32 bits keep those of many tasks small.
#[derive(Default)]
pub struct Latencies(Vec<u32>);

impl Latencies {
    pub fn with_capacity(n: usize) -> Latencies {
        Latencies(Vec::with_capacity(n))
    }

    pub fn add(&mut self, late: Duration) {
        self.0.push(late.as_nanos().min(u32::MAX as u128) as u32);
    }

    pub fn append(&mut self, more: Latencies) {
        self.0.extend(more.0);
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The least value that a share of at least `q` does not pass; in us.
    pub fn quantile(&mut self, q: f64) -> f64 {
        check(self.len() > 0, "there are latencies");
        let rank = ((q * self.len() as f64) as usize).min(self.len() - 1);
        *self.0.select_nth_unstable(rank).1 as f64 / 1e3
    }

    pub fn print(&mut self, name: &str, cpu: Duration, quantiles: &[(&str, f64)]) {
        for (suffix, share) in quantiles {
            figure(&format!("{name}.{suffix}"), self.quantile(*share), "us");
        }
        figure(&format!("{name}.cpu"), ns(cpu) / self.len() as f64, "ns/op");
    }
}
