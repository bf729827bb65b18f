//! Whom the kernel ends when memory runs out: engines, and no process of the database.

use std::fs;

use ecommerce_ml_server_tests::jobs::{long, prepare, reach, submit};
use ecommerce_ml_server_tests::processes::{children_of, signal};
use ecommerce_ml_server_tests::{Cluster, ask, eventually};

/// What the kernel would go by: the process with the highest is ended first.
fn badness(pid: i32) -> i64 {
    read(pid, "oom_score")
}

fn read(pid: i32, file: &str) -> i64 {
    let content = fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
    content.trim().parse().unwrap_or_else(|_| panic!("process {pid} has no {file}"))
}

#[test]
fn engines_and_trainings_come_before_every_process_of_the_database() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    prepare(&cluster, &mut session, 200);
    let job = submit(&mut session, "learned", long());
    reach(&mut session, job, 1);
    // A session that takes much more memory than an engine.
    let mut greedy = cluster.session();
    let _: i32 = ask(
        &mut greedy,
        "SELECT length(array_to_string(array_agg(repeat('x', 1000)), '')) FROM generate_series(1, 400000)",
    );
    let ours = [cluster.engine(), cluster.trainers()[0]];
    for pid in ours {
        assert_eq!(read(pid, "oom_score_adj"), 1000);
    }
    let least = ours.map(badness).into_iter().min().expect("there are two");
    let postmaster = cluster.postmaster();
    let processes: Vec<i32> = children_of(postmaster).into_iter().chain([postmaster]).collect();
    assert!(processes.len() > 5, "{processes:?}");
    for pid in processes {
        assert_eq!(read(pid, "oom_score_adj"), read(postmaster, "oom_score_adj"));
        assert!(badness(pid) < least, "process {pid} would be ended before an engine");
    }
    let _: bool = ask(&mut session, &format!("SELECT ecommerce_ml.cancel_job({job}) IS NULL"));
}

/// Whoever ends it: the next one volunteers as well.
#[test]
fn the_next_engine_volunteers_too() {
    let cluster = Cluster::new();
    let mut session = cluster.session();
    let _: String = ask(&mut session, "SELECT ecommerce_ml.predict_sentiment('warm')");
    let first = cluster.engine();
    signal(first, libc::SIGKILL);
    eventually("another engine runs", || matches!(cluster.engines()[..], [pid] if pid != first));
    eventually("it volunteers", || read(cluster.engine(), "oom_score_adj") == 1000);
}
