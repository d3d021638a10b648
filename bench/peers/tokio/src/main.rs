//! Tokio's side of the benchmark suite: `NAME [-procs N] [-scale F]` runs one workload and prints
//! its figures; `list` prints the names, `alternatives` those of the same work done in another
//! obvious way, as `NAME:HOW`, which show that the way taken is no slower; `choices` says which way
//! was taken where there are several.

mod cancel;
mod channels;
mod echo;
mod locks;
mod measure;
mod memory;
mod selects;
mod settings;
mod spawn;
mod timers;

use settings::{fail, Settings};

/// The tasks are small and many: what a program of this kind is linked with.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

pub struct Workload {
    pub name: &'static str,
    /// Which of several libraries or ways it takes; empty where there is only one.
    pub by: &'static str,
    pub body: fn(&Settings),
}

fn workloads() -> Vec<Workload> {
    let mut all = spawn::workloads();
    all.extend(channels::workloads());
    all.extend(selects::workloads());
    all.extend(locks::workloads());
    all.extend(timers::workloads());
    all.extend(cancel::workloads());
    all.extend(memory::workloads());
    all.extend(echo::workloads());
    all.sort_by_key(|w| w.name);
    all
}

fn print(workloads: &[Workload], alternatives: bool) {
    for w in workloads.iter().filter(|w| w.name.contains(':') == alternatives) {
        println!("{}", w.name);
    }
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let Some((name, options)) = arguments.split_first() else {
        fail(2, "usage: NAME|list|alternatives|choices [-procs N] [-scale F] [-addr A]");
    };
    let settings = Settings::parse(options);
    // Its documentation asks for it, where there may be few processors.
    crossfire::detect_backoff_cfg();
    let all = workloads();
    match name.as_str() {
        "list" => print(&all, false),
        "alternatives" => print(&all, true),
        "choices" => {
            for w in all.iter().filter(|w| !w.by.is_empty()) {
                println!("{}\t{}", w.name, w.by);
            }
        }
        _ => match all.iter().find(|w| w.name == name) {
            Some(workload) => (workload.body)(&settings),
            None => fail(2, &format!("no workload {name:?}; `list` names them")),
        },
    }
}
