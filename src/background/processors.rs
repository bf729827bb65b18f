//! What the processors of this machine have been doing.
//!
//! Linux tells; elsewhere nothing is known. Time of processes that were niced gives way by itself and isn't counted. Invariant: a reading
//! is never of less than [`MIN_INTERVAL`], below which the kernel's ticks say nothing.

use std::fs;
use std::time::{Duration, Instant};

/// Of one reading.
const MIN_INTERVAL: Duration = Duration::from_millis(200);

/// Processor seconds since the machine was started.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Counters {
    /// Of all processes that weren't niced, and of the kernel.
    busy: f64,
    /// All seconds, of all processors.
    all: f64,
    /// Of the processes that a meter was made for.
    own: f64,
}

/// Measures what others do from one reading to the next.
#[derive(Debug)]
pub struct ProcessorMeter {
    read: Instant,
    last: Option<Counters>,
}

impl ProcessorMeter {
    /// Begins with the processes `own`, which are not among the others.
    pub fn start(own: &[i32]) -> Self {
        Self { read: Instant::now(), last: counters(own) }
    }

    /// The part of the processors' time, from 0 to 1, that others had since the last reading; `None` if that is too short ago, or
    /// nothing is known.
    pub fn read(&mut self, own: &[i32]) -> Option<f64> {
        if self.read.elapsed() < MIN_INTERVAL {
            return None;
        }
        let (before, now) = (self.last, counters(own));
        (self.read, self.last) = (Instant::now(), now);
        others(&before?, &now?)
    }
}

/// The part of others; `None` if the counters don't tell, as when another engine was started.
fn others(before: &Counters, now: &Counters) -> Option<f64> {
    let all = now.all - before.all;
    let own = (now.own - before.own).max(0.0);
    (all > 0.0).then(|| ((now.busy - before.busy - own) / all).clamp(0.0, 1.0))
}

fn counters(own: &[i32]) -> Option<Counters> {
    // SAFETY: asks for a constant.
    let ticks = unsafe { libc::sysconf(libc::_SC_CLK_TCK) }.max(1) as f64;
    let machine = fs::read_to_string("/proc/stat").ok()?;
    let (busy, all) = of_machine(machine.lines().next()?)?;
    let stats = own.iter().filter_map(|pid| fs::read_to_string(format!("/proc/{pid}/stat")).ok());
    let own: u64 = stats.filter_map(|stat| of_process(&stat)).sum();
    Some(Counters { busy: busy as f64 / ticks, all: all as f64 / ticks, own: own as f64 / ticks })
}

/// Ticks in which processors were busy with what isn't niced, and all, of a line like `cpu user nice system idle iowait irq softirq steal`.
fn of_machine(line: &str) -> Option<(u64, u64)> {
    let mut words = line.split_ascii_whitespace();
    if words.next()? != "cpu" {
        return None;
    }
    let ticks = words.map(str::parse).collect::<Result<Vec<u64>, _>>().ok()?;
    let [user, nice, system, idle, iowait, irq, softirq, ..] = ticks[..] else { return None };
    let busy = user + system + irq + softirq;
    Some((busy, busy + nice + idle + iowait))
}

/// Ticks that a process had, of `/proc/PID/stat`; 0 of one that is niced.
fn of_process(stat: &str) -> Option<u64> {
    // The name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = fields.split_ascii_whitespace().collect();
    let number = |at: usize| fields.get(at)?.parse::<i64>().ok();
    let (user, system, nice) = (number(11)?, number(12)?, number(16)?);
    if nice > 0 { Some(0) } else { u64::try_from(user + system).ok() }
}
