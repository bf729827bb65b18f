//! A background worker as a process: its signals, and its settings.
//!
//! Invariant: a worker can be ended and cancelled like a session, and what was set for sessions doesn't change what it records.

use pgrx::pg_sys;

/// The server's own handlers, which take no wrapping.
mod handlers {
    unsafe extern "C-unwind" {
        pub fn die(signal: i32);
        pub fn StatementCancelHandler(signal: i32);
        pub fn SignalHandlerForConfigReload(signal: i32);
    }
}

/// Signals as a session treats them: SIGTERM ends the worker where it next waits, SIGINT cancels what it does.
pub fn install_signal_handlers() {
    handle(pg_sys::SIGTERM, handlers::die);
    handle(pg_sys::SIGINT, handlers::StatementCancelHandler);
    handle(pg_sys::SIGHUP, handlers::SignalHandlerForConfigReload);
    // SAFETY: the handlers are set.
    unsafe { pg_sys::BackgroundWorkerUnblockSignals() };
}

fn handle(signal: u32, handler: unsafe extern "C-unwind" fn(i32)) {
    // SAFETY: one of the server's handlers, in a worker whose signals are still blocked.
    unsafe {
        #[cfg(not(feature = "pg18"))]
        pg_sys::pqsignal(signal.cast_signed(), Some(handler));
        #[cfg(feature = "pg18")]
        pg_sys::pqsignal_be(signal.cast_signed(), Some(handler));
    }
}

/// What a database or a role has set for its sessions is not meant for the records that a worker keeps.
pub fn set_own_defaults() {
    for (name, value) in [
        (c"default_transaction_read_only", c"off"),
        (c"default_transaction_deferrable", c"off"),
        (c"default_transaction_isolation", c"read committed"),
        (c"lock_timeout", c"0"),
    ] {
        // SAFETY: settings that every server has, and values that they take.
        unsafe {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_OVERRIDE,
            );
        }
    }
}

/// Reloads the configuration if the server was told to.
pub fn reload_configuration() {
    // SAFETY: a flag that the handler of SIGHUP sets, and the function that the server's own workers call for it.
    unsafe {
        if (&raw const pg_sys::ConfigReloadPending).read_volatile() != 0 {
            (&raw mut pg_sys::ConfigReloadPending).write_volatile(0);
            pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP);
        }
    }
}
