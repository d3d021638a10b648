//! Workloads over cancellation. Contexts with values have no counterpart here.

use crate::measure::{check, per_operation, warm_now, Stopwatch};
use crate::settings::Settings;
use crate::timers::{run_beside_timer, HOUR};
use crate::Workload;
use std::future::Future;
use std::pin::pin;
use std::task::Poll;
use std::time::Duration;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

pub fn workloads() -> Vec<Workload> {
    vec![
        Workload { name: "ctx_withcancel", by: "CancellationToken", body: with_cancel },
        Workload { name: "ctx_tree_cancel", by: "CancellationToken", body: tree_cancel },
        Workload {
            name: "ctx_withtimeout",
            by: "timeout around CancellationToken",
            body: with_timeout,
        },
    ]
}

fn create_and_cancel(name: &str, n: usize, create: impl Fn() -> CancellationToken) {
    warm_now(name, n, "ns/op", |n| {
        for i in 0..n {
            let token = create();
            token.cancel();
            if i == 0 {
                check(token.is_cancelled(), "token: it is cancelled");
            }
        }
    });
}

fn with_cancel(s: &Settings) {
    let n = s.scaled(2_000_000, 1);
    s.run(async move {
        create_and_cancel("ctx_withcancel", n, CancellationToken::new);
        let parent = CancellationToken::new();
        create_and_cancel("ctx_withcancel_child", n, || parent.child_token());
    });
}

fn tree_cancel(s: &Settings) {
    const CHILDREN: usize = 10_000;
    let rounds = s.scaled(100, 2);
    s.run(async move {
        let (mut wall, mut cpu) = (Duration::ZERO, Duration::ZERO);
        for _ in 0..rounds {
            let root = CancellationToken::new();
            let children: Vec<_> = (0..CHILDREN).map(|_| root.child_token()).collect();
            let watch = Stopwatch::start();
            root.cancel();
            let (round_wall, round_cpu) = watch.read();
            wall += round_wall;
            cpu += round_cpu;
            check(children.iter().all(|c| c.is_cancelled()), "token: the child is cancelled");
        }
        per_operation("ctx_tree_cancel", wall, cpu, rounds * CHILDREN, "ns/op");
    });
}

/// The timer is in the wheel from the first poll on.
fn with_timeout(s: &Settings) {
    let n = s.scaled(1_000_000, 1);
    run_beside_timer(s, move |cx| {
        warm_now("ctx_withtimeout", n, "ns/op", |n| {
            for _ in 0..n {
                let token = CancellationToken::new();
                let mut waits = pin!(timeout(HOUR, token.cancelled()));
                let pending = waits.as_mut().poll(cx).is_pending();
                token.cancel();
                let ready = matches!(waits.as_mut().poll(cx), Poll::Ready(Ok(())));
                check(pending && ready, "timeout: it was cancelled");
            }
        });
    });
}
