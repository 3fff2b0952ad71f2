//! `eve`: the edge node of EVE Vault. All is in the library.

fn main() -> std::process::ExitCode {
    match eve::cli::main() {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("eve: {}", vault::text::plain_lines(&format!("{error:#}")));
            std::process::ExitCode::FAILURE
        }
    }
}
