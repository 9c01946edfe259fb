//! Asynchronous log writer: lines on standard error, written by a dedicated thread.
//!
//! Guarantees: logging never blocks and never fails. Where standard error accepts nothing (a full
//! disk, a pipe that is closed or that nobody reads) lines are lost and counted, and once it
//! accepts lines again the log reports how many were lost. Panics are logged as lines, too. Lines
//! are written in the order in which they were logged. The thread ends with the process, which
//! calls [`Log::finish`] first so that no line is left in the queue.

use std::{
    collections::VecDeque,
    fs::File,
    io::{self, IsTerminal, Write},
    mem,
    os::fd::AsFd,
    sync::Arc,
    thread,
    time::Duration,
};

use anyhow::{Context, Result};
use ocellus_api::RecentLog;
use ocellus_core::{Clock, SystemClock};
use parking_lot::{Condvar, Mutex};
use serde_json::json;
use tracing_subscriber::{EnvFilter, fmt::MakeWriter, prelude::*};

use crate::{config::LogFormat, recent_log::CopyToMemory};

/// Capacity of the queue of lines: seconds of a busy server.
const MAX_WAITING_BYTES: usize = 4 << 20;
/// Within this the queue is written when the process ends.
const FINISH_TIMEOUT: Duration = Duration::from_secs(1);

/// Handle of the log, for any thread. Cheap to clone; all clones share one queue.
#[derive(Clone)]
pub(crate) struct Log(Arc<Queue>);

#[derive(Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    filled: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Waiting {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// Lines dropped because the queue was full, since the writer last took lines.
    lost: u64,
    /// The writer has taken lines and is writing them.
    writing: bool,
}

impl Log {
    /// Sends what the process logs, and what its panics say, to standard error, and copies it into
    /// `recent`.
    ///
    /// # Errors
    /// If `filter` cannot be parsed, or the thread cannot be started.
    pub(crate) fn to_stderr(filter: &str, format: LogFormat, recent: RecentLog) -> Result<Self> {
        let filter = EnvFilter::try_new(filter).with_context(|| format!("--log {filter:?} is not a filter"))?;
        // Not through [`io::stderr`]: a write to a full pipe would hold its lock for as long as the
        // pipe is full.
        let stderr = File::from(io::stderr().as_fd().try_clone_to_owned().context("cannot write to standard error")?);
        let colours = stderr.is_terminal();
        let log = Self::start(Sink::new(stderr, format)).context("cannot start a thread")?;
        // Its internal errors would go through `eprintln!`, which panics when standard error cannot
        // be written.
        let builder = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_writer(log.clone())
            .with_target(false)
            .log_internal_errors(false);
        match format {
            LogFormat::Text => builder.with_ansi(colours).finish().with(CopyToMemory(recent)).init(),
            LogFormat::Json => builder.json().finish().with(CopyToMemory(recent)).init(),
        }
        let panics = log.clone();
        std::panic::set_hook(Box::new(move |panic| {
            let backtrace = std::backtrace::Backtrace::capture();
            match backtrace.status() {
                std::backtrace::BacktraceStatus::Captured => tracing::error!("{panic}\n{backtrace}"),
                _ => tracing::error!("{panic}"),
            }
            // The panic may end the process.
            panics.finish();
        }));
        Ok(log)
    }

    fn start<W: Write + Send + 'static>(mut sink: Sink<W>) -> io::Result<Self> {
        let log = Self(Arc::default());
        let queue = Arc::clone(&log.0);
        thread::Builder::new().name("log".into()).spawn(move || {
            loop {
                let (lines, lost) = queue.take();
                for line in lines {
                    sink.write(&line);
                }
                sink.lost += lost;
            }
        })?;
        Ok(log)
    }

    /// Waits until all lines are written or lost, for [`FINISH_TIMEOUT`] at most.
    pub(crate) fn finish(&self) {
        let mut waiting = self.0.waiting.lock();
        self.0.written.wait_while_for(&mut waiting, |w| w.writing || !w.lines.is_empty(), FINISH_TIMEOUT);
    }
}

impl Queue {
    fn put(&self, line: &[u8]) {
        let mut waiting = self.waiting.lock();
        if waiting.bytes + line.len() > MAX_WAITING_BYTES {
            waiting.lost += 1;
            return;
        }
        waiting.bytes += line.len();
        waiting.lines.push_back(line.to_vec());
        self.filled.notify_one();
    }

    /// Waits for lines, then takes all of them, with the number of lines lost after them. Marks the
    /// lines taken before as written.
    fn take(&self) -> (VecDeque<Vec<u8>>, u64) {
        let mut waiting = self.waiting.lock();
        waiting.writing = false;
        self.written.notify_all();
        self.filled.wait_while(&mut waiting, |w| w.lines.is_empty());
        (waiting.writing, waiting.bytes) = (true, 0);
        (mem::take(&mut waiting.lines), mem::take(&mut waiting.lost))
    }
}

impl MakeWriter<'_> for Log {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

/// Each write is one line.
impl Write for Log {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Destination of the lines, with the count of those that could not be written.
struct Sink<W> {
    to: W,
    format: LogFormat,
    lost: u64,
    /// The last line was written only in part.
    torn: bool,
}

impl<W: Write> Sink<W> {
    fn new(to: W, format: LogFormat) -> Self {
        Self { to, format, lost: 0, torn: false }
    }

    fn write(&mut self, line: &[u8]) {
        if self.lost > 0 {
            let notice = notice(self.lost, self.format);
            if self.try_write(notice.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if self.try_write(line).is_err() {
            self.lost += 1;
        }
    }

    fn try_write(&mut self, mut line: &[u8]) -> io::Result<()> {
        if self.torn {
            self.to.write_all(b"\n")?;
            self.torn = false;
        }
        while !line.is_empty() {
            match self.to.write(line) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(n) => {
                    line = line.get(n..).unwrap_or_default();
                    self.torn = !line.is_empty();
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

/// The log line that reports lost lines.
fn notice(lost: u64, format: LogFormat) -> String {
    let (now, message) = (SystemClock.now(), format!("{lost} log lines could not be written"));
    match format {
        LogFormat::Text => format!("{now}  WARN {message} lost={lost}\n"),
        LogFormat::Json => {
            format!(
                "{}\n",
                json!({"timestamp": now.to_string(), "level": "WARN", "fields": {"message": message, "lost": lost}})
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use proptest::prelude::*;

    use super::*;

    /// Accepts as many bytes as it has room for, and fails until the test gives it more.
    #[derive(Default)]
    struct Disk {
        written: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let taken = bytes.len().min(self.room);
            if taken == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= taken;
            self.written.extend_from_slice(&bytes[..taken]);
            Ok(taken)
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn lines(sink: &Sink<Disk>) -> Vec<String> {
        String::from_utf8(sink.to.written.clone()).unwrap().lines().map(str::to_owned).collect()
    }

    #[test]
    fn lines_lost_on_a_full_disk_are_counted_and_reported_once() {
        let mut sink = Sink::new(Disk { room: 10, ..Disk::default() }, LogFormat::Text);
        for line in ["first\n", "second\n", "third\n", "fourth\n"] {
            sink.write(line.as_bytes());
        }
        assert_eq!(lines(&sink), ["first", "seco"]);
        sink.to.room = 1000;
        sink.write(b"fifth\n");
        sink.write(b"sixth\n");
        let lines = lines(&sink);
        assert_eq!(
            (&lines[..2], &lines[3..]),
            (&["first".to_owned(), "seco".into()][..], &["fifth".to_owned(), "sixth".into()][..])
        );
        assert!(lines[2].ends_with(" WARN 3 log lines could not be written lost=3"), "{lines:?}");
    }

    #[test]
    fn the_notice_of_lost_lines_is_json_in_a_json_log() {
        let mut sink = Sink::new(Disk::default(), LogFormat::Json);
        sink.write(b"{}\n");
        sink.to.room = 1000;
        sink.write(b"{}\n");
        let lines: Vec<serde_json::Value> = lines(&sink).iter().map(|l| serde_json::from_str(l).unwrap()).collect();
        assert_eq!((lines.len(), &lines[0]["fields"]["lost"]), (2, &json!(1)));
    }

    proptest! {
        #[test]
        fn every_line_is_written_or_counted(rooms in prop::collection::vec(0_usize..120, 1..40)) {
            let mut sink = Sink::new(Disk::default(), LogFormat::Json);
            for (n, room) in rooms.iter().enumerate() {
                sink.to.room = *room;
                sink.write(format!("{{\"line\":{n}}}\n").as_bytes());
            }
            sink.to.room = usize::MAX;
            sink.write(b"{\"line\":\"last\"}\n");
            let whole: Vec<serde_json::Value> =
                lines(&sink).iter().filter_map(|l| serde_json::from_str(l).ok()).collect();
            let written = whole.iter().filter(|l| l["line"].is_number()).count() as u64;
            let lost: u64 = whole.iter().filter_map(|l| l["fields"]["lost"].as_u64()).sum();
            // Not `==`: a line of which only the line break is missing counts as lost and can be
            // read.
            prop_assert!(written + lost >= rooms.len() as u64);
        }
    }

    /// A writer that blocks until the test lets a line through.
    struct Gate(mpsc::Receiver<()>, mpsc::Sender<Vec<u8>>);

    impl Write for Gate {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let _ = self.0.recv();
            let _ = self.1.send(bytes.to_vec());
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn logging_does_not_block_on_a_pipe_that_nobody_reads() {
        let (open, gate) = mpsc::channel();
        let (written, read) = mpsc::channel();
        let mut log = Log::start(Sink::new(Gate(gate, written), LogFormat::Text)).unwrap();
        let line = vec![b'x'; 1 << 20];
        for _ in 0..20 {
            log.write_all(&line).unwrap();
        }
        drop(open);
        log.finish();
        log.write_all(b"last\n").unwrap();
        log.finish();
        let texts: Vec<_> = read.try_iter().collect();
        let whole = texts.iter().filter(|t| t.len() == line.len()).count();
        assert!((1..=9).contains(&whole), "{whole}");
        let notice = String::from_utf8(texts[whole].clone()).unwrap();
        assert!(notice.contains(&format!("{} log lines could not be written", 20 - whole)), "{notice}");
        assert_eq!(texts.last().unwrap(), b"last\n");
    }
}
