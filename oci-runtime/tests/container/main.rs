//! Real containers: the root is made of this very executable and the shared objects it has loaded, so that nothing
//! needs to be installed. Inside it is called `/probe` and says what it sees.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

mod allocator;
mod escape;
mod failure;
mod filters;
mod killed;
mod life;
mod limits;
mod probe;
mod root;
mod sees;
mod threads;
mod volumes;

use std::process::ExitCode;

use root::House;

/// A named check.
pub(crate) type Check = (&'static str, fn(&House));

fn main() -> ExitCode {
    allocator::remember_process();
    let args: Vec<String> = std::env::args().collect();
    if args.first().is_some_and(|name| name == "/probe") {
        return probe::run(&args[1..]);
    }
    if args.get(1).is_some_and(|arg| arg == "--other-process") {
        return life::other_process(&args[2..]);
    }
    if args.get(1).is_some_and(|arg| arg == "--make-many") {
        return killed::make_many(&args[2..]);
    }
    let checks: Vec<Check> = [
        sees::CHECKS,
        limits::CHECKS,
        volumes::CHECKS,
        life::CHECKS,
        killed::CHECKS,
        failure::CHECKS,
        filters::CHECKS,
        escape::CHECKS,
        threads::CHECKS,
    ]
    .concat();
    if args.iter().any(|arg| arg == "--list") {
        checks.iter().for_each(|(name, _)| println!("{name}: test"));
        return ExitCode::SUCCESS;
    }
    let exact = args.iter().any(|arg| arg == "--exact");
    let filter = args.iter().skip(1).find(|arg| !arg.starts_with("--"));
    let wanted = |name: &str| match filter {
        Some(filter) if exact => name == filter,
        Some(filter) => name.contains(filter.as_str()),
        None => true,
    };
    let house = House::build();
    let (mut passed, mut failed) = (0, 0);
    println!("\nrunning {} tests", checks.iter().filter(|(name, _)| wanted(name)).count());
    for (name, check) in checks {
        if !wanted(name) {
            continue;
        }
        if let Some(reason) = &house.impossible {
            eprintln!("SKIP {name}: needs {reason}");
            passed += 1;
            continue;
        }
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| check(&house))) {
            Ok(()) => {
                println!("test {name} ... ok");
                passed += 1;
            }
            Err(_) => {
                println!("test {name} ... FAILED");
                failed += 1;
            }
        }
    }
    let verdict = if failed == 0 { "ok" } else { "FAILED" };
    println!(
        "\ntest result: {verdict}. {passed} passed; {failed} failed; 0 ignored; 0 measured; 0 filtered out\n"
    );
    ExitCode::from(u8::from(failed > 0))
}
