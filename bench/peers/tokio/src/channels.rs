//! Workloads over channels: kanal's, which are faster than tokio's and have more than one receiver
//! and no buffer where that is asked for.

use crate::measure::{check, in_ms, warm, Stopwatch};
use crate::settings::Settings;
use crate::Workload;
use kanal::{bounded_async, AsyncReceiver, AsyncSender};
use tokio::sync::mpsc;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload {
            name: "chan_pingpong_unbuf",
            by: "kanal",
            body: |s| {
                let n = s.scaled(2_000_000, 2);
                s.run(warm("chan_pingpong_unbuf", n, "ns/hop", pingpong));
            },
        },
        Workload {
            name: "chan_pingpong_unbuf:mpsc",
            by: "",
            body: |s| {
                let n = s.scaled(2_000_000, 2);
                s.run(warm("chan_pingpong_unbuf", n, "ns/hop", pingpong_by_mpsc));
            },
        },
        Workload {
            name: "chan_buf128_spsc",
            by: "kanal",
            body: |s| by_kanal::workload(s, "chan_buf128_spsc", 128, 5_000_000, 1),
        },
        Workload {
            name: "chan_buf128_spsc:mpsc",
            by: "",
            body: |s| flow_by_mpsc_workload(s, "chan_buf128_spsc", 128, 5_000_000),
        },
        Workload {
            name: "chan_buf128_spsc:async_channel",
            by: "",
            body: |s| by_async_channel::workload(s, "chan_buf128_spsc", 128, 5_000_000, 1),
        },
        Workload {
            name: "chan_buf128_spsc:crossfire",
            by: "",
            body: |s| by_crossfire_spsc::workload(s, "chan_buf128_spsc", 128, 5_000_000, 1),
        },
        Workload {
            name: "chan_buf128_spsc:flume",
            by: "",
            body: |s| by_flume::workload(s, "chan_buf128_spsc", 128, 5_000_000, 1),
        },
        Workload {
            name: "chan_buf128_mpmc",
            by: "kanal",
            body: |s| by_kanal::workload(s, "chan_buf128_mpmc", 128, 5_000_000, 8),
        },
        Workload {
            name: "chan_buf128_mpmc:async_channel",
            by: "",
            body: |s| by_async_channel::workload(s, "chan_buf128_mpmc", 128, 5_000_000, 8),
        },
        Workload {
            name: "chan_buf128_mpmc:crossfire",
            by: "",
            body: |s| by_crossfire::workload(s, "chan_buf128_mpmc", 128, 5_000_000, 8),
        },
        Workload {
            name: "chan_buf128_mpmc:flume",
            by: "",
            body: |s| by_flume::workload(s, "chan_buf128_mpmc", 128, 5_000_000, 8),
        },
        Workload {
            name: "chan_unbuf_spsc",
            by: "kanal",
            body: |s| by_kanal::workload(s, "chan_unbuf_spsc", 0, 2_000_000, 1),
        },
        Workload {
            name: "chan_unbuf_spsc:mpsc",
            by: "",
            body: |s| flow_by_mpsc_workload(s, "chan_unbuf_spsc", 1, 2_000_000),
        },
        Workload {
            name: "chan_unbuf_spsc:crossfire",
            by: "",
            body: |s| by_crossfire_spsc::workload(s, "chan_unbuf_spsc", 1, 2_000_000, 1),
        },
        Workload {
            name: "chan_unbuf_spsc:flume",
            by: "",
            body: |s| by_flume::workload(s, "chan_unbuf_spsc", 0, 2_000_000, 1),
        },
        Workload {
            name: "chan_unbuf_mpmc",
            by: "kanal",
            body: |s| by_kanal::workload(s, "chan_unbuf_mpmc", 0, 2_000_000, 8),
        },
        Workload {
            name: "chan_unbuf_mpmc:async_channel",
            by: "",
            body: |s| by_async_channel::workload(s, "chan_unbuf_mpmc", 1, 2_000_000, 8),
        },
        Workload {
            name: "chan_unbuf_mpmc:crossfire",
            by: "",
            body: |s| by_crossfire::workload(s, "chan_unbuf_mpmc", 1, 2_000_000, 8),
        },
        Workload {
            name: "chan_unbuf_mpmc:flume",
            by: "",
            body: |s| by_flume::workload(s, "chan_unbuf_mpmc", 0, 2_000_000, 8),
        },
        Workload {
            name: "chan_uncontended",
            by: "kanal",
            body: |s| {
                let n = s.scaled(10_000_000, 1);
                s.run(warm("chan_uncontended", n, "ns/pair", |n| async move {
                    let (sender, receiver) = bounded_async(1);
                    let mut sum = 0;
                    for i in 0..n {
                        sender.send(i).await.unwrap();
                        sum += receiver.recv().await.unwrap();
                    }
                    check(sum == n * (n - 1) / 2, "uncontended: what was sent");
                }));
            },
        },
        Workload {
            name: "chan_uncontended:mpsc",
            by: "",
            body: |s| {
                let n = s.scaled(10_000_000, 1);
                s.run(warm("chan_uncontended", n, "ns/pair", |n| async move {
                    let (sender, mut receiver) = mpsc::channel(1);
                    let mut sum = 0;
                    for i in 0..n {
                        sender.send(i).await.unwrap();
                        sum += receiver.recv().await.unwrap();
                    }
                    check(sum == n * (n - 1) / 2, "uncontended: what was sent");
                }));
            },
        },
        Workload { name: "sieve", by: "kanal", body: sieve },
        Workload {
            name: "threadring",
            by: "kanal",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(warm("threadring", n, "ns/hop", threadring));
            },
        },
        Workload {
            name: "threadring:mpsc",
            by: "",
            body: |s| {
                let n = s.scaled(1_000_000, 1);
                s.run(warm("threadring", n, "ns/hop", threadring_by_mpsc));
            },
        },
    ]
}

async fn pingpong(n: usize) {
    let (there, received) = bounded_async(0);
    let (answer, back) = bounded_async(0);
    let rounds = n / 2;
    let other = tokio::spawn(async move {
        while let Ok(i) = received.recv().await {
            answer.send(i + 1).await.unwrap();
        }
    });
    let mut last = 0;
    for _ in 0..rounds {
        there.send(last).await.unwrap();
        last = back.recv().await.unwrap();
    }
    drop(there);
    other.await.unwrap();
    check(last == rounds, "pingpong: each hop once");
}

async fn pingpong_by_mpsc(n: usize) {
    let (there, mut received) = mpsc::channel(1);
    let (answer, mut back) = mpsc::channel(1);
    let rounds = n / 2;
    let other = tokio::spawn(async move {
        while let Some(i) = received.recv().await {
            answer.send(i + 1).await.unwrap();
        }
    });
    let mut last = 0;
    for _ in 0..rounds {
        there.send(last).await.unwrap();
        last = back.recv().await.unwrap();
    }
    drop(there);
    other.await.unwrap();
    check(last == rounds, "pingpong: each hop once");
}

/// A module whose `flow` has `pairs` producers send `n` numbers in all to as many consumers, over the
/// channels of one library, which all look alike.
macro_rules! flow_by {
    ($library:ident, $make:expr, $send:ident, $recv:ident) => {
        mod $library {
            use super::*;

            pub async fn flow(capacity: usize, n: usize, pairs: usize) {
                let (sender, receiver) = $make(capacity);
                for p in 0..pairs {
                    let sender = sender.clone();
                    tokio::spawn(async move {
                        for i in n * p / pairs..n * (p + 1) / pairs {
                            sender.$send(i).await.unwrap();
                        }
                    });
                }
                drop(sender);
                let consumers: Vec<_> = (0..pairs)
                    .map(|_| {
                        let receiver = receiver.clone();
                        tokio::spawn(async move {
                            let mut sum = 0;
                            while let Ok(i) = receiver.$recv().await {
                                sum += i;
                            }
                            sum
                        })
                    })
                    .collect();
                let mut sum = 0;
                for consumer in consumers {
                    sum += consumer.await.unwrap();
                }
                check(sum == n * (n - 1) / 2, "channels: each number arrives once");
            }

            pub fn workload(
                s: &Settings,
                name: &'static str,
                capacity: usize,
                n: usize,
                pairs: usize,
            ) {
                let n = s.scaled(n, 1);
                s.run(warm(name, n, "ns/item", move |n| flow(capacity, n, pairs)));
            }
        }
    };
}

flow_by!(by_kanal, bounded_async::<usize>, send, recv);
flow_by!(by_async_channel, async_channel::bounded::<usize>, send, recv);
flow_by!(by_crossfire, crossfire::mpmc::bounded_async::<usize>, send, recv);
flow_by!(by_flume, flume::bounded::<usize>, send_async, recv_async);

/// Its channels for one sender and one receiver cannot be cloned.
mod by_crossfire_spsc {
    use super::*;

    async fn flow(capacity: usize, n: usize) {
        let (sender, receiver) = crossfire::spsc::bounded_async::<usize>(capacity);
        tokio::spawn(async move {
            for i in 0..n {
                sender.send(i).await.unwrap();
            }
        });
        let consumer = tokio::spawn(async move {
            let mut sum = 0;
            while let Ok(i) = receiver.recv().await {
                sum += i;
            }
            sum
        });
        check(consumer.await.unwrap() == n * (n - 1) / 2, "channels: each number arrives once");
    }

    pub fn workload(s: &Settings, name: &'static str, capacity: usize, n: usize, _: usize) {
        let n = s.scaled(n, 1);
        s.run(warm(name, n, "ns/item", move |n| flow(capacity, n)));
    }
}

async fn flow_by_mpsc(capacity: usize, n: usize) {
    let (sender, mut receiver) = mpsc::channel(capacity);
    tokio::spawn(async move {
        for i in 0..n {
            sender.send(i).await.unwrap();
        }
    });
    let consumer = tokio::spawn(async move {
        let mut sum = 0;
        while let Some(i) = receiver.recv().await {
            sum += i;
        }
        sum
    });
    check(consumer.await.unwrap() == n * (n - 1) / 2, "channels: each number arrives once");
}

fn flow_by_mpsc_workload(s: &Settings, name: &'static str, capacity: usize, n: usize) {
    let n = s.scaled(n, 1);
    s.run(warm(name, n, "ns/item", move |n| flow_by_mpsc(capacity, n)));
}

/// Passes on what is no multiple of the first number it got.
async fn filter(input: AsyncReceiver<usize>, output: AsyncSender<usize>, prime: usize) {
    while let Ok(i) = input.recv().await {
        if i % prime != 0 && output.send(i).await.is_err() {
            return;
        }
    }
}

async fn nth_prime(n: usize) -> usize {
    let (first, mut ch) = bounded_async(0);
    tokio::spawn(async move {
        let mut i = 2;
        while first.send(i).await.is_ok() {
            i += 1;
        }
    });
    let mut prime = 0;
    for _ in 0..n {
        prime = ch.recv().await.unwrap();
        let (output, next) = bounded_async(0);
        tokio::spawn(filter(ch, output, prime));
        ch = next;
    }
    prime
}

fn sieve(s: &Settings) {
    let n = s.scaled(2_000, 1);
    s.run(async move {
        let watch = Stopwatch::start();
        let prime = nth_prime(n).await;
        let (wall, cpu) = watch.read();
        in_ms("sieve", wall, cpu);
        check(n != 2_000 || prime == 17_389, "sieve: the 2000th prime");
        let divides = |i: &usize| prime % i == 0;
        check(
            prime > 1 && !(2..prime).take_while(|i| i * i <= prime).any(|i| divides(&i)),
            "prime",
        );
    });
}

const RING: usize = 503;

async fn threadring(n: usize) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..RING).map(|_| bounded_async(0)).unzip();
    let (ended, end) = bounded_async(0);
    let handles: Vec<_> = receivers
        .into_iter()
        .enumerate()
        .map(|(place, input)| {
            let (output, ended) = (senders[(place + 1) % RING].clone(), ended.clone());
            tokio::spawn(async move {
                while let Ok(left) = input.recv().await {
                    if left == 0 {
                        ended.send(place).await.unwrap();
                    } else {
                        output.send(left - 1).await.unwrap();
                    }
                }
            })
        })
        .collect();
    senders[0].send(n).await.unwrap();
    let last = end.recv().await.unwrap();
    for sender in &senders {
        sender.close().unwrap();
    }
    for handle in handles {
        handle.await.unwrap();
    }
    check(last == n % RING, "threadring: who has it last");
}

async fn threadring_by_mpsc(n: usize) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..RING).map(|_| mpsc::channel(1)).unzip();
    let (ended, mut end) = mpsc::channel(1);
    for (place, mut input) in receivers.into_iter().enumerate() {
        let (output, ended) = (senders[(place + 1) % RING].clone(), ended.clone());
        tokio::spawn(async move {
            while let Some(left) = input.recv().await {
                if left == 0 {
                    return ended.send(place).await.unwrap();
                }
                if output.send(left - 1).await.is_err() {
                    return;
                }
            }
        });
    }
    senders[0].send(n).await.unwrap();
    check(end.recv().await.unwrap() == n % RING, "threadring: who has it last");
}
