//! Set-up of archives, videos and objects for the tests.

mod object;

use std::{path::Path, sync::Arc};

use ocellus_core::{SettingsSchema, SystemClock, VideoId, VideoRecord};
use ocellus_store::Archive;

pub(crate) use self::object::new_object;

pub(crate) fn open(dir: &Path) -> Archive {
    Archive::open(dir, Arc::new(SystemClock)).unwrap().0
}

pub(crate) fn new_video(archive: &Archive) -> VideoId {
    let settings = SettingsSchema::new(&[], &["simple_iou".into()], &[]).unwrap().complete(None).unwrap();
    archive.create(move |id, now| VideoRecord::new(id, 1, None, settings, now)).unwrap().id
}
