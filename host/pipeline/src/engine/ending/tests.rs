use std::io;

use ocellus_core::{ErrorKind, FrameRecord, ManualClock, SettingsSchema, Size};

use super::*;

/// A disk that refuses writes while it is full.
struct Disk {
    record: Mutex<VideoRecord>,
    full: Mutex<bool>,
    attempts: Mutex<u32>,
}

const ID: VideoId = VideoId(3);

impl Disk {
    fn new() -> Arc<Self> {
        let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
        let mut record = VideoRecord::new(ID, 1, None, settings, Timestamp::UNIX_EPOCH);
        (record.job, record.status) = (2, VideoStatus::Starting);
        Arc::new(Self { record: Mutex::new(record), full: Mutex::new(true), attempts: Mutex::default() })
    }

    fn endings(self: &Arc<Self>) -> Arc<Endings> {
        let disk = Arc::clone(self);
        Endings::written_by(clock(), move |ending| {
            *disk.attempts.lock() += 1;
            if *disk.full.lock() {
                return Err(StoreError::Io { path: "video.json".into(), source: io::ErrorKind::StorageFull.into() });
            }
            ending.overlay(&mut disk.record.lock());
            Ok(())
        })
    }

    fn change(&self, change: impl FnOnce(&mut VideoRecord)) {
        change(&mut self.record.lock());
    }

    /// The status on the disk, and the one that requests see.
    fn statuses(&self, endings: &Endings) -> (VideoStatus, VideoStatus) {
        let mut shown = self.record.lock().clone();
        let on_disk = shown.status;
        endings.overlay(&mut shown);
        (on_disk, shown.status)
    }
}

/// A clock that stands still: a retry that is due is due at once.
fn clock() -> Arc<dyn Clock> {
    Arc::new(ManualClock::new(Timestamp::UNIX_EPOCH))
}

fn ending(job: u32, status: VideoStatus) -> FinalState {
    FinalState {
        job: JobId { video: ID, number: job },
        run: Arc::new(Run::new()),
        status,
        finished: true,
        error: Some("The server's disk is full.".into()),
        clusters: BTreeMap::new(),
        source_len: None,
    }
}

use VideoStatus::{Completed, Disabled, Interrupted, NotStarted, Starting};

#[test]
fn a_final_state_is_shown_at_once_and_written_when_there_is_space() {
    let disk = Disk::new();
    let endings = disk.endings();
    endings.put(ending(2, Interrupted));
    assert_eq!(disk.statuses(&endings), (Starting, Interrupted));
    assert_eq!(endings.settle(ID).unwrap_err().kind(), ErrorKind::Unavailable);
    *disk.full.lock() = false;
    endings.settle(ID).unwrap();
    assert_eq!(disk.statuses(&endings), (Interrupted, Interrupted));
    assert_eq!(disk.record.lock().error.as_deref(), Some("The server's disk is full."));
    assert!(endings.state.lock().unwritten.is_empty());
    assert_eq!(*disk.attempts.lock(), 3);
}

#[test]
fn writing_is_retried_with_backoff_and_at_once_when_space_was_freed() {
    let disk = Disk::new();
    let endings = disk.endings();
    endings.put(ending(2, Interrupted));
    let wait = || endings.state.lock().unwritten[&ID].due.as_second();
    let waits = [(); 7].map(|()| {
        let wait = wait();
        endings.settle(ID).unwrap_err();
        wait
    });
    assert_eq!(waits, [1, 2, 4, 8, 16, 30, 30]);
    let trying = std::thread::spawn({
        let endings = Arc::clone(&endings);
        move || endings.keep_trying()
    });
    *disk.full.lock() = false;
    endings.wake();
    while disk.statuses(&endings) != (Interrupted, Interrupted) || !endings.state.lock().unwritten.is_empty() {
        std::thread::yield_now();
    }
    endings.close();
    trying.join().unwrap();
}

#[test]
fn a_later_job_is_never_overwritten() {
    let disk = Disk::new();
    let endings = disk.endings();
    endings.put(ending(2, Completed));
    disk.change(|record| (record.job, record.status) = (3, VideoStatus::Awaiting));
    assert_eq!(disk.statuses(&endings), (VideoStatus::Awaiting, VideoStatus::Awaiting));
    disk.change(|record| record.status = Starting);
    *disk.full.lock() = false;
    endings.settle(ID).unwrap();
    assert_eq!(disk.statuses(&endings), (Starting, Starting));
}

#[test]
fn a_stop_that_was_written_first_stays() {
    let disk = Disk::new();
    let endings = disk.endings();
    endings.put(ending(2, Completed));
    disk.change(|record| record.status = Disabled);
    *disk.full.lock() = false;
    endings.settle(ID).unwrap();
    assert_eq!(disk.statuses(&endings), (Disabled, Disabled));
}

#[test]
fn a_job_with_processed_frames_ends_interrupted_whatever_its_failure() {
    let disk = Disk::new();
    *disk.full.lock() = false;
    let endings = disk.endings();
    let ending = ending(2, NotStarted);
    let frame = FrameRecord {
        index: 0,
        time: 0.0,
        wall_us: 0,
        cut: false,
        is_static: false,
        detections: Vec::new(),
        tracklets: Vec::new(),
    };
    ending.run.progress.frame(&frame, Size { width: 64, height: 64 });
    endings.put(ending);
    assert_eq!(disk.statuses(&endings), (Interrupted, Interrupted));
}

#[test]
fn a_write_that_panics_counts_as_failed() {
    let endings = Endings::written_by(clock(), |_| panic!("on purpose"));
    endings.put(ending(2, Completed));
    assert_eq!(endings.settle(ID).unwrap_err().kind(), ErrorKind::Internal);
    endings.close();
    endings.forget(ID);
    endings.settle(ID).unwrap();
}
