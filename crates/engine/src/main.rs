//! The program `ecommerce_ml_engine`: each mode is a function of the library.

#![forbid(unsafe_code)]

use std::process::ExitCode;
use std::{env, io};

use ecommerce_ml_engine::cli::{self, Command, HELP};
use ecommerce_ml_engine::{bench, predict, process, serve, train};
use ecommerce_ml_log::note;
use ecommerce_ml_protocol::EngineError;

/// Exit status for arguments that can't be understood.
const USAGE: u8 = 2;

fn main() -> ExitCode {
    match cli::parse(env::args_os().skip(1)) {
        Ok(command) => run(command).map_or_else(failed, |()| ExitCode::SUCCESS),
        Err(error) => {
            note(&error.to_string());
            ExitCode::from(USAGE)
        }
    }
}

fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Serve(options) => {
            process::use_threads(options.compute.threads).map_err(|error| error.to_string())?;
            serve::serve(options).map_err(|error| error.to_string())
        }
        Command::Predict(options) => {
            process::use_threads(options.compute.threads).map_err(|error| error.to_string())?;
            let output = io::BufWriter::new(io::stdout().lock());
            predict::predict(&options, io::stdin().lock(), output).map_err(in_full)
        }
        Command::Train(options) => {
            process::use_threads(options.compute.threads).map_err(|error| error.to_string())?;
            train::run(options).map_err(|error| error.to_string())
        }
        Command::Bench(options) => {
            process::use_threads(options.compute.threads).map_err(|error| error.to_string())?;
            bench::bench(&options, io::stdin().lock(), io::stdout().lock()).map_err(in_full)
        }
        Command::Help => show(HELP),
        Command::Version => show(concat!("ecommerce_ml_engine ", env!("CARGO_PKG_VERSION"), "\n")),
    }
}

fn show(text: &str) -> Result<(), String> {
    io::Write::write_all(&mut io::stdout(), text.as_bytes()).map_err(|error| error.to_string())
}

fn failed(message: String) -> ExitCode {
    note(&message);
    ExitCode::FAILURE
}

/// An error with all that there is to say of it.
fn in_full(error: EngineError) -> String {
    let more = error.detail.iter().chain(&error.hint).map(|sentence| format!(" {sentence}"));
    format!("{}.{}", error.message, more.collect::<String>())
}
