fn main() -> std::process::ExitCode {
    ocellus::app::cli::main()
}
