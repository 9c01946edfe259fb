//! Replacement of a job's file of tracks.

use ocellus_core::JobId;

use crate::{archive::Archive, job_files::TRACKS, tracks::TrackWriter};

impl Archive {
    /// Writes a new file of a job's tracks, to which `fill` adds the frames. It replaces the old
    /// one once it is complete.
    ///
    /// # Errors
    /// Those of `fill`; `Io`, also where the disk is full, or where the job is gone.
    pub fn make_tracks(
        &self,
        job: JobId,
        fill: impl FnOnce(&mut TrackWriter) -> ocellus_core::Result<()>,
    ) -> ocellus_core::Result<()> {
        let folder = &self.shared().folder;
        let (dir, disk) = (folder.job(job), folder.disk());
        let part = dir.join(format!("{TRACKS}.part"));
        let mut writer = TrackWriter::begin(disk, part.clone())?;
        let filled = fill(&mut writer).and_then(|()| Ok(writer.finish()?));
        if let Err(error) = filled {
            disk.remove(&part)?;
            return Err(error);
        }
        let _lock = self.shared().lock(job.video);
        disk.rename(&part, &dir.join(TRACKS))?;
        Ok(disk.sync_folder(&dir)?)
    }
}
