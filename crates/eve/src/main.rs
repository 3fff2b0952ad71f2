//! `eve`: the edge node of EVE Vault. All is in the library.

fn main() -> std::process::ExitCode {
    eve::cli::main()
}
