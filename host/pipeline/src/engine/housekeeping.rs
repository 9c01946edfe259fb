//! Housekeeping of the disk: removes sources beyond the operator's limits, see
//! [`retention`](crate::retention).

use std::{collections::HashMap, sync::Arc, time::Duration};

use ocellus_core::{Error, ErrorKind, Result, VideoId};
use ocellus_store::{ListQuery, Order, OrderKey, Space, VideoFilter};
use tracing::{info, warn};

use super::{
    disk_use::DiskUse,
    jobs::Claim,
    queue::Purpose,
    state::{Engine, Inner},
};
use crate::retention::{HeldSource, overdue};

/// Time between two scans of all records, while there is enough disk space: each record is a file.
const INTERVAL: Duration = Duration::from_secs(600);
const PAGE: usize = 1000;

impl Engine {
    /// Usage of the archive's disk; `None` where the system does not report it.
    pub fn disk_use(&self) -> Option<DiskUse> {
        let Space { total, free } = self.0.archive.space()?;
        Some(DiskUse { total_bytes: total, free_bytes: free, source_bytes: self.0.source_use.bytes() })
    }

    /// Refuses a file of `bytes` bytes if less disk space than the operator requires would be left.
    ///
    /// # Errors
    /// `Unavailable`, which names the option.
    pub fn check_room(&self, bytes: u64) -> Result<()> {
        let Some(least) = self.0.config.retention.min_free else { return Ok(()) };
        match self.0.archive.space() {
            Some(space) if space.free < least.saturating_add(bytes) => {
                let why = format!(
                    "There is no room for the file: the server keeps {least} bytes of its disk free (--min-free-bytes)."
                );
                Err(Error::new(ErrorKind::Unavailable, why))
            }
            _ => Ok(()),
        }
    }

    /// Removes the sources that are beyond the operator's limits. To be called every minute: it
    /// scans the records only every ten minutes, or when the disk is short of space.
    ///
    /// # Errors
    /// The archive's.
    pub async fn keep_house(&self) -> Result<()> {
        let retention = self.0.config.retention;
        if !retention.is_limited() {
            return Ok(());
        }
        let free = self.0.archive.space().map(|space| space.free);
        let is_short = retention.min_free.is_some_and(|least| free.is_some_and(|free| free < least));
        let is_due = self.0.source_use.age().is_none_or(|age| age >= INTERVAL);
        if !is_due && !is_short {
            return Ok(());
        }
        let sources = self.blocking(Inner::sources).await?;
        let held: u64 = sources.iter().map(|source| source.bytes).sum();
        let mut removed = 0;
        let sizes: HashMap<_, _> = sources.iter().map(|s| (s.id, s.bytes)).collect();
        for (id, limit) in overdue(sources, free, &retention, self.0.clock.now()) {
            match self.discard_source(id).await {
                Ok(true) => {
                    removed += sizes.get(&id).copied().unwrap_or_default();
                    info!(video = %id, limit, "video {id}: its source was removed because of {limit}");
                }
                Ok(false) => {}
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => warn!(video = %id, %error, "video {id}: its source cannot be removed: {error}"),
            }
        }
        self.0.source_use.set(held - removed);
        Ok(())
    }

    /// Removes the source of a video that is neither queued nor running; returns whether it did.
    async fn discard_source(&self, id: VideoId) -> Result<bool> {
        let Some(claim) = self.0.jobs.claim(id, Purpose::Begin).await? else { return Ok(false) };
        let inner = Arc::clone(&self.0);
        self.0.removals.run(move || inner.discard_source(claim)).await
    }
}

impl Inner {
    /// All sources, from the records. Blocks.
    fn sources(&self) -> Result<Vec<HeldSource>> {
        let order = Order { key: OrderKey::Id, descending: false };
        let mut query = ListQuery { filter: VideoFilter::default(), order, limit: PAGE, cursor: None };
        let mut sources = Vec::new();
        loop {
            let page = self.archive.list(&query)?;
            sources.extend(page.items.iter().filter_map(HeldSource::of));
            if page.next.is_none() {
                return Ok(sources);
            }
            query.cursor = page.next;
        }
    }

    fn discard_source(&self, claim: Claim) -> Result<bool> {
        let id = claim.id();
        self.endings.settle(id)?;
        // A client may have changed the video since the records were read.
        let removable = HeldSource::of(&self.video(id)?).is_some_and(|source| source.removable);
        if removable {
            self.archive.delete_source(id)?;
            claim.release();
        }
        Ok(removable)
    }
}
