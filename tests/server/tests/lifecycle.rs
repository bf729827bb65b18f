//! The engine's life: one at a time, there when needed, gone with the server.

use std::fs;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use ecommerce_ml_server_tests::installation::{as_server, give_to_server, server_program};
use ecommerce_ml_server_tests::processes::{is_alive, signal};
use ecommerce_ml_server_tests::statement::run;
use ecommerce_ml_server_tests::{Cluster, Shutdown, ask, eventually, fails_with, predict};

const PRELOADED: &str = "shared_preload_libraries = 'ecommerce_ml'";

#[test]
fn many_first_sessions_start_exactly_one_engine() {
    let cluster = Cluster::new();
    let at_once = Barrier::new(20);
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut most = 0;
            while !done.load(Ordering::Relaxed) {
                most = most.max(cluster.engines().len());
                thread::sleep(Duration::from_millis(5));
            }
            most
        });
        let sessions: Vec<_> = (0..20)
            .map(|_| {
                scope.spawn(|| {
                    let mut session = cluster.session();
                    at_once.wait();
                    predict(&mut session);
                })
            })
            .collect();
        let results: Vec<_> = sessions.into_iter().map(|session| session.join()).collect();
        done.store(true, Ordering::Relaxed);
        assert!(results.iter().all(Result::is_ok), "every first session is served");
        assert_eq!(watch.join().expect("watching can't fail"), 1);
    });
    assert_eq!(cluster.supervisors().len(), 1);
    assert_eq!(cluster.log().matches("FATAL").count(), 0, "{}", cluster.log());
}

#[test]
fn without_preloading_nothing_runs_before_the_first_call() {
    let cluster = Cluster::new();
    assert!(cluster.engines().is_empty());
    assert!(cluster.supervisors().is_empty());
    let mut session = cluster.session();
    assert_eq!(ask::<String>(&mut session, "SELECT state FROM ecommerce_ml.stat_engine"), "stopped");
    assert!(cluster.engines().is_empty(), "looking at the statistics starts no engine");
    predict(&mut session);
    cluster.engine();
}

#[test]
fn with_preloading_the_engine_starts_with_the_server() {
    let cluster = Cluster::with_settings(&[PRELOADED]);
    eventually("the engine runs", || cluster.engines().len() == 1);
    assert_eq!(cluster.supervisors().len(), 1);
    predict(&mut cluster.session());
    assert_eq!(cluster.engines().len(), 1);
}

#[test]
fn a_restarted_cluster_predicts_again() {
    let cluster = Cluster::new();
    predict(&mut cluster.session());
    let first = cluster.engine();
    cluster.restart();
    predict(&mut cluster.session());
    assert_ne!(cluster.engine(), first);
    assert!(!is_alive(first));
}

#[test]
fn no_shutdown_leaves_an_engine_behind() {
    for settings in [&[][..], &[PRELOADED]] {
        let cluster = Cluster::with_settings(settings);
        for how in [Shutdown::Smart, Shutdown::Fast, Shutdown::Immediate] {
            predict(&mut cluster.session());
            let engine = cluster.engine();
            cluster.stop(how);
            eventually("the engine has ended", || !is_alive(engine));
            assert!(cluster.engines().is_empty(), "{how:?}");
            cluster.start();
        }
    }
}

#[test]
fn a_fast_shutdown_does_not_wait_for_long_calls() {
    let cluster = Cluster::new();
    predict(&mut cluster.session());
    let mut session = cluster.session();
    thread::scope(|scope| {
        let rows =
            "SELECT count(ecommerce_ml.predict_rating('row ' || i)) FROM generate_series(1, 10000000) AS i";
        let long = scope.spawn(|| fails_with(&mut session, rows, "57P01"));
        thread::sleep(Duration::from_millis(500));
        cluster.stop(Shutdown::Fast);
        long.join().expect("the session is told why");
    });
    eventually("the engine has ended", || cluster.engines().is_empty());
}

#[test]
fn a_killed_postmaster_takes_the_engine_with_it() {
    let cluster = Cluster::new();
    predict(&mut cluster.session());
    let postmaster = cluster.postmaster();
    signal(postmaster, libc::SIGKILL);
    eventually("the engine has ended", || cluster.engines().is_empty());
    eventually("the postmaster has ended", || !is_alive(postmaster));
    eventually("the cluster starts again", || {
        // Its shared memory is in use until the last server process has noticed.
        thread::sleep(Duration::from_millis(200));
        std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| cluster.start())).is_ok()
    });
    predict(&mut cluster.session());
}

#[test]
fn an_idle_engine_ends_and_returns() {
    for settings in [
        &["ecommerce_ml.engine_idle_timeout = '1s'"][..],
        &["ecommerce_ml.engine_idle_timeout = '1s'", PRELOADED],
    ] {
        let cluster = Cluster::with_settings(settings);
        let mut session = cluster.session();
        for _ in 0..2 {
            predict(&mut session);
            eventually("the idle engine has ended", || cluster.engines().is_empty());
            eventually("its supervisor has ended", || cluster.supervisors().is_empty());
        }
        predict(&mut session);
        assert!(!cluster.log().contains("WARNING"), "being idle is nothing to warn of\n{}", cluster.log());
    }
}

#[test]
fn calls_at_the_moment_of_idleness_are_answered() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.engine_idle_timeout = '1s'"]);
    let mut session = cluster.session();
    for step in 0..12 {
        predict(&mut session);
        thread::sleep(Duration::from_millis(940 + 10 * step));
    }
    assert!(!cluster.log().contains("WARNING"), "{}", cluster.log());
}

#[test]
fn new_settings_bring_a_new_engine() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    predict(&mut session);
    let first = cluster.engine();
    cluster.configure(&["ecommerce_ml.engine_threads = 1", "ecommerce_ml.engine_nice = 5"]);
    cluster.reload();
    eventually("another engine runs", || matches!(cluster.engines()[..], [pid] if pid != first));
    predict(&mut session);
    assert_eq!(ask::<i32>(&mut session, "SELECT threads::int FROM ecommerce_ml.stat_engine"), 1);
    let stat = fs::read_to_string(format!("/proc/{}/stat", cluster.engine())).expect("the engine runs");
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    assert_eq!(after_name.split_whitespace().nth(16), Some("5"), "niceness: {stat}");
}

#[test]
fn the_runtime_folder_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let cluster = Cluster::new();
    predict(&mut cluster.session());
    let folder = cluster.data().join("pgsql_tmp_ecommerce_ml");
    let mode = fs::metadata(&folder).expect("the folder is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[test]
fn leftovers_of_a_crash_do_not_matter() {
    let cluster = Cluster::new();
    predict(&mut cluster.session());
    cluster.stop(Shutdown::Immediate);
    let folder = cluster.folder("data/pgsql_tmp_ecommerce_ml");
    fs::write(folder.join("engine.lock"), "1\n0.1.0/1\n").expect("the file can be written");
    let _ = fs::remove_file(folder.join("engine.sock"));
    fs::write(folder.join("engine.sock"), "not a socket").expect("the file can be written");
    give_to_server(&folder);
    cluster.start();
    predict(&mut cluster.session());
}

#[test]
fn a_supervisor_of_another_build_is_replaced() {
    let cluster = Cluster::new();
    let folder = cluster.folder("data/pgsql_tmp_ecommerce_ml");
    let mut foreigner = start_foreign_supervisor(&cluster, &folder);
    eventually("the foreigner is in office", || {
        fs::read_to_string(folder.join("engine.lock")).is_ok_and(|lock| lock.contains("foreign"))
    });
    predict(&mut cluster.session());
    eventually("the foreigner has ended", || foreigner.try_wait().is_ok_and(|status| status.is_some()));
    assert_eq!(cluster.supervisors().len(), 1);
    assert_eq!(cluster.engines().len(), 1);
}

/// Starts it from a copy that the server's user can reach, with the server's rights.
fn start_foreign_supervisor(cluster: &Cluster, folder: &Path) -> Child {
    let program = cluster.folder("bin").join("foreign_supervisor");
    fs::copy(env!("CARGO_BIN_EXE_foreign_supervisor"), &program).expect("the program can be copied");
    give_to_server(&program);
    as_server(Command::new(program)).arg(folder).spawn().expect("the program can be run")
}

#[test]
fn a_missing_worker_slot_is_an_error_with_a_hint() {
    let cluster = Cluster::with_settings(&["max_worker_processes = 0"]);
    let mut session = cluster.session();
    let error = fails_with(&mut session, "SELECT ecommerce_ml.predict_sentiment('hello')", "53400");
    assert!(error.hint().is_some_and(|hint| hint.contains("max_worker_processes")), "{error:?}");
    run(&mut session, "SELECT 1");
}

#[test]
fn an_engine_that_cannot_start_is_given_up() {
    let cluster = Cluster::with_settings(&["ecommerce_ml.device = 'cuda:63'"]);
    let mut session = cluster.session();
    let error =
        session.batch_execute("SELECT ecommerce_ml.predict_sentiment('hello')").expect_err("no such device");
    let code = error.code().map(|code| code.code().to_owned()).unwrap_or_default();
    assert!(["55000", "0A000"].contains(&code.as_str()), "{error:?}");
    run(&mut session, "SELECT 1");
}

/// Statements that workers of the server would serve, where there are none.
const SINGLE_USER: &str = "SELECT ecommerce_ml.predict_sentiment('hello')
SELECT state FROM ecommerce_ml.stat_engine
SELECT ecommerce_ml.train_model('m', 'pg_class', 'relname', 'relkind')
";

#[test]
fn single_user_mode_says_that_it_has_no_workers() {
    for settings in [&[][..], &[PRELOADED]] {
        let cluster = Cluster::with_settings(settings);
        cluster.stop(Shutdown::Fast);
        let said = single_user(&cluster, SINGLE_USER);
        let message = "could not start the engine: there are no background workers in single-user mode";
        assert_eq!(said.matches(message).count(), 2, "{said}");
        assert!(said.contains("HINT:  Start the server") && said.contains("\"stopped\""), "{said}");
        assert!(!said.contains("max_worker_processes"), "{said}");
        cluster.start();
    }
}

/// What the server says to statements, a line each, in single-user mode.
fn single_user(cluster: &Cluster, statements: &str) -> String {
    use std::io::Write;
    use std::process::Stdio;
    let mut server = server_program("postgres");
    server.args(["--single", "-D"]).arg(cluster.data()).arg("postgres");
    let piped = server.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
    let mut server = piped.expect("the server can be run");
    let input = server.stdin.take().map(|mut input| input.write_all(statements.as_bytes()));
    assert!(input.is_some_and(|written| written.is_ok()));
    let output = server.wait_with_output().expect("the server ends with its input");
    String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned()
}
