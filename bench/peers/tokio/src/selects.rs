//! Workloads that wait on several channels. tokio::select! polls all of them and drops the futures
//! that lost, which kanal does not allow; SelectAll keeps the streams and polls those that were
//! woken. `biased` takes the first that is ready, always in the same order.

use crate::measure::{check, per_operation, warm, Stopwatch};
use crate::settings::Settings;
use crate::Workload;
use futures_util::stream::{SelectAll, StreamExt};
use kanal::bounded_async;
use std::future::Future;
use tokio::sync::mpsc;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload { name: "select_default_miss", by: "kanal", body: default_miss },
        Workload { name: "select_default_miss:mpsc", by: "", body: default_miss_by_mpsc },
        Workload {
            name: "select_2",
            by: "kanal's streams in SelectAll",
            body: |s| workload(s, "select_2", |n| select_all::<2>(n, 0)),
        },
        Workload {
            name: "select_2:select",
            by: "",
            body: |s| workload(s, "select_2", |n| select_2(n, 1)),
        },
        Workload {
            name: "select_2:biased",
            by: "",
            body: |s| workload(s, "select_2", |n| select_2_biased(n, 1)),
        },
        Workload {
            name: "select_2_buf128",
            by: "kanal's streams in SelectAll",
            body: |s| workload(s, "select_2_buf128", |n| select_all::<2>(n, 128)),
        },
        Workload {
            name: "select_2_buf128:select",
            by: "",
            body: |s| workload(s, "select_2_buf128", |n| select_2(n, 128)),
        },
        Workload {
            name: "select_2_buf128:biased",
            by: "",
            body: |s| workload(s, "select_2_buf128", |n| select_2_biased(n, 128)),
        },
        Workload {
            name: "select_8",
            by: "kanal's streams in SelectAll",
            body: |s| workload(s, "select_8", |n| select_all::<8>(n, 0)),
        },
        Workload {
            name: "select_8:select",
            by: "",
            body: |s| workload(s, "select_8", |n| select_8(n, 1)),
        },
        Workload {
            name: "select_8:biased",
            by: "",
            body: |s| workload(s, "select_8", |n| select_8_biased(n, 1)),
        },
        Workload {
            name: "select_8_buf128",
            by: "kanal's streams in SelectAll",
            body: |s| workload(s, "select_8_buf128", |n| select_all::<8>(n, 128)),
        },
        Workload {
            name: "select_8_buf128:select",
            by: "",
            body: |s| workload(s, "select_8_buf128", |n| select_8(n, 128)),
        },
        Workload {
            name: "select_8_buf128:biased",
            by: "",
            body: |s| workload(s, "select_8_buf128", |n| select_8_biased(n, 128)),
        },
    ]
}

fn default_miss(s: &Settings) {
    let n = s.scaled(10_000_000, 1);
    s.run(async move {
        let (_sender, receiver) = bounded_async::<usize>(1);
        let watch = Stopwatch::start();
        let misses = (0..n).filter(|_| receiver.try_recv().unwrap().is_none()).count();
        let (wall, cpu) = watch.read();
        per_operation("select_default_miss", wall, cpu, n, "ns/op");
        check(misses == n, "select: nothing was there");
    });
}

fn default_miss_by_mpsc(s: &Settings) {
    let n = s.scaled(10_000_000, 1);
    s.run(async move {
        let (_sender, mut receiver) = mpsc::channel::<usize>(1);
        let watch = Stopwatch::start();
        let misses = (0..n).filter(|_| receiver.try_recv().is_err()).count();
        let (wall, cpu) = watch.read();
        per_operation("select_default_miss", wall, cpu, n, "ns/op");
        check(misses == n, "select: nothing was there");
    });
}

fn workload<Fut>(s: &Settings, name: &'static str, work: fn(usize) -> Fut)
where
    Fut: Future<Output = ()> + Send + 'static,
{
    s.run(warm(name, s.scaled(2_000_000, 1), "ns/item", work));
}

fn check_sum(sum: usize, producers: usize, each: usize) {
    check(sum == producers * (each * (each - 1) / 2), "select: each number arrives once");
}

fn mpsc_producers<const N: usize>(each: usize, capacity: usize) -> [mpsc::Receiver<usize>; N] {
    std::array::from_fn(|_| {
        let (sender, receiver) = mpsc::channel(capacity);
        tokio::spawn(async move {
            for i in 0..each {
                sender.send(i).await.unwrap();
            }
        });
        receiver
    })
}

fn kanal_producers(count: usize, each: usize, capacity: usize) -> Vec<kanal::AsyncReceiver<usize>> {
    (0..count)
        .map(|_| {
            let (sender, receiver) = bounded_async(capacity);
            tokio::spawn(async move {
                for i in 0..each {
                    sender.send(i).await.unwrap();
                }
            });
            receiver
        })
        .collect()
}

async fn select_2(n: usize, capacity: usize) {
    let each = n / 2 + 1;
    let [mut a, mut b] = mpsc_producers(each, capacity);
    let mut sum = 0;
    for _ in 0..each * 2 {
        sum += tokio::select! {
            Some(i) = a.recv() => i,
            Some(i) = b.recv() => i,
        };
    }
    check_sum(sum, 2, each);
}

async fn select_2_biased(n: usize, capacity: usize) {
    let each = n / 2 + 1;
    let [mut a, mut b] = mpsc_producers(each, capacity);
    let mut sum = 0;
    for _ in 0..each * 2 {
        sum += tokio::select! {
            biased;
            Some(i) = a.recv() => i,
            Some(i) = b.recv() => i,
        };
    }
    check_sum(sum, 2, each);
}

async fn select_8(n: usize, capacity: usize) {
    let each = n / 8 + 1;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = mpsc_producers(each, capacity);
    let mut sum = 0;
    for _ in 0..each * 8 {
        sum += tokio::select! {
            Some(i) = a.recv() => i,
            Some(i) = b.recv() => i,
            Some(i) = c.recv() => i,
            Some(i) = d.recv() => i,
            Some(i) = e.recv() => i,
            Some(i) = f.recv() => i,
            Some(i) = g.recv() => i,
            Some(i) = h.recv() => i,
        };
    }
    check_sum(sum, 8, each);
}

async fn select_8_biased(n: usize, capacity: usize) {
    let each = n / 8 + 1;
    let [mut a, mut b, mut c, mut d, mut e, mut f, mut g, mut h] = mpsc_producers(each, capacity);
    let mut sum = 0;
    for _ in 0..each * 8 {
        sum += tokio::select! {
            biased;
            Some(i) = a.recv() => i,
            Some(i) = b.recv() => i,
            Some(i) = c.recv() => i,
            Some(i) = d.recv() => i,
            Some(i) = e.recv() => i,
            Some(i) = f.recv() => i,
            Some(i) = g.recv() => i,
            Some(i) = h.recv() => i,
        };
    }
    check_sum(sum, 8, each);
}

async fn select_all<const N: usize>(n: usize, capacity: usize) {
    let each = n / N + 1;
    let receivers = kanal_producers(N, each, capacity);
    let mut all: SelectAll<_> = receivers.iter().map(|r| r.stream()).collect();
    let mut sum = 0;
    while let Some(i) = all.next().await {
        sum += i;
    }
    check_sum(sum, N, each);
}
