//! The `sealtrail` program. Everything is in the library's `cli`.

fn main() -> std::process::ExitCode {
    sealtrail::cli::main()
}
