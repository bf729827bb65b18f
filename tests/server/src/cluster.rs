//! A PostgreSQL cluster of one's own: no network, no fsync, removed when dropped.

use std::fs::{self, Permissions};
use std::io::{Read, Seek};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use postgres::{Client, Config, NoTls};
use tempfile::TempDir;

use crate::installation::{as_server, give_to_server, installation_with_engine, output, server_program};
use crate::processes;
use crate::statement::run;

const SUPERUSER: &str = "postgres";

/// How to stop a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shutdown {
    /// Wait for sessions to end.
    Smart,
    /// End sessions.
    Fast,
    /// End everything without a checkpoint.
    Immediate,
}

impl Shutdown {
    fn as_str(self) -> &'static str {
        match self {
            Shutdown::Smart => "smart",
            Shutdown::Fast => "fast",
            Shutdown::Immediate => "immediate",
        }
    }
}

/// A cluster. Its server is stopped and its files are removed when this is dropped.
pub struct Cluster {
    /// Holds the data directory, the socket, the log; short, as a socket's path must be.
    base: TempDir,
    /// Where the server's programs are, unless they are those of the installation under test.
    programs: Option<PathBuf>,
}

impl Cluster {
    /// A running cluster whose database `postgres` has the extension.
    pub fn new() -> Self {
        Self::with_settings(&[])
    }

    /// As [`new`](Self::new), with lines added to the configuration.
    pub fn with_settings(settings: &[&str]) -> Self {
        let cluster = Self::without_extension(settings);
        run(&mut cluster.session(), "CREATE EXTENSION ecommerce_ml");
        cluster
    }

    /// As [`with_settings`](Self::with_settings), with another program in the place of the engine; the real one is beside it, under
    /// the name `real_engine`.
    pub fn with_engine(engine: &Path, settings: &[&str]) -> Self {
        let mut cluster = Self::empty();
        let base = cluster.base.path().join("installation");
        cluster.programs = Some(installation_with_engine(&base, engine));
        cluster.initialise(settings);
        run(&mut cluster.session(), "CREATE EXTENSION ecommerce_ml");
        cluster
    }

    /// A running cluster where the extension is installed but not created.
    pub fn without_extension(settings: &[&str]) -> Self {
        let cluster = Self::empty();
        cluster.initialise(settings);
        cluster
    }

    fn initialise(&self, settings: &[&str]) {
        let encoding = ["-E", "UTF8", "--locale=C.UTF-8"];
        output(
            server_program("initdb")
                .args(["-N", "-A", "trust", "-U", SUPERUSER])
                .args(encoding)
                .arg(self.data()),
        );
        self.configure(settings);
        self.start();
    }

    /// A running streaming standby of another cluster.
    pub fn standby_of(primary: &Cluster) -> Self {
        let cluster = Self::empty();
        primary.output(
            "pg_basebackup",
            &["--no-sync", "-c", "fast", "-R", "-D", &cluster.data().to_string_lossy()],
        );
        cluster.configure(&[]);
        cluster.start();
        cluster
    }

    fn empty() -> Self {
        let private = Permissions::from_mode(0o700);
        let base = tempfile::Builder::new().prefix("ecml-").permissions(private).tempdir_in("/tmp");
        let base = base.expect("/tmp can be written to");
        give_to_server(base.path());
        Self { base, programs: None }
    }

    /// Adds lines to the configuration; the server reads them when it starts or reloads.
    pub fn configure(&self, settings: &[&str]) {
        let path = self.data().join("postgresql.conf");
        let mut text = fs::read_to_string(&path).expect("the configuration can be read");
        let socket = format!("unix_socket_directories = '{}'", self.base.path().display());
        let common = ["listen_addresses = ''", "fsync = off", "shared_buffers = 32MB", &socket];
        for line in common.iter().chain(settings) {
            text.push_str(line);
            text.push('\n');
        }
        fs::write(&path, text).expect("the configuration can be written");
    }

    /// The data directory.
    pub fn data(&self) -> PathBuf {
        self.base.path().join("data")
    }

    /// A folder that the server may read and write, made if it isn't there.
    pub fn folder(&self, name: &str) -> PathBuf {
        let path = self.base.path().join(name);
        fs::create_dir_all(&path).expect("a folder can be made");
        give_to_server(&path);
        path
    }

    /// Starts the server and waits until it takes connections.
    ///
    /// # Panics
    /// If it doesn't start, with its log.
    pub fn start(&self) {
        let log = self.log_file();
        let arguments = ["start", "-s", "-w", "-t", "60", "-l"];
        let mut pg_ctl = match &self.programs {
            Some(programs) => as_server(Command::new(programs.join("pg_ctl"))),
            None => server_program("pg_ctl"),
        };
        let status = pg_ctl.args(arguments).arg(log).arg("-D").arg(self.data()).status();
        assert!(status.is_ok_and(|status| status.success()), "the server did not start\n{}", self.log());
    }

    /// Stops the server and waits until it has ended.
    ///
    /// # Panics
    /// If it doesn't within a minute.
    pub fn stop(&self, how: Shutdown) {
        let status = self.pg_ctl(&["stop", "-s", "-w", "-t", "60", "-m", how.as_str()]);
        assert!(status, "a {} shutdown failed\n{}", how.as_str(), self.log());
    }

    /// Stops the server, fast, and starts it again.
    pub fn restart(&self) {
        self.stop(Shutdown::Fast);
        self.start();
    }

    /// Lets the running server read its configuration again.
    pub fn reload(&self) {
        assert!(self.pg_ctl(&["reload", "-s"]), "the server did not reload");
    }

    fn pg_ctl(&self, arguments: &[&str]) -> bool {
        let status = server_program("pg_ctl").args(arguments).arg("-D").arg(self.data()).status();
        status.is_ok_and(|status| status.success())
    }

    /// A session of the superuser in database `postgres`.
    pub fn session(&self) -> Client {
        self.session_in("postgres")
    }

    /// A session of the superuser.
    pub fn session_in(&self, database: &str) -> Client {
        self.session_as(SUPERUSER, database)
    }

    /// A session of this role.
    ///
    /// # Panics
    /// If the server refuses it.
    pub fn session_as(&self, role: &str, database: &str) -> Client {
        self.try_session(role, database)
            .unwrap_or_else(|error| panic!("no session: {error:?}\n{}", self.log()))
    }

    /// A session of this role, if the server grants one.
    ///
    /// # Errors
    /// What the server or the socket said.
    pub fn try_session(&self, role: &str, database: &str) -> Result<Client, postgres::Error> {
        let mut config = Config::new();
        config.host_path(self.base.path()).user(role).dbname(database);
        config.connect_timeout(Duration::from_secs(30)).connect(NoTls)
    }

    /// A program of the server's with the settings that bring it to this cluster.
    pub fn program(&self, name: &str) -> Command {
        let mut command = server_program(name);
        command.env("PGHOST", self.base.path()).env("PGUSER", SUPERUSER).env("PGDATABASE", "postgres");
        command.current_dir(self.base.path());
        command
    }

    /// Runs a program of the server's against this cluster and returns what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn output(&self, name: &str, arguments: &[&str]) -> String {
        output(self.program(name).args(arguments))
    }

    /// Feeds a script to psql in a database and returns what it printed, results and errors in order, as pg_regress sees them.
    pub fn psql(&self, database: &str, arguments: &[&str], script: impl Into<Stdio>) -> String {
        let mut printed = tempfile::tempfile().expect("a temporary file can be made");
        let handle = || printed.try_clone().expect("a file can be shared");
        let mut command = self.program("psql");
        command.args(["-X", "-d", database]).args(arguments);
        command.stdin(script).stdout(handle()).stderr(handle());
        command.status().expect("psql can be run");
        let mut text = String::new();
        printed.rewind().and_then(|()| printed.read_to_string(&mut text)).expect("psql prints UTF-8");
        text
    }

    /// What the server has logged.
    pub fn log(&self) -> String {
        // Statements are logged in the encoding of their database.
        String::from_utf8_lossy(&fs::read(self.log_file()).unwrap_or_default()).into_owned()
    }

    /// Process id of the postmaster.
    pub fn postmaster(&self) -> i32 {
        let file = fs::read_to_string(self.data().join("postmaster.pid")).unwrap_or_default();
        file.lines().next().and_then(|line| line.parse().ok()).expect("the server runs")
    }

    /// Process ids of all engines that work for this cluster, as the kernel lists them.
    pub fn engines(&self) -> Vec<i32> {
        processes::engines_in(&self.data(), "serve")
    }

    /// Process ids of the engines that train for this cluster.
    pub fn trainers(&self) -> Vec<i32> {
        processes::engines_in(&self.data(), "train")
    }

    /// Process ids of the background workers of jobs.
    pub fn job_workers(&self) -> Vec<i32> {
        processes::workers_of(self.postmaster(), "ecommerce_ml job")
    }

    /// Process id of the one engine that works for this cluster.
    ///
    /// # Panics
    /// If there is none, or more than one.
    pub fn engine(&self) -> i32 {
        let engines = self.engines();
        assert_eq!(engines.len(), 1, "engines: {engines:?}\n{}", self.log());
        engines[0]
    }

    /// Process ids of the background workers that watch over the engine, as the kernel lists them.
    pub fn supervisors(&self) -> Vec<i32> {
        processes::workers_of(self.postmaster(), "ecommerce_ml engine")
    }

    fn log_file(&self) -> PathBuf {
        self.base.path().join("log")
    }

    /// Keeps the log where `.ci/run` finds it, under the name of the failing test.
    fn save_log(&self) {
        let name = std::thread::current().name().unwrap_or("test").replace("::", "-");
        match std::env::var("ECOMMERCE_ML_TEST_LOGS") {
            Ok(folder) => {
                let unique = self.base.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
                let _ = fs::write(Path::new(&folder).join(format!("{name}-{unique}.log")), self.log());
            }
            Err(_) => eprintln!("---- server log ----\n{}", self.log()),
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.save_log();
        }
        if self.data().join("postmaster.pid").exists() {
            self.pg_ctl(&["stop", "-s", "-w", "-t", "60", "-m", "immediate"]);
        }
    }
}
