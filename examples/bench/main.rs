//! The benchmark anyone can run: the real program over real sockets and files, each figure beside a reference measured in the
//! same run. `cargo run --release --example bench -- --help` explains the rows; `docs/PERFORMANCE.md` holds the tables.
//!
//! The executable is started again to be the server (see `program`), so that the server has a process of its own, with its own
//! memory, and can be stopped and killed.

mod answered;
mod args;
mod check;
mod context;
mod events;
mod figures;
mod http;
mod load;
mod machine;
mod program;
mod rows;
mod sealing;

use std::process::ExitCode;

use clap::Parser as _;

use args::Args;
use context::Bench;

/// What went wrong, in words.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let result = match std::env::var(program::AS).as_deref() {
        Ok(program::PROGRAM) => return program::be_program(),
        Ok(rows::OPENER) => rows::open_in_child(),
        _ => run(Args::parse()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("bench: {e}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> Fallible<()> {
    if cfg!(debug_assertions) {
        eprintln!("bench: built without optimisation, so the figures mean nothing: use --release");
    }
    let mut bench = Bench::new(args)?;
    bench.check_room()?;
    for row in bench.args.rows() {
        eprintln!("{}", row.title());
        rows::run(row, &mut bench)?;
    }
    bench.report()
}
