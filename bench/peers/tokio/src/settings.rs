//! What the command line says, and the runtime that it asks for.

use std::future::Future;
use std::time::Duration;
use tokio::runtime::Builder;

pub struct Settings {
    pub procs: usize,
    pub scale: f64,
    pub address: String,
}

pub fn fail(status: i32, what: &str) -> ! {
    eprintln!("bench: {what}");
    std::process::exit(status);
}

impl Settings {
    pub fn parse(options: &[String]) -> Settings {
        let mut settings = Settings {
            procs: std::thread::available_parallelism().map_or(1, |n| n.get()),
            scale: 1.0,
            address: "127.0.0.1:0".into(),
        };
        let wrong = |option: &str| -> ! {
            fail(2, &format!("{option:?}: there are -procs N, -scale F and -addr A"))
        };
        for option in options.chunks(2) {
            let [name, value] = option else { wrong(&option[0]) };
            match name.as_str() {
                "-procs" => settings.procs = value.parse().unwrap_or_else(|_| wrong(name)),
                "-scale" => settings.scale = value.parse().unwrap_or_else(|_| wrong(name)),
                "-addr" => settings.address = value.clone(),
                _ => wrong(name),
            }
        }
        if settings.procs < 1 || settings.scale <= 0.0 {
            wrong("-procs or -scale");
        }
        settings
    }

    /// `n` operations at scale 1, at least `least`.
    pub fn scaled(&self, n: usize, least: usize) -> usize {
        ((n as f64 * self.scale).round() as usize).max(least)
    }

    pub fn seconds(&self, n: f64) -> Duration {
        Duration::from_secs_f64((n * self.scale).max(0.02))
    }

    /// Runs `body` as a task: of the runtime for one thread, which needs no locks between its
    /// tasks, or of as many workers as there are processors.
    pub fn run(&self, body: impl Future<Output = ()> + Send + 'static) {
        let mut builder = match self.procs {
            1 => Builder::new_current_thread(),
            n => {
                let mut builder = Builder::new_multi_thread();
                builder.worker_threads(n);
                builder
            }
        };
        let runtime = builder.enable_all().build().expect("a runtime");
        // What block_on itself is given runs beside the workers and is woken in a slower way.
        runtime.block_on(async { tokio::spawn(body).await.expect("the workload ends") });
        runtime.shutdown_background();
    }
}
