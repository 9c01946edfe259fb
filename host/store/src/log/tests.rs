use proptest::prelude::*;

use super::*;

fn writer(path: &Path) -> LogWriter {
    LogWriter::open::<()>(&Disk::default(), path, Kind::Objects, |(), _, _| Ok(())).unwrap().0
}

fn write(path: &Path, records: &[Vec<u8>]) -> Option<PathBuf> {
    let mut writer = writer(path);
    for record in records {
        writer.append(record).unwrap();
    }
    writer.sync().unwrap();
    writer.set_aside
}

fn read(path: &Path) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    if let Ok(Some(mut reader)) = LogReader::open(path, Kind::Objects) {
        while let Some(record) = reader.next_record().unwrap() {
            all.push(record);
        }
    }
    all
}

fn records() -> impl Strategy<Value = Vec<Vec<u8>>> {
    prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..8)
}

#[test]
fn zeros_at_the_end_are_a_torn_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    write(&path, &[b"one".to_vec()]);
    let length = std::fs::metadata(&path).unwrap().len();
    File::options().write(true).open(&path).unwrap().set_len(length + 4096).unwrap();
    assert_eq!(read(&path), [b"one".to_vec()]);
    assert_eq!(write(&path, &[b"two".to_vec()]), None);
    assert_eq!(read(&path), [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn records_after_a_failed_write_are_kept() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    let mut writer = writer(&path);
    writer.append(b"one").unwrap();
    writer.sync().unwrap();
    // A handle that cannot write stands for a disk that is full.
    writer.file = BufWriter::new(Box::new(File::open(&path).unwrap()));
    writer.append(b"lost").unwrap();
    assert!(writer.sync().is_err());
    assert_eq!(writer.append(b"two").unwrap(), HEAD + FRAME + 3);
    writer.sync().unwrap();
    assert_eq!(read(&path), [b"one".to_vec(), b"two".to_vec()]);
}

#[test]
fn a_log_of_a_later_version_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    std::fs::write(&path, b"OCLOGO\x09\x00").unwrap();
    let error = LogReader::open(&path, Kind::Objects).err().unwrap();
    assert!(matches!(&error, StoreError::Newer { made_by, .. } if made_by.contains('9')), "{error}");
    let other = LogReader::open(&path, Kind::Deliveries).unwrap().unwrap();
    assert_eq!(other.unread(), Unread { damaged: HEAD, torn: 0 });
}

#[test]
fn the_search_through_garbage_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    write(&path, &[b"one".to_vec()]);
    let mut random = fastrand::Rng::with_seed(7);
    let garbage: Vec<u8> = std::iter::repeat_with(|| random.u8(..)).take(24 << 20).collect();
    std::fs::write(&path, [std::fs::read(&path).unwrap(), garbage].concat()).unwrap();
    assert_eq!(read(&path), [b"one".to_vec()]);
}

proptest! {
    #[test]
    fn written_records_are_read(first in records(), second in records()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        write(&path, &first);
        write(&path, &second);
        prop_assert_eq!(read(&path), [first, second].concat());
    }

    #[test]
    fn a_truncated_log_yields_its_whole_records_and_can_be_appended_to(all in records(), cut in any::<prop::sample::Index>()) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        write(&path, &all);
        let bytes = std::fs::read(&path).unwrap();
        std::fs::write(&path, &bytes[..cut.index(bytes.len())]).unwrap();
        let left = read(&path);
        prop_assert!(all.starts_with(&left), "{:?} is no prefix of {:?}", left, all);
        prop_assert_eq!(write(&path, &[b"more".to_vec()]), None);
        prop_assert_eq!(read(&path), [left, vec![b"more".to_vec()]].concat());
    }

    /// All records except the damaged one can be read, before and after an append, and the damaged
    /// file is kept.
    #[test]
    fn damage_loses_only_the_record_that_it_is_in(all in records(), at in any::<prop::sample::Index>(), bits in 1_u8..) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        write(&path, &all);
        let mut bytes = std::fs::read(&path).unwrap();
        prop_assume!(bytes.len() > HEAD as usize);
        let at = HEAD as usize + at.index(bytes.len() - HEAD as usize);
        bytes[at] ^= bits;
        std::fs::write(&path, &bytes).unwrap();
        let mut end = HEAD as usize;
        let hit = all.iter().position(|r| { end += FRAME as usize + r.len(); at < end }).unwrap();
        let mut expected = all.clone();
        expected.remove(hit);
        prop_assert_eq!(&read(&path), &expected);

        let aside = write(&path, &[b"more".to_vec()]);
        expected.push(b"more".to_vec());
        prop_assert_eq!(read(&path), expected);
        // Damage in the last record cannot be told from a torn end.
        prop_assert_eq!(aside.is_some(), hit + 1 < all.len());
        if let Some(aside) = aside {
            prop_assert_eq!(std::fs::read(aside).unwrap(), bytes);
        }
    }
}
